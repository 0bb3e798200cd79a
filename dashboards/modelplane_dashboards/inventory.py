"""Panels and marks about what is deployed, and tables that compare models or tenants."""

from __future__ import annotations

from modelplane_dashboards import promql
from modelplane_dashboards.board import Annotation, Column, Link, Panel, PromQuery
from modelplane_dashboards.latency import P95
from modelplane_dashboards.scope import BoardScope, legend
from modelplane_schema.grafana_units import COUNT, rate_unit, unit_of
from modelplane_schema.metrics import LATENCY, MODEL_INFO, MODEL_NAME, MODEL_VERSION, REQUESTS, TENANT_ID
from modelplane_schema.recorded import ERROR_RATIO


def loaded_versions(scope: BoardScope) -> Panel:
    labels = MODEL_INFO.labels
    expression = f"count by ({', '.join(labels)}) ({scope.versions(MODEL_INFO.name)})"
    return Panel(
        key="loaded-versions",
        kind="table",
        title="Loaded versions",
        description="Model versions that are loaded now, and in how many processes.",
        unit=COUNT,
        queries=(PromQuery(expression, instant=True),),
        columns=(
            *(Column(label, label.replace("_", " ").capitalize()) for label in labels),
            Column("Value", "Processes"),
        ),
        sort_by="Model name",
    )


def models_table(scope: BoardScope, links: tuple[Link, ...]) -> Panel:
    return _comparison(
        scope,
        Column(MODEL_NAME, "Model", links=links),
        key="models",
        title="Models",
        description="Every model with its traffic, errors and latency now. A model name leads to its board.",
    )


def tenants_table(scope: BoardScope, links: tuple[Link, ...]) -> Panel:
    return _comparison(
        scope,
        Column(TENANT_ID, "Tenant", links=links),
        key="tenants",
        title="Tenants",
        description="Every tenant with its traffic, errors and latency now, over the selected versions.",
    )


def version_marks(scope: BoardScope) -> Annotation:
    labels = (MODEL_NAME, MODEL_VERSION)
    series = scope.versions(MODEL_INFO.name)
    now, before = (
        f"max by ({', '.join(labels)}) ({text})" for text in (series, f"{series} offset $__interval")
    )
    return Annotation(
        name="Version loaded",
        expr=f"{now} unless {before}",
        title="Version loaded",
        text=legend(*labels),
        tags=labels,
        colour="blue",
    )


def _comparison(scope: BoardScope, subject: Column, *, key: str, title: str, description: str) -> Panel:
    by = (subject.field,)
    expressions = (
        promql.request_rate(scope, by),
        promql.error_ratio(scope, by),
        promql.latency_quantile(P95, scope, by),
    )
    return Panel(
        key=key,
        kind="table",
        title=title,
        description=description,
        unit=rate_unit(REQUESTS),
        queries=tuple(PromQuery(expression, instant=True) for expression in expressions),
        columns=(
            subject,
            Column("Value #A", "Requests", rate_unit(REQUESTS)),
            Column("Value #B", "Errors", unit_of(ERROR_RATIO)),
            Column("Value #C", "Latency p95", unit_of(LATENCY)),
        ),
        sort_by="Requests",
    )
