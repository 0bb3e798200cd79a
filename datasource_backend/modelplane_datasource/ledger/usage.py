"""Counters of processes, read as increase by cell."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Generic, NamedTuple, TypeVar

import numpy as np

from modelplane_datasource.ledger.cells import BoolArray, FloatArray, IntArray, Window


class Identity(NamedTuple):
    """Who is charged: the identity labels, in their order."""

    model_name: str
    model_version: str
    tenant_id: str
    framework: str


class DeviceUse(NamedTuple):
    """What a counter of device seconds counts."""

    device: str
    device_type: str
    identity: Identity


class TokenUse(NamedTuple):
    """What a counter of tokens counts; ``kind`` is one of ``TOKEN_KINDS``."""

    identity: Identity
    kind: str


Key = TypeVar("Key", DeviceUse, TokenUse)


@dataclass(frozen=True, slots=True, eq=False)
class CounterSeries(Generic[Key]):
    """Samples of one counter in one process.

    ``process`` is any text that differs between processes and stays while one runs (job and instance, pod).
    ``times`` are milliseconds since 1970 in any order and may repeat; ``values`` are as many finite numbers
    from 0 up. ValueError otherwise.
    """

    key: Key
    process: str
    times: IntArray
    values: FloatArray

    def __post_init__(self) -> None:
        if self.times.shape != self.values.shape or self.times.ndim != 1:
            raise ValueError(
                f"{self.key}: times and values must be vectors of one length "
                f"(got {self.times.shape} and {self.values.shape})"
            )
        if not np.all(np.isfinite(self.values) & (self.values >= 0)):
            raise ValueError(f"{self.key}: values must be finite numbers from 0 up")


@dataclass(frozen=True, slots=True)
class Reading:
    """How samples are read; all in milliseconds.

    A sample stands for the ``hold`` after it, which is two scrapes. An increase between two samples further
    apart than ``lookback`` is not counted, so a cell depends on the samples of its ``lookback`` only:
    fetch them from ``window.start - lookback`` on.
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


class CellUse(NamedTuple):
    """Increase of one series in each cell, and whether a sample lies in it; both (cells,)."""

    increase: FloatArray
    sampled: BoolArray


def merged(series: Iterable[CounterSeries[Key]]) -> Iterator[CounterSeries[Key]]:
    """One series for each key and process, in their order; each time once, with the largest value.

    So the same samples twice, in another order or from two scrapers are the same series.
    """

    def place(one: CounterSeries[Key]) -> tuple[Key, str]:
        return one.key, one.process

    for (key, process), group in groupby(sorted(series, key=place), place):
        copies = list(group)
        times = np.concatenate([copy.times for copy in copies])
        values = np.concatenate([copy.values for copy in copies])
        if np.any(np.diff(times) <= 0):
            order = np.lexsort((values, times))
            times, values = times[order], values[order]
            last = np.append(np.diff(times) > 0, True)
            times, values = times[last], values[last]
        yield CounterSeries(key, process, times, values)


def distinct_times(arrays: Iterable[IntArray]) -> list[IntArray]:
    """``arrays`` without repetitions: the series of one scrape share their times."""
    return list({array.tobytes(): array for array in arrays}.values())


def scrapes_by_process(
    series: Iterable[CounterSeries[DeviceUse] | CounterSeries[TokenUse]],
) -> dict[str, list[IntArray]]:
    """When each process was scraped: ascending vectors whose union is meant."""
    times: defaultdict[str, list[IntArray]] = defaultdict(list)
    for one in series:
        if len(one.times):
            times[one.process].append(one.times)
    return {process: distinct_times(arrays) for process, arrays in times.items()}


def use_in_cells(
    series: CounterSeries[Key], scrapes: Mapping[str, Sequence[IntArray]], window: Window, reading: Reading
) -> CellUse:
    """Last sample at or before the end of each cell minus the last at or before its start, resets corrected.

    ``series`` comes from ``merged``. A counter that is smaller than before has restarted at 0. One that is
    new in a process which was scraped without it began at 0 too; the first sample of a new process is the
    start of its count, because nothing says when the process began.
    """
    first, last = np.searchsorted(series.times, (window.start - reading.lookback, window.end + 1))
    times, values = series.times[first:last], series.values[first:last]
    change = np.diff(values, prepend=0.0)
    change = np.where(change < 0, values, change)
    begins = np.flatnonzero(np.diff(times, prepend=times[:1] - reading.lookback - 1) > reading.lookback)
    known = _scraped_before(times[begins], scrapes.get(series.process, ()), reading.hold)
    change[begins] = np.where(known, values[begins], 0.0)
    inside = times > window.start
    cells = (times[inside] - window.start - 1) // window.cell
    increase: FloatArray = np.zeros(len(window))
    np.add.at(increase, cells, change[inside])
    return CellUse(increase, np.bincount(cells, minlength=len(window)) > 0)


def _scraped_before(instants: IntArray, scrapes: Sequence[IntArray], hold: int) -> BoolArray:
    """Whether one of ``scrapes`` lies before each instant and at most ``hold`` away."""
    found = np.zeros(len(instants), dtype=np.bool_)
    for times in scrapes:
        before = np.searchsorted(times, instants) - 1
        found |= (before >= 0) & (instants - times[before] <= hold)
    return found
