"""What a range query answers: texts for those who serve the values, an array for those who count with it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import numpy as np

from modelplane_datasource.prometheus.decoding import (
    INVALID,
    PAIRS,
    RANGE,
    REJECTED,
    Answered,
    FloatArray,
    Matrix,
    RangeEntry,
    UpstreamError,
    labels_bytes,
    packed,
)
from modelplane_datasource.prometheus.range_text import (
    column_as_written,
)
from modelplane_datasource.timeline.columns import Column
from modelplane_datasource.timeline.grid import Grid


@dataclass(frozen=True, slots=True)
class RangeSeries:
    """One series of a range query; ``values`` lie on the grid, None where there is no finite number."""

    labels: Mapping[str, str]
    values: Column


@dataclass(frozen=True, slots=True)
class RangeResult:
    series: tuple[RangeSeries, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class RangeTable:
    """A range query's series as one array of shape (series, times), NaN where there is no finite number."""

    labels: tuple[Mapping[str, str], ...]
    values: FloatArray
    warnings: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        return self.values.nbytes + sum(map(labels_bytes, self.labels))


def read_range(answered: Answered[Matrix], grid: Grid, most_values: int) -> RangeResult:
    """The series of a range query on ``grid``; UpstreamError when they are more than ``most_values``."""
    found = _checked(answered.data, grid, most_values)
    try:
        series = tuple(RangeSeries(entry.metric, _on_grid(bytes(entry.values), grid)) for entry in found)
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {RANGE.what}.") from error
    return RangeResult(series, answered.warnings)


def read_table(answered: Answered[Matrix], grid: Grid, most_values: int) -> RangeTable:
    """As ``read_range``, for those who count with the values."""
    found = _checked(answered.data, grid, most_values)
    try:
        values = _table([bytes(entry.values) for entry in found], grid)
    except (TypeError, ValueError, OverflowError) as error:
        raise UpstreamError(INVALID, f"Prometheus' answer is not {RANGE.what}.") from error
    return RangeTable(tuple(entry.metric for entry in found), values, answered.warnings)


def joined_ranges(parts: Sequence[RangeResult], grids: Sequence[Grid], most_values: int) -> RangeResult:
    """The answer of one query on successive ``grids``; UpstreamError as ``read_range``."""
    rows = _rows_of([[one.labels for one in part.series] for part in parts], grids, most_values)
    texts: list[list[bytes]] = [[] for _ in rows.labels]
    for places, part, grid in zip(rows.places, parts, grids, strict=True):
        found = dict(zip(places, part.series, strict=True))
        for row, own in enumerate(texts):
            own += found[row].values.texts if row in found else [b"null"] * len(grid)
    series = tuple(map(RangeSeries, rows.labels, map(Column.of_texts, texts)))
    return RangeResult(series, _warnings_of(parts))


def joined_tables(parts: Sequence[RangeTable], grids: Sequence[Grid], most_values: int) -> RangeTable:
    """As ``joined_ranges``."""
    rows = _rows_of([part.labels for part in parts], grids, most_values)
    values = np.full((len(rows.labels), sum(map(len, grids))), np.nan)
    end = 0
    for places, part, grid in zip(rows.places, parts, grids, strict=True):
        start, end = end, end + len(grid)
        values[places, start:end] = part.values
    values.setflags(write=False)
    return RangeTable(rows.labels, values, _warnings_of(parts))


class _Rows(NamedTuple):
    """The labels of each distinct series of several parts, and the rows that each part has a series for."""

    labels: tuple[Mapping[str, str], ...]
    places: tuple[list[int], ...]


def _rows_of(parts: Sequence[Sequence[Mapping[str, str]]], grids: Sequence[Grid], most_values: int) -> _Rows:
    distinct: dict[frozenset[tuple[str, str]], Mapping[str, str]] = {}
    for own in chain.from_iterable(parts):
        distinct.setdefault(frozenset(own.items()), own)
    rows = {key: row for row, key in enumerate(distinct)}
    _check_number(len(rows), sum(map(len, grids)), most_values)
    places = tuple([rows[frozenset(own.items())] for own in part] for part in parts)
    return _Rows(tuple(distinct.values()), places)


