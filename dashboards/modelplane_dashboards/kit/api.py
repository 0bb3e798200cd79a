"""Queries of the backend, as the data sources that Grafana has for it take them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal
from urllib.parse import quote

from modelplane_dashboards.kit.board import MAX_API_POINTS, ApiQuery, BoardVariable
from modelplane_schema.uids import PLUGIN_DATASOURCE_ID

# How boards reach the backend: by the data source of ours, by Infinity, or not at all.
ApiAccess = Literal["plugin", "infinity", "none"]
API_ACCESSES: tuple[ApiAccess, ...] = ("plugin", "infinity", "none")

INFINITY_ID = "yesoreyeram-infinity-datasource"
# What our data source reads as All.
ALL_VALUES = ("$__all", ".+", ".*")


def api_datasource(access: ApiAccess) -> dict[str, str]:
    """The data source of panels that read the backend: the one that the board's variable selects."""
    return {"type": API_PLUGINS[access], "uid": "${api}"}


def api_target(ref_id: str, query: ApiQuery, access: ApiAccess) -> dict[str, Any]:
    """A target of a panel for ``query``."""
    content = _TARGETS[access](query)
    return {"refId": ref_id, "datasource": api_datasource(access), **content}


def api_url(query: ApiQuery) -> str:
    """Path and parameters of ``query``, with the board's time range and Grafana's variables in them."""
    pairs = [f"{name}={_url_value(value)}" for name, value in query.parameters]
    if query.kind == "series":
        pairs.append(f"maxDataPoints={MAX_API_POINTS}")
    path = f"rows/{query.name}" if query.kind == "series" else query.path or query.name
    pairs += [f"{name}=${{__{name}}}" for name in query.times]
    return f"/api/v1/{path}?{'&'.join(pairs)}"


def literal(value: str) -> str:
    """``value`` percent-encoded; the result holds none of the characters that start a Grafana variable."""
    return quote(value, safe="")


def _url_value(value: str | BoardVariable) -> str:
    return f"${{{value.name}:percentencode}}" if isinstance(value, BoardVariable) else literal(value)


def _plugin_target(query: ApiQuery) -> dict[str, Any]:
    params: dict[str, list[str]] = {}
    fixed: dict[str, list[str]] = {}
    for name, value in query.parameters:
        if isinstance(value, BoardVariable):
            params[name] = [f"${value.name}"]
        else:
            (fixed if _looks_like_a_variable(value) else params)[name] = [value]
    form = "time_series" if query.kind == "series" else "table"
    target: dict[str, Any] = {"kind": query.kind, "name": query.name, "format": form, "params": params}
    return target | {"fixed": fixed} if fixed else target


def _looks_like_a_variable(value: str) -> bool:
    return "$" in value or "[[" in value or value in ALL_VALUES


def _infinity_target(query: ApiQuery) -> dict[str, Any]:
    return {
        "type": "json",
        "source": "url",
        "parser": "backend",
        "format": "timeseries" if query.kind == "series" else "table",
        "url": api_url(query),
        "url_options": {"method": "GET", "data": ""},
        "root_selector": query.root,
        "columns": [
            {"selector": field.selector, "text": field.text, "type": field.type} for field in query.fields
        ],
        "filters": [],
    }


API_PLUGINS: Mapping[ApiAccess, str] = {"plugin": PLUGIN_DATASOURCE_ID, "infinity": INFINITY_ID}
_TARGETS: Mapping[ApiAccess, Callable[[ApiQuery], dict[str, Any]]] = {
    "plugin": _plugin_target,
    "infinity": _infinity_target,
}
