"""Annotations: alerts from the store, and versions of models as they appear in Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import orjson

from modelplane_datasource.alerts import parameters as alert_parameters
from modelplane_datasource.alerts.episodes import Episode
from modelplane_datasource.alerts.incidents import Incident
from modelplane_datasource.alerts.store import AlertFilter, IncidentFilter
from modelplane_datasource.context import Plane
from modelplane_datasource.errors import invalid
from modelplane_datasource.grafana.filters import AdHocFilter, regexes_checked
from modelplane_datasource.grafana.formats import Element
from modelplane_datasource.observability.query_warnings import note
from modelplane_datasource.series.selection import MODEL, TENANT, VERSION
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.timeline.grid import Grid, grid_for_points
from modelplane_datasource.timeline.times import duration, parse_duration
from modelplane_datasource.web.parameters import Parameter, Values, check_known, read_all
from modelplane_schema import metrics, recorded
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector

MAX_ALERTS = 1000
MAX_ANNOTATIONS = 1000
MAX_CHANGE_POINTS = 1000
# A version that is away for less than this was restarted, not replaced.
RESTART_GAP = parse_duration("5m")

_STATES = {metrics.MODEL_INFO.name: "loaded", recorded.PRODUCTION_VERSION.name: "in production"}
_MODEL = replace(MODEL, required=False)
_TENANT = replace(TENANT, summary="Tenant that has calls of the model.", required=False)


class Annotation(NamedTuple):
    """A moment, or a region when it has an end; times in milliseconds."""

    time: int
    time_end: int | None
    title: str
    text: str
    tags: tuple[str, ...]


class Period(NamedTuple):
    """Start and end in milliseconds."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """Where annotations come from; ``parameters`` say which."""

    name: str
    title: str
    parameters: tuple[Parameter[Any], ...]
    read: Callable[[Plane, Values, Sequence[AdHocFilter], Period], list[Annotation]]


def find(
    plane: Plane, source: Source, values: Values, filters: Sequence[AdHocFilter], period: Period
) -> list[Annotation]:
    """The newest ``MAX_ANNOTATIONS`` of a source that touch ``period``, by time.

    ApiError, UpstreamError, StoreError.
    """
    check_known(values, source.parameters)
    found = sorted(source.read(plane, values, filters, period), key=lambda one: (one.time, one.title))
    if len(found) > MAX_ANNOTATIONS:
        note([f"Only the newest {MAX_ANNOTATIONS} of {len(found)} annotations are given."])
    return found[-MAX_ANNOTATIONS:]


def alerts(plane: Plane, values: Values, filters: Sequence[AdHocFilter], period: Period) -> list[Annotation]:
    """Alerts as regions; one that still fires lasts until now or until the end of ``period``."""
    if any(one.is_regex for one in filters):
        raise invalid("filters", "have a regular expression, which alerts do not support", "= != =| !=|")
    records = plane.store.alerts(
        AlertFilter(
            tenant_ids=read_all(values, alert_parameters.TENANT),
            model_names=read_all(values, alert_parameters.MODEL),
            statuses=read_all(values, alert_parameters.STATUS),
            alertnames=read_all(values, alert_parameters.ALERTNAME),
            start=period.start,
            end=period.end,
            limit=MAX_ALERTS,
        ),
        current_tenants(),
    )
    if len(records) == MAX_ALERTS:
        note([f"Only the newest {MAX_ALERTS} alerts were read."])
    latest = min(plane.now(), period.end)
    return [_alert(record, latest) for record in records if _admitted(record, filters)]


def incidents(
    plane: Plane, values: Values, filters: Sequence[AdHocFilter], period: Period
) -> list[Annotation]:
    """Incidents as regions; filters apply to their tenant and model."""
    if any(one.is_regex for one in filters):
        raise invalid("filters", "have a regular expression, which incidents do not support", "= != =| !=|")
    found = plane.store.incidents(
        IncidentFilter(
            tenant_ids=read_all(values, alert_parameters.TENANT),
            model_names=read_all(values, alert_parameters.MODEL),
            start=period.start,
            end=period.end,
            limit=MAX_ALERTS,
        ),
        current_tenants(),
    )
    if len(found) == MAX_ALERTS:
        note([f"Only the newest {MAX_ALERTS} incidents were read."])
    latest = min(plane.now(), period.end)
    return [
        _incident(one, latest)
        for one in found
        if all(chosen.admits({TENANT_ID: one.tenant_id, MODEL_NAME: one.model_name}) for chosen in filters)
    ]


def version_changes(
    plane: Plane, values: Values, filters: Sequence[AdHocFilter], period: Period
) -> list[Annotation]:
    """Versions that are loaded, or become the production version of the registry, as moments.

    A tenant narrows them to the models that it has calls of. A version has no signals, so that filters on
    these change nothing.
    """
    versions = _matchers(((MODEL_NAME, _MODEL), (MODEL_VERSION, VERSION)), values, filters)
    tenants = _matchers(((TENANT_ID, _TENANT),), values, filters)
    grid = grid_for_points(period.start, period.end, MAX_CHANGE_POINTS, plane.scrape_interval)
    # One step earlier tells what had been there before.
    wider = Grid(max(0, grid.start - grid.step), grid.end, grid.step)
    with regexes_checked(filters):
        called = _called_models(plane, tenants, period) if tenants else None
        if called == ():
            return []
        matchers = versions if called is None else (*versions, one_of(MODEL_NAME, called))
        found = [
            change
            for name, state in _STATES.items()
            for change in _appearances(plane, name, matchers, wider, state)
        ]
    return [change for change in found if change.time >= period.start]


SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source(
            "alerts", "Annotations: alerts",
            (
                alert_parameters.TENANT, alert_parameters.MODEL, alert_parameters.STATUS,
                alert_parameters.ALERTNAME,
            ),
            alerts,
        ),
        Source(
            "incidents", "Annotations: incidents", (alert_parameters.TENANT, alert_parameters.MODEL),
            incidents,
        ),
        Source(
            "version_changes", "Annotations: version changes", (_TENANT, _MODEL, VERSION), version_changes,
        ),
    )
}  # fmt: skip


def as_frame(source: Source, found: Sequence[Annotation], ref_id: str) -> list[Element]:
    """A data frame with the fields by whose names Grafana finds the parts of an annotation."""
    columns: tuple[tuple[str, str, list[Any]], ...] = (
        ("time", "time", [entry.time for entry in found]),
        ("timeEnd", "time", [entry.time_end for entry in found]),
        ("title", "string", [entry.title for entry in found]),
        ("text", "string", [entry.text for entry in found]),
        ("tags", "other", [entry.tags for entry in found]),
    )
    fields = [{"name": name, "type": kind, "config": {}, "values": values} for name, kind, values in columns]
    return [{"refId": ref_id, "name": source.name, "fields": fields}]


def as_list(found: Sequence[Annotation], definition: Mapping[str, Any]) -> list[Element]:
    """The older form: one object for each annotation, with the definition that asked for it."""
    return [
        {
            "annotation": definition,
            "time": entry.time,
            "title": entry.title,
            "text": entry.text,
            "tags": entry.tags,
            **({} if entry.time_end is None else {"timeEnd": entry.time_end, "isRegion": True}),
        }
        for entry in found
    ]


def as_rows(found: Sequence[Annotation]) -> list[dict[str, Any]]:
    """Flat rows: tags are one text with commas, which Grafana takes apart again."""
    return [
        {
            "time": entry.time,
            "timeEnd": entry.time_end,
            "title": entry.title,
            "text": entry.text,
            "tags": ",".join(entry.tags),
        }
        for entry in found
    ]


def _matchers(
    labels: Sequence[tuple[str, Parameter[str]]], values: Values, filters: Sequence[AdHocFilter]
) -> tuple[Matcher, ...]:
    """Matchers of some labels: of the parameters that are given, and of the filters."""
    asked = ((label, read_all(values, parameter)) for label, parameter in labels)
    names = [label for label, _ in labels]
    return (
        *(one_of(label, texts) for label, texts in asked if texts),
        *(one.matcher for one in filters if one.key in names),
    )


def _called_models(plane: Plane, tenants: Sequence[Matcher], period: Period) -> tuple[str, ...]:
    """The models that have calls of some tenants."""
    return plane.prometheus.label_values(MODEL_NAME, [selector(metrics.REQUESTS.name, tenants)], *period)


def _admitted(record: Episode, filters: Sequence[AdHocFilter]) -> bool:
    labels = orjson.loads(record.labels)
    return all(one.admits(labels) for one in filters)


def _alert(record: Episode, latest: int) -> Annotation:
    texts = orjson.loads(record.annotations)
    tags = (
        "alert",
        record.severity,
        record.status,
        record.tenant_id,
        record.model_name,
        record.model_version,
    )
    end = max(record.starts_at, latest) if record.ends_at is None else record.ends_at
    return Annotation(
        record.starts_at,
        end if end > record.starts_at else None,
        record.alertname,
        texts.get("description") or texts.get("summary", ""),
        tuple(tag for tag in tags if tag),
    )


def _incident(incident: Incident, latest: int) -> Annotation:
    end = max(incident.starts_at, latest) if incident.ends_at is None else incident.ends_at
    told = "acknowledged" if incident.acknowledgements else ""
    tags = ("incident", incident.severity, incident.status, told, incident.tenant_id, incident.model_name)
    return Annotation(
        incident.starts_at,
        end if end > incident.starts_at else None,
        ", ".join(incident.alertnames),
        f"Incident {incident.id} of {len(incident.members)} alerts.",
        tuple(tag for tag in tags if tag),
    )


def _appearances(
    plane: Plane, series_name: str, matchers: Sequence[Matcher], grid: Grid, state: str
) -> list[Annotation]:
    window = max(grid.step, RESTART_GAP)
    by = f"{MODEL_NAME}, {MODEL_VERSION}"
    found = plane.prometheus.query_table(
        f"max by ({by}) (present_over_time({selector(series_name, matchers)}[{duration(window)}]))",
        grid,
        window,
    )
    entries = []
    for labels, present in zip(found.labels, ~np.isnan(found.values), strict=True):
        model, version = labels.get(MODEL_NAME, ""), labels.get(MODEL_VERSION, "")
        for before in np.flatnonzero(present[1:] & ~present[:-1]).tolist():
            title = f"{model} {version} {state}"
            tags = ("version", state, model, version)
            text = f"Version {version} of {model} is {state}."
            entries.append(Annotation(grid.times[before + 1], None, title, text, tags))
    return entries
