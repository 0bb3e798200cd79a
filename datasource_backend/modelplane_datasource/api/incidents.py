"""Routes of incidents: list, one, statistics, acknowledgements and comments."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from modelplane_datasource.alerts.incidents import (
    Acknowledgement,
    Comment,
    Incident,
    Statistics,
    summarise,
)
from modelplane_datasource.alerts.parameters import (
    INCIDENT_FROM,
    INCIDENT_ID,
    INCIDENT_LIMIT,
    INCIDENT_LIST_PARAMETERS,
    INCIDENT_MODEL,
    INCIDENT_STATUS,
    INCIDENT_TENANT,
    INCIDENT_TO,
    NOISIEST_LIMIT,
    OFFSET,
    ORDER,
    STATISTICS_PARAMETERS,
)
from modelplane_datasource.alerts.rows import (
    ACKNOWLEDGEMENT_ROW,
    ALERT_ROW,
    COMMENT_ROW,
    INCIDENT_ROW,
    NOISY_ALERT_ROW,
    SILENCE_ROW,
    alert_row,
    incident_row,
    noisy_alert_row,
    silence_row,
)
from modelplane_datasource.alerts.silences import records
from modelplane_datasource.alerts.store import IncidentFilter
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import author, current_tenants
from modelplane_datasource.tenancy.notices import Notice, note
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.web.bodies import (
    AUTHOR_TEXT,
    BODY_TEXT,
    MAX_BODY_TEXT,
    NOTE_ALLOWED,
    NOTE_SCHEMA,
    Body,
    BodyText,
    Note,
    read_body,
)
from modelplane_datasource.web.openapi import (
    BAD_INPUT,
    STORE,
    Content,
    NamedSchema,
    Operation,
    Table,
    described,
)
from modelplane_datasource.web.parameters import (
    Values,
    check_names,
)
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import NUMBER, TOTAL, array, ok, record, with_warnings
from modelplane_datasource.web.time_parameters import read_open_range, read_range

MAX_INCIDENTS = 10_000

# The placeholder of the document, which is that of the rule with other brackets.
_PATH = {"id": "{id}"}
_COUNT = {"type": "integer"}
INCIDENTS = NamedSchema("Incidents", record({"incidents": array(record(INCIDENT_ROW)), "total": TOTAL}))
INCIDENT = NamedSchema(
    "Incident",
    record(
        {
            **INCIDENT_ROW,
            "acknowledgements": array(ACKNOWLEDGEMENT_ROW),
            "comments": array(COMMENT_ROW),
            "silences": array(SILENCE_ROW),
            "alerts": array(ALERT_ROW),
        }
    ),
)
STATISTICS = NamedSchema(
    "IncidentStatistics",
    with_warnings(
        record(
            {
                **dict.fromkeys(("incidents", "planned", "acknowledged", "resolved"), _COUNT),
                "mean_time_to_acknowledge_seconds": NUMBER,
                "mean_time_to_resolve_seconds": NUMBER,
                "noisiest": array(NOISY_ALERT_ROW),
            }
        )
    ),
)
_COMMENT_BODY = {
    "type": "object",
    "required": ["by", "comment"],
    "properties": {"by": AUTHOR_TEXT, "comment": BODY_TEXT},
    "additionalProperties": False,
}
_COMMENT_ALLOWED = f"a JSON object with by and comment (1 to {MAX_BODY_TEXT} characters each)"

LISTED = Operation(
    "Incidents, the worst first.", ok("The incidents that match.", INCIDENTS), INCIDENT_LIST_PARAMETERS,
    (*BAD_INPUT, *STORE),
    tables=(
        Table(
            "incidents", "Incidents", "incidents",
            {"duration_seconds": "seconds", "time_to_acknowledge_seconds": "seconds"},
        ),
    ),
)  # fmt: skip
SHOWN = Operation(
    "One incident with its alerts.", ok("The incident.", INCIDENT), (INCIDENT_ID,), (*BAD_INPUT, 404, *STORE),
    path=_PATH,
)  # fmt: skip
SUMMARISED = Operation(
    "Mean times to acknowledge and to resolve, and the noisiest alerts, of incidents that start in a range.",
    ok("Statistics of incidents that were not planned.", STATISTICS),
    STATISTICS_PARAMETERS,
    (*BAD_INPUT, *STORE),
    tables=(
        Table(
            "incident_statistics", "Incident statistics", "",
            {"mean_time_to_acknowledge_seconds": "seconds", "mean_time_to_resolve_seconds": "seconds"},
        ),
        Table("noisiest_alerts", "Noisiest alerts", "noisiest", {"firing_seconds": "seconds"}),
    ),
)  # fmt: skip
ACKNOWLEDGED = Operation(
    "Acknowledge an incident.",
    ok("The incident; what was noted is durable.", INCIDENT),
    (INCIDENT_ID,),
    (*BAD_INPUT, 404, *STORE),
    Content("Who acknowledges, and a note.", {"application/json": NOTE_SCHEMA}),
    path=_PATH,
)
COMMENTED = Operation(
    "Comment on an incident.",
    ok("The incident; what was said is durable.", INCIDENT),
    (INCIDENT_ID,),
    (*BAD_INPUT, 404, *STORE),
    Content("Who says what.", {"application/json": _COMMENT_BODY}),
    path=_PATH,
)


class _CommentBody(Body):
    by: BodyText
    comment: BodyText


def incidents_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/incidents``: the list, one by its id, ``/statistics``, and POST
    ``/<id>/acknowledge`` and ``/<id>/comment``."""
    routes = Blueprint("incidents", __name__, url_prefix="/api/v1/incidents")

    @routes.get("")
    @described(LISTED)
    def listing() -> Response:
        now = context.now()
        wanted = _read_filter(query_values(), now)
        incidents, total = context.store.incident_page(wanted, context.incident_rules, current_tenants())
        rows = [incident_row(incident, now) for incident in incidents]
        return json_response({"incidents": rows, "total": total})

    @routes.get("/statistics")
    @described(SUMMARISED)
    def statistics() -> Response:
        values, now = query_values(), context.now()
        check_names(values, STATISTICS_PARAMETERS)
        incidents = _started(context, values, read_range(values, now))
        summary = summarise(incidents, context.incident_rules, now, NOISIEST_LIMIT.read(values))
        return json_response(_statistics(summary))

    @routes.get("/<id>")
    @described(SHOWN)
    def show(id: str) -> Response:  # noqa: A002 - the name in the path
        check_names(query_values(), ())
        return json_response(_detail(context, _find(context, id)))

    @routes.post("/<id>/acknowledge")
    @described(ACKNOWLEDGED)
    def acknowledge(id: str) -> Response:  # noqa: A002 - the name in the path
        check_names(query_values(), ())
        body = read_body(Note, request.get_data(), NOTE_ALLOWED)
        context.store.acknowledge(
            _find(context, id), Acknowledgement(context.now(), author(body.by), body.note)
        )
        return json_response(_detail(context, _find(context, id)))

    @routes.post("/<id>/comment")
    @described(COMMENTED)
    def comment(id: str) -> Response:  # noqa: A002 - the name in the path
        check_names(query_values(), ())
        body = read_body(_CommentBody, request.get_data(), _COMMENT_ALLOWED)
        incident = _find(context, id)
        context.store.comment(incident, Comment(context.now(), author(body.by), body.comment))
        return json_response(_detail(context, incident))

    return routes


