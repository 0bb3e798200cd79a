"""The only module that imports grafanalib: its classes with this house's defaults, and their JSON.

grafanalib writes keys that today's Grafana does not know, and nulls; ``encode`` drops both.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from modelplane_dashboards.api import ApiAccess, api_datasource, api_target
from modelplane_dashboards.board import (
    ALL_VALUE,
    MAX_API_POINTS,
    Annotation,
    ApiQuery,
    Column,
    Panel,
    PromQuery,
    Query,
    Variable,
)
from modelplane_dashboards.layout import GridPosition
from modelplane_schema.uids import FLEET_UID, PROMETHEUS_DATASOURCE_UID

SCHEMA_VERSION = 39
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}

_REFRESH_ON_TIME_RANGE = 2
_SHARED_CROSSHAIR = 1
_REPEATS_PER_ROW = 2

_DEAD_BOARD_KEYS = frozenset(
    {"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style", "timepicker", "version"}
)
_DEAD_PANEL_KEYS = frozenset(
    {
        "color",
        "columns",
        "editable",
        "error",
        "fontSize",
        "height",
        "hideTimeOverride",
        "mappings",
        "minSpan",
        "span",
    }
)
_UNUSED_KEYS: Mapping[str, frozenset[str]] = {
    "row": frozenset({"fieldConfig", "links", "targets", "transformations", "transparent"}),
    "text": frozenset({"fieldConfig", "targets", "transformations"}),
}
_DEAD_VARIABLE_KEYS = frozenset({"auto", "auto_count", "auto_min", "tagValuesQuery", "tagsQuery", "useTags"})
_DEAD_TARGET_KEYS = frozenset({"metric", "query", "step", "target"})


class PrometheusTarget(core.Target):  # type: ignore[misc]  # grafanalib has no types
    """A Prometheus query with the keys that Grafana's editor writes."""

    def to_json_data(self) -> dict[str, Any]:
        content = _without(super().to_json_data(), _DEAD_TARGET_KEYS)
        return content | {"editorMode": "code", "range": not self.instant}


def panel(source: Panel, panel_id: int, position: GridPosition, api: ApiAccess) -> core.Panel:
    """A panel with data; ``api`` says by which data source it reads the backend, if it does."""
    common = {
        "dataSource": _datasource(source.queries[0], api),
        "description": source.description,
        "gridPos": _grid_pos(position),
        "id": panel_id,
        "maxDataPoints": MAX_API_POINTS if source.queries[0].datasource == "api" else None,
        "targets": [_target(ref_id, query, source.kind, api) for ref_id, query in source.named_queries],
        "title": source.title,
    }
    if source.repeat is not None:
        common["repeat"] = core.Repeat("h", source.repeat.variable, _REPEATS_PER_ROW)
    return _BUILDERS[source.kind](source, common)


def text(content: str, panel_id: int, position: GridPosition) -> core.Panel:
    return core.Text(
        content=content,
        description=content,
        gridPos=_grid_pos(position),
        id=panel_id,
        maxDataPoints=None,
        transparent=True,
    )


def row(title: str, panel_id: int, position: GridPosition) -> core.Panel:
    return core.RowPanel(title=title, id=panel_id, gridPos=_grid_pos(position), maxDataPoints=None)


def datasource_variable() -> dict[str, Any]:
    template = core.Template(
        name="datasource",
        label="Data source",
        query="prometheus",
        type="datasource",
        default=PROMETHEUS_DATASOURCE_UID,
    )
    return _variable(template, PROMETHEUS_DATASOURCE_UID, PROMETHEUS_DATASOURCE_UID)


def query_variable(source: Variable) -> dict[str, Any]:
    template = core.Template(
        name=source.name,
        label=source.label,
        query=source.query,
        dataSource=PROMETHEUS,
        multi=True,
        includeAll=True,
        allValue=ALL_VALUE,
        refresh=_REFRESH_ON_TIME_RANGE,
    )
    return _variable(template, ["All"], ["$__all"])


def annotation(source: Annotation) -> dict[str, Any]:
    return {
        "datasource": PROMETHEUS,
        "enable": True,
        "expr": source.expr,
        "iconColor": source.colour,
        "name": source.name,
        "step": "60s",
        "tagKeys": ",".join(source.tags),
        "textFormat": source.text,
        "titleFormat": source.title,
    }


def board_links(uid: str) -> list[core.DashboardLink]:
    """Links to the other boards; they keep the time range and the variables."""
    keep = {"includeVars": True, "keepTime": True}
    fleet = core.DashboardLink(title="Fleet", type="link", uri=f"/d/{FLEET_UID}", icon="dashboard", **keep)
    lists = [
        core.DashboardLink(
            title=title, type="dashboards", tags=[f"modelplane-{kind}"], asDropdown=True, **keep
        )
        for kind, title in (("tenant", "Tenants"), ("model", "Models"))
    ]
    return lists if uid == FLEET_UID else [fleet, *lists]


def dashboard(
    *,
    uid: str,
    title: str,
    description: str,
    tags: list[str],
    variables: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    panels: list[core.Panel],
) -> core.Dashboard:
    return core.Dashboard(
        uid=uid,
        title=title,
        description=description,
        tags=tags,
        templating=core.Templating(list=variables),
        annotations=core.Annotations(list=annotations),
        panels=panels,
        links=board_links(uid),
        editable=False,
        graphTooltip=_SHARED_CROSSHAIR,
        refresh="30s",
        schemaVersion=SCHEMA_VERSION,
        time=core.Time("now-1h", "now"),
        timezone="browser",
    )


