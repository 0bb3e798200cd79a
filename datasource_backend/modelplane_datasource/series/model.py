"""Series of one metric on one grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.series.selection import GROUP_LABELS, Selection
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import duration
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID

SCRAPES_PER_WINDOW = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One line; ``values`` lie on the grid of the result, and so does each column of ``extra``.

    ``extra`` holds what belongs to each value, by name: the n of a drift, for example.
    """

    name: str
    labels: Mapping[str, str]
    values: Sequence[float | None]
    extra: Mapping[str, Sequence[float | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SeriesResult:
    """Series in the order of model, version and tenant."""

    grid: Grid
    series: tuple[Series, ...]


def check_size(result: SeriesResult, max_series: int, max_points: int) -> None:
    """ApiError 422 when a result has too many series, or all of them together too many points."""
    series, points = len(result.series), len(result.series) * len(result.grid)
    if series > max_series:
        raise ApiError(
            422,
            "too_many_series",
            f"The answer has {series} series, and at most {max_series} are allowed: "
            "name fewer models, tenants, versions or signals.",
            {"series": series, "max_series": max_series},
        )
    if points > max_points:
        raise ApiError(
            422,
            "too_many_points",
            f"The answer has {points} points in {series} series, and at most {max_points} are allowed: "
            "ask for fewer series, fewer maxDataPoints, a larger step or a shorter range.",
            {"points": points, "max_points": max_points, "series": series},
        )


def fetch(
    prometheus: PrometheusClient, promql: str, extra_labels: Sequence[str], selection: Selection, grid: Grid
) -> SeriesResult:
    """The series of one query; ``extra_labels`` are those besides ``GROUP_LABELS``. UpstreamError."""
    names = (*GROUP_LABELS, *extra_labels)
    lines = []
    for series in prometheus.query_range(promql, grid):
        labels = {name: series.labels.get(name, "") for name in names}
        lines.append(Series(series_name(labels, selection), labels, series.values))
    return ordered(grid, lines)


def ordered(grid: Grid, series: Iterable[Series]) -> SeriesResult:
    """A result with its series in the order of their labels."""
    return SeriesResult(grid, tuple(sorted(series, key=lambda line: tuple(line.labels.values()))))


def series_name(labels: Mapping[str, str], selection: Selection) -> str:
    """How people call a series: model and version, the tenant where there are several, other labels."""
    name = f"{labels[MODEL_NAME]} ({labels[MODEL_VERSION]})"
    tenant = [labels[TENANT_ID]] if len(set(selection.tenants)) > 1 else []
    return " ".join([name, *tenant, *(value for label, value in labels.items() if label not in GROUP_LABELS)])


def rate_window(step: int, scrape_interval: int) -> str:
    """A PromQL duration of max(step, 4 scrapes), so that no sample falls between two points."""
    window = max(step, SCRAPES_PER_WINDOW * scrape_interval)
    return duration(window)
