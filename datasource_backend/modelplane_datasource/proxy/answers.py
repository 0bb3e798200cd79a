"""What a tenant may see of an answer of Prometheus' API: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec
import orjson

from modelplane_datasource.prometheus.decoding import INCOMPLETE
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError, public_reason
from modelplane_datasource.tenancy.promql_rewriter import (
    InvalidQueryError,
    RefusedError,
    count_restricted_selectors,
)
from modelplane_schema.metrics import METRICS, TENANT_ID
from modelplane_schema.recorded import RECORDED

_GROUP_FIELDS = ("name", "file", "interval", "limit", "lastEvaluation")
_BUILD_FIELDS = ("version", "application")
# Of Prometheus (web/api/v1/api.go) and Mimir.
ERROR_TYPES = (
    "bad_data", "canceled", "execution", "internal", "not_acceptable", "not_found", "timeout",
    "too_large_entry", "too_many_requests", "unavailable",
)  # fmt: skip


class _Envelope(msgspec.Struct):
    status: str
    data: msgspec.Raw
    warnings: list[str] | None = None
    is_partial: bool | None = msgspec.field(name="isPartial", default=None)


_ENVELOPE = msgspec.json.Decoder(_Envelope)


class LeakError(Exception):
    """An answer that holds what is not the caller's."""


def check_labels(body: bytes, tenants: Collection[str]) -> None:
    """LeakError when labels somewhere in ``body`` name another tenant; UpstreamError."""
    allowed = tuple(b":" + orjson.dumps(tenant) for tenant in tenants)
    _, *after = body.split(b'"tenant_id"')
    if b"\\u" not in body and all(text.startswith(allowed) for text in after):
        return
    # The label or its value is not written as simply as that, and only a parser reads it.
    for labels in _objects(_loaded(body)):
        if TENANT_ID in labels and labels[TENANT_ID] not in tenants:
            raise LeakError("labels of another tenant")


def check_series(body: bytes, tenants: Collection[str], key: str | None = None) -> None:
    """LeakError unless every series of ``data`` names one of the tenants; UpstreamError.

    Its items are the labels, or have them under ``key``.
    """
    for item in _data(body, list):
        labels = item if key is None else _field(item, key)
        if _field(labels, TENANT_ID) not in tenants:
            raise LeakError("a series that is not of the tenants")
    check_labels(body, tenants)


def check_texts(body: bytes, allowed: Collection[str] | None) -> None:
    """LeakError when a text of ``data`` is not ``allowed``, None for any; UpstreamError."""
    texts = _data(body, list)
    if allowed is not None and not set(allowed).issuperset(texts):
        raise LeakError("values that are not of the tenants")


def data_alone(body: bytes) -> bytes:
    """A success with its data as they are, and nothing else that may name others; UpstreamError.

    Warnings become one that does not quote them.
    """
    try:
        envelope = _ENVELOPE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as failure:
        raise _unexpected() from failure
    if envelope.status != "success":
        raise _unexpected()
    warned = envelope.warnings or envelope.is_partial
    warnings = b',"warnings":%b' % orjson.dumps([INCOMPLETE]) if warned else b""
    return b'{"status":"success","data":%b%b}' % (bytes(envelope.data), warnings)


def check_nothing(body: bytes) -> None:
    """LeakError unless ``data`` is empty: the answer to a selector that selects nothing; UpstreamError."""
    if _data(body, list):
        raise LeakError("the store ignores match[]")


def alerts_of_tenants(body: bytes, tenants: Collection[str]) -> bytes:
    """The alerts whose labels name one of the tenants; UpstreamError."""
    return success({"alerts": _of_tenants(_list(_data(body, dict), "alerts"), tenants)})


def rules_of_tenants(body: bytes, tenants: Collection[str]) -> bytes:
    """Groups of the rules that are provably about the tenants, with their alerts; UpstreamError.

    Such a rule is labelled with no other tenant, its query selects nothing but the tenants, and it names
    them: in its labels, or in a selector.
    """
    groups = []
    for group in _list(_data(body, dict), "groups"):
        rules = [
            {**rule, "alerts": _of_tenants(_list(rule, "alerts"), tenants)} if "alerts" in rule else rule
            for rule in _list(group, "rules")
            if _is_rule_of(rule, tenants)
        ]
        if rules:
            # How long a group takes depends on its other rules, too.
            fields = {name: group[name] for name in _GROUP_FIELDS if name in group}
            groups.append({**fields, "rules": rules, "evaluationTime": 0})
    return success({"groups": groups})


def build_information(body: bytes) -> bytes:
    """Version and product, without who built it where; UpstreamError."""
    data = _data(body, dict)
    return success({name: data[name] for name in _BUILD_FIELDS if name in data})


def schema_metadata(name: str | None) -> bytes:
    """Type and help of every metric of the schema, or of the one with this ``name``.

    What Prometheus has would show the help texts of all tenants' targets.
    """
    types = {metric.name: (metric.type, metric.help) for metric in METRICS}
    types.update((series.name, ("gauge", series.help)) for series in RECORDED)
    return success(
        {
            metric: [{"type": type_, "help": help_, "unit": ""}]
            for metric, (type_, help_) in types.items()
            if name in (None, metric)
        }
    )


def success(data: object) -> bytes:
    """Prometheus' envelope of a success."""
    return orjson.dumps({"status": "success", "data": data})


def error(type_: str, message: str) -> bytes:
    """Prometheus' envelope of a failure."""
    return orjson.dumps({"status": "error", "errorType": type_, "error": message})


def read_error(body: bytes) -> tuple[str, str]:
    """Type and text of a failure in Prometheus' format; UpstreamError."""
    failure = _loaded(body)
    return str(_field(failure, "errorType")), str(_field(failure, "error"))


def public_error(error_type: str, text: str) -> tuple[str, str]:
    """What everyone may read of the type and text of a failure."""
    known = error_type in ERROR_TYPES or error_type.isdecimal()  # VictoriaMetrics gives the status
    return error_type if known else "internal", f"Prometheus refused this: {public_reason(text)}."


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


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value, from the outside in."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def _data(body: bytes, kind: type) -> Any:
    data = _field(_loaded(body), "data")
    if not isinstance(data, kind):
        raise _unexpected()
    return data


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise _unexpected()
    return value[name]


def _list(value: Any, name: str) -> list[Any]:
    items = _field(value, name)
    if not isinstance(items, list | None):
        raise _unexpected()
    return items or []


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as failure:
        raise _unexpected() from failure


def _unexpected() -> UpstreamError:
    return UpstreamError(INVALID, "Prometheus' answer is not the JSON that is expected.")
