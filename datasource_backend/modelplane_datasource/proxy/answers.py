"""What a tenant may see of the data of an answer of Prometheus' API."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from modelplane_datasource.prometheus.decoding import INCOMPLETE, ResponseType, decode
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError, public_reason
from modelplane_datasource.proxy.answer_types import (
    ExemplarSeries,
    Labels,
    MatrixResult,
    Object,
    QueryResult,
    VectorResult,
    has_numbers,
)
from modelplane_datasource.tenancy.promql_rewriter import count_restricted_selectors
from modelplane_datasource.tenancy.promql_text import InvalidQueryError, RefusedError
from modelplane_schema.metrics import BASE_UNITS, METRICS, TENANT_ID, family_unit
from modelplane_schema.recorded import RECORDED

_TRUNCATED = "results truncated due to limit"  # as Prometheus says it
_GROUP_FIELDS = ("name", "file", "interval", "limit", "lastEvaluation")
_BUILD_FIELDS = ("version", "application")
# Of Prometheus (web/api/v1/api.go) and Mimir.
ERROR_TYPES = (
    "bad_data", "canceled", "execution", "internal", "not_acceptable", "not_found", "timeout",
    "too_large_entry", "too_many_requests", "unavailable",
)  # fmt: skip


class LeakError(Exception):
    """An answer that holds what is not the caller's."""


class Answer(NamedTuple):
    """The data of a success, of the types of ``answer_types``, and what is said beside them."""

    data: Any
    warnings: tuple[str, ...] = ()

    def limited(self, limit: int | None) -> Answer:
        """At most ``limit`` of its series, texts or metrics, as many as there are for None."""
        data, warnings = self
        if limit is None:
            return self
        if isinstance(data, VectorResult | MatrixResult):
            if len(data.result) <= limit:
                return self
            return Answer(replace(data, result=data.result[:limit]), (*warnings, _TRUNCATED))
        if not isinstance(data, list | dict) or len(data) <= limit:
            return self
        first = data[:limit] if isinstance(data, list) else dict(list(data.items())[:limit])
        return Answer(first, (*warnings, _TRUNCATED))

    def body(self) -> bytes:
        """Prometheus' envelope of a success."""
        beside = {"warnings": self.warnings} if self.warnings else {}
        return msgspec.json.encode({"status": "success", "data": self.data, **beside})


def read(body: bytes, expected: ResponseType[Any], tenants: Collection[str] | None) -> Answer:
    """The data of a success for who may see ``tenants``, None for all; UpstreamError for what is none.

    Of what may stand beside the data only warnings are given, to tenants one that does not quote them.
    """
    data, notices = decode(200, body, expected)
    if isinstance(data, QueryResult) and not has_numbers(data):
        raise _unexpected()
    if tenants is not None:
        return Answer(data, (INCOMPLETE,) if notices else ())
    texts = (notice.text_for(tenants) for notice in notices)
    return Answer(data, tuple(text for text in texts if text is not None))


def check_result(data: QueryResult, tenants: Collection[str]) -> None:
    """LeakError when a series of a result names another tenant: sums need not name one."""
    if isinstance(data, VectorResult | MatrixResult):
        _check_labels((series.metric for series in data.result), tenants)


def check_series(series: Iterable[Labels], tenants: Collection[str]) -> None:
    """LeakError unless each series names one of the tenants."""
    if any(labels.get(TENANT_ID) not in tenants for labels in series):
        raise LeakError("a series that is not of the tenants")


def check_exemplars(series: Collection[ExemplarSeries], tenants: Collection[str]) -> None:
    """LeakError unless each series names one of the tenants, and no exemplar another."""
    check_series((of_series.series_labels for of_series in series), tenants)
    _check_labels((exemplar.labels for of_series in series for exemplar in of_series.exemplars), tenants)


def check_texts(texts: Collection[str], allowed: Collection[str]) -> None:
    """LeakError when a text is not ``allowed``."""
    if not set(allowed).issuperset(texts):
        raise LeakError("values that are not of the tenants")


