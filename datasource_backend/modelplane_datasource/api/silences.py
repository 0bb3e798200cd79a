"""Routes of silences: list, create, expire. A tenant's own alone, whatever its matchers say."""

from __future__ import annotations

import dataclasses
import re
from typing import Annotated

from flask import Blueprint, Response, request
from pydantic import Field, StringConstraints

from modelplane_datasource.alerts.parameters import (
    OFFSET,
    SILENCE_ID,
    SILENCE_LIMIT,
    SILENCE_LIST_PARAMETERS,
    SILENCE_STATUS,
    SILENCE_TENANT,
)
from modelplane_datasource.alerts.rows import SILENCE_ROW, silence_row
from modelplane_datasource.alerts.silences import (
    SILENCE_ID_PATTERN,
    Expiry,
    Silence,
    SilenceRecord,
    confined,
    records,
)
from modelplane_datasource.alerts.store import StoreError
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.tenancy.caller import author, current_tenants
from modelplane_datasource.timeline.times import DAY, DURATION_PATTERN, MAX_INSTANT, parse_duration
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
from modelplane_datasource.web.parameters import MAX_LABEL, Values, check_names
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import TEXT, TOTAL, array, ok, record
from modelplane_schema.metrics import TENANT_ID
from modelplane_schema.promql import Matcher, MatchOp

MAX_MATCHERS = 20
# For those who are not limited to tenants.
_MOST_DAYS = 3650
_LABEL_NAME = "^[a-zA-Z_][a-zA-Z0-9_]*$"
_ALERTMANAGER = (502, 503, 504)
SILENCE = NamedSchema("Silence", SILENCE_ROW)
SILENCES = NamedSchema("Silences", record({"silences": array(SILENCE), "total": TOTAL}))
_MATCHER = {
    "type": "object",
    "required": ["name", "value"],
    "properties": {
        "name": {"type": "string", "pattern": _LABEL_NAME, "maxLength": MAX_LABEL},
        "operator": {"enum": ["=", "!=", "=~", "!~"], "default": "="},
        "value": {"type": "string", "maxLength": MAX_LABEL},
    },
    "additionalProperties": False,
}
_BODY = {
    "type": "object",
    "required": ["matchers", "duration", "by", "comment"],
    "properties": {
        "matchers": {**array(_MATCHER), "minItems": 1, "maxItems": MAX_MATCHERS},
        "duration": {**TEXT, "pattern": f"^{DURATION_PATTERN}$", "examples": ["2h"]},
        "starts_at": {
            "type": ["integer", "null"],
            "minimum": 0,
            "maximum": MAX_INSTANT,
            "description": "Milliseconds since 1970; now when left out.",
        },
        "by": AUTHOR_TEXT,
        "comment": BODY_TEXT,
    },
    "additionalProperties": False,
}
_ALLOWED = (
    f"a JSON object with matchers (1 to {MAX_MATCHERS} objects with name, operator and value), duration "
    f"(such as 2h), by and comment (1 to {MAX_BODY_TEXT} characters each), and maybe starts_at (milliseconds)"
)

LISTED = Operation(
    "Silences, the newest start first; a tenant's token sees those that fit its alerts alone.",
    ok("The silences that match.", SILENCES),
    SILENCE_LIST_PARAMETERS,
    (*BAD_INPUT, *STORE, *_ALERTMANAGER),
    tables=(Table("silences", "Silences", "silences"),),
)
CREATED = Operation(
    "Silence alerts for some time. Those of tenant-id alone; a token of one tenant need not name it.",
    ok("The silence, which is in force from its start on.", SILENCE),
    (SILENCE_TENANT,),
    (*BAD_INPUT, *STORE, *_ALERTMANAGER),
    Content("Which alerts, how long, who and why.", {"application/json": _BODY}),
)
EXPIRED = Operation(
    "End a silence before its time.",
    ok("The silence, which is over.", SILENCE),
    (SILENCE_ID,),
    (*BAD_INPUT, 404, *STORE, *_ALERTMANAGER),
    Content("Who ends it, and a note.", {"application/json": NOTE_SCHEMA}),
    path={"id": "{id}"},
)


class _MatcherBody(Body):
    name: Annotated[str, StringConstraints(pattern=_LABEL_NAME, max_length=MAX_LABEL)]
    operator: MatchOp = "="
    value: Annotated[str, StringConstraints(max_length=MAX_LABEL)]


class _SilenceBody(Body):
    matchers: Annotated[list[_MatcherBody], Field(min_length=1, max_length=MAX_MATCHERS)]
    duration: str
    starts_at: Annotated[int, Field(ge=0, le=MAX_INSTANT)] | None = None
    by: BodyText
    comment: BodyText


