"""Series of one metric on one grid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.series.selection import GROUP_BY, GROUP_LABELS, Selection
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
            f"name fewer models, tenants, versions or signals, or add some up with {GROUP_BY.name}.",
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
    prometheus: PrometheusClient,
    promql: str,
    extra_labels: Sequence[str],
    selection: Selection,
    grid: Grid,
    *,
    reads_means: bool = False,
) -> SeriesResult:
    """The series of one query; ``extra_labels`` are those besides the selection's groups. UpstreamError.

    With ``reads_means`` a native histogram is the mean of its observations.
    """
    names = (*selection.group_labels, *extra_labels)
    lines = []
    for series in prometheus.query_range(promql, grid, reads_means=reads_means):
        labels = {name: series.labels.get(name, "") for name in names}
        lines.append(Series(series_name(labels, selection), labels, series.values))
    return ordered(grid, lines)


def ordered(grid: Grid, series: Iterable[Series]) -> SeriesResult:
    """A result with its series in the order of their labels."""
    return SeriesResult(grid, tuple(sorted(series, key=lambda line: tuple(line.labels.values()))))


def series_name(labels: Mapping[str, str], selection: Selection) -> str:
    """How people call a series: model and version, the tenant unless it is the one selected, other labels."""
    parts = [labels[label] for label in (MODEL_NAME, MODEL_VERSION) if label in labels]
    names = [f"{parts[0]} ({parts[1]})"] if len(parts) == 2 else parts
    if TENANT_ID in labels and (not names or len(set(selection.tenants)) != 1):
        names.append(labels[TENANT_ID])
    others = (value for label, value in labels.items() if label not in GROUP_LABELS)
    return " ".join((*names, *others)) or "all"


def rate_window(step: int, scrape_interval: int) -> str:
    """A PromQL duration of max(step, 4 scrapes), so that no sample falls between two points."""
    window = max(step, SCRAPES_PER_WINDOW * scrape_interval)
    return duration(window)
