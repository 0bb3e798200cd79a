"""Alerts that fire, incidents of the store, and marks of what was deployed."""

from __future__ import annotations

from modelplane_dashboards.kit.board import (
    MAX_SERIES,
    Annotation,
    ApiQuery,
    BoardVariable,
    Field,
    Panel,
    PromQuery,
)
from modelplane_dashboards.kit.colours import BAD, GOOD, SEVERITY_COLOURS
from modelplane_dashboards.kit.links import model_link
from modelplane_dashboards.kit.scope import ALERT_LABELS, BoardScope, largest, legend
from modelplane_dashboards.kit.views import (
    Column,
    Link,
    Stat,
    StateTimeline,
    Step,
    Table,
    ValueText,
    highlight_steps,
    limit_steps,
)
from modelplane_schema.alerts import WATCHDOG
from modelplane_schema.grafana_units import COUNT
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, aggregate
from modelplane_schema.recorded import VERSION_STAGE

SEVERITIES = ("info", "warning", "critical")
NO_ALERT = "No alert fires"
_RUNBOOK = Link("Runbook", "${__data.fields.Runbook:raw}")
_MAX_ROWS, _MAX_FIRING = 20, 100
# The watchdog always fires: it says that alerts arrive, not that something is wrong.
_REAL = Matcher("alertname", WATCHDOG.name, "!=")

COUNT_STEPS = highlight_steps(bad=1)
SEVERITY_COLUMN = Column(
    "Value",
    "Severity",
    width=90,
    cell="colour",
    steps=(Step("blue"), Step("orange", 2), Step("red", 3)),
    texts=tuple(
        ValueText(str(rank), severity, SEVERITY_COLOURS[severity])
        for rank, severity in enumerate(SEVERITIES, start=1)
    ),
)


def firing(scope: BoardScope, *matchers: Matcher) -> str:
    """Firing alerts besides the watchdog."""
    return scope.firing(_REAL, *matchers)


def severity_ranks(scope: BoardScope) -> str:
    """Firing alerts, each with 3 for critical, 2 for warning and 1 for info."""
    ranked = (
        f"{rank} * {firing(scope, Matcher('severity', severity))}"
        for rank, severity in enumerate(SEVERITIES, start=1)
    )
    return " or ".join(ranked)


def firing_alerts_now(scope: BoardScope) -> Panel:
    return Panel(
        key="firing-alerts-now",
        title="Firing alerts",
        description="Alerts that fire at the end of the time range, those without a tenant included.",
        unit=COUNT,
        queries=(PromQuery(f"count({firing(scope)}) or vector(0)", instant=True),),
        view=Stat(limit_steps(bad=1), filled=True),
    )


def critical_alerts_now(scope: BoardScope) -> Panel:
    critical = firing(scope, Matcher("severity", "critical"))
    return Panel(
        key="critical-alerts-now",
        title="Critical alerts",
        description="Critical alerts among those that fire: someone is paged for each of them.",
        unit=COUNT,
        queries=(PromQuery(f"count({critical}) or vector(0)", instant=True),),
        view=Stat(limit_steps(bad=1), filled=True),
    )


def firing_alerts(scope: BoardScope) -> Panel:
    severest = aggregate("max", severity_ranks(scope), ALERT_LABELS)
    return Panel(
        key="firing-alerts",
        title="Firing alerts, critical first",
        description=f"At most {_MAX_FIRING} at the end of the time range. Alerts of one name on several SLOs "
        "or signals of a version share a row. The model leads to its board.",
        unit=COUNT,
        queries=(PromQuery(f"topk({_MAX_FIRING}, {severest})", instant=True),),
        view=Table(
            (
                SEVERITY_COLUMN,
                Column("alertname", "Alert"),
                Column(
                    MODEL_NAME,
                    "Model",
                    link=model_link(*scope.clusters),
                ),
                Column(MODEL_VERSION, "Version"),
                Column(TENANT_ID, "Tenant"),
                Column("severity", "Severity text", hidden=True),
            ),
            sort_by="Severity",
        ),
        empty=NO_ALERT,
    )


def alert_timeline(scope: BoardScope, *labels: str) -> Panel:
    """A strip for each alert and value of ``labels``, in the colour of its severity."""
    by = ("alertname", *labels)
    ranks = aggregate("max", severity_ranks(scope), by)
    # Those that fire at the end alone would leave out what is over.
    severest = f"sum_over_time({ranks}[1d:5m] @ end())"
    return Panel(
        key="alert-timeline",
        title="Alerts over time",
        description="Each strip is an alert while it fired: red critical, orange warning, blue info. "
        f"The {MAX_SERIES} that were longest and severest in the day before the end.",
        unit=COUNT,
        queries=(PromQuery(largest(ranks, severest, by, MAX_SERIES), legend(*by)),),
        view=StateTimeline(SEVERITY_COLUMN.steps, SEVERITY_COLUMN.texts),
        empty="No alert fired in this time range",
    )


def recent_alerts(**parameters: str | BoardVariable) -> Panel:
    """Alerts of the store, newest first; ``parameters`` limit them."""
    texts = (
        "status",
        "alertname",
        "severity",
        TENANT_ID,
        MODEL_NAME,
        MODEL_VERSION,
        "summary",
        "suppressed_by",
        "suppression_windows",
        "runbook_url",
    )
    fields = (
        Field("starts_at", "starts_at", "timestamp_epoch"),
        Field("duration_seconds", "duration_seconds", "number"),
        *(Field(name, name) for name in texts),
    )
    given = tuple((name.replace("_", "-"), value) for name, value in parameters.items())
    severities = tuple(ValueText(name, colour=colour) for name, colour in SEVERITY_COLOURS.items())
    states = (
        ValueText("firing", colour=BAD),
        ValueText("suppressed", colour="purple"),
        ValueText("resolved", colour=GOOD),
    )
    return Panel(
        key="recent-alerts",
        title="Alerts in the time range",
        description=f"The newest {_MAX_ROWS} of the alert store. The name of an alert leads to its runbook.",
        unit=COUNT,
        queries=(ApiQuery("table", "alerts", (*given, ("limit", str(_MAX_ROWS))), "alerts", fields),),
        view=Table(
            (
                Column("starts_at", "Start", width=170),
                Column("duration_seconds", "Lasted", "s", width=90),
                Column("status", "Status", texts=states, cell="colour", width=90),
                Column("severity", "Severity of alert", texts=severities, cell="colour", width=130),
                Column("alertname", "Alert", link=_RUNBOOK),
                Column(TENANT_ID, "Tenant"),
                Column(MODEL_NAME, "Model"),
                Column(MODEL_VERSION, "Version"),
                Column("summary", "Summary"),
                Column("suppressed_by", "Suppressed by"),
                Column("suppression_windows", "In windows"),
                Column("runbook_url", "Runbook", hidden=True),
            )
        ),
        empty="No alert was stored in this time range",
    )


def version_marks(scope: BoardScope) -> Annotation:
    """A mark where a version begins to be loaded."""
    labels = (MODEL_NAME, MODEL_VERSION)
    series = scope.select(VERSION_STAGE.name)
    now, before = (aggregate("max", text, labels) for text in (series, f"{series} offset $__interval"))
    return Annotation(
        name="Version loaded",
        expr=f"{now} unless {before}",
        title="Version loaded",
        text=legend(*labels),
        tags=labels,
        colour="blue",
    )
