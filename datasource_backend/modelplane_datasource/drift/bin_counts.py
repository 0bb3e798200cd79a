"""Counts of signals by bin, live and of the reference, as arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from typing import NamedTuple

import numpy as np

from modelplane_datasource.timeline.arrays import BoolArray, FloatArray, IntArray, numbered
from modelplane_schema.metrics import MISSING_BIN, OTHER_BIN

Key = tuple[str, ...]

# Formulas make several arrays of the size of a block: as one, 3.5 million counts take 193 MiB instead of 74.
_BLOCK_VALUES = 2**18
# A signal of a block with its texts, measured with tracemalloc on CPython 3.11.
_SIGNAL_BYTES = 500


class SignalKey(NamedTuple):
    """Which signal of whom; the fields are the names of the labels."""

    model_name: str
    model_version: str
    tenant_id: str
    kind: str
    signal: str
    baseline: str


SIGNAL_LABELS = SignalKey._fields


class QueryAnswer(NamedTuple):
    """The answer to one query: ``values`` has shape (series, times), NaN for a gap."""

    labels: Sequence[Mapping[str, str]]
    values: FloatArray


class BinTable(NamedTuple):
    """Numbers of signals by bin.

    ``signals`` are keyed by their fields ``names``; they and ``bins`` are numbered in ascending order, but
    the bin of other categories comes after all others and that of missing values last. ``cells`` says which
    signals have which bins: the number of a signal times (number of bins + 1) plus the number of a bin,
    ascending, and one cell beyond all. ``values`` of shape (cells, times) are 0 for that one.
    """

    names: tuple[str, ...]
    signals: Mapping[Key, int]
    bins: Mapping[str, int]
    cells: IntArray
    values: FloatArray

    def has(self, signals: Iterable[SignalKey]) -> BoolArray:
        """Which of the signals are in the table, of shape (signals)."""
        return self._numbers(signals) >= 0

    def of_signals(self, signals: Sequence[SignalKey]) -> FloatArray:
        """Numbers of signals that have no bins, of shape (signals, times), 0 where there is none."""
        return self.of_bins(signals, ("",), np.zeros((len(signals), 1), np.int64))[..., 0]

    def of_bins(self, signals: Iterable[SignalKey], names: Iterable[str], chosen: IntArray) -> FloatArray:
        """Numbers of shape (signals, times, bins), 0 for a bin that is not there.

        ``chosen`` of shape (signals, bins) has the places in ``names`` of the bins of each signal.
        """
        unknown = len(self.bins)
        columns = np.array([self.bins.get(name, unknown) for name in names], np.int64)[chosen]
        wanted = self._numbers(signals)[:, None] * (unknown + 1) + columns
        rows = np.searchsorted(self.cells, wanted)
        rows[self.cells[rows] != wanted] = -1
        return np.ascontiguousarray(self.values[rows].transpose(0, 2, 1))

    def _numbers(self, signals: Iterable[SignalKey]) -> IntArray:
        keys = map(attrgetter(*self.names), signals)
        return np.array([self.signals.get(key, -1) for key in keys], np.int64)


class LiveCounts(NamedTuple):
    """Counts of signals that have equally many bins, of shape (signals, times, bins); NaN without data.

    ``bins`` of shape (signals, bins) has the places of their bins in ``names``, in their order. All signals
    have a bin for missing values, which is the last, or none has; likewise one for other categories.
    """

    signals: tuple[SignalKey, ...]
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

    @property
    def counts_missing(self) -> bool:
        """Whether there is a bin for missing values, the last."""
        last: str = self.names[self.bins[0, -1]]
        return last == MISSING_BIN

    def present(self, values: FloatArray) -> FloatArray:
        """What of ``values`` of shape (..., bins) is in other bins than that of missing values."""
        return values[..., :-1] if self.counts_missing else values

    def take(self, chosen: BoolArray) -> LiveCounts:
        """The chosen signals."""
        signals = tuple(self.signals[row] for row in np.flatnonzero(chosen))
        return LiveCounts(signals, self.names, self.bins[chosen], self.counts[chosen])


class ReferenceShares(NamedTuple):
    """The reference of the signals of a block; ``exists`` says, by signal, whether it has one.

    ``ratios``, the shares of bins, has shape (signals, times, bins), ``observations``, the size of the
    reference, (signals, times); both have one time when they do not change.
    """

    exists: BoolArray
    ratios: FloatArray
    observations: FloatArray

    def take(self, chosen: BoolArray) -> ReferenceShares:
        """Of the chosen signals."""
        return ReferenceShares(self.exists[chosen], self.ratios[chosen], self.observations[chosen])


class Block(NamedTuple):
    """Signals with the reference of each."""

    live: LiveCounts
    reference: ReferenceShares

    @property
    def bytes(self) -> int:
        """About what it takes in memory."""
        arrays = (self.live.bins, self.live.counts, *self.reference)
        return len(self.live.signals) * _SIGNAL_BYTES + sum(array.nbytes for array in arrays)

    def take(self, chosen: BoolArray) -> Block:
        """The chosen signals."""
        return self if chosen.all() else Block(self.live.take(chosen), self.reference.take(chosen))


def live_counts_of(table: BinTable) -> Iterator[LiveCounts]:
    """The signals of a table in their order, those with alike bins together, in blocks of a bounded size."""
    signals, names = tuple(map(SignalKey._make, table.signals)), tuple(table.bins)
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
            yield LiveCounts(tuple(signals[number] for number in block), names, columns[rows], counts)


def shares_of_counts(live: LiveCounts, others: BinTable) -> ReferenceShares:
    """The reference that is other counts, in the order of the live bins."""
    counts = others.of_bins(live.signals, live.names, live.bins)
    size = counts.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return ReferenceShares(others.has(live.signals), counts / size[..., None], size)


def shares_of_training(live: LiveCounts, ratios: BinTable, sizes: BinTable) -> ReferenceShares:
    """The reference that is the training data."""
    return ReferenceShares(
        ratios.has(live.signals) & sizes.has(live.signals),
        ratios.of_bins(live.signals, live.names, live.bins),
        sizes.of_signals(live.signals),
    )


def bin_table(answer: QueryAnswer, names: tuple[str, ...]) -> BinTable:
    """An answer by the labels ``names`` and by ``bin``, which is empty for a number of a whole signal."""
    bins = [labels.get("bin", "") for labels in answer.labels]
    try:
        return arrange(names, map(itemgetter(*names), answer.labels), bins, answer.values)
    except KeyError:
        return arrange(names, keys_of(answer, names), bins, answer.values)


def keys_of(answer: QueryAnswer, names: tuple[str, ...]) -> list[Key]:
    """The labels ``names`` of each series; Prometheus leaves empty ones out."""
    return [tuple(labels.get(name, "") for name in names) for labels in answer.labels]


def arrange(names: tuple[str, ...], keys: Iterable[Key], bins: Sequence[str], values: FloatArray) -> BinTable:
    """A table of ``values`` of shape (rows, times), each row of one signal and bin."""
    signals, owners = numbered(keys, len(values))
    columns, places = numbered(bins, len(values), lambda name: (name == MISSING_BIN, name == OTHER_BIN, name))
    numbers = owners * (len(columns) + 1) + places
    order = np.argsort(numbers)
    cells = np.full(len(numbers) + 1, len(signals) * (len(columns) + 1))
    cells[:-1] = numbers[order]
    ordered = np.zeros((len(cells), values.shape[1]))
    ordered[:-1] = values[order]
    return BinTable(names, signals, columns, cells, ordered)
