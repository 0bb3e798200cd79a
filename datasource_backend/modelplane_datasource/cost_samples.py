"""What the ledger needs of Prometheus: every sample of device seconds and tokens, as it was scraped.

A range query would not do: it repeats a sample for five minutes and so hides gaps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

import numpy as np

from modelplane_datasource.errors import ApiError
from modelplane_datasource.ledger.book import Samples
from modelplane_datasource.ledger.cells import IntArray, Window
from modelplane_datasource.ledger.usage import CounterSeries, DeviceUse, Identity, Reading, TokenUse
from modelplane_datasource.upstream import REJECTED, PrometheusClient, RawSeries, UpstreamError
from modelplane_schema import metrics
from modelplane_schema.metrics import IDENTITY, Metric

Key = TypeVar("Key", DeviceUse, TokenUse)

FIRST_PIECE, SHORTEST_PIECE = 7_200_000, 900_000  # milliseconds asked for at once
SAMPLES_OF_PIECE = 400_000  # some 12 MB of JSON
GROWTH = 4
MOST_SAMPLES = 40_000_000  # 64 bytes each while they are read and sorted


def read_samples(prometheus: PrometheusClient, window: Window, scrape_interval: int) -> Samples:
    """All samples of a window; ApiError 422 when there are too many, UpstreamError."""
    reading = Reading(scrape_interval)
    count = _Count()
    return Samples(
        reading,
        tuple(_counters(prometheus, metrics.DEVICE_SECONDS, window, reading, _device_use, count)),
        tuple(_counters(prometheus, metrics.TOKENS, window, reading, _token_use, count)),
        _sightings(prometheus, window, reading, count),
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
    prometheus: PrometheusClient,
    metric: Metric,
    window: Window,
    reading: Reading,
    key: Callable[[Mapping[str, str]], Key],
    count: _Count,
) -> Iterator[CounterSeries[Key]]:
    own = {"__name__", *metric.labels}  # a process is scraped for all of its metrics at once
    for series in _pieces(prometheus, metric, window, reading, count):
        process = "\0".join(
            f"{name}={value}" for name, value in sorted(series.labels.items()) if name not in own
        )
        yield CounterSeries(key(series.labels), process, series.times, series.values)


def _sightings(
    prometheus: PrometheusClient, window: Window, reading: Reading, count: _Count
) -> dict[str, IntArray]:
    """When a device's own series were there, busy or not."""
    found: dict[str, list[IntArray]] = {}
    for series in _pieces(prometheus, metrics.DEVICE_MEMORY_TOTAL, window, reading, count):
        found.setdefault(series.labels.get("device", ""), []).append(series.times)
    return {device: np.unique(np.concatenate(times)) for device, times in found.items()}


def _pieces(
    prometheus: PrometheusClient, metric: Metric, window: Window, reading: Reading, count: _Count
) -> Iterator[RawSeries]:
    """Series in pieces of time, so that no answer grows too large; neighbours share their edge.

    A piece is as long as the one before says that it may be, and shorter where it holds too much after all.
    """
    start, length = window.start - reading.lookback, FIRST_PIECE
    while start < window.end:
        end = min(start + length, window.end)
        try:
            found = prometheus.samples(metric.name, end - start, end)
        except UpstreamError as error:
            if error.error != REJECTED or length == SHORTEST_PIECE:
                raise
            length = max(length // GROWTH, SHORTEST_PIECE)
            continue
        samples = sum(len(series.times) for series in found)
        count.add(samples)
        yield from found
        start, length = end, _next_length(length, samples)


def _next_length(length: int, samples: int) -> int:
    """How long the piece after one of ``length`` with so many samples may be."""
    fitting = length * SAMPLES_OF_PIECE // max(samples, 1)
    return max(SHORTEST_PIECE, min(fitting, length * GROWTH))
