"""Model: how do the versions compare, and which tenant feels it?"""

from __future__ import annotations

from modelplane_dashboards.kit.board import Board, Panel, PromQuery, Row, Section
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.links import tenant_link
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, largest, several
from modelplane_dashboards.kit.subject import BoardSubject, Entity, board_subject
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.kit.views import Column, Table
from modelplane_dashboards.measures import alerts, business, calls, cost, drift, slo
from modelplane_dashboards.measures.comparison import canary_against_production
from modelplane_schema.grafana_units import COUNT, unit_of
from modelplane_schema.metrics import MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, aggregate
from modelplane_schema.recorded import LATENCY_QUANTILE, VERSION_STAGE

_BY_VERSION = (MODEL_VERSION,)
_TENANTS = 100


def model(context: BoardContext, entity: Entity | None = None) -> Board:
    """The board of one model, or of the one that its variable selects."""
    subject = board_subject("model", entity)
    scope = context.scope(subject.matcher, several("version"))
    errors, p95 = calls.error_ratio(context.limits), calls.latency_p95(context.limits)
    return Board(
        kind="model",
        uid=subject.uid,
        title=subject.title,
        entity=subject.entity,
        question="How do the versions of this model compare, and which tenant feels it?",
        advice="Red in the first rows: *Alerts* tells since when, *Tenants* who, *Signals* if inputs moved.",
        variables=variables(scope),
        annotations=(alerts.version_marks(scope),),
        sections=(
            Section("now", "Now", _now(scope, errors, p95)),
            Section("versions", "Versions and tenants", _versions(subject, scope, errors, p95)),
            Section("service", "Quality of service", _service(scope, errors)),
            Section("signals", "Signals", _signals(context, scope)),
            Section("business", "Business, feedback and devices", _business(scope)),
            Section("alerts", "Alerts", _alerts(subject, scope)),
        ),
        examples=() if entity else (("model", context.example_model),),
    )


def _now(scope: BoardScope, errors: Measure, p95: Measure) -> tuple[Row, ...]:
    problems = (
        alerts.firing_alerts_now(scope),
        slo.BURN_1H.stat(scope),
        drift.SIGNALS_MOVED.stat(scope, trend=False),
        calls.MEAN_CONFIDENCE.stat(scope),
    )
    service = (
        calls.REQUEST_RATE.stat(scope),
        errors.stat(scope),
        p95.stat(scope),
        calls.IN_FLIGHT.stat(scope),
    )
    return Row(problems, height=4), Row(service, height=5)


def _versions(subject: BoardSubject, scope: BoardScope, errors: Measure, p95: Measure) -> tuple[Row, ...]:
    return (
        Row((_versions_table(scope, errors, p95),), height=6),
        Row((canary_against_production(subject.parameter),), height=6),
        Row((_tenants(subject, scope, errors, p95),)),
    )


def _versions_table(scope: BoardScope, errors: Measure, p95: Measure) -> Panel:
    measures = (
        calls.REQUEST_RATE,
        errors,
        p95,
        calls.MEAN_CONFIDENCE,
        drift.SIGNALS_MOVED,
        cost.DEVICES_BUSY,
    )
    stage = f"max by ({MODEL_VERSION}, stage) ({scope.select(VERSION_STAGE.name)})"
    queries = (
        PromQuery(stage, instant=True),
        *(measure.query(scope, _BY_VERSION, instant=True) for measure in measures),
        calls.REQUEST_RATE.query(scope, _BY_VERSION),
    )
    return Panel(
        key="versions",
        title="Versions side by side",
        description="Each version over all its tenants now, with its stage.",
        unit=COUNT,
        queries=queries,
        view=Table(
            (
                Column(MODEL_VERSION, "Version"),
                Column("stage", "Stage"),
                Column("Value #A", "Loaded", hidden=True),
                *(measure.column(ref_id) for measure, ref_id in zip(measures, "BCDEFG", strict=True)),
                Column("Trend #H", "Traffic", cell="trend"),
            ),
            sort_by="Requests",
            join=MODEL_VERSION,
        ),
    )


def _tenants(subject: BoardSubject, scope: BoardScope, errors: Measure, p95: Measure) -> Panel:
    """Its tenants, each as it sees the version that is slowest or fails most for it."""
    by = (TENANT_ID,)
    ranking = calls.REQUEST_RATE.expression(scope, by)
    recorded = scope.select(LATENCY_QUANTILE.name, Matcher("quantile", f"{calls.P95:g}"))
    expressions = (
        slo.BURN_1H.expression(scope, by),
        errors.expression(scope, by),
        aggregate("max", recorded, (TENANT_ID,)),
        calls.REQUEST_RATE.expression(scope, by),
    )
    queries = tuple(PromQuery(largest(text, ranking, by, _TENANTS), instant=True) for text in expressions)
    link = tenant_link(*subject.variables, *scope.clusters)
    return Panel(
        key="tenants",
        title=f"The {_TENANTS} busiest tenants",
        description="Worst burn, errors, latency at the slowest version and traffic of each tenant now.",
        unit=unit_of(LATENCY_QUANTILE),
        queries=queries,
        view=Table(
            (
                Column(TENANT_ID, "Tenant", link=link),
                slo.BURN_1H.column("A"),
                errors.column("B"),
                p95.column("C"),
                calls.REQUEST_RATE.column("D"),
            ),
            sort_by=slo.BURN_1H.title,
        ),
    )


def _service(scope: BoardScope, errors: Measure) -> tuple[Row, ...]:
    return (
        Row(
            (
                errors.graph(scope, _BY_VERSION, "Errors by version"),
                calls.latency_by_version(scope),
                calls.latency_heatmap(scope),
            )
        ),
        Row((calls.outcomes(scope), calls.in_flight_and_capacity(scope), calls.confidence_heatmap(scope))),
        Row(
            (
                slo.bad_calls(scope),
                calls.MEAN_CONFIDENCE.graph(scope, _BY_VERSION, "Mean confidence by version"),
            )
        ),
    )


def _signals(context: BoardContext, scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row(
            (
                drift.top_movers(scope, context.psi, MODEL_VERSION),
                drift.psi_of_top(scope),
                drift.activations(scope),
            )
        ),
    )


def _business(scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row((business.events(scope), business.values(scope), business.accuracy(scope))),
        Row((cost.devices_busy_by_type(scope), cost.cost_by(scope, TENANT_ID, "Cost by tenant"))),
    )


def _alerts(subject: BoardSubject, scope: BoardScope) -> tuple[Row, ...]:
    stored = alerts.recent_alerts(model_name=subject.parameter)
    return Row((alerts.alert_timeline(scope, TENANT_ID),), height=6), Row((stored,))
