"""The calls of Prometheus' API that are offered, and the answer of each for a tenant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError
from modelplane_datasource.proxy import answers
from modelplane_datasource.tenancy.promql_rewriter import (
    restricted,
    restricted_selector,
)
from modelplane_datasource.tenancy.query_restriction import NOTHING
from modelplane_schema.metrics import TENANT_ID
from modelplane_schema.promql import one_of

Tenants = tuple[str, ...]
Form = dict[str, str | list[str]]
MAX_SELECTORS = 64
_MATCH = "match[]"
_RELAYED_STATUSES = (400, 404, 422, 503)


class FailureError(Exception):
    """An answer other than success, in Prometheus' format."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status, self.error_type = status, error_type


@dataclass(frozen=True, slots=True)
class TenantCall:
    """A call by the holder of ``tenants``: ``path`` is below ``/api/v1/``."""

    prometheus: PrometheusClient
    method: str
    path: str
    form: Form
    tenants: Tenants

    def body(self, changed: Mapping[str, str | list[str]]) -> bytes:
        """The body of Prometheus' answer with other parameters; FailureError, UpstreamError."""
        form = {**self.form, **changed}
        status, body = self.prometheus.forward_unrestricted(self.path, form, self.method)
        return success_body(status, body, answers.public_error)

    def data(self, changed: Mapping[str, str | list[str]]) -> bytes:
        """As ``body``, without what may stand beside its data."""
        return answers.data_alone(self.body(changed))


@dataclass(frozen=True, slots=True)
class Call:
    """One call of Prometheus' API.

    ``single`` and ``repeated`` are the parameters that are passed on, ``answer`` gives the body for a
    tenant, and ``method`` is that of the call to Prometheus.
    """

    rule: str
    summary: str
    answer: Callable[[TenantCall], bytes]
    single: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    method: str = "POST"

    @property
    def name(self) -> str:
        """A word for this call."""
        return re.sub(r"\W+", "_", self.rule).strip("_")


def _queried(call: TenantCall) -> bytes:
    body = call.data({"query": restricted(str(call.form["query"]), call.tenants)})
    answers.check_labels(body, call.tenants)
    return body


def _exemplars(call: TenantCall) -> bytes:
    body = call.data({"query": restricted(str(call.form["query"]), call.tenants)})
    answers.check_series(body, call.tenants, "seriesLabels")
    return body


def _series(call: TenantCall) -> bytes:
    body = call.data({_MATCH: _selectors(call)})
    answers.check_series(body, call.tenants)
    return body


def _texts(call: TenantCall) -> bytes:
    """Names or values of labels, which do not say whose they are.

    Hence those of no series are requested at the same time: old stores ignore ``match[]`` here.
    """
    body, nothing = call.prometheus.at_once(
        lambda: call.data({_MATCH: _selectors(call)}), lambda: call.data({_MATCH: [NOTHING]})
    )
    answers.check_nothing(nothing)
    answers.check_texts(body, call.tenants if call.path == f"label/{TENANT_ID}/values" else None)
    return body


def _rules(call: TenantCall) -> bytes:
    return answers.rules_of_tenants(call.body({}), call.tenants)


def _alerts(call: TenantCall) -> bytes:
    return answers.alerts_of_tenants(call.body({}), call.tenants)


def _metadata(call: TenantCall) -> bytes:
    name = call.form.get("metric")
    return answers.schema_metadata(None if name is None else str(name))


def _build_information(call: TenantCall) -> bytes:
    return answers.build_information(call.body({}))


def _selectors(call: TenantCall) -> list[str]:
    given = call.form.get(_MATCH)
    if not given:
        return [f"{{{one_of(TENANT_ID, call.tenants)}}}"]
    return [restricted_selector(text, call.tenants) for text in given]


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


def success_body(
    status: int, body: bytes, shown: Callable[[str, str], tuple[str, str]] = lambda *failure: failure
) -> bytes:
    """The body of a success; FailureError for what Prometheus refuses, UpstreamError.

    ``shown`` gives what of the type and text of a failure the caller may read.
    """
    if status == 200:
        return body
    if status == 204:  # its answer for exemplars when the query has no selector
        return answers.success([])
    failure = answers.read_error(body)
    if status not in _RELAYED_STATUSES:
        raise UpstreamError(INVALID, f"Prometheus answered with status {status}.")
    raise FailureError(status, *shown(*failure))
