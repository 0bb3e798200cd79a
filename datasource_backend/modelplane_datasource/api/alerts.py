"""Routes of alerts: Alertmanager's webhook and the list of alerts."""

from __future__ import annotations

import logging
import re
from typing import Any

import orjson
from flask import Blueprint, Response, request

from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE, STATUSES, Episode
from modelplane_datasource.alerts.incidents import IncidentRules
from modelplane_datasource.alerts.payloads import PayloadError, parse_payload
from modelplane_datasource.alerts.store import AlertFilter
from modelplane_datasource.alerts.suppression import names_of
from modelplane_datasource.api.series import query_values
from modelplane_datasource.context import Plane
from modelplane_datasource.series.request import INSTANT, instant_text, read_open_range
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.web.openapi import (
    BAD_INPUT,
    STORE,
    Content,
    Operation,
    Shape,
    described,
    json_content,
)
from modelplane_datasource.web.parameters import (
    Parameter,
    Values,
    check_known,
    choice,
    label_text,
    parser,
    read_all,
    read_default,
    whole_number,
)
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import INSTANT as MILLISECONDS
from modelplane_datasource.web.schemas import TEXT as ANY_TEXT
from modelplane_datasource.web.schemas import array, ok, record

_LOG = logging.getLogger(__name__)
_ANNOTATIONS = ("summary", "description", "runbook_url", "dashboard_url")


@parser({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"})
def source_name(text: str) -> str:
    """The name of a source; ValueError."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise ValueError(text)
    return text


TENANT = Parameter("tenant-id", "Tenant of the alert.", "a tenant id, repeatable", label_text, repeated=True)
MODEL = Parameter("model-name", "Model of the alert.", "a model name, repeatable", label_text, repeated=True)
STATUS = Parameter(
    "status", "State of the alert.", "firing, suppressed or resolved, repeatable", choice(*STATUSES),
    repeated=True,
)  # fmt: skip
ALERTNAME = Parameter(
    "alertname", "Name of the alert.", "an alert name, repeatable", label_text, repeated=True
)
FROM = Parameter("from", "Alerts that had not ended before.", INSTANT, instant_text)
TO = Parameter("to", "Alerts that started no later.", INSTANT, instant_text)
LIMIT = Parameter(
    "limit",
    "Largest number of alerts.",
    "a whole number from 1 to 1000",
    whole_number(1, 1000),
    default="100",
)
SOURCE = Parameter(
    "source", "Name of the Alertmanager, or of the cluster of them, that notifies.",
    "a name of at most 64 letters, digits, - and _", source_name, default=DEFAULT_SOURCE,
)  # fmt: skip
LIST_PARAMETERS = (TENANT, MODEL, STATUS, ALERTNAME, FROM, TO, LIMIT)

ALERT = record(
    {
        "starts_at": MILLISECONDS,
        "ends_at": {"type": ["integer", "null"]},
        "duration_seconds": {"type": "number"},
        "status": {"enum": [*STATUSES]},
        "reason": {"enum": ["", "resolved", "absent", "expired"], "description": "How the end is known."},
        "suppressed_by": {**ANY_TEXT, "description": "Silences and alerts that keep it from being notified."},
        "suppression_windows": {**ANY_TEXT, "description": "Declared windows in which it started."},
        **dict.fromkeys(
            ("alertname", "severity", "tenant_id", "model_name", "model_version", *_ANNOTATIONS), ANY_TEXT
        ),
        "source": ANY_TEXT,
        "fingerprint": ANY_TEXT,
    }
)
ALERTS = Shape("Alerts", record({"alerts": array(ALERT)}))
RECEIVED = Operation(
    "Alertmanager's webhook.",
    {
        200: json_content("The alerts are stored.", record({"stored": {"type": "integer"}})),
        202: json_content(
            "The body is no notification of version 4 and is kept as it is.",
            record({"stored": {"const": 0}, "raw": {"const": True}}),
        ),
    },
    (SOURCE,),
    (*BAD_INPUT, *STORE),
    body=Content("A notification of Alertmanager, version 4.", {"application/json": {}}),
    body_required=False,
)
LISTED = Operation(
    "Alerts, newest first.", ok("The alerts that match.", ALERTS), LIST_PARAMETERS, (*BAD_INPUT, *STORE)
)


def alerts_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/alerts``: POST stores a notification, GET lists alerts."""
    routes = Blueprint("alerts", __name__, url_prefix="/api/v1")

    @routes.post("/alerts")
    @described(RECEIVED)
    def receive() -> Response:
        values = query_values()
        check_known(values, RECEIVED.parameters)
        source, body = read_default(values, SOURCE), request.get_data()
        try:
            observations = parse_payload(body, source)
        except PayloadError as error:
            _LOG.warning("a body on the alert webhook is kept raw: %s", error)
            plane.store.record(body, None, plane.now(), source)
            return json_response({"stored": 0, "raw": True}, 202)
        plane.store.record(body, observations, plane.now(), source)
        return json_response({"stored": len(observations)})

    @routes.get("/alerts")
    @described(LISTED)
    def listing() -> Response:
        now = plane.now()
        alerts = plane.store.alerts(_read_filter(query_values(), now), current_tenants())
        return json_response({"alerts": [alert_row(alert, plane.store.rules, now) for alert in alerts]})

    return routes


def _read_filter(values: Values, now: int) -> AlertFilter:
    check_known(values, LIST_PARAMETERS)
    start, end = read_open_range(values, FROM, TO, now)
    return AlertFilter(
        tenant_ids=read_all(values, TENANT),
        model_names=read_all(values, MODEL),
        statuses=read_all(values, STATUS),
        alertnames=read_all(values, ALERTNAME),
        start=start,
        end=end,
        limit=read_default(values, LIMIT),
    )


def alert_row(alert: Episode, rules: IncidentRules, now: int) -> dict[str, Any]:
    """One alert as a table row; an alert without an end has lasted until ``now`` (milliseconds)."""
    annotations = orjson.loads(alert.annotations)
    end = now if alert.ends_at is None else alert.ends_at
    return {
        "starts_at": alert.starts_at,
        "ends_at": alert.ends_at,
        "duration_seconds": (end - alert.starts_at) / 1000,
        "status": alert.status,
        "reason": alert.reason,
        "suppressed_by": ", ".join(orjson.loads(alert.suppressed_by)),
        "suppression_windows": ", ".join(names_of(rules.windows, alert)),
        "alertname": alert.alertname,
        "severity": alert.severity,
        "tenant_id": alert.tenant_id,
        "model_name": alert.model_name,
        "model_version": alert.model_version,
        **{name: annotations.get(name, "") for name in _ANNOTATIONS},
        "source": alert.source,
        "fingerprint": alert.fingerprint,
    }
