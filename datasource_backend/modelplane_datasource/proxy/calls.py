"""The calls of Prometheus' API that are offered, and the answer of each for a tenant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import SERIES, TEXTS, ResponseType
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError
from modelplane_datasource.proxy import answers
from modelplane_datasource.proxy.answer_types import EXEMPLARS, OBJECT, QUERY_RESULT
from modelplane_datasource.proxy.answers import Answer
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
_COUNT = re.compile("[0-9]{1,18}")
_RELAYED_STATUSES = (400, 404, 422, 503)
_NO_SUCH_CALL_STATUSES = (404, 405, 501)


class FailureError(ApiError):
    """An answer other than success; ``error`` is a word of Prometheus."""


@dataclass(frozen=True, slots=True)
class TenantCall:
    """A call by the holder of ``tenants``: ``path`` is below ``/api/v1/``."""

    prometheus: PrometheusClient
    method: str
    path: str
    expected: ResponseType[Any]
    form: Form
    tenants: Tenants

    def answer(self, changed: Mapping[str, str | list[str]]) -> Answer:
        """Prometheus' answer with other parameters; FailureError, UpstreamError."""
        form = {**self.form, **changed}
        status, body = self.prometheus.forward_unrestricted(self.path, form, self.method)
        return answers.read(success_body(status, body, answers.public_error), self.expected, self.tenants)


def most(text: str) -> int | None:
    """How many a ``limit`` allows, None for all; FailureError. 0 means all."""
    if text and not _COUNT.fullmatch(text):
        raise FailureError(400, "bad_data", "limit must be a whole number from 0 up; 0 is no limit")
    return int(text or 0) or None


def most_metadata(text: str) -> int | None:
    """As ``most``, for metadata, where Prometheus takes a negative number for all, and 0 for none."""
    if text and not _COUNT.fullmatch(text.removeprefix("-")):
        raise FailureError(400, "bad_data", "limit must be a whole number; a negative one is no limit")
    return None if not text or text.startswith("-") else int(text)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of Prometheus' API.

    ``single`` and ``repeated`` are the parameters that are passed on, ``expected`` is the type of its data,
    ``answer`` gives what a tenant may see, ``limit`` reads the parameter of this name, and ``method`` is that
    of the call to Prometheus.
    """

    rule: str
    summary: str
    expected: ResponseType[Any]
    answer: Callable[[TenantCall], Answer]
    single: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    method: str = "POST"
    limit: Callable[[str], int | None] = most

    @property
    def name(self) -> str:
        """A word for this call."""
        return re.sub(r"\W+", "_", self.rule).strip("_")

    def limit_of(self, form: Form) -> int | None:
        """How many series, texts or metrics an answer may have, None for any number; FailureError.

        Old stores ignore ``limit``.
        """
        return self.limit(str(form["limit"])) if "limit" in form else None


def _queried(call: TenantCall) -> Answer:
    answer = call.answer({"query": restricted(str(call.form["query"]), call.tenants)})
    answers.check_result(answer.data, call.tenants)
    return answer


def _exemplars(call: TenantCall) -> Answer:
    answer = call.answer({"query": restricted(str(call.form["query"]), call.tenants)})
    answers.check_exemplars(answer.data, call.tenants)
    return answer


def _series(call: TenantCall) -> Answer:
    answer = call.answer({_MATCH: _selectors(call)})
    answers.check_series(answer.data, call.tenants)
    return answer


def _texts(call: TenantCall) -> Answer:
    """Names or values of labels, which do not say whose they are.

    Hence those of no series are requested at the same time: old stores ignore ``match[]`` here.
    """
    answer, nothing = call.prometheus.at_once(
        lambda: call.answer({_MATCH: _selectors(call)}), lambda: call.answer({_MATCH: [NOTHING]})
    )
    answers.check_nothing(nothing.data)
    if call.path == f"label/{TENANT_ID}/values":
        answers.check_texts(answer.data, call.tenants)
    return answer


def _rules(call: TenantCall) -> Answer:
    return Answer(answers.rules_of_tenants(call.answer({}).data, call.tenants))


def _alerts(call: TenantCall) -> Answer:
    return Answer(answers.alerts_of_tenants(call.answer({}).data, call.tenants))


def _metadata(call: TenantCall) -> Answer:
    name = call.form.get("metric")
    return Answer(answers.schema_metadata(None if name is None else str(name)))


def _build_information(call: TenantCall) -> Answer:
    return Answer(answers.build_information(call.answer({}).data))


def _selectors(call: TenantCall) -> list[str]:
    given = call.form.get(_MATCH)
    if not given:
        return [f"{{{one_of(TENANT_ID, call.tenants)}}}"]
    return [restricted_selector(text, call.tenants) for text in given]


_RANGE = ("start", "end")
_LISTED = (*_RANGE, "limit")
CALLS = (
    Call(
        "/query", "An instant query.", QUERY_RESULT, _queried, ("query", "time", "limit"),
        required=("query",),
    ),
    Call(
        "/query_range", "A range query.", QUERY_RESULT, _queried, ("query", "step", *_LISTED),
        required=("query", "start", "end", "step"),
    ),
    Call(
        "/query_exemplars", "Exemplars of the series that a query selects.", EXEMPLARS, _exemplars,
        ("query", *_RANGE), required=("query",),
    ),
    Call("/series", "Series that selectors select.", SERIES, _series, _LISTED, (_MATCH,), (_MATCH,)),
    Call("/labels", "Names of labels.", TEXTS, _texts, _LISTED, (_MATCH,)),
    Call("/label/<name>/values", "Values of a label.", TEXTS, _texts, _LISTED, (_MATCH,), method="GET"),
    Call(
        "/rules", "Rules that are about the caller's tenants alone.", OBJECT, _rules, ("type",),
        ("rule_name[]", "rule_group[]", "file[]"), method="GET",
    ),
    Call("/alerts", "Active alerts of the caller's tenants.", OBJECT, _alerts, method="GET"),
    Call(
        "/metadata", "Types, help texts and units of metrics.", OBJECT, _metadata,
        ("metric", "limit", "limit_per_metric"), method="GET", limit=most_metadata,
    ),
    Call("/status/buildinfo", "The version of Prometheus.", OBJECT, _build_information, method="GET"),
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
        return Answer([]).body()
    try:
        failure = answers.read_error(body)
    except UpstreamError:
        if status in _NO_SUCH_CALL_STATUSES:
            raise FailureError(404, "not_found", "The store behind this API has no such call.") from None
        raise
    if status not in _RELAYED_STATUSES:
        raise UpstreamError(INVALID, f"Prometheus answered with status {status}.")
    raise FailureError(status, *shown(*failure))
