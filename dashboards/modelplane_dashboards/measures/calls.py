"""Measures of calls: how many, how they end, how long they take, how many at once, how sure the model is."""

from __future__ import annotations

from dataclasses import replace

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.colours import OUTCOME_COLOURS
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, Labels, legend
from modelplane_dashboards.kit.views import Heatmap, TimeSeries
from modelplane_schema import level_expressions as levels
from modelplane_schema.alert_limits import AlertLimits
from modelplane_schema.grafana_units import RATIO, rate_unit, unit_of
from modelplane_schema.metrics import ACTIVE, CONFIDENCE, LATENCY, MODEL_VERSION, REQUESTS
from modelplane_schema.recorded import MAX_IN_FLIGHT
from modelplane_schema.recorded_slo import SLO_LATENCY_SECONDS

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


def latency_p95(limits: AlertLimits) -> Measure:
    """The 95th percentile, red from where calls of a model without an SLO are slow."""
    return replace(LATENCY_P95, bad=float(limits.latency_threshold))


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


def outcomes(scope: BoardScope) -> Panel:
    return Panel(
        key="requests-by-outcome",
        title="Requests by outcome",
        description="Finished calls per second. Cancelled: given up by the caller. Rejected: bad input.",
        unit=rate_unit(REQUESTS),
        queries=(REQUEST_RATE.query(scope, ("outcome",)),),
        view=TimeSeries(stacked=True, colours=tuple(OUTCOME_COLOURS.items())),
    )


def latency_by_version(scope: BoardScope) -> Panel:
    """Median dotted, p95 solid, and the bounds of latency SLOs dashed."""
    by = (MODEL_VERSION,)
    bounds = f"max by (slo) ({scope.select(SLO_LATENCY_SECONDS.name)})"
    return Panel(
        key="latency-by-version",
        title="Latency by version",
        description="p95 solid, median dotted; dashed the bound of a latency SLO. No line means no traffic.",
        unit=unit_of(LATENCY),
        queries=(
            PromQuery(latency_quantile(P95, scope, by), f"p95 {legend(*by)}"),
            PromQuery(latency_quantile(0.5, scope, by), f"p50 {legend(*by)}", style="dotted"),
            PromQuery(bounds, f"SLO {legend('slo')}", style="limit"),
        ),
        view=TimeSeries(),
    )


def in_flight_and_capacity(scope: BoardScope) -> Panel:
    capacity = f"max({scope.select(MAX_IN_FLIGHT.name)})"
    return IN_FLIGHT.graph(
        scope,
        (MODEL_VERSION,),
        "In flight against capacity",
        PromQuery(capacity, "capacity", style="limit"),
        stacked=True,
    )


def latency_heatmap(scope: BoardScope) -> Panel:
    return _heatmap(scope, "latency", "Latency of calls", "Calls per second by latency.", Heatmap())


def confidence_heatmap(scope: BoardScope) -> Panel:
    description = "Predictions per second by confidence."
    return _heatmap(scope, "confidence", "Confidence of calls", description, Heatmap("Blues"))


def _heatmap(scope: BoardScope, quantity: str, title: str, description: str, view: Heatmap) -> Panel:
    buckets = levels.summed(f"{quantity}_buckets", scope.select, scope.labels, ("le",))
    metric = LATENCY if quantity == "latency" else CONFIDENCE
    return Panel(
        key=f"{quantity}-heatmap",
        title=title,
        description=description,
        unit=unit_of(metric),
        queries=(PromQuery(buckets, legend("le")),),
        view=view,
        empty="" if metric is LATENCY else MEAN_CONFIDENCE.empty,
    )
