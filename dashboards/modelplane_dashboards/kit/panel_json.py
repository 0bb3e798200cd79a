"""The options that Grafana's panels take, for each kind of view; pure, and without grafanalib."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from modelplane_dashboards.kit.board import ApiQuery, Panel, PromQuery
from modelplane_dashboards.kit.colours import BAD
from modelplane_dashboards.kit.json_parts import (
    PanelContent,
    fixed_colour,
    override,
    thresholds,
    value_mappings,
)
from modelplane_dashboards.kit.tables import table_content
from modelplane_dashboards.kit.views import (
    PLAIN,
    BarChart,
    BarGauge,
    Gauge,
    Heatmap,
    Stat,
    StateTimeline,
    StatusHistory,
    Table,
    Text,
    TimeSeries,
)

_LAST_VALUE = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_NO_LEGEND = {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False}
# Grafana refuses to draw more cells a panel than it has room for.
_MAX_CELLS = 60


def panel_content(panel: Panel) -> PanelContent:
    """Type, options, field configuration and transformations of a panel."""
    content: PanelContent = _CONTENTS[type(panel.view)](panel, panel.view)
    defaults = content.field_config.get("defaults")
    if defaults is not None:
        defaults.update({"unit": panel.unit, "noValue": panel.empty or "No data"})
        if panel.decimals is not None:
            defaults["decimals"] = panel.decimals
    return content


def _time_series(panel: Panel, view: TimeSeries) -> PanelContent:
    custom: dict[str, Any] = {
        "drawStyle": "bars" if view.bars else "line",
        "barAlignment": 1 if view.bars else 0,
        "lineInterpolation": "linear",
        "lineWidth": 0 if view.bars else 1,
        "fillOpacity": 80 if view.bars else 30 if view.stacked else 0,
        "pointSize": 4,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if view.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if view.steps == PLAIN else "dashed"},
    }
    if view.soft_maximum is not None:
        custom["axisSoftMax"] = view.soft_maximum
    defaults: dict[str, Any] = {
        "color": {"mode": "palette-classic-by-name"},
        "custom": custom,
        "thresholds": thresholds(view.steps),
    }
    defaults |= {
        key: bound for key, bound in (("min", view.minimum), ("max", view.maximum)) if bound is not None
    }
    overrides = [override("byName", name, {"color": fixed_colour(colour)}) for name, colour in view.colours]
    overrides += _line_styles(panel)
    options = {"legend": _legend(view.legend), "tooltip": {"mode": "multi", "sort": "desc"}}
    return PanelContent("timeseries", options, {"defaults": defaults, "overrides": overrides})


def _line_styles(panel: Panel) -> Iterable[dict[str, Any]]:
    for ref_id, query in panel.named_queries:
        style = query.style if isinstance(query, PromQuery) else "solid"
        if style == "dotted":
            yield override("byFrameRefID", ref_id, {"custom.lineStyle": {"fill": "dot", "dash": [0, 6]}})
        if style == "limit":
            look = {
                "color": fixed_colour(BAD),
                "custom.fillOpacity": 0,
                "custom.lineStyle": {"fill": "dash", "dash": [8, 6]},
                "custom.lineWidth": 1,
                "custom.drawStyle": "line",
                "custom.stacking": {"mode": "none", "group": "A"},
            }
            yield override("byFrameRefID", ref_id, look)


def _legend(placement: str) -> dict[str, Any]:
    if placement == "hidden":
        return _NO_LEGEND
    mode = "table" if placement == "right" else "list"
    return {"calcs": [], "displayMode": mode, "placement": placement, "showLegend": True}


def _stat(panel: Panel, view: Stat) -> PanelContent:
    options = {
        "colorMode": "background_solid" if view.filled else "value",
        "graphMode": "area" if view.trend else "none",
        "justifyMode": "center",
        "orientation": "auto",
        "reduceOptions": _LAST_VALUE | {"fields": _shown_fields(panel)},
        "textMode": "value_and_name" if view.shows_name else "value",
        "wideLayout": True,
    }
    defaults = {
        "color": {"mode": "thresholds"},
        "mappings": value_mappings(view.texts),
        "thresholds": thresholds(view.steps),
    }
    return PanelContent("stat", options, {"defaults": defaults, "overrides": []})


def _shown_fields(panel: Panel) -> str:
    """A pattern of the fields that a stat shows: a row of the backend has more than the panel names."""
    query = panel.queries[0]
    if not isinstance(query, ApiQuery):
        return ""
    return f"/^({'|'.join(field.text for field in query.fields)})$/"


def _gauge(panel: Panel, view: Gauge) -> PanelContent:
    options = {
        "orientation": "auto",
        "reduceOptions": _LAST_VALUE,
        "showThresholdLabels": False,
        "showThresholdMarkers": True,
        "sizing": "auto",
    }
    defaults = {
        "color": {"mode": "thresholds"},
        "max": view.maximum,
        "min": 0,
        "thresholds": thresholds(view.steps),
    }
    return PanelContent("gauge", options, {"defaults": defaults, "overrides": []})


def _bar_gauge(panel: Panel, view: BarGauge) -> PanelContent:
    options = {
        "displayMode": "basic",
        "legend": _NO_LEGEND,
        "maxVizHeight": 26,
        "minVizHeight": 16,
        "minVizWidth": 8,
        "namePlacement": "left",
        "orientation": "horizontal",
        "reduceOptions": _LAST_VALUE,
        "showUnfilled": True,
        "sizing": "manual",
        "valueMode": "color",
    }
    defaults: dict[str, Any] = {
        "color": {"mode": "thresholds"},
        "min": view.minimum,
        "thresholds": thresholds(view.steps),
    }
    if view.maximum is not None:
        defaults["max"] = view.maximum
    return PanelContent("bargauge", options, {"defaults": defaults, "overrides": []})


def _heatmap(panel: Panel, view: Heatmap) -> PanelContent:
    options = {
        "calculate": False,
        "cellGap": 0,
        "color": {"exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": False}
        | {"scale": "exponential", "scheme": view.scheme, "steps": 64},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": False},
        "rowsFrame": {"layout": "auto"},
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": panel.unit},
    }
    defaults: dict[str, Any] = {"custom": {"scaleDistribution": {"type": "linear"}}}
    return PanelContent("heatmap", options, {"defaults": defaults, "overrides": []})


def _state_timeline(panel: Panel, view: StateTimeline) -> PanelContent:
    options = {
        "alignValue": "left",
        "legend": _NO_LEGEND,
        "mergeValues": True,
        "rowHeight": 0.7,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return PanelContent("state-timeline", options, _states(view.steps, view.texts))


def _status_history(panel: Panel, view: StatusHistory) -> PanelContent:
    options = {
        "colWidth": 0.9,
        "legend": _NO_LEGEND,
        "rowHeight": 0.8,
        "showValue": "never",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    content = PanelContent("status-history", options, _states(view.steps, ()))
    return content._replace(max_data_points=_MAX_CELLS)


def _states(steps: Any, texts: Any) -> dict[str, Any]:
    defaults = {
        "color": {"mode": "thresholds"},
        "custom": {"fillOpacity": 80, "lineWidth": 0},
        "mappings": value_mappings(texts),
        "thresholds": thresholds(steps),
    }
    return {"defaults": defaults, "overrides": []}


def _bar_chart(panel: Panel, view: BarChart) -> PanelContent:
    matrix = {"columnField": view.series, "rowField": view.category, "valueField": view.value}
    corner = f"{view.category}\\{view.series}"  # the name that Grafana gives the field of rows
    transformations = [
        {"id": "groupingToMatrix", "options": matrix},
        {"id": "organize", "options": {"renameByName": {corner: view.category}}},
    ]
    options = {
        "barRadius": 0,
        "barWidth": 0.9,
        "fullHighlight": False,
        "groupWidth": 0.8,
        "legend": _legend("bottom"),
        "orientation": "auto",
        "showValue": "never",
        "stacking": "none",
        "tooltip": {"mode": "multi", "sort": "none"},
        "xField": view.category,
        "xTickLabelRotation": 0,
        "xTickLabelSpacing": 100,
    }
    defaults = {
        "color": {"mode": "palette-classic-by-name"},
        "custom": {"fillOpacity": 70, "lineWidth": 0},
        "min": 0,
        "thresholds": thresholds(PLAIN),
    }
    overrides = [override("byName", name, {"color": fixed_colour(colour)}) for name, colour in view.colours]
    return PanelContent(
        "barchart", options, {"defaults": defaults, "overrides": overrides}, tuple(transformations)
    )


def _text(panel: Panel, view: Text) -> PanelContent:
    return PanelContent("text", {"content": view.markdown, "mode": "markdown"}, {})


_CONTENTS: Mapping[type, Callable[[Panel, Any], PanelContent]] = {
    TimeSeries: _time_series,
    Stat: _stat,
    Gauge: _gauge,
    BarGauge: _bar_gauge,
    Heatmap: _heatmap,
    StateTimeline: _state_timeline,
    StatusHistory: _status_history,
    BarChart: _bar_chart,
    Table: table_content,
    Text: _text,
}
