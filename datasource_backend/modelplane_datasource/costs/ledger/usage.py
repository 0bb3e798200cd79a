"""Counters of processes, read as increase by cell."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from modelplane_datasource.costs.ledger.allocation import whole
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.gaps import Gaps, spread_over_cells
from modelplane_datasource.timeline.arrays import BoolArray, FloatArray, IntArray, numbered
from modelplane_datasource.timeline.times import DAY
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

NEVER = -(2**61)  # before every time

_NO_TIMES: IntArray = np.zeros(0, dtype=np.int64)
_NONE: BoolArray = np.zeros(0, dtype=np.bool_)


@dataclass(frozen=True, slots=True, eq=False)
class CounterSeries(Generic[Key]):
    """Samples of one counter in one process.

    ``process`` is any text that differs between processes and stays while one runs (job and instance, pod).
    ``times`` are milliseconds since 1970 in any order and may repeat; ``values`` are as many finite numbers
    from 0 up. ValueError otherwise. ``scraped`` says when it was scraped where that is not at its ``times``,
    and ``gap_free`` of which of its ``times`` it is known that no gap in scraping is before them.
    """

    key: Key
    process: str
    times: IntArray
    values: FloatArray
    scraped: IntArray | None = None
    gap_free: BoolArray | None = None

    def __post_init__(self) -> None:
        if self.times.shape != self.values.shape or self.times.ndim != 1:
            raise ValueError(
                f"{self.key}: times and values must be vectors of one length "
                f"(got {self.times.shape} and {self.values.shape})"
            )
        # NaN is neither; two reductions are quicker than three arrays of a vector's length.
        if len(self.values) and not (self.values.min() >= 0 and self.values.max() < np.inf):
            raise ValueError(f"{self.key}: values must be finite numbers from 0 up")

    @property
    def scrapes(self) -> IntArray:
        """When it was scraped, as far as samples prove it."""
        return self.times if self.scraped is None else self.scraped


@dataclass(frozen=True, slots=True)
class ScrapeTiming:
    """How often counters are scraped, and how far a sample counts; all in milliseconds.

    A sample stands for the ``hold`` after it, which is two scrapes; a process that is not scraped for longer
    has a gap. An increase between two samples further apart than ``lookback`` is not counted, so a cell
    depends on the samples of the ``lookback`` before and after it only.
    """

    scrape_interval: int
    lookback: int = DAY

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
    """Use of several counters.

    ``increase``, the part of it that is ``estimated`` and ``present`` are (rows, cells); an identity is
    present in a cell when its counter has a sample there or a gap over it that is bridged. ``processes``
    (cells,) is the number of processes that are. ``gaps`` are those that reach into the cells.
    """

    rows: tuple[Group, ...]
    increase: FloatArray
    estimated: FloatArray
    present: BoolArray
    processes: IntArray
    gaps: Gaps


class CellCounts(NamedTuple):
    """What several counters of whole units counted.

    Each has gone from ``low`` to ``high`` in its ``cell``, one step after the other, so that what is rounded
    of its numbers adds up over any steps. ``row`` says which of ``rows`` a step is of, ``is_estimated``
    whether it is part of a gap. ``present`` is (rows, cells), and ``gaps`` as in ``CellUse``.
    """

    rows: tuple[TokenUse, ...]
    row: IntArray
    cell: IntArray
    low: IntArray
    high: IntArray
    is_estimated: BoolArray
    present: BoolArray
    gaps: Gaps


class Scrapes:
    """When each process was scraped: whenever one of its series has a sample."""

    def __init__(self, series: Iterable[CounterSeries[DeviceUse] | CounterSeries[TokenUse]]) -> None:
        self._of_series: defaultdict[str, list[IntArray]] = defaultdict(list)
        self._times: dict[str, IntArray] = {}
        for counter in series:
            self._of_series[counter.process].append(counter.scrapes)

    def last_before(self, process: str, instants: IntArray) -> IntArray:
        """When ``process`` was last scraped before each instant, ``NEVER`` where it was not."""
        if process not in self._times:
            self._times[process] = np.concatenate(([NEVER], union_of(self._of_series[process])))
        times = self._times[process]
        return times[np.searchsorted(times, instants) - 1]


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
    units: int = 1,
) -> CellUse[Group]:
    """Increase of counters in each of ``cells``, summed for each value of ``group_of``; a counter counts
    ``units`` of what is given.

    It is the last sample at or before the end of a cell minus the last at or before its start, resets
    corrected. A counter that is smaller than before has restarted at 0. One that is new in a process which
    was scraped without it began at 0 too; the first sample of a new process is the start of its count,
    because nothing says when the process began.

    What a counter grew by over a gap in the scraping of its process is spread evenly over the time of the
    gap. Where it restarted in a gap, or the gap is longer than the lookback, nothing of the gap is counted,
    and the gap is unknown.
    """
    counters, _, use = _read(series, scrapes, cells, timing, units)
    processes = [process for _, process in counters]
    number = np.concatenate((use.counter, use.gap_counter[use.gap_of]))
    cell = np.concatenate((use.cell, use.gap_cell))

    def by_cell(row_of_counter: IntArray, height: int, weights: FloatArray | None = None) -> npt.NDArray[Any]:
        place = row_of_counter[number]
        place *= len(cells)
        place += cell
        shape = height, len(cells)
        return np.bincount(place, weights, math.prod(shape)).reshape(shape)

    rows, of_row = _distinct([group_of(key) for key, _ in counters])
    distinct, of_process = _distinct(processes)
    estimated = np.concatenate((np.zeros(len(use.cell)), use.share))
    return CellUse(
        rows,
        by_cell(of_row, len(rows), np.concatenate((use.change, use.share))),
        by_cell(of_row, len(rows), estimated),
        by_cell(of_row, len(rows)) > 0,
        (by_cell(of_process, len(distinct)) > 0).sum(axis=0),
        use.gaps(of_row),
    )


def counts_in_cells(
    series: Iterable[CounterSeries[TokenUse]], scrapes: Scrapes, cells: CellGrid, timing: ScrapeTiming
) -> CellCounts:
    """As ``use_in_cells``, from which number to which each counter went."""
    counters, samples, use = _read(series, scrapes, cells, timing, units=1)
    rows, of_row = _distinct([key for key, _ in counters])
    tops = samples.values[use.inside]
    gap, begins = use.gap_of, cells.start + use.gap_cell * cells.cell
    starts, ends = use.starts[gap], use.ends[gap]
    bottoms, per_time = samples.values[use.gap][gap] - use.grown[gap], use.grown[gap] / (ends - starts)
    low = bottoms + per_time * (np.maximum(starts, begins) - starts)
    high = bottoms + per_time * (np.minimum(ends, begins + cells.cell) - starts)
    row = of_row[np.concatenate((use.counter, use.gap_counter[gap]))]
    cell = np.concatenate((use.cell, use.gap_cell))
    present = np.zeros((len(rows), len(cells)), dtype=np.bool_)
    present[row, cell] = True
    return CellCounts(
        rows, row, cell,
        whole(np.concatenate((tops - use.change, low))), whole(np.concatenate((tops, high))),
        np.arange(len(row)) >= len(use.cell), present, use.gaps(of_row),
    )  # fmt: skip


def _read(
    series: Iterable[CounterSeries[Key]], scrapes: Scrapes, cells: CellGrid, timing: ScrapeTiming, units: int
) -> tuple[tuple[tuple[Key, str], ...], _Samples, _Increases]:
    """The counters, each a key in a process, their samples and what these grow by."""
    ordered = sorted(series, key=_counter)
    counters, of_series = _distinct([_counter(counter) for counter in ordered])
    samples = _samples(ordered, of_series)
    processes = [process for _, process in counters]
    return counters, samples, _increases(samples, processes, scrapes, cells, timing, units)


class _Samples(NamedTuple):
    """Samples of several counters, one counter after the other, in ascending order of time."""

    counter: IntArray
    times: IntArray
    values: FloatArray
    gap_free: BoolArray

    def same_as_before(self) -> BoolArray:
        """Whether each sample but the first is of the counter of the one before."""
        same: BoolArray = self.counter[1:] == self.counter[:-1]
        return same

    def chosen(self, places: IntArray | BoolArray) -> _Samples:
        return _Samples(self.counter[places], self.times[places], self.values[places], self.gap_free[places])


def _counter(counter: CounterSeries[Key]) -> tuple[Key, str]:
    return counter.key, counter.process


def _distinct(values: Sequence[T]) -> tuple[tuple[T, ...], IntArray]:
    """The distinct ``values``, ascending, and the place of each value among them."""
    distinct, places = numbered(values, len(values))
    return tuple(distinct), places


def _gap_free(counter: CounterSeries[Key]) -> BoolArray:
    return np.zeros(len(counter.times), dtype=np.bool_) if counter.gap_free is None else counter.gap_free


def _samples(series: Sequence[CounterSeries[Key]], counters: IntArray) -> _Samples:
    """Each time of a counter once, with the largest value; ``counters`` are the numbers of ``series``.

    So the same samples twice, in another order or from two scrapers are the same samples.
    """
    samples = _Samples(
        np.repeat(counters, [len(counter.times) for counter in series]),
        np.concatenate((_NO_TIMES, *(counter.times for counter in series))),
        np.concatenate((np.zeros(0), *(counter.values for counter in series))),
        np.concatenate((_NONE, *(_gap_free(counter) for counter in series))),
    )
    same, later = samples.same_as_before(), np.diff(samples.times)
    if not np.any(same & (later <= 0)):
        return samples
    if np.any(same & ((later < 0) | (later == 0) & (np.diff(samples.values) < 0))):
        samples = samples.chosen(np.lexsort((samples.values, samples.times, samples.counter)))
        same, later = samples.same_as_before(), np.diff(samples.times)
    return samples.chosen(np.append(~(same & (later == 0)), True))


class _Increases(NamedTuple):
    """Of each sample ``inside`` the cells its ``counter``, ``cell`` and ``change`` since the one before; of
    each ``gap``, which is the place of the sample at its end, its ``gap_counter``, start and end, what is
    ``grown`` in it and whether it is bridged, and of the bridged ones the ``share`` of ``gap_of`` that lies
    in ``gap_cell``."""

    inside: BoolArray
    counter: IntArray
    cell: IntArray
    change: FloatArray
    gap: IntArray
    gap_counter: IntArray
    starts: IntArray
    ends: IntArray
    grown: FloatArray
    bridged: BoolArray
    gap_of: IntArray
    gap_cell: IntArray
    share: FloatArray

    def gaps(self, row_of_counter: IntArray) -> Gaps:
        return Gaps(row_of_counter[self.gap_counter], self.starts, self.ends, self.bridged)


def _increases(
    samples: _Samples,
    processes: Sequence[str],
    scrapes: Scrapes,
    cells: CellGrid,
    timing: ScrapeTiming,
    units: int,
) -> _Increases:
    """Increases and gaps of counters whose processes are ``processes``."""
    counter, times, values, gap_free = samples
    change, later = np.diff(values, prepend=0.0), np.diff(times, prepend=0)
    begins = np.append(True, ~samples.same_as_before())[: len(times)]
    begins |= later > timing.lookback
    change[begins] = 0.0
    falls = change < 0
    np.copyto(change, values, where=falls)
    far = np.flatnonzero((begins | (later > timing.hold)) & ~gap_free & (times > cells.start))
    scraped = _last_scrapes(far, counter, times, processes, scrapes)
    since = times[far] - scraped
    began_at_0 = far[begins[far] & (since <= timing.lookback)]
    change[began_at_0] = values[began_at_0]
    change *= units  # before the division by the length of a gap, so that halves of a unit stay exact
    is_gap = (since > timing.hold) & (scraped > NEVER) & (scraped < cells.end)
    gap, starts = far[is_gap], scraped[is_gap]
    bridged = ~falls[gap] & (since[is_gap] <= timing.lookback)
    grown = np.where(bridged, change[gap], 0.0)
    change[far[since > timing.hold]] = 0.0
    gap_of, gap_cell, time = spread_over_cells(starts, np.where(bridged, times[gap], starts), cells)
    share = grown[gap_of] * time / (times[gap] - starts)[gap_of]
    inside = (times > cells.start) & (times <= cells.end)
    cell = (times[inside] - (cells.start + 1)) // cells.cell
    return _Increases(
        inside, counter[inside], cell, change[inside],
        gap, counter[gap], starts, times[gap], grown, bridged, gap_of, gap_cell, share,
    )  # fmt: skip


def _last_scrapes(
    places: IntArray, counter: IntArray, times: IntArray, processes: Sequence[str], scrapes: Scrapes
) -> IntArray:
    """When the process of each of the samples at ``places`` was scraped before them."""
    _, of_counter = _distinct(processes)
    process = of_counter[counter[places]]
    last = np.zeros(len(places), dtype=np.int64)
    for number in np.unique(process):
        of_process = process == number
        chosen = places[of_process]
        last[of_process] = scrapes.last_before(processes[counter[chosen[0]]], times[chosen])
    return last
