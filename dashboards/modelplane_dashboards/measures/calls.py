"""Measures of calls: how many, how they end, how long they take, how many at once, how sure the model is."""

from __future__ import annotations

from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels
from modelplane_schema import level_expressions as levels
from modelplane_schema.alert_limits import AlertLimits
from modelplane_schema.grafana_units import RATIO, rate_unit, unit_of
from modelplane_schema.metrics import ACTIVE, CONFIDENCE, LATENCY, REQUESTS

P95 = 0.95
# What a rate over scraped series spans; recorded ones are over 5 minutes.
WINDOW = "$__rate_interval"


def latency_quantile(q: float, scope: BoardScope, by: Labels = ()) -> str:
    return levels.quantile(q, LATENCY, scope.select, scope.labels, by, window=WINDOW)


def _p95(scope: BoardScope, by: Labels) -> str:
    return latency_quantile(P95, scope, by)


REQUEST_RATE = Measure(
    "requests",
    "Requests",
    "Finished calls per second over the last 5 minutes, whatever their outcome.",
    rate_unit(REQUESTS),
    lambda scope, by: levels.request_rate(scope.select, scope.labels, by),
)
LATENCY_P95 = Measure(
    "latency-p95",
    "Latency p95",
    "95 of 100 calls were at least this fast; exact only at the bounds of the histogram.",
    unit_of(LATENCY),
    _p95,
)
IN_FLIGHT = Measure(
    "in-flight",
    "In flight",
    "Calls that are being answered now, over all replicas.",
    unit_of(ACTIVE),
    lambda scope, by: levels.summed("active", scope.select, scope.labels, by),
)
MEAN_CONFIDENCE = Measure(
    "confidence",
    "Confidence",
    "Mean confidence of predictions. A step often means that inputs or the model changed.",
    unit_of(CONFIDENCE),
    lambda scope, by: levels.mean_confidence(scope.select, scope.labels, by),
    empty="Not reported here: no prediction has a confidence",
)


def error_ratio(limits: AlertLimits) -> Measure:
    """The share of failed calls, red from where a model without an SLO alerts."""
    return Measure(
        "errors",
        "Errors",
        "Failed calls as a share of succeeded and failed ones, over the last 5 minutes.",
        RATIO,
        lambda scope, by: levels.error_ratio(scope.select, scope.labels, by),
        warning=limits.error_ratio_threshold / 5,
        bad=limits.error_ratio_threshold,
        decimals=2,
    )
