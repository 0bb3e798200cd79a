"""Requests for the series of a metric, read from a query string."""

from __future__ import annotations

from typing import NamedTuple

from modelplane_datasource.series.metric import SeriesMetric
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.timeline.grid import MAX_POINTS, Grid, grid_by_step, grid_for_points
from modelplane_datasource.web.parameters import (
    Parameter,
    Values,
    check_names,
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


class SeriesRequest(NamedTuple):
    """Series of a metric at the times of a grid."""

    metric: SeriesMetric
    selection: Selection
    grid: Grid


def read_request(metric: SeriesMetric, values: Values, now: int, scrape_interval: int) -> SeriesRequest:
    """The request behind a query string; times in milliseconds. ApiError 400 or 422."""
    check_names(values, (*metric.parameters, *TIME_PARAMETERS))
    return SeriesRequest(metric, read_selection(metric, values), _read_grid(values, now, scrape_interval))


def read_selection(metric: SeriesMetric, values: Values) -> Selection:
    """Models, tenants, versions and the metric's own options. ApiError 400."""
    model, tenant, version = (parameter.read_all(values) for parameter in metric.selection_parameters)
    options = {
        option.name: option.read_all(values) if option.repeated else option.read_one(values)
        for option in metric.options
    }
    return Selection(model, tenant, version, options)


def _read_grid(values: Values, now: int, scrape_interval: int) -> Grid:
    start, end = read_range(values, now)
    max_points = MAX_DATA_POINTS.read(values)
    step = STEP.read_one(values)
    if step is not None:
        return grid_by_step(start, end, step)
    return grid_for_points(start, end, max_points, scrape_interval)
