"""The formats in which series are served."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

from modelplane_datasource.series.model import Series, SeriesResult
from modelplane_datasource.series.quantile_bounds import LatencyBounds
from modelplane_datasource.timeline.json_columns import Texts, array_of_points, array_of_texts, texts_of


def as_contract(result: SeriesResult) -> list[dict[str, Any]]:
    """``[{"name", "type", "labels", "data": [{"x", "y"}]}]``, one for each series."""
    times = result.grid.times
    return [
        {"name": series.name, "type": "line", "labels": series.labels, "data": _points(times, series)}
        for series in result.series
    ]


def as_rows(result: SeriesResult, unit: str) -> orjson.Fragment:
    """``[{"time", "series", "value", "unit", labels...}]`` by time, then series.

    Series that have a label ``unit`` keep it.
    """
    points, times = len(result.grid), [b'{"time":%d' % time for time in result.grid.times]
    columns: list[Texts] = []
    for series in sorted(result.series, key=lambda series: series.name):
        name, labels = orjson.dumps(series.name), orjson.dumps({"unit": unit, **series.labels})[1:-1]
        columns += [times, [b',"series":%b,"value":' % name] * points, texts_of(series.values)]
        columns += _members(series, points)
        columns.append([b",%b}," % labels] * points)
    return array_of_texts(columns)


def as_table_rows(result: SeriesResult, labels: Sequence[str]) -> orjson.Fragment:
    """``[[time, series, labels..., value, extra values...]]`` by time, then series."""
    points, times = len(result.grid), [b"[%d," % time for time in result.grid.times]
    columns: list[Texts] = []
    for series in sorted(result.series, key=lambda series: series.name):
        texts = orjson.dumps([series.name, *(series.labels[label] for label in labels)])[1:-1]
        columns += [times, [texts] * points]
        for values in (series.values, *series.extra.values()):
            columns += [[b","] * points, texts_of(values)]
        columns.append([b"],"] * points)
    return array_of_texts(columns)


def as_datapoints(result: SeriesResult, ref_id: str) -> list[dict[str, Any]]:
    """``[{"target", "refId", "datapoints": [[value, ms]]}]``, one for each series."""
    times = result.grid.times
    return [
        {
            "target": series.name,
            "refId": ref_id,
            "datapoints": array_of_points(times, b"[%b,", b"]", [texts_of(series.values)]),
        }
        for series in result.series
    ]


def _points(times: range, series: Series) -> orjson.Fragment:
    """``[{"x", "y", extra values...}]``."""
    values, extra = texts_of(series.values), series.extra
    if isinstance(extra, LatencyBounds):
        return array_of_points(times, b'{"x":', b',"y":%b%b}', [values, extra.members()])
    keys = (orjson.dumps(key).replace(b"%", b"%%") for key in ("y", *extra))
    after = b"".join(b",%b:%%b" % key for key in keys) + b"}"
    return array_of_points(times, b'{"x":', after, [values, *map(texts_of, extra.values())])


def _members(series: Series, points: int) -> list[Texts]:
    """The extra values of each point with their names, as columns of texts."""
    if isinstance(series.extra, LatencyBounds):
        return [series.extra.members()]
    return [
        texts
        for key, values in series.extra.items()
        for texts in ([b",%b:" % orjson.dumps(key)] * points, texts_of(values))
    ]
