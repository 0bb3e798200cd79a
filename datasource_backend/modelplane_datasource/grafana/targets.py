"""One target of ``/query``: a metric of the catalogue as series, or a source of annotations as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from modelplane_datasource.catalogue import SERIES_METRICS, find_metric
from modelplane_datasource.context import Plane
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.grafana.annotations import SOURCES, Period, as_frame, find
from modelplane_datasource.grafana.filters import AdHocFilter, by_matchers, by_values, regexes_checked
from modelplane_datasource.grafana.formats import FORMAT, SHAPES, Element
from modelplane_datasource.grafana.payloads import alternatives, payload_values, text_query
from modelplane_datasource.series.answering import served
from modelplane_datasource.series.request import read_scope
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.web.parameters import Values, check_known, read_one

ANNOTATION_REF_ID = "Anno"

# The ledger knows every identity and picks from them by value.
_WITHOUT_MATCHERS = ("cost",)
_TYPES = {"timeserie": "timeserie", "timeseries": "timeserie", "table": "table"}


class Asked(NamedTuple):
    """What all targets of one request share."""

    period: Period
    grid: Grid
    filters: tuple[AdHocFilter, ...]


class _Form(NamedTuple):
    """How a target is answered: ``kind`` is the type that older plugins send."""

    kind: object
    ref_id: str


def query_target(plane: Plane, target: Mapping[str, Any], asked: Asked) -> list[Element]:
    """The elements of one target; ApiError names its refId."""
    ref_id, name = target.get("refId"), target.get("target")
    label = ref_id if isinstance(ref_id, str) else ""
    names = _names(label)
    if not isinstance(name, str) or not name:
        raise invalid(f"target of refId {label!r}", "is not a metric's name", names)
    try:
        several, values = _what(name, target)
        return [
            part
            for one in alternatives(several)
            for part in _query(plane, one, values, _Form(target.get("type"), label), asked)
        ]
    except ApiError as error:
        message = f"refId {label!r}: {error.message}"
        details = {**error.details, "refId": label}
        raise ApiError(error.status, error.error, message, details) from error


def _what(text: str, target: Mapping[str, Any]) -> tuple[str, Values]:
    """The metric's name, or several as ``(a|b)``, and the parameters beside it and in the payload.

    Plugins without payloads have all parameters in the text; simpod before 0.3 called the payload ``data``.
    """
    payload = target.get("payload")
    if payload is None:
        payload = target.get("data") or None
    values = payload_values(payload, literal=target.get("editorMode") == "code")
    name, beside = text_query(text)
    twice = sorted(values.keys() & beside.keys())
    if twice:
        raise invalid(twice[0], "is in the target and in its payload", "one of them")
    return name, {**values, **beside}


def _query(plane: Plane, name: str, values: Values, form: _Form, asked: Asked) -> list[Element]:
    source = SOURCES.get(name)
    if source is not None:
        return as_frame(source, find(plane, source, values, asked.filters, asked.period), form.ref_id)
    if form.ref_id == ANNOTATION_REF_ID:
        raise invalid("target", f"is {name[:100]!r}", _names(form.ref_id))
    metric = find_metric(name)
    check_known(values, (*metric.scope_parameters, FORMAT))
    scope = read_scope(metric, values)
    if asked.filters:
        narrow = by_values if metric.name in _WITHOUT_MATCHERS else by_matchers
        scope = narrow(scope, asked.filters)
    shape = _shape(form.kind, values)
    with regexes_checked(asked.filters):
        return served(
            plane,
            metric,
            scope,
            asked.grid,
            f"{shape} {form.ref_id}",
            lambda found: SHAPES[shape](metric, found, form.ref_id),
            lambda elements: len(orjson.dumps(elements)),
        )


def _shape(asked_kind: object, values: Values) -> str:
    """The format of the payload, else the type that older plugins send."""
    kind = asked_kind or "timeserie"
    if not isinstance(kind, str) or kind not in _TYPES:
        raise invalid("type", f"is {str(kind)[:100]!r}", ", ".join(_TYPES))
    return read_one(values, FORMAT) or _TYPES[kind]


def _names(ref_id: str) -> str:
    known = () if ref_id == ANNOTATION_REF_ID else (metric.name for metric in SERIES_METRICS)
    return ", ".join((*known, *SOURCES))
