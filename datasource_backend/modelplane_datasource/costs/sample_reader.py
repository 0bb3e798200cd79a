"""The samples by which a piece of time is charged: as few as are proven to be enough.

Of a counter that was scraped all the time and never restarted, a cell needs the last sample before its end
and no other: one of twenty, with a scrape each 15 s. A piece is *steady* when each series has a sample in
each of its cells and none restarted, and each device was seen without a break. Any other is read as it was
scraped.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from modelplane_datasource.costs.ledger.cells import IntArray
from modelplane_datasource.costs.ledger.usage import Reading, union_of
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import RawSeries
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import duration
from modelplane_schema import metrics
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID, Metric
from modelplane_schema.promql import one_of, selector

_DEVICE = "device"
_DEVICE_OWN = selector(metrics.DEVICE_MEMORY_TOTAL.name)  # is there while the device is, busy or not
_WITNESS = (_DEVICE, TENANT_ID, MODEL_VERSION, MODEL_NAME)
_WITNESSES_AT_ONCE = 50  # VictoriaMetrics takes queries of 16 KiB
_FEWEST_SCRAPES = 3  # of a cell; where there are less, little is saved


class Piece(NamedTuple):
    """From ``start`` to ``end``, both at the edge of a cell, in milliseconds."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What was read of a piece: the series of each counter, and further times at which a device was seen.

    The samples of a steady piece stand at the edges of its cells, the others where they were scraped; those
    from before the piece only tell that there was a scrape.
    """

    piece: Piece
    is_steady: bool
    series: Mapping[str, tuple[RawSeries, ...]]
    sightings: Mapping[str, IntArray]

    @property
    def samples(self) -> int:
        """How many there are."""
        return sum(len(one.times) for own in self.series.values() for one in own)

    def scraped(self, reading: Reading) -> int:
        """About how many samples the counter with the most has in Prometheus."""
        if self.is_steady:
            each = self.piece.length // reading.scrape_interval
            return max(len(own) * each for own in self.series.values())
        return max(sum(len(one.times) for one in own) for own in self.series.values())


@dataclass(frozen=True, slots=True)
class PieceReader:
    """Reads ``counters``, device seconds among them. Errors are UpstreamError."""

    prometheus: PrometheusClient
    counters: Sequence[Metric]
    reading: Reading
    cell: int

    def read(self, piece: Piece) -> Found:
        """What charges ``piece``."""
        seen = _by_device(self.prometheus.samples(_DEVICE_OWN, piece.start, piece.end))
        return self._steady(piece, seen) or Found(piece, False, self._as_scraped(piece), seen)

    def _steady(self, piece: Piece, seen: Mapping[str, IntArray]) -> Found | None:
        """A steady piece, in which devices were ``seen`` otherwise; None when it may be none."""
        if self.reading.scrape_interval * _FEWEST_SCRAPES > self.cell:
            return None
        series = self._lasts(piece)
        if series is None:
            return None
        witnessed = self._witnessed(series[metrics.DEVICE_SECONDS.name], piece)
        return None if witnessed is None else Found(piece, True, series, _united(seen, witnessed))

    def _as_scraped(self, piece: Piece) -> dict[str, tuple[RawSeries, ...]]:
        """Each sample, from so long before the piece that its first can be told to be new in its process."""
        start = piece.start - self.reading.hold
        return {
            metric.name: self.prometheus.samples(selector(metric.name), start, piece.end)
            for metric in self.counters
        }

    def _lasts(self, piece: Piece) -> dict[str, tuple[RawSeries, ...]] | None:
        """The last sample of each cell, and of the one before; None when that may not be enough."""
        edges, end = Grid(piece.start, piece.end, self.cell), Grid(piece.end, piece.end, self.cell)
        whole = duration(piece.length + self.cell)
        found = {}
        for metric in self.counters:
            name = selector(metric.name)
            # A cell does not hold the time at which it starts.
            series = self.prometheus.samples_on(f"last_over_time({name}[{self.cell - 1}ms])", edges)
            # Resets come second, so that they are those of all samples that were seen at the edges.
            resets = f"resets({name}[{whole}]) > 0"
            if not _are_steady(series, edges) or self.prometheus.samples_on(resets, end):
                return None
            found[metric.name] = series
        return found

    def _witnessed(self, series: Sequence[RawSeries], piece: Piece) -> dict[str, IntArray] | None:
        """When a series of each device was scraped; None when one of them was not seen all the time."""
        witnesses: dict[str, tuple[str, ...]] = {}
        for one in series:
            labels = one.labels
            who = tuple(labels.get(name, "") for name in _WITNESS)
            witnesses[who[0]] = min(who, witnesses.get(who[0], who))
        chosen = list(witnesses.values())
        seen: dict[str, IntArray] = {}
        for first in range(0, len(chosen), _WITNESSES_AT_ONCE):
            seen |= self._scraped(chosen[first : first + _WITNESSES_AT_ONCE], piece)
        nothing = np.zeros(0, dtype=np.int64)
        held = all(_is_held(seen.get(device, nothing), piece, self.reading.hold) for device in witnesses)
        return seen if held else None

    def _scraped(self, chosen: Sequence[tuple[str, ...]], piece: Piece) -> dict[str, IntArray]:
        """When series of the devices of ``chosen`` were scraped, in ``piece`` and the cell before."""
        values = zip(*chosen, strict=True)
        matchers = tuple(one_of(name, own) for name, own in zip(_WITNESS, values, strict=True))
        query = selector(metrics.DEVICE_SECONDS.name, matchers)
        return _by_device(self.prometheus.samples(query, piece.start - self.cell, piece.end))


def _are_steady(series: Sequence[RawSeries], edges: Grid) -> bool:
    """Whether each has a value at each of the ``edges`` and never falls."""
    if any(len(one.times) != len(edges) for one in series):
        return False
    if not series:
        return True
    times = np.concatenate([one.times for one in series]).reshape(-1, len(edges))
    values = np.concatenate([one.values for one in series]).reshape(-1, len(edges))
    return bool((times == np.array(edges.times)).all() and (np.diff(values) >= 0).all())


def _is_held(sightings: IntArray, piece: Piece, hold: int) -> bool:
    """Whether every time of a piece is at most ``hold`` after one of ``sightings``."""
    first = int(np.searchsorted(sightings, piece.start, side="right")) - 1
    if first < 0:
        return False
    own = sightings[first:]
    return bool((np.diff(own, append=piece.end) <= hold).all())


def _by_device(found: Iterable[RawSeries]) -> dict[str, IntArray]:
    times: defaultdict[str, list[IntArray]] = defaultdict(list)
    for series in found:
        times[series.labels.get(_DEVICE, "")].append(series.times)
    return {device: union_of(own) for device, own in times.items()}


def _united(first: Mapping[str, IntArray], second: Mapping[str, IntArray]) -> dict[str, IntArray]:
    both = [own for own in (first, second) if own]
    devices = {device for own in both for device in own}
    return {device: union_of(own[device] for own in both if device in own) for device in devices}
