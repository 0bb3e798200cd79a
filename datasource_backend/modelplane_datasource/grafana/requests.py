"""Bodies that Grafana's JSON datasource sends: targets, ranges and how many points a panel can draw."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import orjson

from modelplane_datasource.errors import invalid
from modelplane_datasource.series.request import MAX_DATA_POINTS
from modelplane_datasource.timeline.grid import MAX_POINTS, Grid, grid_for_points
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import MAX_INSTANT, parse_duration, parse_rfc3339
from modelplane_datasource.web.time_parameters import MAX_STEP, check_order

# Menus that come without a range list what was there in this time.
MENU_RANGE = parse_duration("7d")


def json_object(body: bytes) -> dict[str, Any]:
    """The object that a body holds; ApiError 400."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise invalid("the body", "is not JSON", "a JSON object") from error
    if not isinstance(parsed, dict):
        raise invalid("the body", "is not a JSON object", "a JSON object")
    return parsed


def object_or_empty(body: bytes) -> dict[str, Any]:
    """Like ``json_object``, and empty for a body of no bytes."""
    return json_object(body) if body else {}


def visible_targets(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The targets that are not hidden; ApiError 400."""
    targets = body.get("targets")
    if not isinstance(targets, list) or not all(isinstance(target, dict) for target in targets):
        raise invalid(
            "targets", "is not a list of objects", "a list of objects with refId, target and payload"
        )
    return [target for target in targets if target.get("hide") is not True]


def read_range(body: Mapping[str, Any], key: str = "range") -> TimeRange:
    """The range of a body; ApiError 400."""
    fields = body.get(key)
    if not isinstance(fields, dict):
        raise invalid(key, "is not an object", "an object with from and to")
    start, end = _instant(fields, key, "from"), _instant(fields, key, "to")
    check_order(start, end, f"{key}.from", f"{key}.to")
    return TimeRange(start, end)


def menu_range(body: Mapping[str, Any], key: str, now: int) -> TimeRange:
    """The range of a menu: the last 7 days where none is given."""
    return TimeRange(now - MENU_RANGE, now) if body.get(key) is None else read_range(body, key)


def read_grid(body: Mapping[str, Any], scrape_interval: int) -> Grid:
    """The times at which a panel is drawn; ApiError 400 or 422."""
    start, end = read_range(body)
    max_points = _number(body, "maxDataPoints", 1, math.inf)
    interval = _number(body, "intervalMs", 0, MAX_STEP)
    points = int(MAX_DATA_POINTS.default or MAX_POINTS) if max_points is None else min(max_points, MAX_POINTS)
    return grid_for_points(start, end, int(points), scrape_interval, max(1, math.ceil(interval or 0)))


def _instant(fields: Mapping[str, Any], key: str, side: str) -> int:
    allowed = "an RFC 3339 time from 1970 to 9999"
    value = fields.get(side)
    try:
        instant = parse_rfc3339(value if isinstance(value, str) else "")
    except ValueError as error:
        raise invalid(f"{key}.{side}", f"has the value {str(value)[:100]!r}", allowed) from error
    if not 0 <= instant <= MAX_INSTANT:
        raise invalid(f"{key}.{side}", f"has the value {str(value)[:100]!r}", allowed)
    return instant


def _number(body: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = body.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        bound = f"from {low} to {high}" if math.isfinite(high) else f"of at least {low}"
        raise invalid(key, f"has the value {str(value)[:100]!r}", f"a number {bound}")
    return value
