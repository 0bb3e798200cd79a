"""The only module that imports grafanalib: dashboards, panels and variables with this house's defaults.

grafanalib writes keys that today's Grafana does not know, and nulls; ``encode`` drops both.
"""

from __future__ import annotations

import json
from typing import Any

from grafanalib import core
from grafanalib._gen import DashboardEncoder

from modelplane_dashboards.kit.api import API_PLUGINS, ApiAccess, api_datasource, api_target
from modelplane_dashboards.kit.board import (
    MAX_API_POINTS,
    Annotation,
    ApiQuery,
    Board,
    Panel,
    PromQuery,
    Query,
    Variable,
)
from modelplane_dashboards.kit.json_parts import PanelContent
from modelplane_dashboards.kit.layout import GridPosition
from modelplane_dashboards.kit.panel_json import panel_content
from modelplane_dashboards.kit.views import Heatmap, Table
from modelplane_schema.uids import API_DATASOURCE_UID, FLEET_UID, PROMETHEUS_DATASOURCE_UID

SCHEMA_VERSION = 39
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
# The tag of the boards of all tenants and models, of which there are ten: a list of them is never cut.
TEMPLATE_TAG = "modelplane-board"

_REFRESH_ON_TIME_RANGE = 2
_DO_NOT_SORT, _SORT_ALPHABETICALLY = 0, 1
_SHARED_CROSSHAIR = 1
_DEAD_BOARD_KEYS = frozenset(
    {"__inputs", "gnetId", "hideControls", "id", "rows", "sharedCrosshair", "style", "timepicker", "version"}
)
_DEAD_PANEL_KEYS = frozenset(
    {"editable", "error", "height", "hideTimeOverride", "minSpan", "span", "links", "color"}
)
_DATALESS_KEYS = frozenset({"fieldConfig", "targets", "transformations", "transparent"})
_DEAD_VARIABLE_KEYS = frozenset({"auto", "auto_count", "auto_min", "tagValuesQuery", "tagsQuery", "useTags"})
_DEAD_TARGET_KEYS = frozenset({"metric", "query", "step", "target"})


class PrometheusTarget(core.Target):  # type: ignore[misc]  # grafanalib has no types
    """A Prometheus query with the keys that Grafana's editor writes."""

    def to_json_data(self) -> dict[str, Any]:
        content = _without(super().to_json_data(), _DEAD_TARGET_KEYS)
        return content | {"editorMode": "code", "range": not self.instant}


class HousePanel(core.Panel):  # type: ignore[misc]  # grafanalib has no types
    """A panel whose type, options and field configuration are ours, in today's form."""

    def __init__(self, content: PanelContent, **common: Any) -> None:
        super().__init__(**common)
        self.content = content

    def to_json_data(self) -> dict[str, Any]:
        overrides = {
            "type": self.content.type,
            "options": self.content.options,
            "fieldConfig": self.content.field_config,
        }
        return _without(self.panel_json(overrides), _DEAD_PANEL_KEYS)


def panel(source: Panel, panel_id: int, position: GridPosition, api: ApiAccess) -> core.Panel:
    """A panel with data; ``api`` says by which data source it reads the backend, if it does."""
    content = panel_content(source)
    from_api = source.queries[0].datasource == "api"
    return HousePanel(
        content,
        dataSource=_datasource(source.queries[0], api),
        description=source.description,
        gridPos=_grid_pos(position),
        id=panel_id,
        maxDataPoints=MAX_API_POINTS if from_api else content.max_data_points,
        targets=[_target(ref_id, query, source, api) for ref_id, query in source.named_queries],
        title=source.title,
        transformations=list(content.transformations),
    )


def text(markdown: str, panel_id: int, position: GridPosition) -> core.Panel:
    return core.Text(
        content=markdown, gridPos=_grid_pos(position), id=panel_id, maxDataPoints=None, transparent=True
    )


def row(title: str, panel_id: int, position: GridPosition) -> core.Panel:
    return core.RowPanel(title=title, id=panel_id, gridPos=_grid_pos(position), maxDataPoints=None)


