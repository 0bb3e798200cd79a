"""Panels about the time that calls take."""

from __future__ import annotations

from collections.abc import Iterable

from modelplane_dashboards import promql
from modelplane_dashboards.board import ApiQuery, BoardVariable, Field, Panel, PromQuery, Repeat
from modelplane_dashboards.scope import BoardScope, legend
from modelplane_schema.grafana_units import unit_of
from modelplane_schema.metrics import LATENCY, TENANT_ID
from modelplane_schema.promql import Matcher
from modelplane_schema.recorded import LATENCY_QUANTILE, LATENCY_QUANTILES

P95 = 0.95


def latency_p95_now(scope: BoardScope) -> Panel:
    return Panel(
        key="latency-p95-now",
        kind="stat",
        title="Latency p95",
        description="95 of 100 calls were at least this fast, estimated from the latency histogram.",
        unit=unit_of(LATENCY),
        queries=(PromQuery(promql.latency_quantile(P95, scope), instant=True),),
        width=4,
        height=4,
    )


def latency_quantiles(scope: BoardScope, by: tuple[str, ...] = ()) -> Panel:
    """Median, p95 and p99, one line for each combination of the labels ``by``."""
    queries = (
        PromQuery(promql.latency_quantile(q, scope, by), f"p{100 * q:g} {legend(*by)}".rstrip())
        for q in LATENCY_QUANTILES
    )
    return Panel(
        key="latency-quantiles",
        kind="timeseries",
        title="Latency p50, p95 and p99",
        description="Estimated from the latency histogram, so values are exact only at its bounds.",
        unit=unit_of(LATENCY),
        queries=tuple(queries),
    )


def latency_p95(scope: BoardScope) -> Panel:
    return Panel(
        key="latency-p95",
        kind="timeseries",
        title="Latency p95",
        description="95 of 100 calls were at least this fast. No line means no traffic.",
        unit=unit_of(LATENCY),
        queries=(PromQuery(promql.latency_quantile(P95, scope, scope.by), scope.legend),),
    )


def latency_p95_by_tenant(scope: BoardScope) -> Panel:
    recorded = scope.calls(LATENCY_QUANTILE.name, Matcher("quantile", f"{P95:g}"))
    return Panel(
        key="latency-p95-by-tenant",
        kind="timeseries",
        title="Latency p95 by tenant, slowest version",
        description=(
            f"What each tenant sees on the version that is slowest for it. "
            f"Recorded over {LATENCY_QUANTILE.window}; no line means no traffic."
        ),
        unit=unit_of(LATENCY_QUANTILE),
        queries=(PromQuery(f"max by ({TENANT_ID}) ({recorded})", legend(TENANT_ID)),),
    )


def latency_p95_from_api(model: str, tenants: Iterable[str]) -> Panel:
    """Drawn once per selected tenant, because Infinity sends one value of a variable."""
    parameters = (("model-name", model), ("tenant-id", BoardVariable("tenant")), ("quantile", f"{P95:g}"))
    fields = (
        Field("time", "time", "timestamp_epoch"),
        Field("series", "series"),
        Field("value", "Value", "number"),
    )
    return Panel(
        key="latency-p95-from-api",
        kind="timeseries",
        title="Latency p95 by version (API): $tenant",
        description="What the backend answers to web front ends, one panel for each selected tenant.",
        unit=unit_of(LATENCY),
        queries=(ApiQuery("series", "latency", parameters, "rows", fields),),
        repeat=Repeat("tenant", next(iter(tenants))),
    )
