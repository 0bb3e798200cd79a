"""The samples by which a range of time is charged: as few as are proven to be enough.

Of a counter that was scraped all the time and never restarted, a cell needs the last sample before its end
and no other: one of twenty, with a scrape each 15 s. A range is *gap-free* when each series has a sample in
each of its cells and none restarted, and each process and device was seen without a break. Any other is read
as it was scraped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from modelplane_datasource.costs.ledger.usage import ScrapeTiming, union_of
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import duration
from modelplane_schema import metrics
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID, Metric
from modelplane_schema.promql import Matcher, one_of, selector

K = TypeVar("K")
_Place = tuple[str, str]  # a process and a device

_DEVICE = "device"
_DEVICE_SERIES = selector(metrics.DEVICE_MEMORY_TOTAL.name)  # is there while the device is, busy or not
_REPRESENTATIVE_LABELS = (_DEVICE, TENANT_ID, MODEL_VERSION, MODEL_NAME)
_REPRESENTATIVES_AT_ONCE = 50  # VictoriaMetrics takes queries of 16 KiB
_FEWEST_SCRAPES = 3  # of a cell; where there are less, little is saved


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

    def inside(self, series: RawSeries) -> RawSeries:
        """The samples of a series after the start, where the range before ends."""
        start = self.time_range.start
        first = 1 if self.is_gap_free else int(series.times.searchsorted(start, side="right"))
        return RawSeries(series.metric, series.times[first:], series.values[first:])

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

    def read(self, time_range: TimeRange) -> RangeSamples:
        """What charges ``time_range``."""
        seen_at = _by_device(self.prometheus.unrestricted_samples(_DEVICE_SERIES, *time_range))
        samples = self._gap_free(time_range, seen_at)
        return samples or replace(self.as_scraped(time_range), seen_at=seen_at)

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

    def _gap_free(self, time_range: TimeRange, seen_at: Mapping[str, IntArray]) -> RangeSamples | None:
        """A gap-free range, in which other series saw devices at ``seen_at``; None when it may be none."""
        if self.timing.scrape_interval * _FEWEST_SCRAPES > self.cell:
            return None
        series = self._last_of_cells(time_range)
        if series is None:
            return None
        represented = self._seen_without_break(series[metrics.DEVICE_SECONDS.name], time_range)
        if represented is None:
            return None
        return RangeSamples(time_range, True, series, _united(seen_at, represented))

    def _last_of_cells(self, time_range: TimeRange) -> dict[str, tuple[RawSeries, ...]] | None:
        """The last sample of each cell, and of the one before; None when that may not be enough."""
        start, end = time_range
        edges, at_end = Grid(start, end, self.cell), Grid(end, end, self.cell)
        window = duration(time_range.length + self.cell)
        last = {}
        for metric in self.counters:
            name = selector(metric.name)
            # A cell does not hold the time at which it starts.
            series = self.prometheus.unrestricted_samples_on(
                f"last_over_time({name}[{self.cell - 1}ms])", edges
            )
            # Resets come second, so that they are those of all samples that were seen at the edges.
            resets = f"resets({name}[{window}]) > 0"
            if not _are_complete(series, edges) or self.prometheus.unrestricted_samples_on(resets, at_end):
                return None
            last[metric.name] = series
        return last

    def _seen_without_break(
        self, series: Sequence[RawSeries], time_range: TimeRange
    ) -> dict[str, IntArray] | None:
        """When a series of each process on each device was scraped; None when one was not all the time."""
        representatives: dict[_Place, tuple[str, ...]] = {}
        for labels in (counter.labels for counter in series):
            values = tuple(labels.get(name, "") for name in _REPRESENTATIVE_LABELS)
            place = _place(labels)
            representatives[place] = min(values, representatives.get(place, values))
        every = sorted(set(representatives.values()))
        seen_at: dict[_Place, IntArray] = {}
        for first in range(0, len(every), _REPRESENTATIVES_AT_ONCE):
            scraped = self._scraped(every[first : first + _REPRESENTATIVES_AT_ONCE], time_range)
            seen_at = _united(seen_at, scraped)
        never = np.zeros(0, dtype=np.int64)
        is_held = all(
            _is_held(seen_at.get(place, never), time_range, self.timing.hold) for place in representatives
        )
        return _by_key((device, times) for (_, device), times in seen_at.items()) if is_held else None

    def _scraped(
        self, representatives: Sequence[tuple[str, ...]], time_range: TimeRange
    ) -> dict[_Place, IntArray]:
        """When series of the places of ``representatives`` were scraped, in a range and the cell before."""
        values_of_labels = zip(*representatives, strict=True)
        matchers = tuple(
            one_of(name, values)
            for name, values in zip(_REPRESENTATIVE_LABELS, values_of_labels, strict=True)
        )
        query = selector(metrics.DEVICE_SECONDS.name, matchers)
        start = time_range.start - self.cell
        series = self.prometheus.unrestricted_samples(query, start, time_range.end)
        return _by_key((_place(counter.labels), counter.times) for counter in series)


def _are_complete(series: Sequence[RawSeries], edges: Grid) -> bool:
    """Whether each has a value at each of the ``edges`` and never falls."""
    if any(len(counter.times) != len(edges) for counter in series):
        return False
    if not series:
        return True
    times = np.concatenate([counter.times for counter in series]).reshape(-1, len(edges))
    values = np.concatenate([counter.values for counter in series]).reshape(-1, len(edges))
    return bool((times == np.array(edges.times)).all() and (np.diff(values) >= 0).all())


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


def _place(labels: Mapping[str, str]) -> _Place:
    return process_of(labels, metrics.DEVICE_SECONDS), labels.get(_DEVICE, "")


def _by_device(series: Iterable[RawSeries]) -> dict[str, IntArray]:
    return _by_key((counter.labels.get(_DEVICE, ""), counter.times) for counter in series)


def _by_key(times_of: Iterable[tuple[K, IntArray]]) -> dict[K, IntArray]:
    times: defaultdict[K, list[IntArray]] = defaultdict(list)
    for key, of_key in times_of:
        times[key].append(of_key)
    return {key: union_of(of_key) for key, of_key in times.items()}


def _united(first: Mapping[K, IntArray], second: Mapping[K, IntArray]) -> dict[K, IntArray]:
    return _by_key((*first.items(), *second.items()))
