"""Grafana's ids of the units of declared series, so that no panel and no answer types one by hand."""

from __future__ import annotations

from collections.abc import Mapping

from modelplane_schema.metrics import REQUESTS, Metric
from modelplane_schema.recorded import FAILURE_RATE, REQUEST_RATE
from modelplane_schema.recorded_types import RecordedSeries

COUNT = "short"
RATIO = "percentunit"
NO_UNIT = "none"
REQUESTS_PER_SECOND = "reqps"

UNITS: Mapping[str, str] = {
    "seconds": "s",
    "bytes": "bytes",
    "ratio": RATIO,
    "watts": "watt",
    "joules": "joule",
    "count": COUNT,
    "info": NO_UNIT,
    "stddevs": NO_UNIT,
    "number": NO_UNIT,
}
UNITS_PER_SECOND: Mapping[str, str] = {"count": "cps", "bytes": "Bps", "joules": "watt", "number": NO_UNIT}
_REQUEST_SERIES = (REQUESTS.name, REQUEST_RATE.name, FAILURE_RATE.name)


def unit_of(series: Metric | RecordedSeries) -> str:
    """The Grafana unit id of a value of ``series``."""
    if isinstance(series, RecordedSeries) and series.per_second:
        return rate_unit(series)
    return UNITS[series.unit]


def rate_unit(series: Metric | RecordedSeries) -> str:
    """The Grafana unit id of ``series`` per second; ValueError where a rate of it has no unit."""
    if series.name in _REQUEST_SERIES:
        return REQUESTS_PER_SECOND
    if series.unit not in UNITS_PER_SECOND:
        raise ValueError(f"{series.name}: {series.unit} per second has no unit in Grafana")
    return UNITS_PER_SECOND[series.unit]
