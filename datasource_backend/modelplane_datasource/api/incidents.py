"""Routes of incidents: list, one, statistics, acknowledgement."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from modelplane_datasource.alerts.episodes import STATUSES
from modelplane_datasource.alerts.incidents import (
    ID_PATTERN,
    Acknowledgement,
    Incident,
    NoisyAlert,
    Statistics,
    summarise,
)
from modelplane_datasource.alerts.store import IncidentFilter
from modelplane_datasource.api.alerts import ALERT, STATUS, alert_row
from modelplane_datasource.api.alerts import MODEL as ALERT_MODEL
from modelplane_datasource.api.alerts import TENANT as ALERT_TENANT
from modelplane_datasource.api.series import query_values
from modelplane_datasource.context import Plane
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.observability.query_warnings import note
from modelplane_datasource.series.request import FROM as RANGE_FROM
from modelplane_datasource.series.request import INSTANT, instant_text, read_open_range, read_range
from modelplane_datasource.series.request import TO as RANGE_TO
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.web.openapi import BAD_INPUT, STORE, Content, Operation, Shape, described
from modelplane_datasource.web.parameters import (
    Parameter,
    Values,
    check_known,
    parser,
    read_all,
    read_default,
    whole_number,
)
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import INSTANT as MILLISECONDS
from modelplane_datasource.web.schemas import NUMBER, TEXT, array, ok, record, with_warnings

MAX_INCIDENTS = 10_000
MAX_BODY_TEXT = 2000


@parser({"type": "string", "pattern": ID_PATTERN})
def incident_id(text: str) -> str:
    """Any text: what is no id is not found."""
    return text


TENANT = Parameter(
    "tenant-id", "Tenant of the incident.", ALERT_TENANT.allowed, ALERT_TENANT.parse, repeated=True
)
MODEL = Parameter(
    "model-name", "Model of the incident.", ALERT_MODEL.allowed, ALERT_MODEL.parse, repeated=True
)
STATE = Parameter("status", "State of the incident.", STATUS.allowed, STATUS.parse, repeated=True)
FROM = Parameter("from", "Incidents that had not ended before.", INSTANT, instant_text)
TO = Parameter("to", "Incidents that started no later.", INSTANT, instant_text)
LIMIT = Parameter(
    "limit", "Largest number of incidents.", "a whole number from 1 to 1000", whole_number(1, 1000),
    default="100",
)  # fmt: skip
NOISIEST = Parameter(
    "limit", "Largest number of noisy alerts.", "a whole number from 1 to 1000", whole_number(1, 1000),
    default="10",
)  # fmt: skip
ID = Parameter("id", "The incident.", "an id that the list of incidents gave", incident_id, required=True)
LIST_PARAMETERS = (TENANT, MODEL, STATE, FROM, TO, LIMIT)
STATISTICS_PARAMETERS = (TENANT, MODEL, RANGE_FROM, RANGE_TO, NOISIEST)

# The placeholder of the document, which is that of the rule with other brackets.
_PATH = {"id": "{id}"}
_BOOLEAN = {"type": "boolean"}
_COUNT = {"type": "integer"}
_NUMBER = {"type": "number"}
_LATER = {"type": ["integer", "null"]}
_ROW = {
    "id": TEXT,
    "starts_at": MILLISECONDS,
    "ends_at": _LATER,
    "duration_seconds": _NUMBER,
    "status": {"enum": [*STATUSES]},
    **dict.fromkeys(("severity", "tenant_id", "model_name", "alertnames"), TEXT),
    "episodes": _COUNT,
    "flapping": {**TEXT, "description": "Names of the alerts that flap."},
    "suppression_windows": {**TEXT, "description": "Declared windows in which an alert of it started."},
    "planned": {**_BOOLEAN, "description": "Every alert of it started in a declared window."},
    "acknowledged_at": _LATER,
    "acknowledged_by": TEXT,
    "time_to_acknowledge_seconds": NUMBER,
}
_ACKNOWLEDGEMENT = record({"at": MILLISECONDS, "by": TEXT, "note": TEXT})
INCIDENTS = Shape("Incidents", record({"incidents": array(record(_ROW))}))
INCIDENT = Shape(
    "Incident",
    record({**_ROW, "acknowledgements": array(_ACKNOWLEDGEMENT), "alerts": array(ALERT)}),
)
_NOISY = record(
    {
        **dict.fromkeys(("alertname", "tenant_id", "model_name"), TEXT),
        "episodes": _COUNT,
        "firing_seconds": _NUMBER,
        "flapping": _BOOLEAN,
    }
)
STATISTICS = Shape(
    "IncidentStatistics",
    with_warnings(
        record(
            {
                **dict.fromkeys(("incidents", "planned", "acknowledged", "resolved"), _COUNT),
                "mean_time_to_acknowledge_seconds": NUMBER,
                "mean_time_to_resolve_seconds": NUMBER,
                "noisiest": array(_NOISY),
            }
        )
    ),
)
_BODY_TEXT = {"type": "string", "maxLength": MAX_BODY_TEXT}
_BODY = {
    "type": "object",
    "required": ["by"],
    "properties": {"by": {**_BODY_TEXT, "minLength": 1}, "note": _BODY_TEXT},
    "additionalProperties": False,
}

LISTED = Operation(
    "Incidents, newest first.", ok("The incidents that match.", INCIDENTS), LIST_PARAMETERS,
    (*BAD_INPUT, *STORE),
)  # fmt: skip
SHOWN = Operation(
    "One incident with its alerts.", ok("The incident.", INCIDENT), (ID,), (*BAD_INPUT, 404, *STORE),
    path=_PATH,
)  # fmt: skip
SUMMARISED = Operation(
    "Mean times to acknowledge and to resolve, and the noisiest alerts, of incidents that start in a range.",
    ok("Statistics of incidents that were not planned.", STATISTICS),
    STATISTICS_PARAMETERS,
    (*BAD_INPUT, *STORE),
)
ACKNOWLEDGED = Operation(
    "Acknowledge an incident.",
    ok("The incident; what was noted is durable.", INCIDENT),
    (ID,),
    (*BAD_INPUT, 404, *STORE),
    Content("Who acknowledges, and a note.", {"application/json": _BODY}),
    path=_PATH,
)


class _Note(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    by: Annotated[str, StringConstraints(min_length=1, max_length=MAX_BODY_TEXT)]
    note: Annotated[str, StringConstraints(max_length=MAX_BODY_TEXT)] = ""


def incidents_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/incidents``: the list, one by its id, ``/statistics``, and POST ``/<id>/acknowledge``."""
    routes = Blueprint("incidents", __name__, url_prefix="/api/v1/incidents")

    @routes.get("")
    @described(LISTED)
    def listing() -> Response:
        now = plane.now()
        found = plane.store.incidents(_read_filter(query_values(), now), current_tenants())
        return json_response({"incidents": [incident_row(incident, now) for incident in found]})

    @routes.get("/statistics")
    @described(SUMMARISED)
    def statistics() -> Response:
        values, now = query_values(), plane.now()
        check_known(values, STATISTICS_PARAMETERS)
        found = _started(plane, values, *read_range(values, now))
        summary = summarise(found, plane.store.rules, now, read_default(values, NOISIEST))
        return json_response(_statistics(summary))

    @routes.get("/<id>")
    @described(SHOWN)
    def show(id: str) -> Response:  # noqa: A002 - the name in the path
        check_known(query_values(), ())
        return json_response(_detail(plane, _find(plane, id)))

    @routes.post("/<id>/acknowledge")
    @described(ACKNOWLEDGED)
    def acknowledge(id: str) -> Response:  # noqa: A002 - the name in the path
        check_known(query_values(), ())
        told = _read_note(request.get_data())
        plane.store.acknowledge(_find(plane, id), Acknowledgement(plane.now(), told.by, told.note))
        return json_response(_detail(plane, _find(plane, id)))

    return routes


