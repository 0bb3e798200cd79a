"""The options of Grafana's table: joined queries, columns and how their cells look."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from modelplane_dashboards.kit.board import Panel, PromQuery
from modelplane_dashboards.kit.json_parts import PanelContent, override, thresholds, value_mappings
from modelplane_dashboards.kit.views import PLAIN, Column, Table

_CELLS: dict[str, dict[str, Any]] = {
    "colour": {"type": "color-text"},
    "fill": {"mode": "basic", "type": "color-background"},
    "gauge": {"mode": "basic", "type": "gauge", "valueDisplayMode": "text"},
    "trend": {"hideValue": True, "type": "sparkline"},
}


def table_content(panel: Panel, view: Table) -> PanelContent:
    """Type, options, field configuration and transformations of a table."""
    options = {
        "cellHeight": "sm",
        "footer": {"countRows": False, "fields": list(view.totals), "reducer": ["sum"]}
        | {"show": bool(view.totals)},
        "showHeader": True,
        "sortBy": [{"desc": view.descending, "displayName": view.sort_by}] if view.sort_by else [],
    }
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
        "thresholds": thresholds(PLAIN),
    }
    overrides = [entry for column in view.columns if (entry := _override(column))["properties"]]
    return PanelContent(
        "table", options, {"defaults": defaults, "overrides": overrides}, tuple(_transformations(panel, view))
    )


def _transformations(panel: Panel, view: Table) -> Iterator[dict[str, Any]]:
    """Join the queries, drop what no column shows, then order and name the columns."""
    trends = {
        ref_id: {"timeField": "Time"}
        for ref_id, query in panel.named_queries
        if isinstance(query, PromQuery) and not query.instant
    }
    if trends:
        yield {"id": "timeSeriesTable", "options": trends}
    if view.join:
        yield {"id": "joinByField", "options": {"byField": view.join, "mode": "outer"}}
    elif len(panel.queries) > 1:
        yield {"id": "merge", "options": {}}
    if view.only:
        yield {"id": "filterByValue", "options": _equal(*view.only)}
    if panel.queries[0].datasource == "api":  # whose tables have more columns than a panel shows
        names = [column.field for column in view.columns]
        yield {"id": "filterFieldsByName", "options": {"include": {"names": names}}}
    times = ("Time", *(f"Time {number}" for number in range(1, len(panel.queries) + 1)))
    organize = {
        "excludeByName": dict.fromkeys(times, True) if panel.queries[0].datasource == "prometheus" else {},
        "indexByName": {column.field: index for index, column in enumerate(view.columns)},
        "renameByName": {column.field: column.title for column in view.columns},
    }
    yield {"id": "organize", "options": organize}


def _equal(field: str, value: str) -> dict[str, Any]:
    condition = {"fieldName": field, "config": {"id": "equal", "options": {"value": value}}}
    return {"filters": [condition], "match": "all", "type": "include"}


def _override(column: Column) -> dict[str, Any]:
    link = column.link
    properties: dict[str, Any] = {
        "unit": column.unit or None,
        "decimals": column.decimals,
        "custom.cellOptions": _CELLS.get(column.cell),
        "thresholds": thresholds(column.steps) if column.steps else None,
        "mappings": value_mappings(column.texts) or None,
        "min": 0 if column.cell == "gauge" else None,
        "max": column.maximum,
        "custom.width": column.width,
        "links": [{"title": link.title, "url": link.url}] if link else None,
        "custom.hidden": column.hidden or None,
    }
    given = {name: value for name, value in properties.items() if value is not None}
    return override("byName", column.title, given)
