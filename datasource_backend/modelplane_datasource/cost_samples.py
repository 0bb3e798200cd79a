"""What the ledger needs of Prometheus: every sample of device seconds and tokens, as it was scraped.

A range query would not do: it repeats a sample for five minutes and so hides gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np

from modelplane_datasource.errors import ApiError
from modelplane_datasource.ledger.book import Samples
from modelplane_datasource.ledger.cells import IntArray, Window
from modelplane_datasource.ledger.usage import (
    CounterSeries,
    DeviceUse,
    Identity,
    Reading,
    TokenUse,
    union_of,
)
from modelplane_datasource.notices import note, with_notices
from modelplane_datasource.upstream import PrometheusClient
from modelplane_datasource.upstream_answers import REJECTED, RawSeries, UpstreamError
from modelplane_schema import metrics
from modelplane_schema.metrics import IDENTITY, Metric

Key = TypeVar("Key", DeviceUse, TokenUse)

# Milliseconds asked for at once.
FIRST_PIECE, SHORTEST_PIECE, LONGEST_PIECE = 7_200_000, 900_000, 86_400_000
SAMPLES_OF_PIECE = 400_000  # some 12 MB of JSON
READERS = 2  # one for Prometheus to work on, one to be parsed meanwhile
MOST_SAMPLES = 40_000_000  # 16 bytes each, and 60 more while those of one device are charged


class _Piece(NamedTuple):
    """Samples of the metric ``name`` from ``start`` to ``end``, in milliseconds."""

    name: str
    start: int
    end: int


def read_samples(
    prometheus: PrometheusClient, window: Window, scrape_interval: int, with_tokens: bool = True
) -> Samples:
    """All samples of a window; ApiError 422 when there are too many, UpstreamError."""
    reading = Reading(scrape_interval)
    wanted = [metrics.DEVICE_SECONDS, metrics.DEVICE_MEMORY_TOTAL, *([metrics.TOKENS] if with_tokens else [])]
    names = [metric.name for metric in wanted]
    found = _read(prometheus, names, window.start - reading.lookback, window.end)
    devices, tokens = (found.get(metric.name, ()) for metric in (metrics.DEVICE_SECONDS, metrics.TOKENS))
    return Samples(
        reading,
        tuple(_counters(devices, metrics.DEVICE_SECONDS, _device_use)),
        tuple(_counters(tokens, metrics.TOKENS, _token_use)),
        _sightings(found[metrics.DEVICE_MEMORY_TOTAL.name]),
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
    for items, pieces in _by_labels(found).items():
        process = "\0".join(f"{name}={value}" for name, value in items if name not in own)
        times = np.concatenate([piece.times for piece in pieces])
        values = np.concatenate([piece.values for piece in pieces])
        yield CounterSeries(key(dict(items)), process, times, values)


def _by_labels(found: Iterable[RawSeries]) -> dict[tuple[tuple[str, str], ...], list[RawSeries]]:
    """The pieces of each series in their order, by its sorted labels."""
    labels: dict[bytes, tuple[tuple[str, str], ...]] = {}
    pieces: defaultdict[tuple[tuple[str, str], ...], list[RawSeries]] = defaultdict(list)
    for series in found:
        if series.metric not in labels:
            labels[series.metric] = tuple(sorted(series.labels.items()))
        pieces[labels[series.metric]].append(series)
    return pieces


def _sightings(found: Iterable[RawSeries]) -> dict[str, IntArray]:
    """When a device's own series were there, busy or not."""
    times: defaultdict[str, list[IntArray]] = defaultdict(list)
    for series in found:
        times[series.labels.get("device", "")].append(series.times)
    return {device: union_of(own) for device, own in times.items()}


def _read(
    prometheus: PrometheusClient, names: Sequence[str], start: int, end: int
) -> dict[str, list[RawSeries]]:
    """Series of each metric in pieces of time, which are read while Prometheus works on others.

    The last piece says how long the others may be, so that no answer grows too large; neighbours share
    their edge.
    """
    middle = max(end - FIRST_PIECE, start)
    found: dict[_Piece, tuple[RawSeries, ...]] = {}
    samples: dict[_Piece, int] = {}
    pool = ThreadPoolExecutor(READERS)

    def read(pieces: Sequence[_Piece]) -> None:
        for piece, (series, warnings) in zip(pieces, pool.map(fetch, pieces), strict=True):
            note(warnings)
            found[piece] = series
            samples[piece] = sum(len(one.times) for one in series)
            _check_number(sum(samples.values()))

    def fetch(piece: _Piece) -> tuple[tuple[RawSeries, ...], tuple[str, ...]]:
        return with_notices(partial(_fetched, prometheus, piece))

    try:
        lasts = [_Piece(name, middle, end) for name in names]
        read(lasts)
        read([piece for last in lasts for piece in _pieces_before(last, start, samples[last])])
    finally:
        pool.shutdown(cancel_futures=True)
    return {
        name: [series for piece in sorted(found) if piece.name == name for series in found[piece]]
        for name in names
    }


def _pieces_before(last: _Piece, start: int, samples: int) -> Iterator[_Piece]:
    """Pieces from ``start`` to ``last``, which holds ``samples``, that may hold ``SAMPLES_OF_PIECE``."""
    fitting = (last.end - last.start) * SAMPLES_OF_PIECE // max(samples, 1)
    length = min(max(fitting - fitting % 1000, SHORTEST_PIECE), LONGEST_PIECE)
    for first in range(start, last.start, length):
        yield _Piece(last.name, first, min(first + length, last.start))


def _fetched(prometheus: PrometheusClient, piece: _Piece) -> tuple[RawSeries, ...]:
    """The series of a piece; one that holds too much after all is read in halves."""
    name, start, end = piece
    try:
        return prometheus.samples(name, end - start, end)
    except UpstreamError as error:
        if error.error != REJECTED or end - start <= SHORTEST_PIECE:
            raise
    middle = (start + end) // 2
    halves = _Piece(name, start, middle), _Piece(name, middle, end)
    return tuple(series for half in halves for series in _fetched(prometheus, half))


def _check_number(samples: int) -> None:
    """ApiError 422 when there are more than ``MOST_SAMPLES``."""
    if samples > MOST_SAMPLES:
        raise ApiError(
            422,
            "range_too_large",
            f"The range holds more than {MOST_SAMPLES} samples of device seconds; ask for a shorter one.",
            {"parameter": "from", "max_samples": MOST_SAMPLES},
        )
