"""The metrics that the backend serves, each declared once.

Routes, the catalogue, the Grafana metric list and rows derive from ``SERIES_METRICS``.
"""

from __future__ import annotations

from modelplane_datasource.costs.metric import COST, TOKEN_COST
from modelplane_datasource.drift.metric import DRIFT
from modelplane_datasource.errors import ApiError
from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.metrics import PROMQL_METRICS
from modelplane_datasource.slo.metric import SLO

SERIES_METRICS: tuple[SeriesMetric, ...] = (*PROMQL_METRICS, DRIFT, SLO, COST, TOKEN_COST)
_BY_NAME = {metric.name: metric for metric in SERIES_METRICS}


def find_metric(name: str) -> SeriesMetric:
    """The metric of that name; ApiError 404 that lists the names there are."""
    if name not in _BY_NAME:
        allowed = list(_BY_NAME)
        raise ApiError(
            404,
            "unknown_metric",
            f"There is no metric {name[:100]!r}; allowed: {', '.join(allowed)}.",
            {"metric": name[:100], "allowed": allowed},
        )
    return _BY_NAME[name]
