"""Prometheus' own API below ``/prometheus``, restricted to the caller's tenants.

Calls and parameters are those of ``CALLS``; every other path is not found. A query is rewritten before it
is sent, and the answer is checked again before it is given: one that holds another tenant's labels is
dropped whole.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from flask import Blueprint, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from modelplane_datasource.context import Plane
from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import INVALID, UpstreamError
from modelplane_datasource.proxy import answers
from modelplane_datasource.tenancy.promql_rewriter import (
    InvalidQueryError,
    RefusedError,
    scoped,
    scoped_selector,
)
from modelplane_datasource.web.openapi import Content, Operation, described, json_content
from modelplane_datasource.web.parameters import Parameter
from modelplane_datasource.web.schemas import TEXT, record
from modelplane_schema.metrics import TENANT_ID
from modelplane_schema.promql import one_of

Tenants = tuple[str, ...]
Asked = dict[str, str | list[str]]

PREFIX = "/prometheus"
MAX_SELECTORS = 64
_METHODS = ("GET", "POST")
_FORM = "application/x-www-form-urlencoded"
_LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_MATCH = "match[]"
# No series has two values of one label.
_NOTHING = f'{{{TENANT_ID}="a",{TENANT_ID}="b"}}'
_LOG = logging.getLogger(__name__)

_ERROR_TYPES = {400: "bad_data", 401: "unauthorized", 403: "forbidden", 404: "not_found", 413: "bad_data",
                422: "execution", 503: "unavailable", 504: "timeout"}  # fmt: skip
_STATUSES = {504: 503}  # as Prometheus itself tells a timeout
_RELAYED_STATUSES = (400, 404, 422, 503)
_DROPPED = "The answer held what is not yours and was dropped."


class FailureError(Exception):
    """An answer other than success, in Prometheus' shape."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error_type = status, error_type


