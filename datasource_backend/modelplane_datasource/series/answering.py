"""The series of a metric, from one query or computed from several."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modelplane_datasource.context import Plane
from modelplane_datasource.observability.query_warnings import note
from modelplane_datasource.series.metric import Derived, SeriesMetric
from modelplane_datasource.series.model import Answer, check_size, fetch, rate_window
from modelplane_datasource.series.selection import Scope
from modelplane_datasource.timeline.grid import Grid

T = TypeVar("T")


def served(
    plane: Plane,
    metric: SeriesMetric,
    scope: Scope,
    grid: Grid,
    shape: str,
    write: Callable[[Answer], T],
    size_of: Callable[[T], int],
) -> T:
    """What ``write`` makes of the series of a metric on ``grid``; ``size_of`` gives its bytes. ApiError.

    It is kept for the step under the name of its ``shape``. Warnings belong to each request that uses it.
    """

    def ask() -> T:
        found = _answer(plane, metric, scope, grid)
        check_size(found, plane.settings.max_series, plane.settings.max_points)
        note(found.warnings)
        return write(found)

    return plane.kept((metric.name, scope.key, grid, shape), grid.step / 1000, ask, size_of)


def _answer(plane: Plane, metric: SeriesMetric, scope: Scope, grid: Grid) -> Answer:
    source = metric.source
    if isinstance(source, Derived):
        return source.compute(plane, scope, grid)
    window = rate_window(grid.step, plane.scrape_interval)
    return fetch(plane.prometheus, source.query(scope, window), source.labels, scope, grid)
