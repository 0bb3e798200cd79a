"""What the ledger needs of Prometheus: every sample of device seconds and tokens, as it was scraped.

A range query would not do: it repeats a sample for five minutes and so hides gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np

from modelplane_datasource.errors import ApiError
from modelplane_datasource.ledger.book import Samples
from modelplane_datasource.ledger.cells import IntArray, Window
from modelplane_datasource.ledger.usage import CounterSeries, DeviceUse, Identity, Reading, TokenUse
from modelplane_datasource.notices import note, with_notices
from modelplane_datasource.upstream import PrometheusClient
from modelplane_datasource.upstream_answers import REJECTED, RawSeries, UpstreamError
from modelplane_schema import metrics
from modelplane_schema.metrics import IDENTITY, Metric

Key = TypeVar("Key", DeviceUse, TokenUse)
Fetch = Callable[[int, int], tuple[RawSeries, ...]]  # by the length of a piece and its end, in milliseconds

# Milliseconds asked for at once.
FIRST_PIECE, SHORTEST_PIECE, LONGEST_PIECE = 7_200_000, 900_000, 86_400_000
SAMPLES_OF_PIECE = 400_000  # some 12 MB of JSON
READERS = 2  # one for Prometheus to work on, one to be parsed meanwhile
MOST_SAMPLES = 40_000_000  # 64 bytes each while they are read and sorted


def read_samples(
    prometheus: PrometheusClient, window: Window, scrape_interval: int, with_tokens: bool = True
) -> Samples:
    """All samples of a window; ApiError 422 when there are too many, UpstreamError."""
    reading, count = Reading(scrape_interval), _Count()

    def read(metric: Metric) -> Iterator[RawSeries]:
        fetch = partial(prometheus.samples, metric.name)
        for series in _pieces(fetch, window.start - reading.lookback, window.end):
            count.add(len(series.times))
            yield series

    tokens = read(metrics.TOKENS) if with_tokens else ()
    return Samples(
        reading,
        tuple(_counters(read(metrics.DEVICE_SECONDS), metrics.DEVICE_SECONDS, _device_use)),
        tuple(_counters(tokens, metrics.TOKENS, _token_use)),
        _sightings(read(metrics.DEVICE_MEMORY_TOTAL)),
    )


class _Count:
    def __init__(self) -> None:
        self._samples = 0

    def add(self, samples: int) -> None:
        self._samples += samples
        if self._samples > MOST_SAMPLES:
            raise ApiError(
                422,
                "range_too_large",
                f"The range holds more than {MOST_SAMPLES} samples of device seconds; ask for a shorter one.",
                {"parameter": "from", "max_samples": MOST_SAMPLES},
            )


def _device_use(labels: Mapping[str, str]) -> DeviceUse:
    return DeviceUse(labels.get("device", ""), labels.get("device_type", ""), _identity(labels))


def _token_use(labels: Mapping[str, str]) -> TokenUse:
    return TokenUse(_identity(labels), labels.get("kind", ""))


def _identity(labels: Mapping[str, str]) -> Identity:
    return Identity(*(labels.get(name, "") for name in IDENTITY))


def _counters(
    found: Iterable[RawSeries], metric: Metric, key: Callable[[Mapping[str, str]], Key]
) -> Iterator[CounterSeries[Key]]:
    own = {"__name__", *metric.labels}  # a process is scraped for all of its metrics at once
    for series in found:
        process = "\0".join(
            f"{name}={value}" for name, value in sorted(series.labels.items()) if name not in own
        )
        yield CounterSeries(key(series.labels), process, series.times, series.values)


def _sightings(found: Iterable[RawSeries]) -> dict[str, IntArray]:
    """When a device's own series were there, busy or not."""
    times: dict[str, list[IntArray]] = {}
    for series in found:
        times.setdefault(series.labels.get("device", ""), []).append(series.times)
    return {device: np.unique(np.concatenate(own)) for device, own in times.items()}


def _pieces(fetch: Fetch, start: int, end: int) -> Iterator[RawSeries]:
    """Series in pieces of time, so that no answer grows too large; neighbours share their edge.

    The first piece says how long the others may be. Prometheus works on one while another is read.
    """
    first = min(start + FIRST_PIECE, end)
    series, warnings = _fetched(fetch, start, first)
    note(warnings)
    yield from series
    samples = sum(len(one.times) for one in series)
    fitting = (first - start) * SAMPLES_OF_PIECE // max(samples, 1)
    length = min(max(fitting - fitting % 1000, SHORTEST_PIECE), LONGEST_PIECE)
    starts = range(first, end, length)
    pool = ThreadPoolExecutor(READERS)
    try:
        ends = (min(one + length, end) for one in starts)
        for series, warnings in pool.map(partial(_fetched, fetch), starts, ends):
            note(warnings)
            yield from series
    finally:
        pool.shutdown(cancel_futures=True)


def _fetched(fetch: Fetch, start: int, end: int) -> tuple[tuple[RawSeries, ...], tuple[str, ...]]:
    """A piece with its warnings; one that holds too much after all is read in halves."""
    try:
        return with_notices(partial(fetch, end - start, end))
    except UpstreamError as error:
        if error.error != REJECTED or end - start <= SHORTEST_PIECE:
            raise
    middle = (start + end) // 2
    (earlier, told), (later, more) = _fetched(fetch, start, middle), _fetched(fetch, middle, end)
    return (*earlier, *later), (*told, *more)
