"""The formats in which a series metric answers ``/query``.

``timeserie`` has one element for each series, with its labels and unit. ``table`` has one row for each
series and time, and after a value its extra values: the n and the noise of a drift. ``frame`` is
Grafana's own data frame, one for each series, with a field for each extra value. A series has its name in
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from modelplane_datasource.series.encoding import as_datapoints, as_table_rows
from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.model import Series, SeriesResult
from modelplane_datasource.timeline.json_columns import array_of
from modelplane_datasource.web.parameters import Parameter, choice
from modelplane_schema.grafana_units import NO_UNIT, REQUESTS_PER_SECOND, UNITS, UNITS_PER_SECOND

Element = dict[str, Any]

GRAFANA_UNITS: Mapping[str, str] = {
    **UNITS,
    "requests_per_second": REQUESTS_PER_SECOND,
    "tokens_per_second": UNITS_PER_SECOND["count"],
}
_UNITS_OF_MONEY = ("currency", "currency_per_million_tokens")  # a series says of which currency


def unit_of(metric: SeriesMetric, series: Series) -> str:
    """Grafana's id of the unit of a series."""
    if metric.unit in _UNITS_OF_MONEY:
        currency = series.labels.get("currency")
        return f"currency:{currency}" if currency else NO_UNIT
    return GRAFANA_UNITS[metric.unit]


def timeserie(metric: SeriesMetric, result: SeriesResult, ref_id: str) -> list[Element]:
    """``{"target", "refId", "datapoints": [[value, ms]], "title", "tags", "unit"}`` for each series."""
    return [
        {**element, "title": series.name, "tags": series.labels, "unit": unit_of(metric, series)}
        for element, series in zip(as_datapoints(result, ref_id), result.series, strict=True)
    ]


def table(metric: SeriesMetric, result: SeriesResult, ref_id: str) -> list[Element]:
    """One table with the columns Time, Series, the labels, Value and the extra values."""
    labels = list(result.series[0].labels) if result.series else []
    extra = list(result.series[0].extra) if result.series else []
    units = {unit_of(metric, series) for series in result.series}
    columns = [
        {"text": "Time", "type": "time"},
        {"text": "Series", "type": "string"},
        *({"text": label, "type": "string"} for label in labels),
        {"text": "Value", "type": "number", "unit": units.pop() if len(units) == 1 else NO_UNIT},
        *({"text": name, "type": "number"} for name in extra),
    ]
    rows = as_table_rows(result, labels)
    return [{"type": "table", "refId": ref_id, "name": metric.title, "columns": columns, "rows": rows}]


def frames(metric: SeriesMetric, result: SeriesResult, ref_id: str) -> list[Element]:
    """A data frame for each series: a time field, and a number field with labels and unit."""
    times = {"name": "Time", "type": "time", "config": {}, "values": list(result.grid.times)}
    return [
        {
            "refId": ref_id,
            "name": series.name,
            "fields": [times, _value_field(metric, series), *_extra_fields(series)],
        }
        for series in result.series
    ]


FORMATS: Mapping[str, Callable[[SeriesMetric, SeriesResult, str], list[Element]]] = {
    "timeserie": timeserie,
    "table": table,
    "frame": frames,
}
FORMAT = Parameter("format", "Format of the result.", ", ".join(FORMATS), choice(*FORMATS))


def encoded(elements: Sequence[Element]) -> tuple[bytes, ...]:
    """Each element as JSON."""
    return tuple(map(orjson.dumps, elements))


def with_notices(elements: Sequence[bytes], texts: Sequence[str], ref_id: str) -> Sequence[bytes]:
    """Encoded ``elements`` with texts that Grafana shows in the corner of the panel, on the first of them."""
    if not texts:
        return elements
    first, *others = elements or encoded([{"refId": ref_id, "fields": []}])
    notices = [{"severity": "warning", "text": text} for text in texts]
    return [b'%b,"meta":%b}' % (first[:-1], orjson.dumps({"notices": notices})), *others]


def _extra_fields(series: Series) -> list[Element]:
    """What belongs to each value: in the tooltip of a panel, but no lines of their own."""
    hidden = {"custom": {"hideFrom": {"viz": True, "legend": True, "tooltip": False}}}
    return [
        {
            "name": name,
            "type": "number",
            "labels": series.labels,
            "config": hidden,
            "values": array_of(values),
        }
        for name, values in series.extra.items()
    ]


def _value_field(metric: SeriesMetric, series: Series) -> Element:
    return {
        "name": "Value",
        "type": "number",
        "labels": series.labels,
        "config": {"unit": unit_of(metric, series), "displayNameFromDS": series.name},
        "values": array_of(series.values),
    }