def incident_row(incident: Incident, now: int) -> dict[str, Any]:
    """One incident as a table row; one without an end has lasted until ``now`` (milliseconds)."""
    first = incident.acknowledgements[0] if incident.acknowledgements else None
    end = now if incident.ends_at is None else incident.ends_at
    return {
        "id": incident.id,
        "starts_at": incident.starts_at,
        "ends_at": incident.ends_at,
        "duration_seconds": (end - incident.starts_at) / 1000,
        "status": incident.status,
        "severity": incident.severity,
        "tenant_id": incident.tenant_id,
        "model_name": incident.model_name,
        "alertnames": ", ".join(incident.alertnames),
        "episodes": len(incident.members),
        "flapping": ", ".join(incident.flapping),
        "suppression_windows": ", ".join(incident.suppression_windows),
        "planned": incident.planned,
        "acknowledged_at": first.at if first else None,
        "acknowledged_by": first.by if first else "",
        "time_to_acknowledge_seconds": (first.at - incident.starts_at) / 1000 if first else None,
    }


def _detail(plane: Plane, incident: Incident) -> dict[str, Any]:
    now = plane.now()
    return {
        **incident_row(incident, now),
        "acknowledgements": [one._asdict() for one in incident.acknowledgements],
        "alerts": [alert_row(member.episode, plane.store.rules, now) for member in incident.members],
    }


