"""The expressions that panels share, over the series of a board and Grafana's rate interval."""

from __future__ import annotations

from modelplane_dashboards.scope import BoardScope
from modelplane_schema import expressions
from modelplane_schema.metrics import CONFIDENCE, LATENCY, Metric

WINDOW = "$__rate_interval"


def request_rate(scope: BoardScope, by: tuple[str, ...] = ()) -> str:
    return expressions.request_rate(scope.calls, WINDOW, by)


def error_ratio(scope: BoardScope, by: tuple[str, ...] = ()) -> str:
    return expressions.error_ratio(scope.calls, WINDOW, by)


def quantile(metric: Metric, q: float, scope: BoardScope, by: tuple[str, ...] = ()) -> str:
    return expressions.quantile(q, metric, scope.calls, WINDOW, ("le", *by))


def latency_quantile(q: float, scope: BoardScope, by: tuple[str, ...] = ()) -> str:
    return quantile(LATENCY, q, scope, by)


def mean_confidence(scope: BoardScope, by: tuple[str, ...] = ()) -> str:
    return expressions.mean(CONFIDENCE, scope.calls, WINDOW, by)


def confidence_share(bound: float, scope: BoardScope, by: tuple[str, ...] = ()) -> str:
    return expressions.confidence_share(bound, scope.calls, WINDOW, by)