@dataclass(frozen=True, slots=True)
class Restricted:
    """A call by the holder of ``tenants``: ``path`` is below ``/api/v1/``."""

    prometheus: PrometheusClient
    method: str
    path: str
    asked: Asked
    tenants: Tenants

    def body(self, changed: Mapping[str, str | list[str]]) -> bytes:
        """The body of Prometheus' answer with other parameters; FailureError, UpstreamError."""
        return _succeeded(*self.prometheus.forward(self.path, {**self.asked, **changed}, self.method))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of Prometheus' API.

    ``single`` and ``repeated`` are the parameters that are passed on, ``answer`` gives the body for a
    tenant, and ``method`` is how Prometheus is asked.
    """

    rule: str
    summary: str
    answer: Callable[[Restricted], bytes]
    single: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    method: str = "POST"

    @property
    def name(self) -> str:
        """A word for this call."""
        return re.sub(r"\W+", "_", self.rule).strip("_")


def _queried(call: Restricted) -> bytes:
    body = call.body({"query": scoped(str(call.asked["query"]), call.tenants)})
    answers.check_labels(body, call.tenants)
    return body


def _exemplars(call: Restricted) -> bytes:
    body = call.body({"query": scoped(str(call.asked["query"]), call.tenants)})
    answers.check_series(body, call.tenants, "seriesLabels")
    return body


def _series(call: Restricted) -> bytes:
    body = call.body({_MATCH: _selectors(call)})
    answers.check_series(body, call.tenants)
    return body


def _texts(call: Restricted) -> bytes:
    """Names or values of labels, which do not say whose they are.

    Hence the store is asked at once for those of no series: old ones ignore ``match[]`` here.
    """
    body, nothing = call.prometheus.at_once(
        lambda: call.body({_MATCH: _selectors(call)}), lambda: call.body({_MATCH: [_NOTHING]})
    )
    answers.check_nothing(nothing)
    answers.check_texts(body, call.tenants if call.path == f"label/{TENANT_ID}/values" else None)
    return body


def _rules(call: Restricted) -> bytes:
    return answers.own_rules(call.body({}), call.tenants)


def _alerts(call: Restricted) -> bytes:
    return answers.own_alerts(call.body({}), call.tenants)


def _metadata(call: Restricted) -> bytes:
    name = call.asked.get("metric")
    return answers.schema_metadata(None if name is None else str(name))


def _build_information(call: Restricted) -> bytes:
    return answers.build_information(call.body({}))


def _selectors(call: Restricted) -> list[str]:
    given = call.asked.get(_MATCH)
    if not given:
        return [f"{{{one_of(TENANT_ID, call.tenants)}}}"]
    return [scoped_selector(text, call.tenants) for text in given]


_RANGE = ("start", "end")
_LISTED = (*_RANGE, "limit")
CALLS = (
    Call("/query", "An instant query.", _queried, ("query", "time", "limit"), required=("query",)),
    Call(
        "/query_range", "A range query.", _queried, ("query", "step", *_LISTED),
        required=("query", "start", "end", "step"),
    ),
    Call(
        "/query_exemplars", "Exemplars of the series that a query selects.", _exemplars,
        ("query", *_RANGE), required=("query",),
    ),
    Call("/series", "Series that selectors select.", _series, _LISTED, (_MATCH,), (_MATCH,)),
    Call("/labels", "Names of labels.", _texts, _LISTED, (_MATCH,)),
    Call("/label/<name>/values", "Values of a label.", _texts, _LISTED, (_MATCH,), method="GET"),
    Call(
        "/rules", "Rules that are about the caller's tenants alone.", _rules, ("type",),
        ("rule_name[]", "rule_group[]", "file[]"), method="GET",
    ),
    Call("/alerts", "Active alerts of the caller's tenants.", _alerts, method="GET"),
    Call(
        "/metadata", "Types and help texts of metrics.", _metadata, ("metric",), method="GET"
    ),
    Call("/status/buildinfo", "The version of Prometheus.", _build_information, method="GET"),
)  # fmt: skip


def prometheus_blueprint(plane: Plane, tenants: Callable[[], Tenants | None]) -> Blueprint:
    """``/prometheus/api/v1/``: ``tenants`` gives those of the caller, None for all."""
    routes = Blueprint("prometheus", __name__, url_prefix=f"{PREFIX}/api/v1")
    for call in CALLS:
        view = described(_operation(call))(partial(_view, plane, call, tenants))
        routes.add_url_rule(call.rule, call.name, view, methods=_METHODS, provide_automatic_options=False)

    @routes.before_app_request
    def unknown_path() -> Response | None:
        path, failed = request.path, request.routing_exception
        if not (path == PREFIX or path.startswith(f"{PREFIX}/")):
            return None
        if failed is None or isinstance(failed, MethodNotAllowed):
            return None
        return _failed(404, "not_found", "This part of Prometheus' API is not offered.")

    _register_errors(routes)
    return routes


def _view(plane: Plane, call: Call, tenants: Callable[[], Tenants | None], **names: str) -> Response:
    own = tenants()
    path = call.rule.removeprefix("/")
    for placeholder, name in names.items():
        if not _LABEL_NAME.fullmatch(name):
            raise FailureError(400, "bad_data", f"invalid label name: {name!r}")
        path = path.replace(f"<{placeholder}>", name)
    asked = _asked(call)
    if own is None:
        body = _succeeded(*plane.prometheus.forward(path, asked, call.method))
    else:
        body = _restricted(call, Restricted(plane.prometheus, call.method, path, asked, own))
    return Response(body, mimetype="application/json")


def _restricted(call: Call, restricted: Restricted) -> bytes:
    if not restricted.tenants:
        raise FailureError(403, "forbidden", "The caller has no tenant.")
    try:
        return call.answer(restricted)
    except answers.LeakError as leak:
        _LOG.error("dropped an answer of %s for %s: %s", restricted.path, restricted.tenants, leak)
        raise FailureError(502, "internal", _DROPPED) from leak


def _asked(call: Call) -> Asked:
    """The parameters of the call, from the URL and from the body; FailureError 400."""
    if request.method == "POST" and request.content_length and request.mimetype != _FORM:
        raise FailureError(400, "bad_data", f"the body must be {_FORM}")
    url, body = request.args.to_dict(flat=False), request.form.to_dict(flat=False)
    asked: Asked = {}
    for name in (*call.single, *call.repeated):
        if name in url and name in body:
            raise FailureError(400, "bad_data", f"{name} is in the URL and in the body; allowed: in one")
        values = url.get(name) or body.get(name) or []
        most = 1 if name in call.single else MAX_SELECTORS
        if len(values) > most:
            raise FailureError(400, "bad_data", f"{name} occurs {len(values)} times; allowed: at most {most}")
        if values:
            asked[name] = values[0] if name in call.single else values
        elif name in call.required:
            raise FailureError(400, "bad_data", f"{name} is required")
    return asked


def _succeeded(status: int, body: bytes) -> bytes:
    """The body of a success; FailureError for what Prometheus refuses, UpstreamError."""
    if status == 200:
        return body
    if status == 204:  # its answer for exemplars when the query has no selector
        return answers.success([])
    error_type, message = answers.read_error(body)
    if status not in _RELAYED_STATUSES:
        raise UpstreamError(INVALID, f"Prometheus answered with status {status}.")
    raise FailureError(status, error_type, message)


def _failed(status: int, error_type: str, message: str) -> Response:
    return Response(answers.error(error_type, message), status, mimetype="application/json")


def _register_errors(routes: Blueprint) -> None:
    """Answer every error in Prometheus' shape."""

    @routes.errorhandler(FailureError)
    def failure(error: FailureError) -> Response:
        return _failed(error.status, error.error_type, str(error))

    @routes.errorhandler(RefusedError)
    def refused(error: RefusedError) -> Response:
        return _failed(403, "forbidden", str(error))

    @routes.errorhandler(InvalidQueryError)
    def invalid(error: InvalidQueryError) -> Response:
        return _failed(400, "bad_data", str(error))

    @routes.errorhandler(ApiError)
    def api_error(error: ApiError) -> Response:
        response = _failed(
            _STATUSES.get(error.status, error.status),
            _ERROR_TYPES.get(error.status, "internal"),
            error.message,
        )
        response.headers.update(error.headers)
        return response

    @routes.errorhandler(413)
    @routes.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        return _failed(status, _ERROR_TYPES.get(status, "internal"), error.description or error.name)


_FAILED = json_content(
    "Prometheus' own shape of an error.",
    record({"status": {"const": "error"}, "errorType": TEXT, "error": TEXT}),
)
_SUCCEEDED = json_content(
    "Prometheus' own shape of an answer.",
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
    contents.update(dict.fromkeys((400, 401, 403, 404, 413, 422, 502, 503), _FAILED))
    path = {"name": TENANT_ID} if "<name>" in call.rule else {}
    return Operation(call.summary, contents, parameters, path=path)
