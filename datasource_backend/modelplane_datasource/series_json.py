"""The three shapes in which series are served.

Points become text column by column: orjson writes all values of a line at once, and the texts are put between
the constant parts of a point. That takes a third of the time of a mapping for each point.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from modelplane_datasource.series import Answer, Series
from modelplane_datasource.times import format_rfc3339

# The text of a point: what is the same in all points, and columns of what is not.
Part = bytes | Sequence[bytes]


def as_contract(answer: Answer, now: int) -> dict[str, Any]:
    """``{"query_time", "data": [{"name", "type", "labels", "data": [{"x", "y"}]}]}``."""
    times = _texts(answer.grid.times)
    data = [
        {
            "name": line.name,
            "type": "line",
            "labels": line.labels,
            "data": _array([b'{"x":', times, b',"y":', *_values(line), b"},"]),
        }
        for line in answer.series
    ]
    return _with_warnings({"query_time": format_rfc3339(now), "data": data}, answer)


def as_rows(answer: Answer) -> dict[str, Any]:
    """``{"rows": [{"time", "series", "value", labels...}]}`` by time, then series."""
    times = _texts(answer.grid.times)
    parts: list[Part] = []
    for line in sorted(answer.series, key=lambda line: line.name):
        name, labels = orjson.dumps(line.name), orjson.dumps(line.labels)[1:-1]
        end = b"," + labels + b"}," if labels else b"},"
        parts += [b'{"time":', times, b',"series":' + name + b',"value":', *_values(line), end]
    return _with_warnings({"rows": _array(parts)}, answer)


def as_table_rows(answer: Answer, labels: Sequence[str]) -> orjson.Fragment:
    """``[[time, series, labels..., value, what belongs to it...]]`` by time, then series."""
    times = _texts(answer.grid.times)
    parts: list[Part] = []
    for line in sorted(answer.series, key=lambda line: line.name):
        texts = orjson.dumps([line.name, *(line.labels[label] for label in labels)])[1:-1]
        parts += [b"[", times, b"," + texts + b",", _texts(line.values)]
        for values in line.beside.values():
            parts += [b",", _texts(values)]
        parts.append(b"],")
    return _array(parts)


def as_datapoints(answer: Answer, ref_id: str) -> list[dict[str, Any]]:
    """``[{"target", "refId", "datapoints": [[value, ms]]}]``, one for each series."""
    times = _texts(answer.grid.times)
    return [
        {
            "target": line.name,
            "refId": ref_id,
            "datapoints": _array([b"[", _texts(line.values), b",", times, b"],"]),
        }
        for line in answer.series
    ]


def _values(line: Series) -> list[Part]:
    """The columns of a line: its values, and what belongs to each of them by name."""
    parts: list[Part] = [_texts(line.values)]
    for name, values in line.beside.items():
        parts += [b"," + orjson.dumps(name) + b":", _texts(values)]
    return parts


def _texts(values: Sequence[float | None]) -> list[bytes]:
    """Each number as JSON; there is at least one."""
    return orjson.dumps(list(values))[1:-1].split(b",")


def _array(parts: Sequence[Part]) -> orjson.Fragment:
    """A JSON array of points, each of them all ``parts`` in turn; the last part ends with a comma."""
    length = max((len(part) for part in parts if not isinstance(part, bytes)), default=0)
    pieces = [b""] * (len(parts) * length)
    for at, part in enumerate(parts):
        pieces[at :: len(parts)] = [part] * length if isinstance(part, bytes) else part
    return orjson.Fragment(b"[" + b"".join(pieces)[:-1] + b"]")


def _with_warnings(body: dict[str, Any], answer: Answer) -> dict[str, Any]:
    return {**body, "warnings": list(answer.warnings)} if answer.warnings else body
