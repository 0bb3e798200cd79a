"""Incidents of the alert store: how many, how long, how loud, and what keeps alerts from being heard."""

from __future__ import annotations

from modelplane_dashboards.kit.board import ApiQuery, BoardVariable, Field, Panel
from modelplane_dashboards.kit.colours import BAD, GOOD, SEVERITY_COLOURS
from modelplane_dashboards.kit.links import incident_link, model_link
from modelplane_dashboards.kit.scope import BoardScope
from modelplane_dashboards.kit.views import Column, Stat, Table, ValueText
from modelplane_schema.grafana_units import COUNT, NO_UNIT
from modelplane_schema.metrics import MODEL_NAME, TENANT_ID

_SECONDS = "s"
_ROWS = 50
_SELECTED = (("tenant-id", BoardVariable("tenant")), ("model-name", BoardVariable("model")))
_STATISTICS = "incidents/statistics"
_NO_INCIDENT = "No incident began in this time range"
_SEVERITIES = tuple(ValueText(name, colour=colour) for name, colour in SEVERITY_COLOURS.items())
_STATES = (
    ValueText("firing", colour=BAD),
    ValueText("suppressed", colour="purple"),
    ValueText("resolved", colour=GOOD),
)
_SILENCE_STATES = (
    ValueText("active", colour="purple"),
    ValueText("pending", colour="blue"),
    ValueText("missing", colour=BAD),
)


def time_to_acknowledge() -> Panel:
    return _mean_time(
        "acknowledge",
        "Acknowledged in",
        "Mean time to acknowledge (MTTA) of the incidents that began in the time range, planned ones aside.",
        "No incident was acknowledged",
    )


def time_to_resolve() -> Panel:
    return _mean_time(
        "resolve",
        "Resolved in",
        "Mean time to resolve (MTTR) of the incidents that began in the time range, planned ones aside.",
        "No incident was resolved",
    )


def _mean_time(what: str, title: str, description: str, empty: str) -> Panel:
    field = Field(f"mean_time_to_{what}_seconds", f"mean_time_to_{what}_seconds", "number")
    return Panel(
        key=f"mean-time-to-{what}",
        title=title,
        description=description,
        unit=_SECONDS,
        queries=(ApiQuery("table", "incident_statistics", _SELECTED, "", (field,), _STATISTICS),),
        view=Stat(),
        empty=empty,
    )


def numbers() -> Panel:
    columns = ("incidents", "planned", "acknowledged", "resolved")
    fields = tuple(Field(name, name, "number") for name in columns)
    return Panel(
        key="incident-numbers",
        title="Incidents in numbers",
        description="Incidents that began in the time range, and how many of them were answered and ended.",
        unit=COUNT,
        queries=(ApiQuery("table", "incident_statistics", _SELECTED, "", fields, _STATISTICS),),
        view=Table(tuple(Column(name, name.capitalize(), COUNT) for name in columns)),
        empty=_NO_INCIDENT,
    )


def incidents(scope: BoardScope) -> Panel:
    """Incidents, the worst first; each leads to its page of the plugin."""
    texts = ("id", "status", "severity", TENANT_ID, MODEL_NAME, "alertnames", "flapping", "acknowledged_by")
    fields = (
        Field("starts_at", "starts_at", "timestamp_epoch"),
        *(Field(name, name) for name in (*texts, "suppression_windows")),
        *(Field(name, name, "number") for name in ("duration_seconds", "time_to_acknowledge_seconds")),
    )
    parameters = (*_SELECTED, ("order", "worst"), ("limit", str(_ROWS)))
    return Panel(
        key="incidents",
        title="Incidents, worst first",
        description=f"Open ones, then severe, then new; at most {_ROWS}. Alerts lead to the incident.",
        unit=NO_UNIT,
        queries=(ApiQuery("table", "incidents", parameters, "incidents", fields),),
        view=Table(
            (
                Column("severity", "Severity", cell="colour", texts=_SEVERITIES, width=90),
                Column("status", "Status", cell="colour", texts=_STATES, width=100),
                Column("starts_at", "Start", width=170),
                Column("duration_seconds", "Lasted", _SECONDS, width=90),
                _model(scope),
                Column(TENANT_ID, "Tenant"),
                Column("alertnames", "Alerts", link=incident_link("Incident")),
                Column("flapping", "Flapping"),
                Column("acknowledged_by", "Acknowledged by"),
                Column("time_to_acknowledge_seconds", "After", _SECONDS, width=90),
                Column("suppression_windows", "In windows"),
                Column("id", "Incident", hidden=True),
            )
        ),
        empty="No incident in this time range",
    )


