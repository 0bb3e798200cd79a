"""Panels about how sure models are of their predictions."""

from __future__ import annotations

from modelplane_dashboards import promql
from modelplane_dashboards.board import Panel, PromQuery
from modelplane_dashboards.scope import BoardScope, legend
from modelplane_schema.grafana_units import unit_of
from modelplane_schema.metrics import CONFIDENCE

UNSURE = 0.5
_QUANTILES = (0.1, 0.5, 0.9)


def mean_confidence_now(scope: BoardScope) -> Panel:
    return Panel(
        key="mean-confidence-now",
        kind="stat",
        title="Mean confidence",
        description="Mean confidence of the predictions at the end of the time range.",
        unit=unit_of(CONFIDENCE),
        queries=(PromQuery(promql.mean_confidence(scope), instant=True),),
        width=4,
        height=4,
    )


def mean_confidence(scope: BoardScope) -> Panel:
    return Panel(
        key="mean-confidence",
        kind="timeseries",
        title="Mean confidence",
        description="A step often means that the inputs or the model changed. No line means no traffic.",
        unit=unit_of(CONFIDENCE),
        queries=(PromQuery(promql.mean_confidence(scope, scope.by), scope.legend),),
    )


def unsure_share(scope: BoardScope) -> Panel:
    return Panel(
        key="unsure-share",
        kind="timeseries",
        title=f"Predictions with confidence up to {UNSURE:g}",
        description=f"Share of the predictions whose confidence is at most {UNSURE:g}.",
        unit=unit_of(CONFIDENCE),
        queries=(PromQuery(promql.confidence_share(UNSURE, scope, scope.by), scope.legend),),
    )


def confidence_quantiles(scope: BoardScope, by: tuple[str, ...] = ()) -> Panel:
    """The spread of the confidence, one set of lines for each combination of the labels ``by``."""
    queries = (
        PromQuery(promql.quantile(CONFIDENCE, q, scope, by), f"p{100 * q:g} {legend(*by)}".rstrip())
        for q in _QUANTILES
    )
    return Panel(
        key="confidence-quantiles",
        kind="timeseries",
        title="Confidence p10, p50 and p90",
        description="Estimated from the histogram. A falling p10 shows that more predictions are unsure.",
        unit=unit_of(CONFIDENCE),
        queries=tuple(queries),
    )
