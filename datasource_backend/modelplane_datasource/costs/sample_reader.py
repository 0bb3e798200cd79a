"""The samples by which a range of time is charged: as few as are proven to be enough.

Of a counter that was scraped all the time and never restarted, a cell needs the last sample before its end
and no other: one of twenty, with a scrape each 15 s. A range is *gap-free* when each series has a sample in
each of its cells and none restarted, and each process and device was seen without a break. Any other is read
as it was scraped: of a long range only the part in which a series begins, ends or restarts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TypeVar

import numpy as np

from modelplane_datasource.costs.ledger.usage import ScrapeTiming, union_of
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError
from modelplane_datasource.timeline.arrays import BoolArray, FloatArray, IntArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import duration
from modelplane_schema import metrics
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID, Metric
from modelplane_schema.promql import Matcher, one_of, selector

K = TypeVar("K")
Labels = frozenset[tuple[str, str]]
_Place = tuple[str, str]  # a process and a device

_DEVICE = "device"
_DEVICE_SERIES = selector(metrics.DEVICE_MEMORY_TOTAL.name)  # is there while the device is, busy or not
_REPRESENTATIVE_LABELS = (_DEVICE, TENANT_ID, MODEL_VERSION, MODEL_NAME)
_REPRESENTATIVES_AT_ONCE = 50  # VictoriaMetrics takes queries of 16 KiB
_FEWEST_SCRAPES = 3  # of a cell; where there are less, little is saved
_FEWEST_CELLS = 12


@dataclass(frozen=True, slots=True, eq=False)
class RangeSamples:
    """What was read of a range: the series of each counter, and further times at which a device was seen.

    The range begins and ends at the edge of a cell. Where it is gap-free samples stand at the edges of its
    cells, otherwise where they were scraped; those from before the range only prove that there was a scrape.
    """

    time_range: TimeRange
    is_gap_free: bool
    series: Mapping[str, tuple[RawSeries, ...]]
    seen_at: Mapping[str, IntArray]

    def first_inside(self, series: RawSeries) -> int:
        """The place of the first sample of a series after the start, where the range before ends."""
        return 1 if self.is_gap_free else int(series.times.searchsorted(self.time_range.start, side="right"))

    @property
    def samples(self) -> int:
        """How many there are."""
        return sum(len(counter.times) for series in self.series.values() for counter in series)

    def scraped(self, timing: ScrapeTiming) -> int:
        """About how many samples the counter with the most has in Prometheus."""
        if self.is_gap_free:
            of_series = self.time_range.length // timing.scrape_interval
            return max(len(series) * of_series for series in self.series.values())
        return max(sum(len(counter.times) for counter in series) for series in self.series.values())


@dataclass(frozen=True, slots=True)
class SampleReader:
    """Reads ``counters``, device seconds among them. Errors are UpstreamError."""

    prometheus: PrometheusClient
    counters: Sequence[Metric]
    timing: ScrapeTiming
    cell: int
    _labels: dict[bytes, Labels] = field(default_factory=dict, init=False)
    _places: dict[bytes, tuple[_Place, tuple[str, ...]]] = field(default_factory=dict, init=False)

    def read(self, time_range: TimeRange) -> list[RangeSamples]:
        """What charges ``time_range``, in ranges that follow each other."""
        seen_at = _by_device(self.prometheus.unrestricted_samples(_DEVICE_SERIES, *time_range))
        if self.timing.scrape_interval * _FEWEST_SCRAPES > self.cell:
            return [replace(self.as_scraped(time_range), seen_at=seen_at)]
        at_edges = self._at_edges(time_range)
        first, *others = (
            (self._gap_free(part, at_edges) if is_even else None) or self.as_scraped(part)
            for part, is_even in _parts(at_edges.values(), time_range, self.cell)
        )
        return [replace(first, seen_at=_united(seen_at, first.seen_at)), *others]

    def as_scraped(self, time_range: TimeRange, matchers: Sequence[Matcher] = ()) -> RangeSamples:
        """Each sample, from long enough before the range to see whether its first is new in its process."""
        start = time_range.start - self.timing.hold
        series = {
            metric.name: self.prometheus.unrestricted_samples(
                selector(metric.name, matchers), start, time_range.end
            )
            for metric in self.counters
        }
        return RangeSamples(time_range, False, series, {})

    def labels_of(self, series: RawSeries) -> Labels:
        """The labels of a series; read once for all ranges."""
        labels = self._labels.get(series.metric)
        if labels is None:
            labels = self._labels[series.metric] = frozenset(series.labels.items())
        return labels

    def _at_edges(self, time_range: TimeRange) -> dict[str, _Table]:
        """The last sample of each cell, and of the one before, of each counter."""
        edges = Grid(*time_range, self.cell)
        # A cell does not hold the time at which it starts.
        return {
            metric.name: _table(
                self.prometheus.unrestricted_samples_on(
                    f"last_over_time({selector(metric.name)}[{self.cell - 1}ms])", edges
                ),
                edges,
            )
            for metric in self.counters
        }

    def _gap_free(self, time_range: TimeRange, at_edges: Mapping[str, _Table]) -> RangeSamples | None:
        """A range in which nothing happens at the edges, if it is gap-free; else None."""
        if any(self._has_resets(name, time_range) for name in at_edges):
            return None
        series = {name: table.series_in(time_range, self.cell) for name, table in at_edges.items()}
        represented = self._seen_without_break(series, time_range)
        return None if represented is None else RangeSamples(time_range, True, series, represented)

    def _has_resets(self, name: str, time_range: TimeRange) -> bool:
        """Whether a counter restarted in a range or the cell before.

        It is asked after the samples at the edges, so that it is about all that were seen there.
        """
        window = duration(time_range.length + self.cell)
        at_end = Grid(time_range.end, time_range.end, self.cell)
        resets = f"resets({selector(name)}[{window}]) > 0"
        return bool(self.prometheus.unrestricted_samples_on(resets, at_end))

    def _seen_without_break(
        self, series: Mapping[str, Sequence[RawSeries]], time_range: TimeRange
    ) -> dict[str, IntArray] | None:
        """When a series of each process on each device was scraped; None when one was not all the time.

        A process without device seconds is looked at by another of its counters: where that stops within a
        cell and device seconds begin in the next, what these begin with was used from then on.
        """
        seen_at = self._scraped_all_the_time(metrics.DEVICE_SECONDS, series, time_range, frozenset())
        if seen_at is None:
            return None
        processes = {process for process, _ in seen_at}
        for metric in self.counters:
            if metric is not metrics.DEVICE_SECONDS:
                others = self._scraped_all_the_time(metric, series, time_range, processes)
                if others is None:
                    return None
                processes |= {process for process, _ in others}
        return _by_key((device, times) for (_, device), times in seen_at.items())

    def _scraped_all_the_time(
        self,
        metric: Metric,
        series: Mapping[str, Sequence[RawSeries]],
        time_range: TimeRange,
        known: Set[str],
    ) -> dict[_Place, IntArray] | None:
        """When a series of a counter was scraped in each place of a process that is not ``known``."""
        representatives: dict[_Place, tuple[str, ...]] = {}
        for counter in series[metric.name]:
            place, values = self._placed(counter, metric)
            if place[0] not in known and (place not in representatives or values < representatives[place]):
                representatives[place] = values
        every = sorted(set(representatives.values()))
        seen_at: dict[_Place, IntArray] = {}
        for first in range(0, len(every), _REPRESENTATIVES_AT_ONCE):
            scraped = self._scraped(metric, every[first : first + _REPRESENTATIVES_AT_ONCE], time_range)
            seen_at = _united(seen_at, scraped)
        never = np.zeros(0, dtype=np.int64)
        is_held = all(
            _is_held(seen_at.get(place, never), time_range, self.timing.hold) for place in representatives
        )
        return seen_at if is_held else None

    def _placed(self, series: RawSeries, metric: Metric) -> tuple[_Place, tuple[str, ...]]:
        """The place of a series, and the labels by which it may represent it; read once for all ranges."""
        placed = self._places.get(series.metric)
        if placed is None:
            labels = dict(self.labels_of(series))
            placed = _place(labels, metric), tuple(labels.get(name, "") for name in _REPRESENTATIVE_LABELS)
            self._places[series.metric] = placed
        return placed

    def _scraped(
        self, metric: Metric, representatives: Sequence[tuple[str, ...]], time_range: TimeRange
    ) -> dict[_Place, IntArray]:
        """When series of the places of ``representatives`` were scraped, in a range and the cell before."""
        values_of_labels = zip(*representatives, strict=True)
        matchers = tuple(
            one_of(name, values)
            for name, values in zip(_REPRESENTATIVE_LABELS, values_of_labels, strict=True)
        )
        query = selector(metric.name, matchers)
        start = time_range.start - self.cell
        series = self.prometheus.unrestricted_samples(query, start, time_range.end)
        return _by_key((_place(counter.labels, metric), counter.times) for counter in series)


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Series at the edges of cells, the first at ``start``; ``values`` are (series, edges), NaN for none."""

    metrics: tuple[bytes, ...]
    start: int
    values: FloatArray

    def changes(self) -> BoolArray:
        """The cells (cells,) in which a series begins, ends or falls."""
        before, after = self.values[:, :-1], self.values[:, 1:]
        changes: BoolArray = ((np.isnan(before) != np.isnan(after)) | (after < before)).any(axis=0)
        return changes

    def series_in(self, time_range: TimeRange, cell: int) -> tuple[RawSeries, ...]:
        """The series that are there in a range in which none begins or ends."""
        times = np.arange(time_range.start, time_range.end + 1, cell, dtype=np.int64)
        first = (time_range.start - self.start) // cell
        values = self.values[:, first : first + len(times)]
        rows = np.flatnonzero(~np.isnan(values[:, 0])).tolist()
        return tuple(RawSeries(self.metrics[row], times, values[row]) for row in rows)


