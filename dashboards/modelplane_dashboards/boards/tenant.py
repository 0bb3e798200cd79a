"""Tenant: is my service good, and what does it cost?"""

from __future__ import annotations

from modelplane_dashboards.kit.board import Board, BoardVariable, Panel, PromQuery, Row, Section
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.links import VALUE, uid_link
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope, several
from modelplane_dashboards.kit.subject import BoardSubject, Entity, board_subject
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.kit.views import Column, Table
from modelplane_dashboards.measures import alerts, calls, cost, slo
from modelplane_schema.grafana_units import COUNT
from modelplane_schema.metrics import MODEL_NAME
from modelplane_schema.promql import Matcher, aggregate

_BY_MODEL = (MODEL_NAME,)


def tenant(context: BoardContext, entity: Entity | None = None) -> Board:
    """The board of one tenant, or of the one that its variable selects; links lead to its data alone."""
    subject = board_subject("tenant", entity)
    scope = context.scope(subject.matcher, several("model"))
    errors, p95 = calls.error_ratio(context.limits), calls.latency_p95(context.limits)
    return Board(
        kind="tenant",
        uid=subject.uid,
        title=subject.title,
        entity=subject.entity,
        question="Is my service good, and what does it cost?",
        advice="Red in the first rows: the table says which model, *Alerts* since when.",
        variables=variables(scope),
        annotations=(alerts.version_marks(scope),),
        sections=(
            Section("now", "Now", _now(scope, errors, p95)),
            Section("models", "Models", (Row((_models(subject, scope, errors, p95),)),)),
            Section("service", "Service", _service(scope, errors, p95)),
            Section("slos", "Objectives and cost", (_objectives(scope),)),
            Section("alerts", "Alerts", _alerts(subject, scope)),
        ),
        examples=() if entity else (("tenant", context.example_tenant),),
    )


def _now(scope: BoardScope, errors: Measure, p95: Measure) -> tuple[Row, ...]:
    problems = (
        alerts.firing_alerts_now(scope),
        slo.burning_now(scope),
        slo.BURN_1H.stat(scope),
        cost.cost_per_hour_now(scope),
    )
    service = (
        calls.REQUEST_RATE.stat(scope),
        errors.stat(scope),
        p95.stat(scope),
        calls.MEAN_CONFIDENCE.stat(scope),
    )
    return Row(problems, height=4), Row(service, height=5)


def _models(subject: BoardSubject, scope: BoardScope, errors: Measure, p95: Measure) -> Panel:
    named = alerts.firing(scope, Matcher(MODEL_NAME, "", "!="))
    measures = (slo.BURN_1H, errors, p95, calls.MEAN_CONFIDENCE, calls.REQUEST_RATE)
    queries = (
        PromQuery(aggregate("count", named, (MODEL_NAME,)), instant=True, may_be_empty=True),
        *(measure.query(scope, _BY_MODEL, instant=True) for measure in measures),
        calls.REQUEST_RATE.query(scope, _BY_MODEL),
    )
    link = uid_link(subject.uid, "This model alone", *subject.variables, *scope.clusters, model=VALUE)
    return Panel(
        key="models",
        title="Models that this tenant uses",
        description="Each model as this tenant sees it now. The name narrows this board to the model.",
        unit=COUNT,
        queries=queries,
        view=Table(
            (
                Column(MODEL_NAME, "Model", link=link),
                Column("Value #A", "Alerts", COUNT, cell="fill", steps=alerts.COUNT_STEPS),
                *(measure.column(ref_id) for measure, ref_id in zip(measures, "BCDEF", strict=True)),
                Column("Trend #G", "Traffic", cell="trend"),
            ),
            sort_by="Alerts",
            join=MODEL_NAME,
        ),
    )


def _service(scope: BoardScope, errors: Measure, p95: Measure) -> tuple[Row, ...]:
    return (
        Row(
            (
                calls.REQUEST_RATE.graph(scope, _BY_MODEL, "Requests by model", most=20),
                errors.graph(scope, _BY_MODEL, "Errors by model", most=20),
                p95.graph(scope, _BY_MODEL, "Latency p95 by model", most=20, ranked_by=calls.REQUEST_RATE),
            )
        ),
        Row((calls.outcomes(scope), calls.IN_FLIGHT.graph(scope, _BY_MODEL, "In flight by model", most=20))),
    )


def _objectives(scope: BoardScope) -> Row:
    return Row((slo.budgets(scope), cost.cost_by(scope, MODEL_NAME, "Cost by model")))


def _alerts(subject: BoardSubject, scope: BoardScope) -> tuple[Row, ...]:
    stored = alerts.recent_alerts(tenant_id=subject.parameter, model_name=BoardVariable("model"))
    return Row((alerts.alert_timeline(scope, MODEL_NAME),), height=6), Row((stored,))
