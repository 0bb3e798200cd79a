"""Panels and marks about alerts: those that fire now, and those of the selected time."""

from __future__ import annotations

from collections.abc import Mapping

from modelplane_dashboards.board import Annotation, ApiQuery, Column, Field, Link, Panel, PromQuery
from modelplane_dashboards.scope import BoardScope, legend
from modelplane_schema.grafana_units import COUNT
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID

_MAX_ROWS = 100
_RUNBOOK = Link("Runbook", "${__data.fields.runbook_url:raw}")
_DASHBOARD = Link("Dashboard", "${__data.fields.dashboard_url:raw}")

_LABEL_COLUMNS = (
    Column("alertname", "Alert"),
    Column("severity", "Severity"),
    Column(TENANT_ID, "Tenant"),
    Column(MODEL_NAME, "Model"),
    Column(MODEL_VERSION, "Version"),
)


def firing_alerts_now(scope: BoardScope) -> Panel:
    return Panel(
        key="firing-alerts-now",
        kind="stat",
        title="Firing alerts",
        description="Alerts that fire at the end of the time range, those without a tenant included.",
        unit=COUNT,
        queries=(PromQuery(f"count({scope.firing()}) or vector(0)", instant=True),),
        width=4,
        height=4,
        alarm_from=1,
    )


def firing_alerts(scope: BoardScope) -> Panel:
    return Panel(
        key="firing-alerts",
        kind="table",
        title="Firing alerts",
        description="Alerts that fire at the end of the time range. Empty when none does.",
        unit=COUNT,
        queries=(PromQuery(scope.firing(), instant=True),),
        columns=(*_LABEL_COLUMNS, Column("Value", "Value", hidden=True)),
        sort_by="Severity",
        may_be_empty=True,
    )


def recent_alerts(about: str, parameters: Mapping[str, str]) -> Panel:
    """Alerts of the alert store; ``parameters`` limit them and ``about`` says in words to what."""
    fields = (
        Field("starts_at", "starts_at", "timestamp_epoch"),
        Field("ends_at", "ends_at", "timestamp_epoch"),
        Field("duration_seconds", "duration_seconds", "number"),
        *(
            Field(name, name)
            for name in ("status", "alertname", "severity", TENANT_ID, MODEL_NAME, MODEL_VERSION)
        ),
        *(Field(name, name) for name in ("summary", "runbook_url", "dashboard_url")),
    )
    given = (*parameters.items(), ("limit", str(_MAX_ROWS)))
    return Panel(
        key="recent-alerts",
        kind="table",
        title="Alerts in the time range",
        description=f"{about}: the newest {_MAX_ROWS} in the alert store. Empty when there were none.",
        unit=COUNT,
        queries=(ApiQuery("table", "alerts", given, "alerts", fields),),
        width=24,
        columns=_recent_columns(),
        may_be_empty=True,
    )


def firing_marks(scope: BoardScope) -> Annotation:
    return Annotation(
        name="Firing alerts",
        expr=scope.firing(),
        title=legend("alertname"),
        text=legend(TENANT_ID, MODEL_NAME, MODEL_VERSION),
        tags=("severity",),
        colour="red",
    )


def _recent_columns() -> tuple[Column, ...]:
    alert, *labels = _LABEL_COLUMNS
    return (
        Column("starts_at", "Start"),
        Column("ends_at", "End"),
        Column("duration_seconds", "Duration", "s"),
        Column("status", "Status"),
        Column(alert.field, alert.title, links=(_RUNBOOK, _DASHBOARD)),
        *labels,
        Column("summary", "Summary"),
        Column("runbook_url", "Runbook", hidden=True),
        Column("dashboard_url", "Dashboard", hidden=True),
    )