def _table(series: Sequence[RawSeries], edges: Grid) -> _Table:
    """Samples at the times of ``edges``; UpstreamError for others."""
    values = np.full((len(series), len(edges)), np.nan)
    rows = np.repeat(np.arange(len(series)), [len(counter.times) for counter in series])
    times = np.concatenate((np.zeros(0, dtype=np.int64), *(counter.times for counter in series)))
    places, remainders = np.divmod(times - edges.start, edges.step)
    if remainders.any() or not ((places >= 0) & (places < len(edges))).all():
        raise UpstreamError(INVALID, "Prometheus answered with samples at other times than those requested.")
    values[rows, places] = np.concatenate((np.zeros(0), *(counter.values for counter in series)))
    return _Table(tuple(counter.metric for counter in series), edges.start, values)


def _parts(tables: Iterable[_Table], time_range: TimeRange, cell: int) -> Iterator[tuple[TimeRange, bool]]:
    """The range in parts, and of each whether nothing happens at its edges.

    A part in which nothing happens has ``_FEWEST_CELLS``: below, its queries cost more than they save.
    """
    cells = time_range.length // cell
    changes = np.any([np.zeros(cells, dtype=np.bool_), *(table.changes() for table in tables)], axis=0)
    changes[1:] |= changes[:-1].copy()  # resets of a part are sought from a cell before it
    changed = np.flatnonzero(changes)
    starts, ends = np.append(0, changed + 1), np.append(changed, cells)
    is_long = ends - starts >= min(_FEWEST_CELLS, cells)
    even = set(starts[is_long].tolist())
    bounds = sorted({0, cells, *even, *ends[is_long].tolist()})
    for first, last in pairwise(bounds):
        yield TimeRange(time_range.start + first * cell, time_range.start + last * cell), first in even


