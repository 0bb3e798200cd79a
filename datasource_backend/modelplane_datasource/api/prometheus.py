"""Prometheus' own API below ``/prometheus``, restricted to the caller's tenants.

Calls and parameters are those of ``CALLS``; every other path is not found. A query is rewritten before it
is sent, and the answer is checked again before it is given: one that holds another tenant's labels is
dropped whole.
"""

from __future__ import annotations

import logging
import re
from functools import partial

from flask import Blueprint, Response, request
from werkzeug.exceptions import MethodNotAllowed

from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.errors import BUSY
from modelplane_datasource.proxy import answers
from modelplane_datasource.proxy.calls import (
    CALLS,
    MAX_SELECTORS,
    Call,
    FailureError,
    Form,
    TenantCall,
    success_body,
)
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.tenancy.promql_text import InvalidQueryError, RefusedError
from modelplane_datasource.web.error_handlers import is_below
from modelplane_datasource.web.openapi import Content, Operation, described, json_content
from modelplane_datasource.web.parameters import Parameter
from modelplane_datasource.web.schemas import TEXT, record
from modelplane_schema.metrics import TENANT_ID

PREFIX = "/prometheus"
_METHODS = ("GET", "POST")
_FORM = "application/x-www-form-urlencoded"
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_LOG = logging.getLogger(__name__)

_ERROR_TYPES = {400: "bad_data", 403: "forbidden", 404: "not_found", 405: "bad_data", 413: "bad_data",
                422: "execution", 503: "unavailable", 504: "timeout"}  # fmt: skip
_STATUSES = {504: 503}  # as Prometheus itself answers a timeout
_DROPPED = "The answer held what is not yours and was dropped."


def prometheus_blueprint(context: AppContext) -> Blueprint:
    """``/prometheus/api/v1/``."""
    routes = Blueprint("prometheus", __name__, url_prefix=f"{PREFIX}/api/v1")
    for call in CALLS:
        view = described(_operation(call))(partial(_view, context, call))
        routes.add_url_rule(call.rule, call.name, view, methods=_METHODS, provide_automatic_options=False)

    _register_refusals(routes)
    return routes


def refuse_unknown_calls() -> None:
    """404 for paths below ``/prometheus`` that are no calls."""
    failed = request.routing_exception
    if is_below(request.path, PREFIX) and failed and not isinstance(failed, MethodNotAllowed):
        raise FailureError(404, "not_found", "This part of Prometheus' API is not offered.")


def _view(context: AppContext, call: Call, **names: str) -> Response:
    tenants = current_tenants()
    path = call.rule.removeprefix("/")
    for placeholder, name in names.items():
        if not _LABEL_NAME.fullmatch(name):
            raise FailureError(400, "bad_data", f"invalid label name: {name!r}")
        path = path.replace(f"<{placeholder}>", name)
    form = _form(call)
    limit = call.limit_of(form)
    if tenants is None:
        body = _whole_body(context, call, path, form, limit)
    else:
        tenant_call = TenantCall(context.prometheus, call.method, path, call.expected, form, tenants)
        body = _answer_for_tenant(call, tenant_call).limited(limit).body()
    return Response(body, mimetype="application/json")


def _whole_body(context: AppContext, call: Call, path: str, form: Form, limit: int | None) -> bytes:
    """What Prometheus answers, for who may see all; FailureError, UpstreamError."""
    body = success_body(*context.prometheus.forward_unrestricted(path, form, call.method))
    answer = answers.read(body, call.expected, None)
    limited = answer.limited(limit)
    return body if limited is answer else limited.body()


def _answer_for_tenant(call: Call, tenant_call: TenantCall) -> answers.Answer:
    if not tenant_call.tenants:
        raise FailureError(403, "forbidden", "The caller has no tenant.")
    try:
        return call.answer(tenant_call)
    except answers.LeakError as leak:
        _LOG.error("dropped an answer of %s for %s: %s", tenant_call.path, tenant_call.tenants, leak)
        raise FailureError(502, "internal", _DROPPED) from leak


def _form(call: Call) -> Form:
    """The parameters of the call, from the URL and from the body; FailureError 400."""
    if request.method == "POST" and request.content_length and request.mimetype != _FORM:
        raise FailureError(400, "bad_data", f"the body must be {_FORM}")
    url, body = request.args.to_dict(flat=False), request.form.to_dict(flat=False)
    form: Form = {}
    for name in (*call.single, *call.repeated):
        if name in url and name in body:
            raise FailureError(400, "bad_data", f"{name} is in the URL and in the body; allowed: in one")
        values = url.get(name) or body.get(name) or []
        most = 1 if name in call.single else MAX_SELECTORS
        if len(values) > most:
            raise FailureError(400, "bad_data", f"{name} occurs {len(values)} times; allowed: at most {most}")
        if values:
            form[name] = values[0] if name in call.single else values
        elif name in call.required:
            raise FailureError(400, "bad_data", f"{name} is required")
    return form


def error_response(error: ApiError) -> Response:
    """An error in Prometheus' format: what the caller may read of it."""
    message, _ = error.shown_to(current_tenants())
    if isinstance(error, FailureError):
        status, error_type = error.status, error.error
    elif error.error == "unauthenticated":
        status, error_type = error.status, "unauthorized"
    elif error.error == BUSY:
        status, error_type = 429, "too_many_requests"
    else:
        status = _STATUSES.get(error.status, error.status)
        error_type = _ERROR_TYPES.get(error.status, "internal")
    return Response(answers.error(error_type, message), status, error.headers, mimetype="application/json")


ERROR_FORMATS = {PREFIX: error_response}


def _register_refusals(routes: Blueprint) -> None:
    @routes.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        return error_response(FailureError(403, "forbidden", str(error)))

    @routes.errorhandler(InvalidQueryError)
    def invalid(error: InvalidQueryError) -> Response:
        return error_response(FailureError(400, "bad_data", str(error)))


_FAILED = json_content(
    "Prometheus' own format of an error.",
    record({"status": {"const": "error"}, "errorType": TEXT, "error": TEXT}),
)
_SUCCEEDED = json_content(
    "Prometheus' own format of an answer.",
    record({"status": {"const": "success"}, "data": {}}, others={}),
)


def _operation(call: Call) -> Operation:
    parameters = tuple(
        Parameter(
            name, "As Prometheus takes it.", "text", str,
            required=name in call.required, repeated=name in call.repeated,
        )
        for name in (*call.single, *call.repeated)
    )  # fmt: skip
    contents: dict[int, Content] = {200: _SUCCEEDED}
    contents.update(dict.fromkeys((400, 401, 403, 404, 413, 422, 429, 502, 503), _FAILED))
    path = {"name": TENANT_ID} if "<name>" in call.rule else {}
    return Operation(call.summary, contents, parameters, path=path)