def _detail(context: AppContext, incident: Incident) -> dict[str, Any]:
    now = context.now()
    return {
        **incident_row(incident, now),
        "acknowledgements": [acknowledgement._asdict() for acknowledgement in incident.acknowledgements],
        "comments": [comment._asdict() for comment in context.store.comments(incident)],
        "silences": _silences(context, incident, now),
        "alerts": [alert_row(member.episode, context.incident_rules, now) for member in incident.members],
    }


def _silences(context: AppContext, incident: Incident, now: int) -> list[dict[str, Any]]:
    """Silences of alerts of the incident; whether one is still in Alertmanager is not asked."""
    stored = context.store.silences_of(incident, current_tenants())
    return [silence_row(record) for record in records([silence for silence, _ in stored], stored, now)]


def _find(context: AppContext, number: str) -> Incident:
    incident = context.store.incident(number, context.incident_rules, current_tenants())
    if incident is None:
        raise ApiError(404, "not_found", "There is no such incident.")
    return incident


def _started(context: AppContext, values: Values, time_range: TimeRange) -> list[Incident]:
    """The newest incidents that started in a range; with a warning when there are more."""
    wanted = IncidentFilter(
        tenant_ids=INCIDENT_TENANT.read_all(values),
        model_names=INCIDENT_MODEL.read_all(values),
        start=time_range.start,
        end=time_range.end,
        limit=MAX_INCIDENTS,
    )
    incidents = context.store.incidents(wanted, context.incident_rules, current_tenants())
    if len(incidents) == MAX_INCIDENTS:
        note([Notice.for_everyone(f"Only the newest {MAX_INCIDENTS} incidents were read.")])
    return [incident for incident in incidents if incident.starts_at >= time_range.start]


def _statistics(summary: Statistics) -> dict[str, Any]:
    return {
        "incidents": summary.incidents,
        "planned": summary.planned,
        "acknowledged": summary.acknowledged,
        "resolved": summary.resolved,
        "mean_time_to_acknowledge_seconds": _seconds(summary.time_to_acknowledge),
        "mean_time_to_resolve_seconds": _seconds(summary.time_to_resolve),
        "noisiest": [noisy_alert_row(alert) for alert in summary.noisiest],
    }


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _read_filter(values: Values, now: int) -> IncidentFilter:
    check_names(values, INCIDENT_LIST_PARAMETERS)
    start, end = read_open_range(values, INCIDENT_FROM, INCIDENT_TO, now)
    return IncidentFilter(
        tenant_ids=INCIDENT_TENANT.read_all(values),
        model_names=INCIDENT_MODEL.read_all(values),
        statuses=INCIDENT_STATUS.read_all(values),
        start=start,
        end=end,
        limit=INCIDENT_LIMIT.read(values),
        offset=OFFSET.read(values),
        order=ORDER.read(values),  # type: ignore[arg-type]  # its parser takes no other
    )
