"""The shapes in which a series metric answers ``/query``.

``timeserie`` has one element for each series, with its labels and unit. ``table`` has one row for each
series and time, and beside a value what belongs to it: the n and the noise of a drift. ``frame`` is
Grafana's own data frame, one for each series. A series has its name in all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from modelplane_datasource.series.encoding import as_array, as_datapoints, as_table_rows
from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.model import Answer, Series
from modelplane_datasource.web.parameters import Parameter, choice
from modelplane_schema.grafana_units import NO_UNIT, REQUESTS_PER_SECOND, UNITS, UNITS_PER_SECOND

Element = dict[str, Any]

GRAFANA_UNITS: Mapping[str, str] = {
    **UNITS,
    "requests_per_second": REQUESTS_PER_SECOND,
    "tokens_per_second": UNITS_PER_SECOND["count"],
}


def unit_of(metric: SeriesMetric, line: Series) -> str:
    """Grafana's id of the unit of a series."""
    if metric.unit == "currency":
        currency = line.labels.get("currency")
        return f"currency:{currency}" if currency else NO_UNIT
    return GRAFANA_UNITS[metric.unit]


def timeserie(metric: SeriesMetric, answer: Answer, ref_id: str) -> list[Element]:
    """``{"target", "refId", "datapoints": [[value, ms]], "title", "tags", "unit"}`` for each series."""
    return [
        {**element, "title": line.name, "tags": line.labels, "unit": unit_of(metric, line)}
        for element, line in zip(as_datapoints(answer, ref_id), answer.series, strict=True)
    ]


def table(metric: SeriesMetric, answer: Answer, ref_id: str) -> list[Element]:
    """One table with the columns Time, Series, the labels, Value and what belongs to it."""
    labels = list(answer.series[0].labels) if answer.series else []
    beside = list(answer.series[0].beside) if answer.series else []
    units = {unit_of(metric, line) for line in answer.series}
    columns = [
        {"text": "Time", "type": "time"},
        {"text": "Series", "type": "string"},
        *({"text": label, "type": "string"} for label in labels),
        {"text": "Value", "type": "number", "unit": units.pop() if len(units) == 1 else NO_UNIT},
        *({"text": name, "type": "number"} for name in beside),
    ]
    rows = as_table_rows(answer, labels)
    return [{"type": "table", "refId": ref_id, "name": metric.title, "columns": columns, "rows": rows}]


def frames(metric: SeriesMetric, answer: Answer, ref_id: str) -> list[Element]:
    """A data frame for each series: a time field, and a number field with labels and unit."""
    times = {"name": "Time", "type": "time", "config": {}, "values": list(answer.grid.times)}
    return [
        {"refId": ref_id, "name": line.name, "fields": [times, _value_field(metric, line)]}
        for line in answer.series
    ]


SHAPES: Mapping[str, Callable[[SeriesMetric, Answer, str], list[Element]]] = {
    "timeserie": timeserie,
    "table": table,
    "frame": frames,
}
FORMAT = Parameter(
    "format", "Shape of the answer.", ", ".join(SHAPES), choice(*SHAPES)
)  # fmt: skip


def with_notices(elements: list[Element], texts: Sequence[str], ref_id: str) -> list[Element]:
    """``elements`` with texts that Grafana shows in the corner of the panel, on the first of them."""
    if not texts:
        return elements
    notices = [{"severity": "warning", "text": text} for text in texts]
    first, *others = elements or [{"refId": ref_id, "fields": []}]
    return [{**first, "meta": {"notices": notices}}, *others]


def _value_field(metric: SeriesMetric, line: Series) -> Element:
    return {
        "name": "Value",
        "type": "number",
        "labels": line.labels,
        "config": {"unit": unit_of(metric, line), "displayNameFromDS": line.name},
        "values": as_array(line.values),
    }
