"""The samples of a ledger: device seconds and tokens, read from Prometheus one range of time after another.

A range query alone would not do: it repeats a sample for five minutes and so hides gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate, pairwise
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
from modelplane_datasource.costs.sample_reader import Labels, RangeSamples, SampleReader, process_of
from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.prometheus.errors import REJECTED, UpstreamError
from modelplane_datasource.tenancy.notices import Notice, collected, note
from modelplane_datasource.timeline.arrays import FloatArray, IntArray
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import DAY
from modelplane_schema import metrics
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import IDENTITY, Metric

Key = TypeVar("Key", DeviceUse, TokenUse)

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
    gap_ends = GapEnds(reader, time_range, lead, now)
    pool = ThreadPoolExecutor(READERS)
    try:
        next_scrapes = pool.submit(collected, gap_ends.following)  # while the last range is read alone
        parts = _read(reader, time_range, pool)
        following, notices = next_scrapes.result()
    finally:
        pool.shutdown(cancel_futures=True)
    note(notices)
    beyond = gap_ends.read(parts, following)
    ranges = sorted((*parts, *beyond), key=lambda part: part.time_range)
    _check_number(sum(part.samples for part in ranges))
    return Samples(
        timing,
        tuple(_counters(reader, ranges, metrics.DEVICE_SECONDS, _device_use)),
        tuple(_counters(reader, ranges, metrics.TOKENS, _token_use)) if with_tokens else (),
        _seen_at(ranges),
    )


def _device_use(labels: Mapping[str, str]) -> DeviceUse:
    return DeviceUse(labels.get("device", ""), labels.get("device_type", ""), _identity(labels))


def _token_use(labels: Mapping[str, str]) -> TokenUse:
    return TokenUse(_identity(labels), labels.get("kind", ""))


def _identity(labels: Mapping[str, str]) -> Identity:
    return Identity(*(labels.get(name, "") for name in IDENTITY))


def _counters(
    reader: SampleReader,
    ranges: Sequence[RangeSamples],
    metric: Metric,
    key: Callable[[Mapping[str, str]], Key],
) -> Iterator[CounterSeries[Key]]:
    by_labels = _by_labels(reader, ranges, metric.name)
    parts = [part for of_series in by_labels.values() for part in of_series]
    firsts = [part.first_inside(series) for series, part in parts]
    # All series at once: to join the parts of each series takes four times as long.
    all_times: list[IntArray] = [
        series.times[first:] for (series, _), first in zip(parts, firsts, strict=True)
    ]
    all_values: list[FloatArray] = [
        series.values[first:] for (series, _), first in zip(parts, firsts, strict=True)
    ]
    lengths = list(map(len, all_times))
    times, values = np.concatenate([_NO_TIMES, *all_times]), np.concatenate([np.zeros(0), *all_values])
    gap_free = np.repeat(np.array([part.is_gap_free for _, part in parts], dtype=np.bool_), lengths)
    parts_before = list(accumulate(map(len, by_labels.values()), initial=0))
    samples_before = list(accumulate(lengths, initial=0))
    bounds = pairwise(samples_before[place] for place in parts_before)
    for (items, of_series), (start, end) in zip(by_labels.items(), bounds, strict=True):
        labels = dict(items)
        scraped: list[IntArray] = [series.times for series, part in of_series if not part.is_gap_free]
        yield CounterSeries(
            key(labels),
            process_of(labels, metric),
            times[start:end],
            values[start:end],
            np.concatenate([_NO_TIMES, *scraped]),
            gap_free[start:end],
        )


def _by_labels(
    reader: SampleReader, ranges: Sequence[RangeSamples], name: str
) -> dict[Labels, list[tuple[RawSeries, RangeSamples]]]:
    """The parts of each series in their order, by its labels."""
    parts: defaultdict[Labels, list[tuple[RawSeries, RangeSamples]]] = defaultdict(list)
    for samples in ranges:
        for series in samples.series[name]:
            parts[reader.labels_of(series)].append((series, samples))
    return parts


def _seen_at(ranges: Iterable[RangeSamples]) -> dict[str, IntArray]:
    """When each device was seen."""
    times: defaultdict[str, list[IntArray]] = defaultdict(list)
    for samples in ranges:
        for device, seen_at in samples.seen_at.items():
            times[device].append(seen_at)
    return {device: union_of(of_device) for device, of_device in times.items()}


def _read(reader: SampleReader, whole: TimeRange, pool: ThreadPoolExecutor) -> list[RangeSamples]:
    """What charges the ``whole`` range, read part by part while Prometheus works on others.

    The last part says how long the others may be, so that no answer grows too large.
    """
    last = TimeRange(max(whole.end - FIRST_RANGE, whole.start), whole.end)
    parts: list[RangeSamples] = []

    def read(ranges: Sequence[TimeRange]) -> None:
        for samples, notices in pool.map(fetch, ranges):
            note(notices)
            parts.extend(samples)
            _check_number(sum(part.samples for part in parts))

    def fetch(time_range: TimeRange) -> tuple[list[RangeSamples], tuple[Notice, ...]]:
        return collected(partial(_fetched, reader, time_range))

    read([last])
    samples = sum(part.scraped(reader.timing) for part in parts)
    read(list(_ranges_before(last, whole.start, samples, reader.cell)))
    return sorted(parts, key=lambda part: part.time_range)


def _ranges_before(last: TimeRange, start: int, samples: int, cell: int) -> Iterator[TimeRange]:
    """Ranges from ``start`` to ``last``, which holds ``samples``, that may hold ``SAMPLES_OF_RANGE``.

    They are of about one length, so that no reader waits for the other.
    """
    fitting = last.length * SAMPLES_OF_RANGE // max(samples, 1)
    longest = min(max(fitting - fitting % cell, SHORTEST_RANGE), LONGEST_RANGE)
    number = max(-(-(last.start - start) // longest), 1)
    length = max(-(-(last.start - start) // (number * cell)), 1) * cell
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
