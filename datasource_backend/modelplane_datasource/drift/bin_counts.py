"""Counts of signals by bin, live and of what they are held against, as arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count
from operator import attrgetter, itemgetter
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from modelplane_schema.metrics import MISSING_BIN, OTHER_BIN

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]
Key = tuple[str, ...]
T = TypeVar("T")

# Formulas make several arrays of the size of a block: as one, 3.5 million counts take 193 MiB instead of 74.
_BLOCK_VALUES = 2**18
# A signal of a block with its texts, measured with tracemalloc on CPython 3.11.
_SIGNAL_BYTES = 500


class SignalOf(NamedTuple):
    """Which signal of whom; the fields are the names of the labels."""

    model_name: str
    model_version: str
    tenant_id: str
    kind: str
    signal: str
    baseline: str


NAMES = SignalOf._fields


class Found(NamedTuple):
    """What Prometheus answered to one query: ``values`` has shape (series, times), NaN for a gap."""

    labels: Sequence[Mapping[str, str]]
    values: FloatArray


class Table(NamedTuple):
    """Numbers of signals by bin.

    ``signals`` are known by their fields ``names``; they and ``bins`` are numbered in ascending order, but
    the bin of other categories comes after all others and that of missing values last. ``cells`` says which
    signals have which bins: the number of a signal times (number of bins + 1) plus the number of a bin,
    ascending, and one cell beyond all. ``values`` of shape (cells, times) are 0 for that one.
    """

    names: tuple[str, ...]
    signals: Mapping[Key, int]
    bins: Mapping[str, int]
    cells: IntArray
    values: FloatArray

    def has(self, signals: Iterable[SignalOf]) -> BoolArray:
        """Which of the signals are there, of shape (signals)."""
        return self._numbers(signals) >= 0

    def of_signals(self, signals: Sequence[SignalOf]) -> FloatArray:
        """Numbers of signals that have no bins, of shape (signals, times), 0 for what is not there."""
        return self.of_bins(signals, ("",), np.zeros((len(signals), 1), np.int64))[..., 0]

    def of_bins(self, signals: Iterable[SignalOf], names: Iterable[str], chosen: IntArray) -> FloatArray:
        """Numbers of shape (signals, times, bins), 0 for what is not there.

        ``chosen`` of shape (signals, bins) has the places in ``names`` of the bins of each signal.
        """
        unknown = len(self.bins)
        columns = np.array([self.bins.get(name, unknown) for name in names], np.int64)[chosen]
        wanted = self._numbers(signals)[:, None] * (unknown + 1) + columns
        rows = np.searchsorted(self.cells, wanted)
        rows[self.cells[rows] != wanted] = -1
        return np.ascontiguousarray(self.values[rows].transpose(0, 2, 1))

    def _numbers(self, signals: Iterable[SignalOf]) -> IntArray:
        keys = map(attrgetter(*self.names), signals)
        return np.array([self.signals.get(key, -1) for key in keys], np.int64)


class Live(NamedTuple):
    """Counts of signals that have equally many bins, of shape (signals, times, bins); NaN without data.

    ``bins`` of shape (signals, bins) has the places of their bins in ``names``, in their order. All signals
    have a bin for missing values, which is the last, or none has; likewise one for other categories.
    """

    signals: tuple[SignalOf, ...]
    names: tuple[str, ...]
    bins: IntArray
    counts: FloatArray

    @property
    def is_numeric(self) -> bool:
        """Whether the bins have an order."""
        return OTHER_BIN not in self.bins_of(0)

    def bins_of(self, signal: int) -> tuple[str, ...]:
        """The names of the bins of a signal."""
        return tuple(self.names[place] for place in self.bins[signal])

    def present(self, values: FloatArray) -> FloatArray:
        """What of ``values`` of shape (..., bins) is in other bins than that of missing values."""
        return values[..., :-1] if self.names[self.bins[0, -1]] == MISSING_BIN else values

    def take(self, chosen: BoolArray) -> Live:
        """The chosen signals."""
        signals = tuple(self.signals[row] for row in np.flatnonzero(chosen))
        return Live(signals, self.names, self.bins[chosen], self.counts[chosen])


class Against(NamedTuple):
    """What the signals of a block are held against; ``known`` tells, by signal, where there is anything.

    ``ratios`` has shape (signals, times, bins), ``observations``, the size of the other data, (signals,
    times); both have one time when they do not change.
    """

    known: BoolArray
    ratios: FloatArray
    observations: FloatArray

    def take(self, chosen: BoolArray) -> Against:
        """Of the chosen signals."""
        return Against(self.known[chosen], self.ratios[chosen], self.observations[chosen])


class Block(NamedTuple):
    """Signals with what each is held against."""

    live: Live
    against: Against

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        arrays = (self.live.bins, self.live.counts, *self.against)
        return len(self.live.signals) * _SIGNAL_BYTES + sum(array.nbytes for array in arrays)

    def take(self, chosen: BoolArray) -> Block:
        """The chosen signals."""
        return self if chosen.all() else Block(self.live.take(chosen), self.against.take(chosen))


def lives_of(table: Table) -> Iterator[Live]:
    """The signals in their order, those of a kind of bins together."""
    signals, names = tuple(map(SignalOf._make, table.signals)), tuple(table.bins)
    owners, columns = np.divmod(table.cells[:-1], len(names) + 1)
    widths = np.bincount(owners, minlength=len(signals))
    starts = np.cumsum(widths) - widths
    has_other, has_missing = np.zeros((2, len(signals)), np.bool_)
    has_other[owners[columns == table.bins.get(OTHER_BIN, -1)]] = True
    has_missing[owners[columns == table.bins.get(MISSING_BIN, -1)]] = True
    kinds = widths * 4 + has_other * 2 + has_missing
    for kind in dict.fromkeys(kinds.tolist()):
        alike, width = np.flatnonzero(kinds == kind), kind // 4
        size = max(1, _BLOCK_VALUES // (width * table.values.shape[1]))
        for at in range(0, len(alike), size):
            block = alike[at : at + size]
            rows = starts[block][:, None] + np.arange(width)
            counts = np.ascontiguousarray(table.values[rows].transpose(0, 2, 1))
            yield Live(tuple(signals[number] for number in block), names, columns[rows], counts)


def shares(live: Live, others: Table) -> Against:
    """Shares of the other counts, in the order of the live bins."""
    counts = others.of_bins(live.signals, live.names, live.bins)
    size = counts.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return Against(others.has(live.signals), counts / size[..., None], size)


def trained(live: Live, ratios: Table, sizes: Table) -> Against:
    """Shares and size of the training data."""
    return Against(
        ratios.has(live.signals) & sizes.has(live.signals),
        ratios.of_bins(live.signals, live.names, live.bins),
        sizes.of_signals(live.signals),
    )


def table_of(found: Found, names: tuple[str, ...]) -> Table:
    """What was found by the labels ``names`` and by ``bin``, empty for a number of a whole signal."""
    bins = [labels.get("bin", "") for labels in found.labels]
    try:
        return arranged(names, map(itemgetter(*names), found.labels), bins, found.values)
    except KeyError:
        return arranged(names, keys_of(found, names), bins, found.values)


def keys_of(found: Found, names: tuple[str, ...]) -> list[Key]:
    """The labels ``names`` of each series; Prometheus leaves empty ones out."""
    return [tuple(labels.get(name, "") for name in names) for labels in found.labels]


def arranged(names: tuple[str, ...], keys: Iterable[Key], bins: Sequence[str], values: FloatArray) -> Table:
    """A table of ``values`` of shape (rows, times), each row of one signal and bin."""
    signals, owners = _numbered(keys, len(values), lambda key: key)
    columns, places = _numbered(
        bins, len(values), lambda name: (name == MISSING_BIN, name == OTHER_BIN, name)
    )
    found = owners * (len(columns) + 1) + places
    order = np.argsort(found)
    cells = np.full(len(found) + 1, len(signals) * (len(columns) + 1))
    cells[:-1] = found[order]
    numbers = np.zeros((len(cells), values.shape[1]))
    numbers[:-1] = values[order]
    return Table(names, signals, columns, cells, numbers)


def _numbered(found: Iterable[T], length: int, order: Callable[[T], Any]) -> tuple[dict[T, int], IntArray]:
    """Numbers of what was found in the order of ``order``, and the number of each of the ``length`` found.

    Looked up as they come, so that not all keys are there at once: a list of them takes half as long again.
    """
    first = defaultdict[T, int](count().__next__)
    numbers = np.fromiter(map(first.__getitem__, found), np.int64, length)
    distinct = list(first)
    ranks = {one: rank for rank, one in enumerate(sorted(distinct, key=order))}
    return ranks, np.array([ranks[one] for one in distinct], np.int64)[numbers]
