"""The shapes in which series are served.

Texts of numbers are put between what is the same for every line: by a template of all times, or laid side by
side and joined. That takes a tenth of the time of a mapping for each point.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from modelplane_datasource.series.model import Answer, Series
from modelplane_datasource.timeline.columns import texts_of

# The panels of a board ask for the same times. One template of 11,000 points takes 0.4 MB.
_KEPT_TEMPLATES = 8

Texts = Sequence[bytes]  # one for each point


def as_contract(answer: Answer) -> list[dict[str, Any]]:
    """``[{"name", "type", "labels", "data": [{"x", "y"}]}]``, one for each series."""
    times = answer.grid.times
    return [
        {"name": line.name, "type": "line", "labels": line.labels, "data": _array_of_points(times, line)}
        for line in answer.series
    ]


def as_rows(answer: Answer) -> orjson.Fragment:
    """``[{"time", "series", "value", labels...}]`` by time, then series."""
    points, times = len(answer.grid), [b'{"time":%d' % time for time in answer.grid.times]
    columns: list[Texts] = []
    for line in sorted(answer.series, key=lambda line: line.name):
        name, labels = orjson.dumps(line.name), orjson.dumps(line.labels)[1:-1]
        columns += [times, [b',"series":%b,"value":' % name] * points, texts_of(line.values)]
        for beside, values in line.beside.items():
            columns += [[b",%b:" % orjson.dumps(beside)] * points, texts_of(values)]
        columns.append([b",%b}," % labels if labels else b"},"] * points)
    return _array(columns)


def as_table_rows(answer: Answer, labels: Sequence[str]) -> orjson.Fragment:
    """``[[time, series, labels..., value, what belongs to it...]]`` by time, then series."""
    points, times = len(answer.grid), [b"[%d," % time for time in answer.grid.times]
    columns: list[Texts] = []
    for line in sorted(answer.series, key=lambda line: line.name):
        texts = orjson.dumps([line.name, *(line.labels[label] for label in labels)])[1:-1]
        columns += [times, [texts] * points]
        for values in (line.values, *line.beside.values()):
            columns += [[b","] * points, texts_of(values)]
        columns.append([b"],"] * points)
    return _array(columns)


def as_datapoints(answer: Answer, ref_id: str) -> list[dict[str, Any]]:
    """``[{"target", "refId", "datapoints": [[value, ms]]}]``, one for each series."""
    template = _template(answer.grid.times, b"[%b,", b"]")
    return [
        {"target": line.name, "refId": ref_id, "datapoints": _filled(template, [line.values])}
        for line in answer.series
    ]


def as_array(values: Sequence[float | None]) -> orjson.Fragment:
    """``values`` as a JSON array."""
    return orjson.Fragment(b"[%b]" % b",".join(texts_of(values)))


def _array_of_points(times: range, line: Series) -> orjson.Fragment:
    names = (orjson.dumps(name).replace(b"%", b"%%") for name in ("y", *line.beside))
    places = b"".join(b",%b:%%b" % name for name in names)
    return _filled(_template(times, b'{"x":', places + b"}"), [line.values, *line.beside.values()])


@lru_cache(maxsize=_KEPT_TEMPLATES)
def _template(times: range, before: bytes, after: bytes) -> bytes:
    """A JSON array of each of the ``times`` between two texts, in which ``%b`` is the place of a number."""
    texts = orjson.dumps(list(times))[1:-1].replace(b",", after + b"," + before)
    return b"[" + before + texts + after + b"]"


def _filled(template: bytes, columns: Sequence[Sequence[float | None]]) -> orjson.Fragment:
    """``template`` with the numbers of all ``columns`` at its places, point by point."""
    return orjson.Fragment(template % tuple(_point_by_point(list(map(texts_of, columns)))))


def _array(columns: Sequence[Texts]) -> orjson.Fragment:
    """A JSON array of points, each of them its texts in all ``columns``; the last text ends with a comma."""
    return orjson.Fragment(b"[" + b"".join(_point_by_point(columns))[:-1] + b"]")


def _point_by_point(columns: Sequence[Texts]) -> Texts:
    """The first text of each column, then the second of each, and so on; slices are quicker than zip."""
    if len(columns) == 1:
        return columns[0]
    length = max(map(len, columns), default=0)
    texts = [b""] * (len(columns) * length)
    for at, column in enumerate(columns):
        texts[at :: len(columns)] = column
    return texts
