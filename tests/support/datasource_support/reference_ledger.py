"""A cost ledger in plain fractions: the contract read sentence by sentence, one sample after the other.

It shares no code with the ledger that it is held against, and is too slow for anything else.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from modelplane_schema.identity import Identity

Span = tuple[int, int]  # milliseconds


@dataclass(frozen=True, slots=True)
class ReferenceCounter:
    """Samples (milliseconds, seconds) of one identity on one device in one process."""

    device: str
    identity: Identity
    process: str
    samples: Sequence[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class ReferencePlane:
    """Cells of ``cell`` from ``start`` to ``end``, inventory and dated prices per hour, in milliseconds."""

    start: int
    end: int
    cell: int
    scrape: int
    lookback: int
    inventory: Mapping[str, Span]
    prices: Sequence[tuple[int, Fraction]]

    @property
    def cells(self) -> list[Span]:
        return [(begin, begin + self.cell) for begin in range(self.start, self.end, self.cell)]


@dataclass(frozen=True, slots=True)
class _Use:
    """Seconds used in a span, or at the sample at its end where the span is a moment."""

    identity: Identity
    span: Span
    seconds: Fraction
    is_estimated: bool


class _Device:
    """What the counters of one device tell."""

    def __init__(
        self, plane: ReferencePlane, counters: Iterable[ReferenceCounter], scrapes: dict[str, list[int]]
    ):
        self.uses: list[_Use] = []
        self.present: set[tuple[Identity, int]] = set()
        self.known: list[Span] = []
        self.hidden: list[Span] = []
        self._plane, self._hold = plane, 2 * plane.scrape
        for counter in counters:
            self.known += [(time, time + self._hold) for time, _ in counter.samples]
            self._read(counter, scrapes[counter.process])

    def _read(self, counter: ReferenceCounter, scrapes: list[int]) -> None:
        before: tuple[int, Fraction] | None = None
        for time, number in sorted(counter.samples):
            value = Fraction(number)
            earlier = bisect_left(scrapes, time)
            last_scrape = scrapes[earlier - 1] if earlier else None
            is_gap = last_scrape is None or time - last_scrape > self._hold
            if before is not None and time - before[0] > self._plane.lookback:
                before = None
            if not is_gap:
                grown = value if before is None or value < before[1] else value - before[1]
                self._use(counter.identity, (time, time), grown)
            elif last_scrape is not None:
                earlier_value = Fraction(0) if before is None else before[1]
                if value < earlier_value or time - last_scrape > self._plane.lookback:
                    self.hidden.append((last_scrape + self._hold, time))
                else:
                    self.known.append((last_scrape, time))
                    self._use(counter.identity, (last_scrape, time), value - earlier_value)
            self._use(counter.identity, (time, time), Fraction(0))
            before = time, value

    def _use(self, identity: Identity, span: Span, seconds: Fraction) -> None:
        self.uses.append(_Use(identity, span, seconds, span[0] < span[1]))

    def seconds(self, cell: Span) -> dict[Identity, tuple[Fraction, Fraction]]:
        """Seconds of each identity that is in a cell, and how many of them are estimated."""
        sums: defaultdict[Identity, list[Fraction]] = defaultdict(lambda: [Fraction(0), Fraction(0)])
        for use in self.uses:
            share = _share(use.span, cell)
            if share is not None:
                sums[use.identity][0] += use.seconds * share
                sums[use.identity][1] += use.seconds * share * use.is_estimated
        return {identity: (direct, estimated) for identity, (direct, estimated) in sums.items()}

    def unknown(self, cell: Span, there: Span) -> int:
        """Milliseconds of a cell in which the device is there and nothing tells of it."""
        inside = max(cell[0], there[0]), min(cell[1], there[1])
        return sum(
            end - begin
            for begin, end in _pieces(inside, [*self.known, *self.hidden])
            if not _covers(self.known, begin) or _covers(self.hidden, begin)
        )


def _share(span: Span, cell: Span) -> Fraction | None:
    """The part of a span that lies in a cell, which does not hold its start; None when it is in others."""
    if span[0] == span[1]:
        return Fraction(1) if cell[0] < span[1] <= cell[1] else None
    common = min(span[1], cell[1]) - max(span[0], cell[0])
    return Fraction(common, span[1] - span[0]) if common > 0 else None


def _pieces(span: Span, others: Iterable[Span]) -> Iterator[Span]:
    """A span cut wherever one of the others begins or ends."""
    cuts = {edge for other in others for edge in other if span[0] < edge < span[1]}
    edges = sorted({*span, *cuts})
    yield from pairwise(edges)


def _covers(spans: Iterable[Span], time: int) -> bool:
    return any(begin <= time < end for begin, end in spans)


Leaf = tuple[str, str, Identity | None]  # kind, device
Values = tuple[int, int, int]  # micro-seconds, how many of them are estimated, micro-units of money
Leaves = dict[Leaf, list[Values]]


def reference_ledger(plane: ReferencePlane, counters: Sequence[ReferenceCounter]) -> Leaves:
    """Each leaf in each cell; those in which all values are 0 are left out."""
    scrapes: defaultdict[str, set[int]] = defaultdict(set)
    for counter in counters:
        scrapes[counter.process] |= {time for time, _ in counter.samples}
    leaves: defaultdict[Leaf, list[Values]] = defaultdict(lambda: [(0, 0, 0)] * len(plane.cells))
    for device in sorted({*plane.inventory, *(counter.device for counter in counters)}):
        of_device = [counter for counter in counters if counter.device == device]
        charged = _Device(plane, of_device, {process: sorted(times) for process, times in scrapes.items()})
        there = plane.inventory.get(device, (0, 0))
        for number, cell in enumerate(plane.cells):
            for (kind, identity), values in _cell_leaves(plane, charged, cell, there).items():
                if any(values):
                    leaves[kind, device, identity][number] = values
    return dict(leaves)


def _cell_leaves(
    plane: ReferencePlane, device: _Device, cell: Span, there: Span
) -> dict[tuple[str, Identity | None], Values]:
    capacity = max(min(cell[1], there[1]) - max(cell[0], there[0]), 0) * 1000
    estimates: dict[tuple[str, Identity | None], int] = {}
    time: dict[tuple[str, Identity | None], int] = {}
    for identity, (direct, estimated) in sorted(device.seconds(cell).items()):
        time["direct", identity] = round(direct * 10**6)
        estimates["direct", identity] = round(estimated * 10**6)
    used = sum(time.values())
    left = capacity - used
    unknown = min(device.unknown(cell, there) * 1000, max(left, 0)) if capacity else 0
    time["idle", None], time["unknown", None] = max(left, 0) - unknown, unknown
    if capacity:
        time["over", None] = min(left, 0)
    before = _total(plane, there[0], cell[0])
    after = before + Fraction(capacity or used, 3600) * _price(plane, cell[0])
    cost = _half_up(after) - _half_up(before)
    money = _largest_remainder(cost, time)
    time["over", None] = max(-left, 0)
    money["over", None] = -money["over", None] if capacity else cost
    time["capacity", None], money["capacity", None] = capacity, cost if capacity else 0
    return {leaf: (time[leaf], estimates.get(leaf, 0), money[leaf]) for leaf in time}


def _price(plane: ReferencePlane, time: int) -> Fraction:
    return max((entry for entry in plane.prices if entry[0] <= time), default=(0, Fraction(0)))[1]


def _total(plane: ReferencePlane, begins: int, end: int) -> Fraction:
    """Micro-units that a device cost since its inventory began."""
    edges = sorted({begins, end, *(time for time, _ in plane.prices if begins < time < end)})
    return (
        sum(
            (Fraction((last - first) * 1000, 3600) * _price(plane, first) for first, last in pairwise(edges)),
            Fraction(0),
        )
        if begins < end
        else Fraction(0)
    )


def _half_up(value: Fraction) -> int:
    return (value + Fraction(1, 2)).__floor__()


def _largest_remainder(
    total: int, weights: Mapping[tuple[str, Identity | None], int]
) -> dict[tuple[str, Identity | None], int]:
    """The total divided by weights into whole numbers."""
    everything = sum(weights.values())
    if not everything:
        return dict.fromkeys(weights, 0)
    shares = {leaf: Fraction(total * weight, everything) for leaf, weight in weights.items()}
    parts = {leaf: share.__floor__() for leaf, share in shares.items()}
    by_remainder = sorted(shares, key=lambda leaf: parts[leaf] - shares[leaf])
    for leaf in by_remainder[: total - sum(parts.values())]:
        parts[leaf] += 1
    return parts
