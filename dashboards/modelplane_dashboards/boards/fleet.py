"""Fleet: what needs attention now?"""

from __future__ import annotations

from modelplane_dashboards.kit.board import ApiQuery, Board, Field, Panel, PromQuery, Row, Section
from modelplane_dashboards.kit.colours import SEVERITY_COLOURS
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.links import model_link, tenant_link
from modelplane_dashboards.kit.measure import Measure
from modelplane_dashboards.kit.scope import BoardScope
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.kit.views import Column, Table, ValueText
from modelplane_dashboards.measures import alerts, calls, cost, drift, slo
from modelplane_schema.grafana_units import COUNT, RATIO
from modelplane_schema.metrics import MODEL_NAME, TENANT_ID
from modelplane_schema.promql import Matcher, aggregate
from modelplane_schema.uids import FLEET_UID

_BY_MODEL = (MODEL_NAME,)
_ROWS = 20


def fleet(context: BoardContext) -> Board:
    scope = context.scope()
    errors, p95 = calls.error_ratio(context.limits), calls.latency_p95(context.limits)
    return Board(
        kind="fleet",
        uid=FLEET_UID,
        title="Fleet",
        question="What needs attention now?",
        advice="Red in the first rows: take the first line of *Needs attention* and follow its model.",
        variables=variables(scope),
        annotations=(alerts.version_marks(scope),),
        sections=(
            Section("now", "Now", _now(scope, errors, p95)),
            Section("attention", "What needs attention", _attention(context, scope)),
            Section("models", "Models", (Row((_models(scope, errors, p95),), height=9),)),
            Section("traffic", "Traffic, errors and latency by model", (_graphs(scope, errors, p95),)),
        ),
    )


def _now(scope: BoardScope, errors: Measure, p95: Measure) -> tuple[Row, ...]:
    problems = (
        alerts.firing_alerts_now(scope),
        slo.burning_now(scope),
        drift.SIGNALS_MOVED.stat(scope, trend=False),
        cost.cost_per_hour_now(scope),
    )
    service = (
        calls.REQUEST_RATE.stat(scope),
        errors.stat(scope),
        p95.stat(scope),
        cost.DEVICES_BUSY.stat(scope),
    )
    return Row(problems, height=4), Row(service, height=5)


def _attention(context: BoardContext, scope: BoardScope) -> tuple[Row, ...]:
    return (
        Row((_triage(scope),), height=9),
        Row((alerts.firing_alerts(scope), slo.budgets(scope))),
        Row(
            (drift.top_movers(scope, context.psi, MODEL_NAME), alerts.alert_timeline(scope, MODEL_NAME)),
            height=9,
        ),
    )


def _triage(scope: BoardScope) -> Panel:
    """Models by how much is wrong with them, as the plugin's Triage shows them."""
    texts = ("severity", MODEL_NAME, TENANT_ID, "owner", "reasons", "slo", "signal")
    fields = (
        *(Field(name, name) for name in texts),
        *(Field(name, name, "number") for name in ("burn_rate", "moved_signals", "budget_ratio")),
    )
    severities = tuple(ValueText(name, colour=colour) for name, colour in SEVERITY_COLOURS.items())
    model = model_link(*scope.clusters)
    tenant = tenant_link(*scope.clusters)
    return Panel(
        key="triage",
        title="Needs attention, worst first",
        description=f"The {_ROWS} worst models by alerts, burn, drift, cost and data contract, and why.",
        unit=COUNT,
        queries=(ApiQuery("table", "triage", (("limit", str(_ROWS)),), "rows", fields, times=()),),
        view=Table(
            (
                Column("severity", "Severity", cell="colour", texts=severities, width=90),
                Column(MODEL_NAME, "Model", link=model),
                Column(TENANT_ID, "Tenant", link=tenant),
                Column("owner", "Owner"),
                Column("reasons", "Why"),
                Column("slo", "SLO"),
                Column("burn_rate", "Burn", decimals=1),
                Column("signal", "Signal"),
                Column("moved_signals", "Signals moved", COUNT),
                Column("budget_ratio", "Of budget", RATIO, decimals=0),
            )
        ),
        empty="Nothing needs attention",
    )


def _models(scope: BoardScope, errors: Measure, p95: Measure) -> Panel:
    named = alerts.firing(scope, Matcher(MODEL_NAME, "", "!="))
    measures = (
        slo.BURN_1H,
        errors,
        p95,
        drift.SIGNALS_MOVED,
        calls.REQUEST_RATE,
        cost.DEVICES_BUSY,
    )
    queries = (
        PromQuery(aggregate("count", named, (MODEL_NAME,)), instant=True, may_be_empty=True),
        *(measure.query(scope, _BY_MODEL, instant=True) for measure in measures),
        calls.REQUEST_RATE.query(scope, _BY_MODEL),
    )
    alert_count = Column("Value #A", "Alerts", COUNT, cell="fill", steps=alerts.COUNT_STEPS)
    link = model_link(*scope.clusters)
    return Panel(
        key="models",
        title="Models",
        description="Every model now, those with most alerts first. The name leads to its board.",
        unit=COUNT,
        queries=queries,
        view=Table(
            (
                Column(MODEL_NAME, "Model", link=link),
                alert_count,
                *(measure.column(ref_id) for measure, ref_id in zip(measures, "BCDEFG", strict=True)),
                Column("Trend #H", "Traffic", cell="trend"),
            ),
            sort_by="Alerts",
            join=MODEL_NAME,
        ),
    )


def _graphs(scope: BoardScope, errors: Measure, p95: Measure) -> Row:
    measures = (
        (calls.REQUEST_RATE, "Requests by model"),
        (errors, "Errors by model"),
        (p95, "Latency p95 by model"),
    )
    return Row(tuple(measure.graph(scope, _BY_MODEL, title, most=20) for measure, title in measures))
