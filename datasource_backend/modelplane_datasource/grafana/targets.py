"""One target of ``/query``: a metric of the catalogue as series, or a source of annotations as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from modelplane_datasource.catalogue import SERIES_METRICS, find_metric
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.grafana.annotations import SOURCES, as_frame, find
from modelplane_datasource.grafana.filters import AdHocFilter, by_matchers, by_values, regexes_checked
from modelplane_datasource.grafana.formats import FORMAT, FORMATS, encoded
from modelplane_datasource.grafana.payloads import alternatives, payload_values, text_query
from modelplane_datasource.series.computation import compute_series
from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.request import read_selection
from modelplane_datasource.series.selection import GROUP_BY, MODEL, TENANT, Selection
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.web.parameters import Values, check_names

ANNOTATION_REF_ID = "Anno"

# The ledger knows every identity and picks from them by value; without names it is about all costs.
_WITHOUT_MATCHERS = ("cost", "token_cost")
_TYPES = {"timeserie": "timeserie", "timeseries": "timeserie", "table": "table"}


class QueryRequest(NamedTuple):
    """What all targets of one request share."""

    time_range: TimeRange
    grid: Grid
    filters: tuple[AdHocFilter, ...]


class _Target(NamedTuple):
    """A name and its parameters; ``type`` is what older plugins send for the format."""

    name: str
    values: Values
    type: object
    ref_id: str


def query_target(context: AppContext, target: Mapping[str, Any], request: QueryRequest) -> Sequence[bytes]:
    """The encoded elements of one target; ApiError names its refId."""
    ref_id, text = target.get("refId"), target.get("target")
    label = ref_id if isinstance(ref_id, str) else ""
    if not isinstance(text, str) or not text:
        raise invalid(f"target of refId {label!r}", "is not a metric's name", _names(label))
    try:
        names, values = _names_and_values(text, target)
        return [
            element
            for name in alternatives(names)
            for element in _query(context, _Target(name, values, target.get("type"), label), request)
        ]
    except ApiError as error:
        raise error.within(f"refId {label!r}", {"refId": label}) from error


def _names_and_values(text: str, target: Mapping[str, Any]) -> tuple[str, Values]:
    """The metric's name, or several as ``(a|b)``, and the parameters in the text and in the payload.

    Plugins without payloads have all parameters in the text; simpod before 0.3 called the payload ``data``.
    """
    payload = target.get("payload")
    if payload is None:
        payload = target.get("data") or None
    in_payload = payload_values(payload, literal=target.get("editorMode") == "code")
    name, in_text = text_query(text)
    twice = sorted(in_payload.keys() & in_text.keys())
    if twice:
        raise invalid(twice[0], "is in the target and in its payload", "one of them")
    return name, {**in_payload, **in_text}


def _query(context: AppContext, target: _Target, request: QueryRequest) -> Sequence[bytes]:
    source = SOURCES.get(target.name)
    if source is not None:
        annotations = find(context, source, target.values, request.filters, request.time_range)
        return encoded(as_frame(source, annotations, target.ref_id))
    if target.ref_id == ANNOTATION_REF_ID:
        raise invalid("target", f"is {target.name[:100]!r}", _names(target.ref_id))
    metric = find_metric(target.name)
    check_names(target.values, (*metric.parameters, FORMAT))
    selection = read_selection(metric, target.values)
    _check_names_are_given(metric, target.values, selection)
    selection = _narrowed(metric, selection, request.filters)
    format_ = _format(target)
    with regexes_checked(request.filters):
        return context.cached(
            (metric.name, selection.key, request.grid, format_, target.ref_id),
            request.grid.step / 1000,
            lambda: encoded(
                FORMATS[format_](
                    metric, compute_series(context, metric, selection, request.grid), target.ref_id
                )
            ),
            lambda elements: sum(map(len, elements)),
        )


def _check_names_are_given(metric: SeriesMetric, values: Values, selection: Selection) -> None:
    """ApiError 400 for a target without model and tenant, unless it says by what it adds up.

    The plugin sends an empty payload for one that it cannot read, which must not stand for everything.
    """
    if metric.name in _WITHOUT_MATCHERS or GROUP_BY.name in values:
        return
    for parameter, names in ((MODEL, selection.models), (TENANT, selection.tenants)):
        if not names:
            raise invalid(parameter.name, "is required", f"{parameter.allowed}, or {GROUP_BY.name}")


def _narrowed(metric: SeriesMetric, selection: Selection, filters: tuple[AdHocFilter, ...]) -> Selection:
    if not filters:
        return selection
    narrow = by_values if metric.name in _WITHOUT_MATCHERS else by_matchers
    return narrow(selection, filters)


def _format(target: _Target) -> str:
    """The format of the payload, else the type that older plugins send."""
    type_ = target.type or "timeserie"
    if not isinstance(type_, str) or type_ not in _TYPES:
        raise invalid("type", f"is {str(type_)[:100]!r}", ", ".join(_TYPES))
    return FORMAT.read_one(target.values) or _TYPES[type_]


def _names(ref_id: str) -> str:
    metrics = () if ref_id == ANNOTATION_REF_ID else (metric.name for metric in SERIES_METRICS)
    return ", ".join((*metrics, *SOURCES))
