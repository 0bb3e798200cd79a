"""Read what is asked for, and for which times, from the parameters of a series request."""

from __future__ import annotations

from dataclasses import dataclass

from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.selection import Scope
from modelplane_datasource.timeline.grid import MAX_POINTS, Grid, grid_by_step, grid_for_points
from modelplane_datasource.web.parameters import (
    Parameter,
    Values,
    check_known,
    read_all,
    read_default,
    read_one,
    whole_number,
)
from modelplane_datasource.web.time_parameters import (
    FROM,
    TO,
    read_range,
    step_duration,
)

STEP = Parameter(
    "step", "Distance of two points; chosen by maxDataPoints when it is left out.",
    "a duration such as 30s (ms, s, m, h, d, w) or a number of seconds, above 0 and at most 366d",
    step_duration,
)  # fmt: skip
MAX_DATA_POINTS = Parameter(
    "maxDataPoints", "Largest number of points of a series when step is left out.",
    f"a whole number from 1 to {MAX_POINTS}", whole_number(1, MAX_POINTS), default="500",
)  # fmt: skip
TIME_PARAMETERS = (FROM, TO, STEP, MAX_DATA_POINTS)


@dataclass(frozen=True, slots=True)
class SeriesRequest:
    metric: SeriesMetric
    scope: Scope
    grid: Grid


def read_request(metric: SeriesMetric, values: Values, now: int, scrape_interval: int) -> SeriesRequest:
    """The request behind a query string; times in milliseconds. ApiError 400 or 422."""
    check_known(values, (*metric.scope_parameters, *TIME_PARAMETERS))
    return SeriesRequest(metric, read_scope(metric, values), _read_grid(values, now, scrape_interval))


def read_scope(metric: SeriesMetric, values: Values) -> Scope:
    """Models, tenants, versions and the metric's own options. ApiError 400."""
    model, tenant, version = (read_all(values, parameter) for parameter in metric.scope)
    options = {
        option.name: read_all(values, option) if option.repeated else read_default(values, option)
        for option in metric.options
    }
    return Scope(model, tenant, version, options)


def _read_grid(values: Values, now: int, scrape_interval: int) -> Grid:
    start, end = read_range(values, now)
    max_points = read_default(values, MAX_DATA_POINTS)
    step = read_one(values, STEP)
    if step is not None:
        return grid_by_step(start, end, step)
    return grid_for_points(start, end, max_points, scrape_interval)