def noisiest(scope: BoardScope) -> Panel:
    fields = (
        *(Field(name, name) for name in ("alertname", TENANT_ID, MODEL_NAME, "flapping")),
        *(Field(name, name, "number") for name in ("episodes", "firing_seconds")),
    )
    parameters = (*_SELECTED, ("limit", "20"))
    return Panel(
        key="noisiest-alerts",
        title="Noisiest alerts",
        description="Alerts that fired most often in the incidents of the time range: limits to review.",
        unit=COUNT,
        queries=(ApiQuery("table", "noisiest_alerts", parameters, "noisiest", fields, _STATISTICS),),
        view=Table(
            (
                Column("alertname", "Alert"),
                _model(scope),
                Column(TENANT_ID, "Tenant"),
                Column("episodes", "Times", COUNT, width=80),
                Column("firing_seconds", "Fired for", _SECONDS, width=90),
                Column("flapping", "Flaps", width=80),
            )
        ),
        empty=_NO_INCIDENT,
    )


def suppressed_alerts() -> Panel:
    """Alerts that nobody was told of."""
    texts = ("severity", "alertname", TENANT_ID, MODEL_NAME, "suppressed_by")
    fields = (Field("starts_at", "starts_at", "timestamp_epoch"), *(Field(name, name) for name in texts))
    parameters = (*_SELECTED, ("status", "suppressed"), ("limit", str(_ROWS)))
    return Panel(
        key="suppressed-alerts",
        title="Suppressed now: nobody is told of these",
        description=f"Alerts that a silence or another alert keeps from being notified; at most {_ROWS}.",
        unit=NO_UNIT,
        queries=(ApiQuery("table", "alerts", parameters, "alerts", fields),),
        view=Table(
            (
                Column("severity", "Severity", cell="colour", texts=_SEVERITIES, width=90),
                Column("starts_at", "Start", width=170),
                Column("alertname", "Alert"),
                Column(MODEL_NAME, "Model"),
                Column(TENANT_ID, "Tenant"),
                Column("suppressed_by", "Suppressed by"),
            )
        ),
        empty="No alert is suppressed",
    )


def silences() -> Panel:
    texts = ("status", TENANT_ID, "matchers", "by", "comment")
    fields = (Field("ends_at", "ends_at", "timestamp_epoch"), *(Field(name, name) for name in texts))
    parameters = (_SELECTED[0], ("limit", str(_ROWS)))
    return Panel(
        key="silences",
        title="Silences in force or to come",
        description=f"What they fit, until when, and why; at most {_ROWS}. Missing: Alertmanager lost it.",
        unit=NO_UNIT,
        queries=(ApiQuery("table", "silences", parameters, "silences", fields, times=()),),
        view=Table(
            (
                Column("status", "Status", cell="colour", texts=_SILENCE_STATES, width=90),
                Column("ends_at", "Until", width=170),
                Column("matchers", "Fits"),
                Column(TENANT_ID, "Tenant"),
                Column("by", "By"),
                Column("comment", "Why"),
            )
        ),
        empty="No silence is in force",
    )


def _model(scope: BoardScope) -> Column:
    return Column(MODEL_NAME, "Model", link=model_link(*scope.clusters))