def _find(plane: Plane, number: str) -> Incident:
    found = plane.store.incident(number, current_tenants())
    if found is None:
        raise ApiError(404, "not_found", "There is no such incident.")
    return found


def _started(plane: Plane, values: Values, start: int, end: int) -> list[Incident]:
    """The newest incidents that started in a range; a note tells when there are more."""
    wanted = IncidentFilter(
        tenant_ids=read_all(values, TENANT),
        model_names=read_all(values, MODEL),
        start=start,
        end=end,
        limit=MAX_INCIDENTS,
    )
    found = plane.store.incidents(wanted, current_tenants())
    if len(found) == MAX_INCIDENTS:
        note([f"Only the newest {MAX_INCIDENTS} incidents were read."])
    return [incident for incident in found if incident.starts_at >= start]


def _statistics(summary: Statistics) -> dict[str, Any]:
    return {
        "incidents": summary.incidents,
        "planned": summary.planned,
        "acknowledged": summary.acknowledged,
        "resolved": summary.resolved,
        "mean_time_to_acknowledge_seconds": _seconds(summary.time_to_acknowledge),
        "mean_time_to_resolve_seconds": _seconds(summary.time_to_resolve),
        "noisiest": [_noisy_row(alert) for alert in summary.noisiest],
    }


def _noisy_row(alert: NoisyAlert) -> dict[str, Any]:
    return {
        "alertname": alert.alertname,
        "tenant_id": alert.tenant_id,
        "model_name": alert.model_name,
        "episodes": alert.episodes,
        "firing_seconds": alert.firing / 1000,
        "flapping": alert.flapping,
    }


def _seconds(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000


def _read_filter(values: Values, now: int) -> IncidentFilter:
    check_known(values, LIST_PARAMETERS)
    start, end = read_open_range(values, FROM, TO, now)
    return IncidentFilter(
        tenant_ids=read_all(values, TENANT),
        model_names=read_all(values, MODEL),
        statuses=read_all(values, STATE),
        start=start,
        end=end,
        limit=read_default(values, LIMIT),
    )


def _read_note(body: bytes) -> _Note:
    """The body of an acknowledgement. ApiError 400."""
    allowed = f"a JSON object with by (1 to {MAX_BODY_TEXT} characters) and note (at most {MAX_BODY_TEXT})"
    try:
        return _Note.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise invalid("body", "is not JSON", allowed) from error
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or "body"
        raise invalid(field, "does not fit", allowed) from error