def check_nothing(texts: Collection[str]) -> None:
    """LeakError unless the answer to a selector that selects nothing is empty."""
    if texts:
        raise LeakError("the store ignores match[]")


def alerts_of_tenants(data: Object, tenants: Collection[str]) -> Object:
    """The alerts whose labels name one of the tenants; UpstreamError."""
    return {"alerts": _of_tenants(_list(data, "alerts"), tenants)}


def rules_of_tenants(data: Object, tenants: Collection[str]) -> Object:
    """Groups of the rules that are provably about the tenants, with their alerts; UpstreamError.

    Such a rule is labelled with no other tenant, its query selects nothing but the tenants, and it names
    them: in its labels, or in a selector.
    """
    groups = []
    for group in _list(data, "groups"):
        rules = [
            {**rule, "alerts": _of_tenants(_list(rule, "alerts"), tenants)} if "alerts" in rule else rule
            for rule in _list(group, "rules")
            if _is_rule_of(rule, tenants)
        ]
        if rules:
            # How long a group takes depends on its other rules, too.
            fields = {name: group[name] for name in _GROUP_FIELDS if name in group}
            groups.append({**fields, "rules": rules, "evaluationTime": 0})
    return {"groups": groups}


def build_information(data: Object) -> Object:
    """Version and product, without who built it where."""
    return {name: data[name] for name in _BUILD_FIELDS if name in data}


def schema_metadata(name: str | None) -> Object:
    """Type, help and unit of every metric of the schema, or of the one with this ``name``.

    What Prometheus has would show the help texts of all tenants' targets. Units are those that the exporter
    declares; recorded series, which have no target, have theirs where it is one that OpenMetrics knows.
    """
    known = {metric.name: (metric.type, metric.help, family_unit(metric)) for metric in METRICS}
    for series in RECORDED:
        is_base = series.unit in BASE_UNITS and not series.per_second
        known[series.name] = ("gauge", series.help, series.unit if is_base else "")
    return {
        metric: [{"type": type_, "help": help_, "unit": unit}]
        for metric, (type_, help_, unit) in known.items()
        if name in (None, metric)
    }


def error(type_: str, message: str) -> bytes:
    """Prometheus' envelope of a failure."""
    return msgspec.json.encode({"status": "error", "errorType": type_, "error": message})


def read_error(body: bytes) -> tuple[str, str]:
    """Type and text of a failure in Prometheus' format; UpstreamError."""
    try:
        failure = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise _unexpected() from problem
    return str(_field(failure, "errorType")), str(_field(failure, "error"))


def public_error(error_type: str, text: str) -> tuple[str, str]:
    """What everyone may read of the type and text of a failure."""
    known = error_type in ERROR_TYPES or error_type.isdecimal()  # VictoriaMetrics gives the status
    return error_type if known else "internal", f"Prometheus refused this: {public_reason(text)}."


def _check_labels(labels: Iterable[Labels], tenants: Collection[str]) -> None:
    if any(of_series.get(TENANT_ID, None) not in (None, *tenants) for of_series in labels):
        raise LeakError("labels of another tenant")


def _is_rule_of(rule: Any, tenants: Collection[str]) -> bool:
    labelled = _labels_of(rule).get(TENANT_ID)
    if labelled is not None and labelled not in tenants:
        return False
    try:
        selectors = count_restricted_selectors(_field(rule, "query"), tenants)
    except (RefusedError, InvalidQueryError):
        return False
    return selectors > 0 or labelled is not None


def _of_tenants(alerts: list[Any], tenants: Collection[str]) -> list[Any]:
    return [alert for alert in alerts if _labels_of(alert).get(TENANT_ID) in tenants]


def _labels_of(item: Any) -> Mapping[str, Any]:
    labels = item.get("labels") if isinstance(item, dict) else None
    return labels if isinstance(labels, dict) else {}


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise _unexpected()
    return value[name]


def _list(value: Any, name: str) -> list[Any]:
    items = _field(value, name)
    if not isinstance(items, list | None):
        raise _unexpected()
    return items or []


def _unexpected() -> UpstreamError:
    return UpstreamError(INVALID, "Prometheus' answer is not the JSON that is expected.")
