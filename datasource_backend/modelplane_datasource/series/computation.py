"""The series of a metric, from one query or computed from several."""

from __future__ import annotations

from dataclasses import replace

from modelplane_datasource.context import AppContext
from modelplane_datasource.series.metric import Derived, SeriesMetric
from modelplane_datasource.series.model import SeriesResult, check_size, fetch, rate_window
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.timeline.grid import Grid


def compute_series(
    context: AppContext, metric: SeriesMetric, selection: Selection, grid: Grid
) -> SeriesResult:
    """The series of a metric on ``grid``. ApiError 422 when they are too many, UpstreamError."""
    result = _series_of(context, metric, selection, grid)
    check_size(result, context.settings.max_series, context.settings.max_points)
    return result


def _series_of(context: AppContext, metric: SeriesMetric, selection: Selection, grid: Grid) -> SeriesResult:
    source = metric.source
    if isinstance(source, Derived):
        return source.compute(context, selection, grid)
    window = rate_window(grid.step, context.scrape_interval)
    result = fetch(
        context.prometheus,
        source.query(selection, window),
        source.labels,
        selection,
        grid,
        reads_means=source.reads_means,
    )
    extra = source.extra
    if extra is None:
        return result
    return replace(
        result, series=tuple(replace(series, extra=extra(series.values)) for series in result.series)
    )
