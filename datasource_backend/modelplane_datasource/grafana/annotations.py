"""Annotations: alerts from the store, versions of models in Prometheus, prices of the registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import orjson

from modelplane_datasource.alerts import parameters as alert_parameters
from modelplane_datasource.alerts.episodes import Episode
from modelplane_datasource.alerts.incidents import Incident
from modelplane_datasource.alerts.store import AlertFilter, IncidentFilter
from modelplane_datasource.context import AppContext
from modelplane_datasource.costs.ledger_source import required_registry
from modelplane_datasource.costs.price_changes import (
    PriceChange,
    device_price_changes,
    token_price_changes,
)
from modelplane_datasource.errors import invalid
from modelplane_datasource.grafana.filters import AdHocFilter, regexes_checked
from modelplane_datasource.grafana.formats import Element
from modelplane_datasource.series.selection import MODEL, TENANT, VERSION
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.tenancy.notices import Notice, note
from modelplane_datasource.timeline.grid import Grid, grid_for_points
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import duration, parse_duration
from modelplane_datasource.web.parameters import Parameter, Values, check_names
from modelplane_schema import metrics, recorded
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector

MAX_ALERTS = 1000
MAX_ANNOTATIONS = 1000
MAX_CHANGE_POINTS = 1000
# A version that is away for less than this was restarted, not replaced.
RESTART_GAP = parse_duration("5m")

_STATES = {metrics.MODEL_INFO.name: "loaded", recorded.PRODUCTION_VERSION.name: "in production"}
_TENANT = replace(TENANT, summary="Tenant that has calls of the model.")
_PAYER = replace(TENANT, summary="Tenant that the model serves.")


class Annotation(NamedTuple):
    """A moment, or a region when it has an end; times in milliseconds."""

    time: int
    time_end: int | None
    title: str
    text: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where annotations come from; ``parameters`` say which."""

    name: str
    title: str
    parameters: tuple[Parameter[Any], ...]
    read: Callable[[AppContext, Values, Sequence[AdHocFilter], TimeRange], list[Annotation]]


def find(
    context: AppContext,
    source: Source,
    values: Values,
    filters: Sequence[AdHocFilter],
    time_range: TimeRange,
) -> list[Annotation]:
    """The newest ``MAX_ANNOTATIONS`` of a source that touch ``time_range``, by time.

    ApiError, UpstreamError, StoreError.
    """
    check_names(values, source.parameters)
    annotations = source.read(context, values, filters, time_range)
    annotations.sort(key=lambda annotation: (annotation.time, annotation.title))
    if len(annotations) > MAX_ANNOTATIONS:
        text = f"Only the newest {MAX_ANNOTATIONS} of {len(annotations)} annotations are given."
        note([Notice.for_everyone(text)])
    return annotations[-MAX_ANNOTATIONS:]


def alerts(
    context: AppContext, values: Values, filters: Sequence[AdHocFilter], time_range: TimeRange
) -> list[Annotation]:
    """Alerts as regions; one that still fires lasts until now or until the end of ``time_range``."""
    if any(ad_hoc.is_regex for ad_hoc in filters):
        raise invalid("filters", "have a regular expression, which alerts do not support", "= != =| !=|")
    wanted = AlertFilter(
        tenant_ids=alert_parameters.TENANT.read_all(values),
        model_names=alert_parameters.MODEL.read_all(values),
        statuses=alert_parameters.STATUS.read_all(values),
        alertnames=alert_parameters.ALERTNAME.read_all(values),
        start=time_range.start,
        end=time_range.end,
        limit=MAX_ALERTS,
    )
    episodes = context.store.alerts(wanted, current_tenants())
    if len(episodes) == MAX_ALERTS:
        note([Notice.for_everyone(f"Only the newest {MAX_ALERTS} alerts were read.")])
    latest = min(context.now(), time_range.end)
    return [_alert(episode, latest) for episode in episodes if _is_admitted(episode, filters)]


