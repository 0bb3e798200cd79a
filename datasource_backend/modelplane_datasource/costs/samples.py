"""What the ledger needs of Prometheus: samples of device seconds and tokens, in pieces of time.

A range query alone would not do: it repeats a sample for five minutes and so hides gaps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np

from modelplane_datasource.costs.ledger.builder import Samples
from modelplane_datasource.costs.ledger.cells import IntArray, Window
from modelplane_datasource.costs.ledger.usage import (
    CounterSeries,
    DeviceUse,
    Identity,
    Reading,
    TokenUse,
    union_of,
)
from modelplane_datasource.costs.sample_reader import Found, Piece, PieceReader
from modelplane_datasource.errors import ApiError
from modelplane_datasource.observability.query_warnings import note, with_notices
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import REJECTED, RawSeries, UpstreamError
from modelplane_schema import metrics
from modelplane_schema.metrics import IDENTITY, Metric

Key = TypeVar("Key", DeviceUse, TokenUse)

_Labels = tuple[tuple[str, str], ...]  # sorted

_NO_TIMES: IntArray = np.zeros(0, dtype=np.int64)

# Milliseconds asked for at once.
FIRST_PIECE, SHORTEST_PIECE, LONGEST_PIECE = 7_200_000, 900_000, 86_400_000
SAMPLES_OF_PIECE = 400_000  # some 12 MB of JSON
READERS = 2  # one for Prometheus to work on, one to be parsed meanwhile
MOST_SAMPLES = 40_000_000  # 16 bytes each, and 60 more while those of one device are charged


def read_samples(
    prometheus: PrometheusClient, window: Window, scrape_interval: int, with_tokens: bool = True
) -> Samples:
    """What charges a window; ApiError 422 when it is too much, UpstreamError."""
    reading = Reading(scrape_interval)
    counters = [metrics.DEVICE_SECONDS, *([metrics.TOKENS] if with_tokens else [])]
    reader = PieceReader(prometheus, counters, reading, window.cell)
    found = _read(reader, window.start - reading.lookback, window.end)
    return Samples(
        reading,
        tuple(_counters(found, metrics.DEVICE_SECONDS, _device_use)),
        tuple(_counters(found, metrics.TOKENS, _token_use)) if with_tokens else (),
        _sightings(found),
    )


def _device_use(labels: Mapping[str, str]) -> DeviceUse:
    return DeviceUse(labels.get("device", ""), labels.get("device_type", ""), _identity(labels))


def _token_use(labels: Mapping[str, str]) -> TokenUse:
    return TokenUse(_identity(labels), labels.get("kind", ""))


def _identity(labels: Mapping[str, str]) -> Identity:
    return Identity(*(labels.get(name, "") for name in IDENTITY))


def _counters(
    found: Sequence[Found], metric: Metric, key: Callable[[Mapping[str, str]], Key]
) -> Iterator[CounterSeries[Key]]:
    own = {"__name__", *metric.labels}  # a process is scraped for all of its metrics at once
    for items, pieces in _by_labels(found, metric.name).items():
        process = "\0".join(f"{name}={value}" for name, value in items if name not in own)
        within = [_within(series, of) for series, of in pieces]
        times = np.concatenate([series.times for series in within])
        values = np.concatenate([series.values for series in within])
        scraped: list[IntArray] = [series.times for series, of in pieces if not of.is_steady]
        yield CounterSeries(key(dict(items)), process, times, values, np.concatenate([_NO_TIMES, *scraped]))


def _within(series: RawSeries, found: Found) -> RawSeries:
    """The samples after the start of a piece, where the piece before ends."""
    first = 1 if found.is_steady else int(np.searchsorted(series.times, found.piece.start, side="right"))
    return RawSeries(series.metric, series.times[first:], series.values[first:])


def _by_labels(found: Sequence[Found], name: str) -> dict[_Labels, list[tuple[RawSeries, Found]]]:
    """The pieces of each series in their order, by its labels."""
    labels: dict[bytes, _Labels] = {}
    pieces: defaultdict[_Labels, list[tuple[RawSeries, Found]]] = defaultdict(list)
    for part in found:
        for series in part.series[name]:
            if series.metric not in labels:
                labels[series.metric] = tuple(sorted(series.labels.items()))
            pieces[labels[series.metric]].append((series, part))
    return pieces


def _sightings(found: Iterable[Found]) -> dict[str, IntArray]:
    """When each device was seen."""
    times: defaultdict[str, list[IntArray]] = defaultdict(list)
    for part in found:
        for device, own in part.sightings.items():
            times[device].append(own)
    return {device: union_of(own) for device, own in times.items()}


def _read(reader: PieceReader, start: int, end: int) -> list[Found]:
    """What charges the time from ``start`` to ``end``, read in pieces while Prometheus works on others.

    The last piece says how long the others may be, so that no answer grows too large.
    """
    last = Piece(max(end - FIRST_PIECE, start), end)
    found: list[Found] = []
    pool = ThreadPoolExecutor(READERS)

    def read(pieces: Sequence[Piece]) -> None:
        for parts, warnings in pool.map(fetch, pieces):
            note(warnings)
            found.extend(parts)
            _check_number(sum(own.samples for own in found))

    def fetch(piece: Piece) -> tuple[list[Found], tuple[str, ...]]:
        return with_notices(partial(_fetched, reader, piece))

    try:
        read([last])
        samples = sum(part.scraped(reader.reading) for part in found)
        read(list(_pieces_before(last, start, samples, reader.cell)))
    finally:
        pool.shutdown(cancel_futures=True)
    return sorted(found, key=lambda part: part.piece)


def _pieces_before(last: Piece, start: int, samples: int, cell: int) -> Iterator[Piece]:
    """Pieces from ``start`` to ``last``, which holds ``samples``, that may hold ``SAMPLES_OF_PIECE``."""
    fitting = last.length * SAMPLES_OF_PIECE // max(samples, 1)
    length = min(max(fitting - fitting % cell, SHORTEST_PIECE), LONGEST_PIECE)
    for first in range(start, last.start, length):
        yield Piece(first, min(first + length, last.start))


def _fetched(reader: PieceReader, piece: Piece) -> list[Found]:
    """What charges a piece; one that holds too much after all is read in halves."""
    try:
        return [reader.read(piece)]
    except UpstreamError as error:
        if error.error != REJECTED or piece.length <= SHORTEST_PIECE:
            raise
    half = piece.length // 2
    middle = piece.start + half - half % reader.cell
    return [*_fetched(reader, Piece(piece.start, middle)), *_fetched(reader, Piece(middle, piece.end))]


def _check_number(samples: int) -> None:
    """ApiError 422 when there are more than ``MOST_SAMPLES``."""
    if samples > MOST_SAMPLES:
        raise ApiError(
            422,
            "range_too_large",
            f"The range holds more than {MOST_SAMPLES} samples of device seconds; ask for a shorter one.",
            {"parameter": "from", "max_samples": MOST_SAMPLES},
        )