def _is_held(seen_at: IntArray, time_range: TimeRange, hold: int) -> bool:
    """Whether every time of a range is at most ``hold`` after one of ``seen_at``."""
    first = int(np.searchsorted(seen_at, time_range.start, side="right")) - 1
    if first < 0:
        return False
    return bool((np.diff(seen_at[first:], append=time_range.end) <= hold).all())


def process_of(labels: Mapping[str, str], metric: Metric) -> str:
    """A text that differs between processes: a process is scraped for all of its metrics at once."""
    of_metric = {"__name__", *metric.labels}
    return "\0".join(f"{name}={value}" for name, value in sorted(labels.items()) if name not in of_metric)


def _place(labels: Mapping[str, str], metric: Metric) -> _Place:
    return process_of(labels, metric), labels.get(_DEVICE, "")


def _by_device(series: Iterable[RawSeries]) -> dict[str, IntArray]:
    return _by_key((counter.labels.get(_DEVICE, ""), counter.times) for counter in series)


def _by_key(times_of: Iterable[tuple[K, IntArray]]) -> dict[K, IntArray]:
    times: defaultdict[K, list[IntArray]] = defaultdict(list)
    for key, of_key in times_of:
        times[key].append(of_key)
    return {key: union_of(of_key) for key, of_key in times.items()}


def _united(first: Mapping[K, IntArray], second: Mapping[K, IntArray]) -> dict[K, IntArray]:
    return _by_key((*first.items(), *second.items()))
