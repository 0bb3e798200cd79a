"""Grafana's name for the unit of a declared series, so that no panel types a unit by hand."""

from __future__ import annotations

from collections.abc import Mapping

from modelplane_schema.metrics import REQUESTS, Metric, Unit
from modelplane_schema.recorded import FAILURE_RATE, REQUEST_RATE, RecordedSeries

COUNT = "short"
RATIO = "percentunit"

_UNITS: Mapping[Unit, str] = {
    "seconds": "s",
    "bytes": "bytes",
    "ratio": RATIO,
    "watts": "watt",
    "joules": "joule",
    "count": COUNT,
    "info": "none",
    "stddevs": "none",
    "number": "none",
}
_PER_SECOND: Mapping[Unit, str] = {"count": "cps", "bytes": "Bps", "joules": "watt"}
_REQUEST_SERIES = (REQUESTS.name, REQUEST_RATE.name, FAILURE_RATE.name)


def unit_of(series: Metric | RecordedSeries) -> str:
    """The Grafana unit id of a value of ``series``."""
    if isinstance(series, RecordedSeries) and series.per_second:
        return rate_unit(series)
    return _UNITS[series.unit]


def rate_unit(series: Metric | RecordedSeries) -> str:
    """The Grafana unit id of ``series`` per second; ValueError where a rate of it has no unit."""
    if series.name in _REQUEST_SERIES:
        return "reqps"
    if series.unit not in _PER_SECOND:
        raise ValueError(f"{series.name}: {series.unit} per second has no unit in Grafana")
    return _PER_SECOND[series.unit]