def datasource_variables(api: ApiAccess) -> list[dict[str, Any]]:
    """Which Prometheus, and which backend, the board reads."""
    prometheus = _datasource_variable("datasource", "Prometheus", "prometheus", PROMETHEUS_DATASOURCE_UID)
    if api == "none":
        return [prometheus]
    return [prometheus, _datasource_variable("api", "API", API_PLUGINS[api], API_DATASOURCE_UID)]


def query_variable(source: Variable) -> dict[str, Any]:
    has_all = bool(source.all_value)
    template = core.Template(
        name=source.name,
        label=source.label,
        query=source.menu.query,
        dataSource=PROMETHEUS,
        multi=has_all,
        includeAll=has_all,
        allValue=source.all_value or None,
        regex=source.menu.regex or None,
        refresh=_REFRESH_ON_TIME_RANGE,
        sort=_DO_NOT_SORT if source.ranked else _SORT_ALPHABETICALLY,
    )
    if not has_all:
        return _without(template.to_json_data(), _DEAD_VARIABLE_KEYS) | {"current": {}}
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


def dashboard(source: Board, panels: list[core.Panel], api: ApiAccess) -> core.Dashboard:
    tags = ["modelplane", f"modelplane-{source.kind}", *([] if source.entity else [TEMPLATE_TAG])]
    variables = [*datasource_variables(api), *map(query_variable, source.variables)]
    return core.Dashboard(
        uid=source.uid,
        title=source.title,
        description=source.question,
        tags=tags,
        templating=core.Templating(list=variables),
        annotations=core.Annotations(list=[annotation(item) for item in source.annotations]),
        panels=panels,
        links=_board_links(source.uid),
        editable=False,
        graphTooltip=_SHARED_CROSSHAIR,
        refresh="30s",
        schemaVersion=SCHEMA_VERSION,
        time=core.Time(source.start, "now"),
        timezone="browser",
    )


def encode(source: core.Dashboard) -> dict[str, Any]:
    """The JSON of a dashboard, without nulls and without keys that Grafana does not know."""
    content: dict[str, Any] = json.loads(json.dumps(source, cls=DashboardEncoder))
    content["panels"] = [_live_panel(panel) for panel in content["panels"]]
    pruned: dict[str, Any] = _pruned(_without(content, _DEAD_BOARD_KEYS))
    return pruned


def _live_panel(content: dict[str, Any]) -> dict[str, Any]:
    if content["type"] == "text":
        return _without(content, (_DEAD_PANEL_KEYS | _DATALESS_KEYS) - {"transparent"})
    if content["type"] == "row":
        return _without(content, _DEAD_PANEL_KEYS | _DATALESS_KEYS)
    return content


def _board_links(uid: str) -> list[core.DashboardLink]:
    """The fleet board and the list of all ten; both keep the time range and the variables."""
    keep = {"includeVars": True, "keepTime": True}
    fleet = core.DashboardLink(title="Fleet", type="link", uri=f"/d/{FLEET_UID}", icon="dashboard", **keep)
    boards = core.DashboardLink(
        title="Boards", type="dashboards", tags=[TEMPLATE_TAG], asDropdown=True, **keep
    )
    return [boards] if uid == FLEET_UID else [fleet, boards]


def _target(ref_id: str, query: Query, panel: Panel, api: ApiAccess) -> PrometheusTarget | dict[str, Any]:
    if isinstance(query, ApiQuery):
        return api_target(ref_id, query, api)
    return PrometheusTarget(
        refId=ref_id,
        datasource=PROMETHEUS,
        expr=query.expr,
        format=_format(query, panel),
        instant=query.instant,
        intervalFactor=1,
        legendFormat=query.legend or "__auto",
    )


def _format(query: PromQuery, panel: Panel) -> str:
    if isinstance(panel.view, Heatmap):
        return "heatmap"
    return "table" if isinstance(panel.view, Table) and query.instant else "time_series"


def _datasource(query: Query, api: ApiAccess) -> dict[str, str]:
    return api_datasource(api) if query.datasource == "api" else PROMETHEUS


def _datasource_variable(name: str, label: str, plugin: str, uid: str) -> dict[str, Any]:
    template = core.Template(name=name, label=label, query=plugin, type="datasource", default=uid)
    return _variable(template, uid, uid)


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
