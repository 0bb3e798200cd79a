"""One target of ``/query``: a metric of the catalogue as series, or a source of annotations as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from modelplane_datasource.catalogue import SERIES_METRICS, answer, find_metric
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.grafana_annotations import SOURCES, Period, as_frame, find
from modelplane_datasource.grafana_filters import AdHocFilter, by_matchers, by_values, regexes_checked
from modelplane_datasource.grafana_frames import FORMAT, SHAPES, Element
from modelplane_datasource.grafana_payload import alternatives, payload_values
from modelplane_datasource.grid import Grid
from modelplane_datasource.notices import note
from modelplane_datasource.parameters import Values, check_known, read_one
from modelplane_datasource.plane import Plane
from modelplane_datasource.series_request import read_scope

ANNOTATION_REF_ID = "Anno"

# The ledger knows every identity and picks from them by value.
_WITHOUT_MATCHERS = ("cost",)
_TYPES = {"timeserie": "timeserie", "timeseries": "timeserie", "table": "table"}


class Asked(NamedTuple):
    """What all targets of one request share."""

    period: Period
    grid: Grid
    filters: tuple[AdHocFilter, ...]


def query_target(plane: Plane, target: Mapping[str, Any], asked: Asked) -> list[Element]:
    """The elements of one target; ApiError names its refId."""
    ref_id, name = target.get("refId"), target.get("target")
    label = ref_id if isinstance(ref_id, str) else ""
    names = _names(label)
    if not isinstance(name, str) or not name:
        raise invalid(f"target of refId {label!r}", "is not a metric's name", names)
    try:
        return [part for one in alternatives(name) for part in _query(plane, one, target, asked, label)]
    except ApiError as error:
        message = f"refId {label!r}: {error.message}"
        details = {**error.details, "refId": label}
        raise ApiError(error.status, error.error, message, details) from error


def _query(plane: Plane, name: str, target: Mapping[str, Any], asked: Asked, ref_id: str) -> list[Element]:
    values = payload_values(target.get("payload"), literal=target.get("editorMode") == "code")
    source = SOURCES.get(name)
    if source is not None:
        return as_frame(source, find(plane, source, values, asked.filters, asked.period), ref_id)
    if ref_id == ANNOTATION_REF_ID:
        raise invalid("target", f"is {name[:100]!r}", _names(ref_id))
    metric = find_metric(name)
    check_known(values, (*metric.scope_parameters, FORMAT))
    scope = read_scope(metric, values)
    if asked.filters:
        narrow = by_values if metric.name in _WITHOUT_MATCHERS else by_matchers
        scope = narrow(scope, asked.filters)
    with regexes_checked(asked.filters):
        found = answer(plane, metric, scope, asked.grid)
    note(found.warnings)
    return SHAPES[_shape(target, values)](metric, found, ref_id)


def _shape(target: Mapping[str, Any], values: Values) -> str:
    """The format of the payload, else the type that older plugins send."""
    kind = target.get("type") or "timeserie"
    if not isinstance(kind, str) or kind not in _TYPES:
        raise invalid("type", f"is {str(kind)[:100]!r}", ", ".join(_TYPES))
    return read_one(values, FORMAT) or _TYPES[kind]


def _names(ref_id: str) -> str:
    known = () if ref_id == ANNOTATION_REF_ID else (metric.name for metric in SERIES_METRICS)
    return ", ".join((*known, *SOURCES))
