"""Native histograms as the series that classic ones have.

A Prometheus that converts classic histograms (``convert_classic_histograms_to_nhcb``) has no ``_bucket``,
``_sum`` and ``_count``: each histogram is one series, whose values list the buckets that are not empty.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import NamedTuple

import msgspec
import numpy as np

from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid

LE = "le"
Labels = Mapping[str, str]


class NativeHistogram(msgspec.Struct):
    """``buckets`` are how their bounds count, the lower, the upper and the number of observations."""

    count: str
    sum: str
    buckets: list[tuple[int, str, str, str]] | msgspec.UnsetType = msgspec.UNSET

    @property
    def filled(self) -> Sequence[tuple[int, str, str, str]]:
        """The buckets, none of an empty histogram."""
        return () if isinstance(self.buckets, msgspec.UnsetType) else self.buckets

    @property
    def texts(self) -> Iterator[str]:
        """All that has to be a number."""
        return chain((self.count, self.sum), *(bucket[1:] for bucket in self.filled))

    @property
    def mean(self) -> float:
        """The arithmetic mean of the observations, NaN without one; ValueError."""
        count = float(self.count)
        return float(self.sum) / count if count else math.nan


HistogramPoint = tuple[int | float, NativeHistogram]  # seconds since 1970


class HistogramSeries(NamedTuple):
    """Histograms of one series at several times."""

    labels: Labels
    points: Sequence[HistogramPoint]


class ClassicBuckets(NamedTuple):
    """The series of a classic histogram: cumulative counts at finite ``bounds`` and at infinity, by ``le``.

    With ``sum_as`` its sum is one more of them, whose ``le`` reads like that.
    """

    bounds: tuple[float, ...]
    sum_as: str = ""

    @property
    def texts(self) -> tuple[str, ...]:
        """The values of ``le``."""
        return (*map(repr, self.bounds), "+Inf", *((self.sum_as,) if self.sum_as else ()))


def places_on(grid: Grid, seconds: Iterable[float]) -> list[int]:
    """Which points of the grid times are; ValueError for others."""
    places = []
    for second in seconds:
        place, remainder = divmod(round(second * 1000) - grid.start, grid.step)
        if remainder or not 0 <= place < len(grid):
            raise ValueError("values are at other times than those requested")
        places.append(place)
    return places


def classic_values(points: Sequence[HistogramPoint], grid: Grid, buckets: ClassicBuckets) -> FloatArray:
    """Values of the shape (``buckets.texts``, times), NaN where there is no histogram.

    ValueError: a number or a time is none of those, or a bound lies inside a bucket that is not empty, so
    that nobody can say how many observations are below it.
    """
    histograms = [histogram for _, histogram in points]
    sizes = [len(histogram.filled) for histogram in histograms]
    numbers = [bucket[1:] for histogram in histograms for bucket in histogram.filled]
    lower, upper, counts = np.array(numbers, np.float64).reshape(-1, 3).T
    bounds = np.array(buckets.bounds)
    first = np.searchsorted(bounds, upper)  # the first bound that a bucket lies below
    inside = np.searchsorted(bounds, lower, side="right")
    if (inside < first).any():
        bound = bounds[inside[inside < first][0]]
        raise ValueError(f"they have no bound {bound:g}; allowed: buckets that end at {bound:g}")
    by_bound = np.zeros((len(points), len(bounds) + 1))
    np.add.at(by_bound, (np.repeat(np.arange(len(points)), sizes), first), counts)
    columns = [*by_bound.cumsum(axis=1).T[:-1], np.array([float(each.count) for each in histograms])]
    if buckets.sum_as:
        columns.append(np.array([float(each.sum) for each in histograms]))
    values = np.full((len(columns), len(grid)), np.nan)
    values[:, places_on(grid, (second for second, _ in points))] = columns
    return values


def with_classic_series(
    labels: Sequence[Labels], values: FloatArray, series: Sequence[HistogramSeries],
    grid: Grid, buckets: ClassicBuckets,
) -> tuple[tuple[Labels, ...], FloatArray]:  # fmt: skip
    """The series of a range query, and those that its native histograms stand for; ValueError.

    Where both are there, as after a change of the configuration, the classic ones count.
    """
    rows = {_key(of_series): row for row, of_series in enumerate(labels)}
    all_labels, added = list(labels), list[FloatArray]()
    values = values.copy()
    for of_series, points in series:
        for text, row_values in zip(buckets.texts, classic_values(points, grid, buckets), strict=True):
            of_bucket = {**of_series, LE: text}
            row = rows.get(_key(of_bucket))
            if row is None:
                all_labels.append(of_bucket)
                added.append(row_values)
            else:
                values[row] = np.where(np.isnan(values[row]), row_values, values[row])
    return tuple(all_labels), np.vstack([values, *added]) if added else values


def _key(labels: Labels) -> frozenset[tuple[str, object]]:
    """Equal for two series whose ``le`` is the same number: 1 and 1.0."""
    return frozenset({**labels, LE: _number(labels.get(LE, ""))}.items())


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
