"""The shapes in which series are served.

orjson writes all values of a line at once, and what is the same in all points is put between them: by a
template of all times where they are the same for every line, else by one replacement. That takes a fifth of
the time of a mapping for each point.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Any

import orjson

from modelplane_datasource.series import Answer, Series
from modelplane_datasource.times import format_rfc3339

# The panels of a board ask for the same times. One template of 11,000 points takes 0.4 MB.
_KEPT_TEMPLATES = 8

Column = Sequence[bytes]  # a piece of text for each point


def as_contract(answer: Answer, now: int) -> dict[str, Any]:
    """``{"query_time", "data": [{"name", "type", "labels", "data": [{"x", "y"}]}]}``."""
    times = answer.grid.times
    data = [
        {"name": line.name, "type": "line", "labels": line.labels, "data": _array_of_points(times, line)}
        for line in answer.series
    ]
    return _with_warnings({"query_time": format_rfc3339(now), "data": data}, answer)


def as_rows(answer: Answer) -> dict[str, Any]:
    """``{"rows": [{"time", "series", "value", labels...}]}`` by time, then series."""
    columns: list[Column] = []
    for line in sorted(answer.series, key=lambda line: line.name):
        name, labels = orjson.dumps(line.name), orjson.dumps(line.labels)[1:-1]
        columns.append(_column(answer.grid.times, b'{"time":', b',"series":' + name + b',"value":'))
        columns += _values(line, b"," + labels + b"}," if labels else b"},")
    return _with_warnings({"rows": _array(columns)}, answer)


def as_table_rows(answer: Answer, labels: Sequence[str]) -> orjson.Fragment:
    """``[[time, series, labels..., value, what belongs to it...]]`` by time, then series."""
    columns: list[Column] = []
    for line in sorted(answer.series, key=lambda line: line.name):
        texts = orjson.dumps([line.name, *(line.labels[label] for label in labels)])[1:-1]
        columns.append(_column(answer.grid.times, b"[", b"," + texts))
        columns += [_column(values, b",") for values in (line.values, *line.beside.values())]
        columns.append([b"],"] * len(answer.grid))
    return _array(columns)


def as_datapoints(answer: Answer, ref_id: str) -> list[dict[str, Any]]:
    """``[{"target", "refId", "datapoints": [[value, ms]]}]``, one for each series."""
    times = answer.grid.times
    return [
        {
            "target": line.name,
            "refId": ref_id,
            "datapoints": _filled(_template(times, b"[%b,", b"]"), [line.values]),
        }
        for line in answer.series
    ]


def _array_of_points(times: range, line: Series) -> orjson.Fragment:
    names = [b',"y":%b', *(b",%b:%%b" % orjson.dumps(name).replace(b"%", b"%%") for name in line.beside)]
    template = _template(times, b'{"x":', b"".join(names) + b"}")
    return _filled(template, [line.values, *line.beside.values()])


@lru_cache(maxsize=_KEPT_TEMPLATES)
def _template(times: range, before: bytes, after: bytes) -> bytes:
    """A JSON array of a text for each of the ``times``, which stands between two texts."""
    texts = orjson.dumps(list(times))[1:-1].replace(b",", after + b"," + before)
    return b"[" + before + texts + after + b"]"


def _filled(template: bytes, columns: Sequence[Sequence[float | None]]) -> orjson.Fragment:
    """``template`` with the numbers of all ``columns`` at its places, point by point."""
    numbers = columns[0] if len(columns) == 1 else tuple(chain.from_iterable(zip(*columns, strict=True)))
    return orjson.Fragment(template % tuple(orjson.dumps(numbers)[1:-1].split(b",")))


def _values(line: Series, end: bytes) -> list[Column]:
    """The columns of a line: its values, what belongs to each of them by name, and the ``end`` of a point."""
    names = [b"", *(b"," + orjson.dumps(name) + b":" for name in line.beside)]
    columns = [line.values, *line.beside.values()]
    ends = [b""] * (len(columns) - 1) + [end]
    return [_column(*column) for column in zip(columns, names, ends, strict=True)]


def _column(values: Sequence[float | None], before: bytes = b"", after: bytes = b"") -> Column:
    """Each number as JSON between two texts, which are JSON too and hence hold no zero byte."""
    numbers = orjson.dumps(list(values) if isinstance(values, range) else values)[1:-1]
    between = numbers.replace(b",", after + b"\0" + before)
    return (before + between + after).split(b"\0")


def _array(columns: Sequence[Column]) -> orjson.Fragment:
    """A JSON array of points, each of them its texts in all ``columns``; the last text ends with a comma."""
    length = max(map(len, columns), default=0)
    pieces = [b""] * (len(columns) * length)
    for at, column in enumerate(columns):
        pieces[at :: len(columns)] = column
    return orjson.Fragment(b"[" + b"".join(pieces)[:-1] + b"]")


def _with_warnings(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    return {**body, "warnings": list(answer.warnings)} if answer.warnings else body