def encode(source: core.Dashboard) -> dict[str, Any]:
    """The JSON of a dashboard, without nulls and without keys that Grafana does not know."""
    content: dict[str, Any] = json.loads(json.dumps(source, cls=DashboardEncoder))
    content["panels"] = [_live_panel(panel) for panel in content["panels"]]
    pruned: dict[str, Any] = _pruned(_without(content, _DEAD_BOARD_KEYS))
    return pruned


def _live_panel(content: dict[str, Any]) -> dict[str, Any]:
    live = _without(content, _DEAD_PANEL_KEYS | _UNUSED_KEYS.get(content["type"], frozenset()))
    if live["type"] == "table":
        del live["fieldConfig"]["defaults"]["custom"]["displayMode"]
    return live


def _timeseries(source: Panel, common: dict[str, Any]) -> core.Panel:
    return core.TimeSeries(
        **common,
        unit=source.unit,
        fillOpacity=10,
        legendCalcs=["mean", "max", "lastNotNull"],
        legendDisplayMode="table",
        stacking={"mode": "none", "group": "A"},
        thresholds=_steps(None),
        tooltipMode="multi",
        tooltipSort="desc",
        valueMin=0,
        extraJson={"options": {"legend": {"showLegend": True}}},
    )


def _stat(source: Panel, common: dict[str, Any]) -> core.Panel:
    return core.Stat(
        **common,
        format=source.unit,
        color={"mode": "thresholds"},
        graphMode="none",
        noValue="No data",
        reduceCalc="lastNotNull",
        thresholds=_steps(source.alarm_from),
        extraJson={"options": {"wideLayout": True}},
    )


def _table(source: Panel, common: dict[str, Any]) -> core.Panel:
    sort = [core.TableSortByField(displayName=source.sort_by, desc=True)] if source.sort_by else []
    return core.Table(
        **common,
        unit=source.unit,
        filterable=True,
        overrides=[override for column in source.columns for override in _overrides(column)],
        sortBy=sort,
        thresholds=_steps(None),
        transformations=_transformations(source),
        extraJson={
            "fieldConfig": {"defaults": {"custom": {"cellOptions": {"type": "auto"}}}},
            "options": {"cellHeight": "sm"},
        },
    )


_BUILDERS: Mapping[str, Callable[[Panel, dict[str, Any]], core.Panel]] = {
    "timeseries": _timeseries,
    "stat": _stat,
    "table": _table,
}


def _transformations(source: Panel) -> list[dict[str, Any]]:
    """Join the queries of a table on their labels, then order and name the columns."""
    organize = {
        "excludeByName": {"Time": True},
        "indexByName": {column.field: index for index, column in enumerate(source.columns)},
        "renameByName": {column.field: column.title for column in source.columns},
    }
    steps: list[dict[str, Any]] = [{"id": "organize", "options": organize}]
    if source.queries[0].datasource == "api":  # whose tables have more columns than a panel shows
        names = [column.field for column in source.columns]
        steps.insert(0, {"id": "filterFieldsByName", "options": {"include": {"names": names}}})
    return steps if len(source.queries) == 1 else [{"id": "merge", "options": {}}, *steps]


def _overrides(column: Column) -> Iterable[dict[str, Any]]:
    links = [{"title": link.title, "url": link.url} for link in column.links]
    properties = {"unit": column.unit, "links": links, "custom.hidden": column.hidden}
    chosen = [{"id": name, "value": value} for name, value in properties.items() if value]
    if chosen:
        yield {"matcher": {"id": "byName", "options": column.title}, "properties": chosen}


def _steps(alarm_from: float | None) -> list[dict[str, Any]]:
    base = {"color": "text" if alarm_from is None else "green", "value": None}
    return [base] if alarm_from is None else [base, {"color": "red", "value": alarm_from}]


def _target(ref_id: str, query: Query, kind: str, api: ApiAccess) -> PrometheusTarget | dict[str, Any]:
    if isinstance(query, ApiQuery):
        return api_target(ref_id, query, api)
    return _prometheus_target(ref_id, query, kind)


def _prometheus_target(ref_id: str, query: PromQuery, kind: str) -> PrometheusTarget:
    return PrometheusTarget(
        refId=ref_id,
        datasource=PROMETHEUS,
        expr=query.expr,
        format="table" if kind == "table" else "time_series",
        instant=query.instant,
        intervalFactor=1,
        legendFormat=query.legend or "__auto",
    )


def _datasource(query: Query, api: ApiAccess) -> dict[str, str]:
    return api_datasource(api) if query.datasource == "api" else PROMETHEUS


def _variable(template: core.Template, texts: str | list[str], values: str | list[str]) -> dict[str, Any]:
    current = {"selected": True, "text": texts, "value": values}
    return _without(template.to_json_data(), _DEAD_VARIABLE_KEYS) | {"current": current}


def _grid_pos(position: GridPosition) -> core.GridPos:
    return core.GridPos(h=position.height, w=position.width, x=position.x, y=position.y)


def _without(content: dict[str, Any], dead: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in content.items() if key not in dead}


def _pruned(value: Any) -> Any:
    """``value`` without null members, except ``value``: null is the base of a list of thresholds."""
    if isinstance(value, dict):
        return {k: _pruned(v) for k, v in value.items() if v is not None or k == "value"}
    if isinstance(value, list):
        return [_pruned(item) for item in value]
    return value
