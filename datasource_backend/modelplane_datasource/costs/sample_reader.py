"""The samples by which a range of time is charged: as few as are proven to be enough.

Of a counter that was scraped all the time and never restarted, a cell needs the last sample before its end
and no other: one of twenty, with a scrape each 15 s. A range is *gap-free* when each series has a sample in
each of its cells and none restarted, and each device was seen without a break. Any other is read as it was
scraped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

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
from modelplane_schema.promql import one_of, selector

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
        return samples or RangeSamples(time_range, False, self._as_scraped(time_range), seen_at)

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

    def _as_scraped(self, time_range: TimeRange) -> dict[str, tuple[RawSeries, ...]]:
        """Each sample, from long enough before the range to see whether its first is new in its process."""
        start = time_range.start - self.timing.hold
        return {
            metric.name: self.prometheus.unrestricted_samples(selector(metric.name), start, time_range.end)
            for metric in self.counters
        }

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
        """When a representative series of each device was scraped; None when a device was not seen all the
        time."""
        representatives: dict[str, tuple[str, ...]] = {}
        for labels in (counter.labels for counter in series):
            values = tuple(labels.get(name, "") for name in _REPRESENTATIVE_LABELS)
            representatives[values[0]] = min(values, representatives.get(values[0], values))
        every = list(representatives.values())
        seen_at: dict[str, IntArray] = {}
        for first in range(0, len(every), _REPRESENTATIVES_AT_ONCE):
            seen_at |= self._scraped(every[first : first + _REPRESENTATIVES_AT_ONCE], time_range)
        never = np.zeros(0, dtype=np.int64)
        is_held = all(
            _is_held(seen_at.get(device, never), time_range, self.timing.hold) for device in representatives
        )
        return seen_at if is_held else None

    def _scraped(
        self, representatives: Sequence[tuple[str, ...]], time_range: TimeRange
    ) -> dict[str, IntArray]:
        """When series of the devices of ``representatives`` were scraped, in a range and the cell before."""
        values_of_labels = zip(*representatives, strict=True)
        matchers = tuple(
            one_of(name, values)
            for name, values in zip(_REPRESENTATIVE_LABELS, values_of_labels, strict=True)
        )
        query = selector(metrics.DEVICE_SECONDS.name, matchers)
        start = time_range.start - self.cell
        return _by_device(self.prometheus.unrestricted_samples(query, start, time_range.end))


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


def _by_device(series: Iterable[RawSeries]) -> dict[str, IntArray]:
    times: defaultdict[str, list[IntArray]] = defaultdict(list)
    for counter in series:
        times[counter.labels.get(_DEVICE, "")].append(counter.times)
    return {device: union_of(of_device) for device, of_device in times.items()}


def _united(first: Mapping[str, IntArray], second: Mapping[str, IntArray]) -> dict[str, IntArray]:
    devices = {*first, *second}
    both = [times for times in (first, second) if times]
    return {device: union_of(times[device] for times in both if device in times) for device in devices}
