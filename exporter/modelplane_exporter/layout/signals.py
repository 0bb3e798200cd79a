"""How the signals of one identity against one baseline are laid out as integers; see ``layout``.

First the count of every bin of every signal, in the baseline's order. Then the deviation sums of the signals
that have them: all positive sums, all negative ones, all squares. A sum counts ``SUM_UNITS`` to one, so that
the standard deviation of live data far narrower than the baseline's comes out exactly; it takes two cells,
low and high, because 64 bits end at 10**19.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from modelplane_exporter.baseline import Baseline, NumericSignal, Signal
from modelplane_exporter.identity import Version
from modelplane_schema import metrics
from modelplane_schema.identity import Identity

SUM_METRICS = (
    metrics.SIGNAL_DEVIATION_POSITIVE,
    metrics.SIGNAL_DEVIATION_NEGATIVE,
    metrics.SIGNAL_DEVIATION_SQUARE,
)
BASELINE_METRICS = (
    metrics.BASELINE_RATIO,
    metrics.BASELINE_UPPER_BOUND,
    metrics.BASELINE_CENTER,
    metrics.BASELINE_MEAN,
    metrics.BASELINE_STDDEV,
    metrics.BASELINE_OBSERVATIONS,
)
SIGNAL_METRICS = (
    metrics.SIGNAL_OBSERVATIONS,
    *SUM_METRICS,
    metrics.SIGNAL_UNOBSERVED,
    *BASELINE_METRICS,
)
SUM_UNITS = 10**15
_LOW = 2**64 - 1


class SignalKey(NamedTuple):
    """Whose signals, and the fingerprint of the baseline they are compared with."""

    identity: Identity
    fingerprint: str


class SignalSnapshot(NamedTuple):
    """A copy of the state of one key; ``cells`` has as many entries as ``SignalLayout.cells`` says."""

    key: SignalKey
    cells: Sequence[int]


class LoadedBaseline(NamedTuple):
    """A baseline and the version that uses it."""

    version: Version
    baseline: Baseline

    @property
    def is_fixed(self) -> bool:
        """Whether there is no training data behind it, but the fixed bins of a score."""
        return self.baseline.signals[0].kind == metrics.SCORE_KIND


class ExposedSignals(NamedTuple):
    """What is exposed of one load of a baseline; ``load`` tells it from others, and is 0 for all scores."""

    load: int
    baselines: Sequence[LoadedBaseline]
    snapshots: Sequence[SignalSnapshot]


class SignalLayout:
    """The cells of a baseline's signals."""

    def __init__(self, baseline: Baseline) -> None:
        self.baseline = baseline
        self.starts: dict[tuple[str, str], int] = {}
        count = 0
        for signal in baseline.signals:
            self.starts[signal.kind, signal.name] = count
            count += len(signal.bins)
        self.bins = count
        self.deviating: tuple[NumericSignal, ...] = tuple(filter(_deviates, baseline.signals))  # type: ignore[arg-type]
        self.cells = count + 2 * len(SUM_METRICS) * len(self.deviating)

    @property
    def series(self) -> int:
        """How many series one identity exposes."""
        return self.bins + len(SUM_METRICS) * len(self.deviating) + len(self.baseline.signals)

    def unobserved(self, cells: Sequence[int]) -> list[int]:
        """For each signal 1 if all bins but that of missing values are empty, else 0."""
        return [
            int(not any(cells[start : start + len(signal.bins) - 1]))
            for signal, start in zip(self.baseline.signals, self.starts.values(), strict=True)
        ]

    def sums(self, cells: Sequence[int]) -> Iterator[list[float]]:
        """For each of ``SUM_METRICS`` the sums of the deviating signals."""
        width = 2 * len(self.deviating)
        for start in range(self.bins, self.cells, width or 1):
            pairs = cells[start : start + width]
            yield [
                (low + (high << 64)) / SUM_UNITS for low, high in zip(pairs[::2], pairs[1::2], strict=True)
            ]


def split_sums(sums: Sequence[int]) -> list[int]:
    """Each sum as its low and its high cell."""
    return [half for value in sums for half in (value & _LOW, value >> 64)]


# Only as long as somebody uses it: a process may load any number of baselines one after the other.
_layouts: weakref.WeakValueDictionary[Baseline, SignalLayout] = weakref.WeakValueDictionary()


def layout_of(baseline: Baseline) -> SignalLayout:
    """The layout of a baseline; it is computed once for all who hold it."""
    layout = _layouts.get(baseline)
    if layout is None:
        layout = _layouts[baseline] = SignalLayout(baseline)
    return layout


def _deviates(signal: Signal) -> bool:
    return isinstance(signal, NumericSignal) and signal.has_deviation
