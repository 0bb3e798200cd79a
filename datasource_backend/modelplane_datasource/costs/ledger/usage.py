"""Counters of processes, read as increase by cell."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.timeline.arrays import BoolArray, FloatArray, IntArray, numbered
from modelplane_schema.identity import Identity


class DeviceUse(NamedTuple):
    """What a counter of device seconds counts."""

    device: str
    device_type: str
    identity: Identity


class TokenUse(NamedTuple):
    """What a counter of tokens counts; ``kind`` is one of ``TOKEN_KINDS``."""

    identity: Identity
    kind: str


T = TypeVar("T")
Key = TypeVar("Key", DeviceUse, TokenUse)
Group = TypeVar("Group", Identity, TokenUse)

_NO_TIMES: IntArray = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class CounterSeries(Generic[Key]):
    """Samples of one counter in one process.

    ``process`` is any text that differs between processes and stays while one runs (job and instance, pod).
    ``times`` are milliseconds since 1970 in any order and may repeat; ``values`` are as many finite numbers
    from 0 up. ValueError otherwise. ``scraped`` says when it was scraped where that is not at its ``times``.
    """

    key: Key
    process: str
    times: IntArray
    values: FloatArray
    scraped: IntArray | None = None

    def __post_init__(self) -> None:
        if self.times.shape != self.values.shape or self.times.ndim != 1:
            raise ValueError(
                f"{self.key}: times and values must be vectors of one length "
                f"(got {self.times.shape} and {self.values.shape})"
            )
        if not np.all((self.values >= 0) & (self.values < np.inf)):
            raise ValueError(f"{self.key}: values must be finite numbers from 0 up")

    @property
    def scrapes(self) -> IntArray:
        """When it was scraped, as far as samples prove it."""
        return self.times if self.scraped is None else self.scraped


@dataclass(frozen=True, slots=True)
class ScrapeTiming:
    """How often counters are scraped, and how far a sample counts; all in milliseconds.

    A sample stands for the ``hold`` after it, which is two scrapes. An increase between two samples further
    apart than ``lookback`` is not counted, so a cell depends on the samples of its ``lookback`` only:
    fetch them from ``cells.start - lookback`` on.
    """

    scrape_interval: int
    lookback: int = 3_600_000

    def __post_init__(self) -> None:
        if self.scrape_interval <= 0:
            raise ValueError(f"scrape_interval must be positive (got {self.scrape_interval})")
        if self.lookback < self.hold:
            raise ValueError(f"lookback must be at least two scrapes, {self.hold} ms (got {self.lookback})")

    @property
    def hold(self) -> int:
        """How long a sample stands for what it says."""
        return 2 * self.scrape_interval


@dataclass(frozen=True, slots=True, eq=False)
class CellUse(Generic[Group]):
    """Use of several counters; all but ``processes`` are by row.

    ``increase`` and ``sampled``, whether a sample lies in the cell, are (rows, cells). ``processes`` (cells,)
    is the number of processes that have a sample there.
    """

    rows: tuple[Group, ...]
    increase: FloatArray
    sampled: BoolArray
    processes: IntArray


class Scrapes:
    """When each process was scraped: whenever one of its series has a sample."""

    def __init__(self, series: Iterable[CounterSeries[DeviceUse] | CounterSeries[TokenUse]]) -> None:
        self._of_series: defaultdict[str, list[IntArray]] = defaultdict(list)
        self._times: dict[str, IntArray] = {}
        for counter in series:
            self._of_series[counter.process].append(counter.scrapes)

    def lately(self, process: str, instants: IntArray, hold: int) -> BoolArray:
        """Whether ``process`` was scraped before each instant and at most ``hold`` away."""
        if process not in self._times:
            self._times[process] = union_of(self._of_series[process])
        times = self._times[process]
        before = np.searchsorted(times, instants) - 1
        return (before >= 0) & (instants - times[before] <= hold)


def union_of(times: Iterable[IntArray]) -> IntArray:
    """All of ``times``, ascending, each once; series of one scrape share theirs, which are sorted once."""
    distinct = {of_series.tobytes(): of_series for of_series in times}
    return np.unique(np.concatenate((_NO_TIMES, *distinct.values())))


def use_in_cells(
    series: Iterable[CounterSeries[Key]],
    group_of: Callable[[Key], Group],
    scrapes: Scrapes,
    cells: CellGrid,
    timing: ScrapeTiming,
) -> CellUse[Group]:
    """Increase of counters in each of ``cells``, summed for each value of ``group_of``.

    It is the last sample at or before the end of a cell minus the last at or before its start, resets
    corrected. A counter that is smaller than before has restarted at 0. One that is new in a process which
    was scraped without it began at 0 too; the first sample of a new process is the start of its count,
    because nothing says when the process began.
    """
    ordered = sorted(series, key=_counter)
    counters, of_series = _distinct([_counter(counter) for counter in ordered])
    processes = [process for _, process in counters]
    number, cell, change = _increases(_samples(ordered, of_series), processes, scrapes, cells, timing)

    def by_cell(row_of_counter: IntArray, height: int, weights: FloatArray | None = None) -> npt.NDArray[Any]:
        place = row_of_counter[number]
        place *= len(cells)
        place += cell
        shape = height, len(cells)
        return np.bincount(place, weights, math.prod(shape)).reshape(shape)

    rows, of_row = _distinct([group_of(key) for key, _ in counters])
    distinct, of_process = _distinct(processes)
    sampled = by_cell(of_row, len(rows)) > 0
    seen = by_cell(of_process, len(distinct)) > 0
    return CellUse(rows, by_cell(of_row, len(rows), change), sampled, seen.sum(axis=0))


class _Samples(NamedTuple):
    """Samples of several counters, one counter after the other, in ascending order of time."""

    counter: IntArray
    times: IntArray
    values: FloatArray

    def same_as_before(self) -> BoolArray:
        """Whether each sample but the first is of the counter of the one before."""
        same: BoolArray = self.counter[1:] == self.counter[:-1]
        return same

    def chosen(self, places: IntArray | BoolArray) -> _Samples:
        return _Samples(self.counter[places], self.times[places], self.values[places])


def _counter(counter: CounterSeries[Key]) -> tuple[Key, str]:
    return counter.key, counter.process


def _distinct(values: Sequence[T]) -> tuple[tuple[T, ...], IntArray]:
    """The distinct ``values``, ascending, and the place of each value among them."""
    distinct, places = numbered(values, len(values))
    return tuple(distinct), places


def _samples(series: Sequence[CounterSeries[Key]], counters: IntArray) -> _Samples:
    """Each time of a counter once, with the largest value; ``counters`` are the numbers of ``series``.

    So the same samples twice, in another order or from two scrapers are the same samples.
    """
    samples = _Samples(
        np.repeat(counters, [len(counter.times) for counter in series]),
        np.concatenate((_NO_TIMES, *(counter.times for counter in series))),
        np.concatenate((np.zeros(0), *(counter.values for counter in series))),
    )
    same, later = samples.same_as_before(), np.diff(samples.times)
    if np.any(same & ((later < 0) | (later == 0) & (np.diff(samples.values) < 0))):
        samples = samples.chosen(np.lexsort((samples.values, samples.times, samples.counter)))
        same, later = samples.same_as_before(), np.diff(samples.times)
    repeated = same & (later == 0)
    return samples.chosen(np.append(~repeated, True)) if repeated.any() else samples


def _increases(
    samples: _Samples, processes: Sequence[str], scrapes: Scrapes, cells: CellGrid, timing: ScrapeTiming
) -> tuple[IntArray, IntArray, FloatArray]:
    """Of each sample in ``cells`` its counter, its cell and the increase since the sample before.

    ``processes`` are those of the counters.
    """
    counter, times, values = samples
    change = values.copy()
    change[1:] -= values[:-1]
    np.copyto(change, values, where=change < 0)
    begins = np.ones(len(times), dtype=np.bool_)
    begins[1:] = ~samples.same_as_before() | (np.diff(times) > timing.lookback)
    inside = (times > cells.start) & (times <= cells.end)
    for place in _by_process(np.flatnonzero(begins & inside), counter, processes):
        began_at_0 = scrapes.lately(processes[counter[place[0]]], times[place], timing.hold)
        change[place] = np.where(began_at_0, values[place], 0.0)
    cell = times[inside]
    cell -= cells.start + 1
    cell //= cells.cell
    return counter[inside], cell, change[inside]


def _by_process(places: IntArray, counter: IntArray, processes: Sequence[str]) -> Iterator[IntArray]:
    """The ``places`` of samples, those of each process together."""
    _, of_counter = _distinct(processes)
    process = of_counter[counter[places]]
    for number in np.unique(process):
        yield places[process == number]