def _warnings_of(parts: Iterable[RangeResult | RangeTable]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(warning for part in parts for warning in part.warnings))


def _checked(matrix: Matrix, grid: Grid, most_values: int) -> Sequence[RangeEntry]:
    """The series of an answer; UpstreamError when they are too many, or one of them is there twice."""
    found = matrix.result
    _check_number(len(found), len(grid), most_values)
    if len({frozenset(entry.metric.items()) for entry in found}) < len(found):
        raise UpstreamError(INVALID, "Prometheus' answer has the same series twice.")
    return found


def _check_number(series: int, points: int, most_values: int) -> None:
    if series * points > most_values:
        raise UpstreamError(
            REJECTED,
            f"Prometheus' answer has {series} series of {points} points, and at most "
            f"{most_values} values are allowed: ask for fewer series, a larger step or a shorter range.",
        )


def _table(texts: Sequence[bytes], grid: Grid) -> FloatArray:
    """The values of each ``[[1698400740,"0.5"],...]`` at the times of ``grid``; ValueError for others."""
    lengths = [text.count(b'"') // 2 for text in texts]
    if any(PAIRS.decode(text) for text, length in zip(texts, lengths, strict=True) if not length):
        raise ValueError("a value is not a text")
    # All points at once: to read them series by series takes longer than all else where most have one point.
    points = b",".join([text[1:-1] for text, length in zip(texts, lengths, strict=True) if length])
    seconds, values = np.frombuffer(packed(b"[%b]" % points)).reshape(-1, 2).T
    if len(values) != sum(lengths):
        raise ValueError("a point is more than a time and a value")
    known = np.where(np.isfinite(values), values, np.nan)
    table = _placed_alike(lengths, seconds, known, grid)
    if table is None:
        table = _placed(lengths, seconds, known, grid)
    table.setflags(write=False)  # it is kept, and shared by all who ask for it
    return table


def _placed_alike(
    lengths: Sequence[int], seconds: FloatArray, known: FloatArray, grid: Grid
) -> FloatArray | None:
    """The ``known`` values of series that all have one at the same successive times, else None."""
    if len(set(lengths)) != 1 or not len(seconds):
        return None
    length = lengths[0]
    times = np.arange(grid.start, grid.end + 1, grid.step) / 1000
    first = int(np.searchsorted(times, seconds[0]))
    expected = times[first : first + length]
    if len(expected) != length or not (seconds.reshape(-1, length) == expected).all():
        return None
    table = np.full((len(lengths), len(grid)), np.nan)
    table[:, first : first + length] = known.reshape(-1, length)
    return table


def _placed(lengths: Sequence[int], seconds: FloatArray, known: FloatArray, grid: Grid) -> FloatArray:
    """The ``known`` values of series of any ``lengths`` at the times of ``grid``; ValueError."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    with np.errstate(all="ignore"):  # of times that are too large for a float
        places, beside = np.divmod(np.rint(seconds * 1000) - grid.start, grid.step)
    if beside.any() or not ((places >= 0) & (places < len(grid))).all():
        raise ValueError("values are at other times than those asked for")
    places = places.astype(np.int64)
    table = np.full((len(lengths), len(grid)), np.nan)
    table[rows, places] = known
    if not np.array_equal(table[rows, places], known, equal_nan=True):
        raise ValueError("two values are at one time")
    return table


def _on_grid(text: bytes, grid: Grid) -> Column:
    """The values of ``[[1698400740,"0.5"],...]`` at the times of ``grid``; ValueError for other times."""
    quick = column_as_written(text, grid)
    return Column.of(_by_time(text, grid)) if quick is None else quick


def _by_time(text: bytes, grid: Grid) -> list[float | None]:
    """A value for each time of ``grid``, None where there is no finite one; ValueError for other times."""
    times, found = grid.times, dict[int, float | None]()
    for instant, number in PAIRS.decode(text):
        time, value = round(instant * 1000), float(number)
        known = value if math.isfinite(value) else None
        if time not in times or found.setdefault(time, known) != known:
            raise ValueError("values are at other times than those asked for, or two at one time")
    return [found.get(time) for time in times]
