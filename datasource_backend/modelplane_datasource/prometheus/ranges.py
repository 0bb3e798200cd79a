"""Results of range queries: columns of JSON to serve the values, an array to compute with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from modelplane_datasource.prometheus.decoding import RANGE, Matrix, RangeEntry, labels_bytes, packed_points
from modelplane_datasource.prometheus.errors import INVALID, REJECTED, UpstreamError
from modelplane_datasource.prometheus.native_histograms import (
    ClassicBuckets,
    HistogramSeries,
    places_on,
    with_classic_series,
)
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.json_columns import POINTS, JsonColumn, read_column

_NOT_NUMBERS = "Prometheus' answer has native histograms, where numbers are expected."


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series of a range query; ``values`` lie on the grid, None where there is no finite number."""

    labels: Mapping[str, str]
    values: JsonColumn


@dataclass(frozen=True, slots=True, eq=False)
class RangeTable:
    """A range query's series as one array of shape (series, times), NaN where there is no finite number."""

    labels: tuple[Mapping[str, str], ...]
    values: FloatArray

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        return self.values.nbytes + sum(map(labels_bytes, self.labels))


def range_series(
    matrix: Matrix, grid: Grid, max_values: int, *, reads_means: bool = False
) -> tuple[RangeSeries, ...]:
    """The series of a range query on ``grid``; UpstreamError when they are more than ``max_values``.

    The value of a native histogram is the mean of its observations with ``reads_means``, else UpstreamError.
    """
    _check(matrix, grid, max_values)
    if not reads_means and any(entry.histograms for entry in matrix.result):
        raise UpstreamError(INVALID, _NOT_NUMBERS)
    try:
        return tuple(RangeSeries(entry.metric, _column(entry, grid)) for entry in matrix.result)
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {RANGE.name}.") from error


def range_table(
    matrix: Matrix, grid: Grid, max_values: int, buckets: ClassicBuckets | None = None
) -> RangeTable:
    """As ``range_series``, for those who compute with the values.

    Native histograms become the series of ``buckets``; UpstreamError when they cannot.
    """
    _check(matrix, grid, max_values)
    numbers = [entry for entry in matrix.result if not entry.histograms or len(bytes(entry.values)) > 2]
    try:
        values = _array([bytes(entry.values) for entry in numbers], grid)
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {RANGE.name}.") from error
    table = RangeTable(tuple(entry.metric for entry in numbers), values)
    histograms = [
        HistogramSeries(entry.metric, entry.histograms) for entry in matrix.result if entry.histograms
    ]
    return _with_histograms(table, histograms, grid, buckets) if histograms else table


def _with_histograms(
    table: RangeTable, histograms: Sequence[HistogramSeries], grid: Grid, buckets: ClassicBuckets | None
) -> RangeTable:
    if buckets is None:
        raise UpstreamError(INVALID, _NOT_NUMBERS)
    try:
        labels, values = with_classic_series(table.labels, table.values, histograms, grid, buckets)
    except ValueError as error:
        raise UpstreamError(INVALID, f"Prometheus' native histograms are not usable: {error}.") from error
    values.setflags(write=False)
    return RangeTable(labels, values)


def _column(entry: RangeEntry, grid: Grid) -> JsonColumn:
    column = read_column(bytes(entry.values), grid)
    if not entry.histograms:
        return column
    numbers = list(column)
    places = places_on(grid, (seconds for seconds, _ in entry.histograms))
    for place, (_, histogram) in zip(places, entry.histograms, strict=True):
        if numbers[place] is None:
            numbers[place] = histogram.mean
    return JsonColumn.of(numbers)


def _check(matrix: Matrix, grid: Grid, max_values: int) -> None:
    """UpstreamError when there are too many series, or one of them is there twice."""
    series, points = len(matrix.result), len(grid)
    if series * points > max_values:
        raise UpstreamError(
            REJECTED,
            f"Prometheus' answer has {series} series of {points} points, and at most "
            f"{max_values} values are allowed: ask for fewer series, a larger step or a shorter range.",
        )
    if len({frozenset(entry.metric.items()) for entry in matrix.result}) < series:
        raise UpstreamError(INVALID, "Prometheus' answer has the same series twice.")


def _array(texts: Sequence[bytes], grid: Grid) -> FloatArray:
    """The values of each ``[[1698400740,"0.5"],...]`` at the times of ``grid``; ValueError for others."""
    lengths = [text.count(b'"') // 2 for text in texts]
    if any(POINTS.decode(text) for text, length in zip(texts, lengths, strict=True) if not length):
        raise ValueError("a value is not a text")
    # All points at once: to read them series by series takes longer than all else where most have one point.
    points = b",".join([text[1:-1] for text, length in zip(texts, lengths, strict=True) if length])
    seconds, values = np.frombuffer(packed_points(b"[%b]" % points)).reshape(-1, 2).T
    if len(values) != sum(lengths):
        raise ValueError("a point is more than a time and a value")
    finite = np.where(np.isfinite(values), values, np.nan)
    array = _with_shared_times(lengths, seconds, finite, grid)
    if array is None:
        array = _with_any_times(lengths, seconds, finite, grid)
    array.setflags(write=False)  # it is cached, and shared by all who ask for it
    return array


def _with_shared_times(
    lengths: Sequence[int], seconds: FloatArray, values: FloatArray, grid: Grid
) -> FloatArray | None:
    """The ``values`` of series that all have one at the same successive times, else None."""
    if len(set(lengths)) != 1 or not len(seconds):
        return None
    length = lengths[0]
    times = np.arange(grid.start, grid.end + 1, grid.step) / 1000
    first = int(np.searchsorted(times, seconds[0]))
    expected = times[first : first + length]
    if len(expected) != length or not (seconds.reshape(-1, length) == expected).all():
        return None
    array = np.full((len(lengths), len(grid)), np.nan)
    array[:, first : first + length] = values.reshape(-1, length)
    return array


def _with_any_times(
    lengths: Sequence[int], seconds: FloatArray, values: FloatArray, grid: Grid
) -> FloatArray:
    """The ``values`` of series of any ``lengths`` at the times of ``grid``; ValueError."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    with np.errstate(all="ignore"):  # of times that are too large for a float
        places, remainders = np.divmod(np.rint(seconds * 1000) - grid.start, grid.step)
    if remainders.any() or not ((places >= 0) & (places < len(grid))).all():
        raise ValueError("values are at other times than those requested")
    places = places.astype(np.int64)
    array = np.full((len(lengths), len(grid)), np.nan)
    array[rows, places] = values
    if not np.array_equal(array[rows, places], values, equal_nan=True):
        raise ValueError("two values are at one time")
    return array
