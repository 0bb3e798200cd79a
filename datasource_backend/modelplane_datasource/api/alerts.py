"""Routes of alerts: Alertmanager's webhook and the list of alerts."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from flask import Blueprint, Response, request

from modelplane_datasource.alerts.episodes import DEFAULT_SOURCE
from modelplane_datasource.alerts.parameters import (
    ALERTNAME,
    FROM,
    LIMIT,
    LIST_PARAMETERS,
    MODEL,
    OFFSET,
    SOURCE,
    STATUS,
    TENANT,
    TO,
)
from modelplane_datasource.alerts.payloads import PayloadError, parse_payload
from modelplane_datasource.alerts.rows import ALERT_ROW, alert_row
from modelplane_datasource.alerts.store import AlertFilter
from modelplane_datasource.context import AppContext
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.web.openapi import (
    BAD_INPUT,
    STORE,
    Content,
    NamedSchema,
    Operation,
    Table,
    described,
    json_content,
)
from modelplane_datasource.web.parameters import (
    Values,
    check_names,
)
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import INSTANT, NUMBER, TEXT, TOTAL, array, ok, record
from modelplane_datasource.web.time_parameters import read_open_range

_LOG = logging.getLogger(__name__)


_PROBLEMS_NAMED = 20
_COUNT = {"type": "integer"}
_STORED = record({"stored": _COUNT})
_STORED["properties"]["problems"] = {**array(TEXT), "description": "What could not be read, or was left out."}
ALERTS = NamedSchema("Alerts", record({"alerts": array(ALERT_ROW), "total": TOTAL}))
RECEIVED = Operation(
    "Alertmanager's webhook.",
    {
        200: json_content("The alerts are stored, all but those that problems names.", _STORED),
        202: json_content(
            "The body is not a notification of version 4 and is stored as it is.",
            record({"stored": {"const": 0}, "raw": {"const": True}}),
        ),
    },
    (SOURCE,),
    (*BAD_INPUT, *STORE),
    body=Content("A notification of Alertmanager, version 4.", {"application/json": {}}),
    body_required=False,
)
_LAST_SEEN = {"type": ["integer", "null"]}
_WATCHDOG = record(
    {
        "last_seen_at": _LAST_SEEN,
        "age_seconds": NUMBER,
        "sources": array(record({"source": TEXT, "last_seen_at": INSTANT})),
    }
)
LISTED = Operation(
    "Alerts, newest first.", ok("The alerts that match.", ALERTS), LIST_PARAMETERS, (*BAD_INPUT, *STORE),
    tables=(Table("alerts", "Alerts", "alerts", {"duration_seconds": "seconds"}),),
)  # fmt: skip
WATCHED = Operation(
    "When the alert that always fires last came: whether alerts can reach this backend at all.",
    ok("Milliseconds since 1970, of each source too; null until it came.", _WATCHDOG),
    (),
    (*BAD_INPUT, *STORE),
)


def alerts_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/alerts``: POST stores a notification, GET lists alerts. ``/api/v1/watchdog``."""
    routes = Blueprint("alerts", __name__, url_prefix="/api/v1")

    @routes.post("/alerts")
    @described(RECEIVED)
    def receive() -> Response:
        values = query_values()
        check_names(values, RECEIVED.parameters)
        return json_response(*receive_notification(context, request.get_data(), SOURCE.read(values)))

    @routes.get("/alerts")
    @described(LISTED)
    def listing() -> Response:
        now = context.now()
        alerts, total = context.store.alert_page(_read_filter(query_values(), now), current_tenants())
        rows = [alert_row(alert, context.incident_rules, now) for alert in alerts]
        return json_response({"alerts": rows, "total": total})

    @routes.get("/watchdog")
    @described(WATCHED)
    def watchdog() -> Response:
        check_names(query_values(), ())
        seen = context.store.watchdog_seen()
        last = max(seen.values(), default=None)
        age = None if last is None else max(0, context.now() - last) / 1000
        sources = [{"source": source, "last_seen_at": at} for source, at in seen.items()]
        return json_response({"last_seen_at": last, "age_seconds": age, "sources": sources})

    return routes


def receive_notification(
    context: AppContext, body: bytes, source: str = DEFAULT_SOURCE
) -> tuple[dict[str, Any], int]:
    """Store what Alertmanager sends; the answer and its status. StoreError."""
    now = context.now()
    problems: list[str] = []
    try:
        observations = parse_payload(body, source, now, problems.append)
    except PayloadError as error:
        _LOG.warning("a body on the alert webhook is stored raw: %s", error)
        context.store.record_raw(body, now, source)
        return {"stored": 0, "raw": True}, 202
    context.store.record(body, observations, now, source)
    return {"stored": len(observations), **_reported(problems)}, 200


def _reported(problems: Sequence[str]) -> dict[str, list[str]]:
    """What was wrong with some alerts of a body whose others are stored."""
    if not problems:
        return {}
    named = [*problems[:_PROBLEMS_NAMED]]
    _LOG.warning("%d problems of a body on the alert webhook: %s", len(problems), "; ".join(named))
    return {"problems": named}


def _read_filter(values: Values, now: int) -> AlertFilter:
    check_names(values, LIST_PARAMETERS)
    start, end = read_open_range(values, FROM, TO, now)
    return AlertFilter(
        tenant_ids=TENANT.read_all(values),
        model_names=MODEL.read_all(values),
        statuses=STATUS.read_all(values),
        alertnames=ALERTNAME.read_all(values),
        start=start,
        end=end,
        limit=LIMIT.read(values),
        offset=OFFSET.read(values),
    )