def silences_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/silences``: GET lists, POST creates, POST ``/<id>/expire`` ends."""
    routes = Blueprint("silences", __name__, url_prefix="/api/v1/silences")

    @routes.get("")
    @described(LISTED)
    def listing() -> Response:
        values = query_values()
        check_names(values, SILENCE_LIST_PARAMETERS)
        chosen = _chosen(context, values)
        offset = OFFSET.read(values)
        page = chosen[offset : offset + SILENCE_LIMIT.read(values)]
        return json_response({"silences": [silence_row(item) for item in page], "total": len(chosen)})

    @routes.post("")
    @described(CREATED)
    def create() -> Response:
        values = query_values()
        check_names(values, CREATED.parameters)
        tenant = _tenant(values)
        body = read_body(_SilenceBody, request.get_data(), _ALLOWED)
        matchers = _matchers(body, tenant)
        starts_at, ends_at = _span(context, body)
        silence = _create(context, matchers, starts_at, ends_at, body)
        (created,) = records([silence], (), context.now())
        return json_response(silence_row(created))

    @routes.post("/<id>/expire")
    @described(EXPIRED)
    def expire(id: str) -> Response:  # noqa: A002 - the name in the path
        check_names(query_values(), ())
        body = read_body(Note, request.get_data(), NOTE_ALLOWED)
        return json_response(silence_row(_expire(context, id, body)))

    return routes


def _chosen(context: AppContext, values: Values) -> list[SilenceRecord]:
    """The silences that match, as far as the caller may see them."""
    statuses, now = SILENCE_STATUS.read_all(values), context.now()
    # Those of the caller when none is named, and None where all may be seen.
    tenants = SILENCE_TENANT.read_all(values) or None
    listed = context.alertmanagers.silences()
    stored = context.store.silences(tenants, None if "expired" in statuses else now)
    visible = (silence for silence in listed if silence.is_visible(tenants))
    return [item for item in records(visible, stored, now) if item.status in statuses]


def _tenant(values: Values) -> str | None:
    """The one tenant that a silence is for; None for all, which only those may mean who may see all."""
    tenants = SILENCE_TENANT.read_all(values)
    if len(tenants) > 1:
        allowed = f"one of {', '.join(tenants)}"
        raise invalid(SILENCE_TENANT.name, "must name the one tenant whose alerts are silenced", allowed)
    return tenants[0] if tenants else None


def _matchers(body: _SilenceBody, tenant: str | None) -> tuple[Matcher, ...]:
    given = tuple(Matcher(matcher.name, matcher.value, matcher.operator) for matcher in body.matchers)
    if tenant is None:
        return given
    try:
        matchers = confined(given, tenant)
    except ValueError as error:
        allowed = f"no matcher on {TENANT_ID}, which {SILENCE_TENANT.name} gives"
        raise invalid("matchers", f"cannot be used: {error}", allowed) from error
    if len(matchers) == 1:
        raise invalid("matchers", "say nothing but the tenant", "one at least on another label")
    return matchers


def _span(context: AppContext, body: _SilenceBody) -> tuple[int, int]:
    """Start and end in milliseconds; ApiError 400."""
    now = context.now()
    days = _MOST_DAYS if current_tenants() is None else context.settings.max_silence_days
    allowed = f"such as 30m, 2h or 1d, so that it ends at most {days} days from now"
    try:
        duration = parse_duration(body.duration)
    except ValueError as error:
        raise invalid("duration", "cannot be read", allowed) from error
    starts_at = max(now, body.starts_at or now)
    if not 0 < duration <= starts_at + duration - now <= days * DAY:
        raise invalid("duration", "is too short or too long", allowed)
    return starts_at, starts_at + duration


def _create(
    context: AppContext, matchers: tuple[Matcher, ...], starts_at: int, ends_at: int, body: _SilenceBody
) -> Silence:
    by = author(body.by)
    number = context.alertmanagers.create(matchers, starts_at, ends_at, by, body.comment)
    silence = Silence(number, matchers, starts_at, ends_at, by, body.comment)
    try:
        context.store.put_silences([silence])
    except StoreError:
        context.alertmanagers.expire(number)  # nothing is silenced without a trace of who did it
        raise
    return silence


def _expire(context: AppContext, number: str, body: Note) -> SilenceRecord:
    """End a silence that the caller may see; one that is over stays as it is. ApiError 404."""
    silence = (
        context.alertmanagers.silence(number) if re.fullmatch(SILENCE_ID_PATTERN[1:-1], number) else None
    )
    if silence is None or not silence.is_visible(current_tenants()):
        raise ApiError(404, "not_found", "There is no such silence.")
    now = context.now()
    if silence.ends_at <= now:
        return SilenceRecord(silence, context.store.silence_expiry(number), "expired")
    context.alertmanagers.expire(number)
    expiry = Expiry(now, author(body.by), body.note)
    ended = dataclasses.replace(silence, starts_at=min(silence.starts_at, now), ends_at=now)
    try:
        context.store.expire_silence(ended, expiry)
    except StoreError as error:
        message = "The silence is over, but who ended it is not stored: the alert store is not available."
        raise ApiError(503, "store_unavailable", message) from error
    return SilenceRecord(ended, expiry, "expired")
