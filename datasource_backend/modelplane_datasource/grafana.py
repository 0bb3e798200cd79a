"""Routes of the Grafana JSON datasource protocol, and of the older simple-json one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson
from flask import Blueprint, Response, request

from modelplane_datasource.auth import GRAFANA_PATH
from modelplane_datasource.catalogue import SERIES_METRICS, SeriesMetric, answer, find_metric
from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.grafana_payload import alternatives, payload_values
from modelplane_datasource.grid import MAX_POINTS, Grid, grid_for_points
from modelplane_datasource.parameters import check_known
from modelplane_datasource.plane import Plane
from modelplane_datasource.responses import json_response
from modelplane_datasource.series import as_datapoints
from modelplane_datasource.series_request import MAX_DATA_POINTS, MAX_STEP, check_order, read_scope
from modelplane_datasource.times import MAX_INSTANT, parse_rfc3339


def grafana_blueprint(plane: Plane) -> Blueprint:
    """``/grafana``: health, ``/metrics``, ``/search`` and ``/query``."""
    routes = Blueprint("grafana", __name__, url_prefix=GRAFANA_PATH)

    @routes.get("")
    @routes.get("/")
    def health() -> Response:
        return json_response({"status": "ok"})

    @routes.post("/metrics")
    def metric_list() -> Response:
        return json_response([_option(metric) for metric in SERIES_METRICS])

    @routes.post("/search")
    def search() -> Response:
        return json_response([metric.name for metric in SERIES_METRICS])

    @routes.post("/query")
    def query() -> Response:
        body = _json_object(request.get_data())
        targets = _targets(body)
        if not targets:
            return json_response([])
        grid = _grid(body, plane.scrape_interval)
        return json_response([part for target in targets for part in _query_target(plane, target, grid)])

    return routes


def _option(metric: SeriesMetric) -> dict[str, object]:
    payloads = [
        {"name": parameter.name, "label": parameter.name, "type": "input", "placeholder": parameter.allowed}
        for parameter in metric.scope_parameters
    ]
    return {"value": metric.name, "label": metric.title, "payloads": payloads}


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("the body", "is not JSON", "a JSON object") from error
    if not isinstance(parsed, dict):
        raise invalid("the body", "is not a JSON object", "a JSON object")
    return parsed


def _targets(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The visible targets. A filter that would be ignored is refused: its panel would show wrong data."""
    for key in ("filters", "adhocFilters"):
        if body.get(key):
            raise invalid(key, "are not supported", "no ad hoc filters; use the payload of the target")
    targets = body.get("targets")
    if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
        raise invalid(
            "targets", "is not a list of objects", "a list of objects with refId, target and payload"
        )
    return [target for target in targets if target.get("hide") is not True]


def _grid(body: Mapping[str, Any], scrape_interval: int) -> Grid:
    asked_range = body.get("range")
    if not isinstance(asked_range, dict):
        raise invalid("range", "is not an object", "an object with from and to")
    start, end = _instant(asked_range, "from"), _instant(asked_range, "to")
    check_order(start, end, "range.from", "range.to")
    max_points = _number(body, "maxDataPoints", 1, math.inf)
    interval = _number(body, "intervalMs", 0, MAX_STEP)
    points = int(MAX_DATA_POINTS.default or MAX_POINTS) if max_points is None else min(max_points, MAX_POINTS)
    return grid_for_points(start, end, int(points), scrape_interval, max(1, math.ceil(interval or 0)))


def _instant(asked_range: Mapping[str, Any], key: str) -> int:
    allowed = "an RFC 3339 time from 1970 to 9999"
    value = asked_range.get(key)
    try:
        instant = parse_rfc3339(value if isinstance(value, str) else "")
    except ValueError as error:
        raise invalid(f"range.{key}", f"has the value {str(value)[:100]!r}", allowed) from error
    if not 0 <= instant <= MAX_INSTANT:
        raise invalid(f"range.{key}", f"has the value {str(value)[:100]!r}", allowed)
    return instant


def _number(body: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        bound = f"from {low} to {high}" if math.isfinite(high) else f"of at least {low}"
        raise invalid(key, f"has the value {str(value)[:100]!r}", f"a number {bound}")
    return value


def _query_target(plane: Plane, target: Mapping[str, Any], grid: Grid) -> list[dict[str, Any]]:
    ref_id = target.get("refId")
    name = target.get("target")
    label = ref_id if isinstance(ref_id, str) else ""
    if not isinstance(name, str) or not name:
        raise invalid(f"target of refId {label!r}", "is not a metric's name", _metric_names())
    try:
        return [part for metric in alternatives(name) for part in _query(plane, metric, target, grid, label)]
    except ApiError as error:
        message = f"refId {label!r}: {error.message}"
        details = {**error.details, "refId": label}
        raise ApiError(error.status, error.error, message, details) from error


def _query(
    plane: Plane, name: str, target: Mapping[str, Any], grid: Grid, ref_id: str
) -> list[dict[str, Any]]:
    metric = find_metric(name)
    values = payload_values(target.get("payload"), literal=target.get("editorMode") == "code")
    check_known(values, metric.scope_parameters)
    scope = read_scope(metric, values)
    return as_datapoints(answer(plane, metric, scope, grid), ref_id)


def _metric_names() -> str:
    return ", ".join(metric.name for metric in SERIES_METRICS)