def incidents(
    context: AppContext, values: Values, filters: Sequence[AdHocFilter], time_range: TimeRange
) -> list[Annotation]:
    """Incidents as regions; filters apply to their tenant and model."""
    if any(ad_hoc.is_regex for ad_hoc in filters):
        raise invalid("filters", "have a regular expression, which incidents do not support", "= != =| !=|")
    wanted = IncidentFilter(
        tenant_ids=alert_parameters.TENANT.read_all(values),
        model_names=alert_parameters.MODEL.read_all(values),
        start=time_range.start,
        end=time_range.end,
        limit=MAX_ALERTS,
    )
    newest = context.store.incidents(wanted, context.incident_rules, current_tenants())
    if len(newest) == MAX_ALERTS:
        note([Notice.for_everyone(f"Only the newest {MAX_ALERTS} incidents were read.")])
    latest = min(context.now(), time_range.end)
    return [
        _incident(incident, latest)
        for incident in newest
        if all(
            ad_hoc.admits({TENANT_ID: incident.tenant_id, MODEL_NAME: incident.model_name})
            for ad_hoc in filters
        )
    ]


def version_changes(
    context: AppContext, values: Values, filters: Sequence[AdHocFilter], time_range: TimeRange
) -> list[Annotation]:
    """Versions that are loaded, or become the production version of the registry, as moments.

    A tenant narrows them to the versions that it has calls of: those that only others call are not its
    business. A version has no signals, so that filters on these change nothing.
    """
    versions = _matchers(((MODEL_NAME, MODEL), (MODEL_VERSION, VERSION)), values, filters)
    tenants = _matchers(((TENANT_ID, _TENANT),), values, filters)
    grid = grid_for_points(time_range.start, time_range.end, MAX_CHANGE_POINTS, context.scrape_interval)
    # One step earlier shows what had been there before.
    wider = Grid(max(0, grid.start - grid.step), grid.end, grid.step)
    with regexes_checked(filters):
        called = _called_versions(context, tenants, time_range) if tenants else None
        if called == set():
            return []
        matchers = versions if called is None else (*versions, *_matchers_of(called))
        changes = [
            change
            for name, state in _STATES.items()
            for version, change in _appearances(context, name, matchers, wider, state)
            if called is None or version in called
        ]
    return [change for change in changes if change.time >= time_range.start]


def price_changes(
    context: AppContext, values: Values, filters: Sequence[AdHocFilter], time_range: TimeRange
) -> list[Annotation]:
    """Prices of the registry as moments from which they count.

    Tenants and models narrow the prices of tokens. Prices of devices are everyone's, and no business of a
    caller who is limited to tenants.
    """
    if any(ad_hoc.is_regex for ad_hoc in filters):
        raise invalid("filters", "have a regular expression, which prices do not support", "= != =| !=|")
    registry = required_registry(context)
    models, tenants = MODEL.read_all(values), _PAYER.read_all(values)
    changes = [
        change
        for model in registry.models
        if (not models or model.name in models) and _pays(model.tenants, model.name, tenants, filters)
        for change in token_price_changes(model)
    ]
    if current_tenants() is None:
        changes.extend(device_price_changes(registry.devices.prices))
    return [_price(change) for change in changes if time_range.start <= change.time <= time_range.end]


def _pays(served: Sequence[str], model: str, tenants: Sequence[str], filters: Sequence[AdHocFilter]) -> bool:
    """Whether a model serves one of the tenants that are asked for and that the filters admit."""
    return any(
        all(ad_hoc.admits({TENANT_ID: tenant, MODEL_NAME: model}) for ad_hoc in filters)
        for tenant in served
        if not tenants or tenant in tenants
    )


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
            "version_changes", "Annotations: version changes", (_TENANT, MODEL, VERSION), version_changes,
        ),
        Source("price_changes", "Annotations: price changes", (_PAYER, MODEL), price_changes),
    )
}  # fmt: skip


def as_frame(source: Source, annotations: Sequence[Annotation], ref_id: str) -> list[Element]:
    """A data frame with the fields by whose names Grafana finds the parts of an annotation."""
    columns: tuple[tuple[str, str, list[Any]], ...] = (
        ("time", "time", [annotation.time for annotation in annotations]),
        ("timeEnd", "time", [annotation.time_end for annotation in annotations]),
        ("title", "string", [annotation.title for annotation in annotations]),
        ("text", "string", [annotation.text for annotation in annotations]),
        ("tags", "other", [annotation.tags for annotation in annotations]),
    )
    fields = [{"name": name, "type": kind, "config": {}, "values": values} for name, kind, values in columns]
    return [{"refId": ref_id, "name": source.name, "fields": fields}]


