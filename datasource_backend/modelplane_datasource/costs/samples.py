"""The samples of a ledger: device seconds and tokens, read from Prometheus one range of time after another.

A range query alone would not do: it repeats a sample for five minutes and so hides gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np

from modelplane_datasource.costs.gap_ends import GapEnds
from modelplane_datasource.costs.ledger.builder import Samples
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.usage import (
    CounterSeries,
    DeviceUse,
    ScrapeTiming,
    TokenUse,
    union_of,
)
from modelplane_datasource.costs.sample_reader import RangeSamples, SampleReader, process_of
from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.prometheus.errors import REJECTED, UpstreamError
from modelplane_datasource.tenancy.notices import Notice, collected, note
from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import DAY
from modelplane_schema import metrics
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import IDENTITY, Metric

Key = TypeVar("Key", DeviceUse, TokenUse)

_Labels = frozenset[tuple[str, str]]

_NO_TIMES: IntArray = np.zeros(0, dtype=np.int64)

# Milliseconds that are read at once.
FIRST_RANGE, SHORTEST_RANGE, LONGEST_RANGE = 7_200_000, 900_000, DAY
SAMPLES_OF_RANGE = 400_000  # some 12 MB of JSON
READERS = 2  # one for Prometheus to work on, one to be decoded meanwhile
MAX_SAMPLES = 40_000_000  # 16 bytes each, and 60 more while those of one device are charged


def read_samples(
    prometheus: PrometheusClient, cells: CellGrid, timing: ScrapeTiming, now: int, with_tokens: bool = True
) -> Samples:
    """What charges ``cells``, as far as it is there ``now``; ApiError 422 for too much, UpstreamError."""
    counters = [metrics.DEVICE_SECONDS, *([metrics.TOKENS] if with_tokens else [])]
    reader = SampleReader(prometheus, counters, timing, cells.cell)
    lead = -(-timing.hold // cells.cell) * cells.cell
    time_range = TimeRange(cells.start - lead, cells.end)
    parts = _read(reader, time_range)
    beyond = GapEnds(reader, time_range, lead, now).read(parts)
    ranges = sorted((*parts, *beyond), key=lambda part: part.time_range)
    _check_number(sum(part.samples for part in ranges))
    return Samples(
        timing,
        tuple(_counters(ranges, metrics.DEVICE_SECONDS, _device_use)),
        tuple(_counters(ranges, metrics.TOKENS, _token_use)) if with_tokens else (),
        _seen_at(ranges),
    )


def _device_use(labels: Mapping[str, str]) -> DeviceUse:
    return DeviceUse(labels.get("device", ""), labels.get("device_type", ""), _identity(labels))


def _token_use(labels: Mapping[str, str]) -> TokenUse:
    return TokenUse(_identity(labels), labels.get("kind", ""))


def _identity(labels: Mapping[str, str]) -> Identity:
    return Identity(*(labels.get(name, "") for name in IDENTITY))


def _counters(
    ranges: Sequence[RangeSamples], metric: Metric, key: Callable[[Mapping[str, str]], Key]
) -> Iterator[CounterSeries[Key]]:
    for items, parts in _by_labels(ranges, metric.name).items():
        labels = dict(items)
        firsts = [part.first_inside(series) for series, part in parts]
        inside = list(zip(parts, firsts, strict=True))
        scraped: list[IntArray] = [series.times for series, part in parts if not part.is_gap_free]
        flags = [part.is_gap_free for _, part in parts]
        lengths = [len(series.times) - first for (series, _), first in inside]
        yield CounterSeries(
            key(labels),
            process_of(labels, metric),
            np.concatenate([series.times[first:] for (series, _), first in inside]),
            np.concatenate([series.values[first:] for (series, _), first in inside]),
            np.concatenate([_NO_TIMES, *scraped]),
            np.repeat(flags, lengths),
        )


def _by_labels(
    ranges: Sequence[RangeSamples], name: str
) -> dict[_Labels, list[tuple[RawSeries, RangeSamples]]]:
    """The parts of each series in their order, by its labels."""
    labels: dict[bytes, _Labels] = {}
    parts: defaultdict[_Labels, list[tuple[RawSeries, RangeSamples]]] = defaultdict(list)
    for samples in ranges:
        for series in samples.series[name]:
            if series.metric not in labels:
                labels[series.metric] = frozenset(series.labels.items())
            parts[labels[series.metric]].append((series, samples))
    return parts


def _seen_at(ranges: Iterable[RangeSamples]) -> dict[str, IntArray]:
    """When each device was seen."""
    times: defaultdict[str, list[IntArray]] = defaultdict(list)
    for samples in ranges:
        for device, seen_at in samples.seen_at.items():
            times[device].append(seen_at)
    return {device: union_of(of_device) for device, of_device in times.items()}


def _read(reader: SampleReader, whole: TimeRange) -> list[RangeSamples]:
    """What charges the ``whole`` range, read part by part while Prometheus works on others.

    The last part says how long the others may be, so that no answer grows too large.
    """
    last = TimeRange(max(whole.end - FIRST_RANGE, whole.start), whole.end)
    parts: list[RangeSamples] = []
    pool = ThreadPoolExecutor(READERS)

    def read(ranges: Sequence[TimeRange]) -> None:
        for samples, notices in pool.map(fetch, ranges):
            note(notices)
            parts.extend(samples)
            _check_number(sum(part.samples for part in parts))

    def fetch(time_range: TimeRange) -> tuple[list[RangeSamples], tuple[Notice, ...]]:
        return collected(partial(_fetched, reader, time_range))

    try:
        read([last])
        samples = sum(part.scraped(reader.timing) for part in parts)
        read(list(_ranges_before(last, whole.start, samples, reader.cell)))
    finally:
        pool.shutdown(cancel_futures=True)
    return sorted(parts, key=lambda part: part.time_range)


def _ranges_before(last: TimeRange, start: int, samples: int, cell: int) -> Iterator[TimeRange]:
    """Ranges from ``start`` to ``last``, which holds ``samples``, that may hold ``SAMPLES_OF_RANGE``."""
    fitting = last.length * SAMPLES_OF_RANGE // max(samples, 1)
    length = min(max(fitting - fitting % cell, SHORTEST_RANGE), LONGEST_RANGE)
    for first in range(start, last.start, length):
        yield TimeRange(first, min(first + length, last.start))


def _fetched(reader: SampleReader, time_range: TimeRange) -> list[RangeSamples]:
    """What charges a range; one that holds too much after all is read in halves."""
    try:
        return reader.read(time_range)
    except UpstreamError as error:
        if error.error != REJECTED or time_range.length <= SHORTEST_RANGE:
            raise
    half = time_range.length // 2
    middle = time_range.start + half - half % reader.cell
    first, second = TimeRange(time_range.start, middle), TimeRange(middle, time_range.end)
    return [*_fetched(reader, first), *_fetched(reader, second)]


def _check_number(samples: int) -> None:
    """ApiError 422 when there are more than ``MAX_SAMPLES``."""
    if samples > MAX_SAMPLES:
        raise ApiError(
            422,
            "range_too_large",
            f"The range holds more than {MAX_SAMPLES} samples of device seconds; ask for a shorter one.",
            {"parameter": "from", "max_samples": MAX_SAMPLES},
        )