def as_list(annotations: Sequence[Annotation], definition: Mapping[str, Any]) -> list[Element]:
    """The older form: one object for each annotation, with the definition of the request."""
    return [
        {
            "annotation": definition,
            "time": annotation.time,
            "title": annotation.title,
            "text": annotation.text,
            "tags": annotation.tags,
            **({} if annotation.time_end is None else {"timeEnd": annotation.time_end, "isRegion": True}),
        }
        for annotation in annotations
    ]


def as_rows(annotations: Sequence[Annotation]) -> list[dict[str, Any]]:
    """Flat rows: tags are one text with commas, which Grafana takes apart again."""
    return [
        {
            "time": annotation.time,
            "timeEnd": annotation.time_end,
            "title": annotation.title,
            "text": annotation.text,
            "tags": ",".join(annotation.tags),
        }
        for annotation in annotations
    ]


def _matchers(
    labels: Sequence[tuple[str, Parameter[str]]], values: Values, filters: Sequence[AdHocFilter]
) -> tuple[Matcher, ...]:
    """Matchers of some labels: of the parameters that are given, and of the filters."""
    given = ((label, parameter.read_all(values)) for label, parameter in labels)
    names = [label for label, _ in labels]
    return (
        *(one_of(label, texts) for label, texts in given if texts),
        *(ad_hoc.matcher for ad_hoc in filters if ad_hoc.key in names),
    )


def _called_versions(
    context: AppContext, tenants: Sequence[Matcher], time_range: TimeRange
) -> set[tuple[str, str]]:
    """Model and version of all that some tenants call."""
    called = context.prometheus.series([selector(metrics.REQUESTS.name, tenants)], *time_range)
    return {(labels.get(MODEL_NAME, ""), labels.get(MODEL_VERSION, "")) for labels in called}


def _matchers_of(called: set[tuple[str, str]]) -> tuple[Matcher, Matcher]:
    """Matchers of models and of versions, which also fit pairs of both that nobody calls."""
    models, versions = zip(*called, strict=True)
    return one_of(MODEL_NAME, models), one_of(MODEL_VERSION, versions)


def _is_admitted(episode: Episode, filters: Sequence[AdHocFilter]) -> bool:
    labels = orjson.loads(episode.labels)
    return all(ad_hoc.admits(labels) for ad_hoc in filters)


def _alert(episode: Episode, latest: int) -> Annotation:
    texts = orjson.loads(episode.annotations)
    tags = (
        "alert",
        episode.severity,
        episode.status,
        episode.tenant_id,
        episode.model_name,
        episode.model_version,
    )
    end = max(episode.starts_at, latest) if episode.ends_at is None else episode.ends_at
    return Annotation(
        episode.starts_at,
        end if end > episode.starts_at else None,
        episode.alertname,
        texts.get("description") or texts.get("summary", ""),
        tuple(tag for tag in tags if tag),
    )


def _incident(incident: Incident, latest: int) -> Annotation:
    end = max(incident.starts_at, latest) if incident.ends_at is None else incident.ends_at
    state = "acknowledged" if incident.acknowledgements else ""
    tags = ("incident", incident.severity, incident.status, state, incident.tenant_id, incident.model_name)
    return Annotation(
        incident.starts_at,
        end if end > incident.starts_at else None,
        ", ".join(incident.alertnames),
        f"Incident {incident.id} of {len(incident.members)} alerts.",
        tuple(tag for tag in tags if tag),
    )


def _price(change: PriceChange) -> Annotation:
    before = f"Before: {change.before}." if change.before else "It had no price before."
    return Annotation(change.time, None, f"{change.subject}: {change.price}", before, change.tags)


def _appearances(
    context: AppContext, series_name: str, matchers: Sequence[Matcher], grid: Grid, state: str
) -> Iterator[tuple[tuple[str, str], Annotation]]:
    """Each version that is there and was not, and the moment of it."""
    window = duration(max(grid.step, RESTART_GAP))
    by = f"{MODEL_NAME}, {MODEL_VERSION}"
    table = context.prometheus.query_table(
        f"max by ({by}) (present_over_time({selector(series_name, matchers)}[{window}]))", grid
    )
    for labels, present in zip(table.labels, ~np.isnan(table.values), strict=True):
        model, version = labels.get(MODEL_NAME, ""), labels.get(MODEL_VERSION, "")
        for before in np.flatnonzero(present[1:] & ~present[:-1]).tolist():
            title = f"{model} {version} {state}"
            tags = ("version", state, model, version)
            text = f"Version {version} of {model} is {state}."
            yield (model, version), Annotation(grid.times[before + 1], None, title, text, tags)
