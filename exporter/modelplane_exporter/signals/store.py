"""The signals of a process: which baselines are loaded, and the series of each."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelplane_exporter.baseline import Baseline, NumericSignal
from modelplane_exporter.identity import Version
from modelplane_exporter.layout.signals import (
    LoadedBaseline,
    SignalKey,
    SignalLayout,
    SignalSnapshot,
    layout_of,
)
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.settings import SIGNAL_SERIES
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import ALL_TENANTS, EXPORTER_SAMPLING, OVERFLOW

if TYPE_CHECKING:
    from modelplane_exporter.signals.row_queue import Report, RowQueue, SignalState


class SignalStore:
    """States of signals by key, within one budget of series for all models of the process."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0
        self._lock = threading.RLock()
        self._queues: dict[tuple[Version, str], RowQueue] = {}
        self._baselines: dict[tuple[Version, str], Baseline] = {}
        self._states: dict[SignalKey, SignalState] = {}
        self._ratios: dict[tuple[Version, str], Callable[[], float]] = {}

    def load(self, version: Version, baseline: Baseline, report: Report) -> RowQueue:
        """The queue of rows for the baseline; ValueError when its series exceed the budget."""
        key, layout = (version, baseline.fingerprint), layout_of(baseline)
        with self._lock:
            if key not in self._queues:
                # Room for an identity at least: __all__, or __overflow__ where signals are by tenant.
                needed = baseline_series(baseline) + layout.series
                if self._used + needed > self._budget:
                    raise ValueError(
                        f"baseline of {version.model_name} {version.model_version}: its "
                        f"{len(baseline.signals)} signals need {needed} series, but only "
                        f"{self._budget - self._used} of {self._budget} are left; fit it to fewer signals "
                        f"or raise {SIGNAL_SERIES.name}"
                    )
                queue = _row_queue(layout, report)
                self._used += needed
                self._queues[key], self._baselines[key] = queue, baseline
            return self._queues[key]

    def state_of(self, identity: Identity, layout: SignalLayout) -> SignalState | None:
        """The state of an identity; None when the budget has no room for its series."""
        key = SignalKey(identity, layout.baseline.fingerprint)
        state = self._states.get(key)
        if state is not None:
            return state
        with self._lock:
            # The first identity's room was taken when the baseline was loaded.
            needed = 0 if identity.tenant_id in (ALL_TENANTS, OVERFLOW) else layout.series
            if key not in self._states:
                if self._used + needed > self._budget:
                    return None
                self._used += needed
                self._states[key] = _signal_state(key, layout)
            return self._states[key]

    def forget(self, identity: Identity) -> None:
        """A tenant was evicted: drop its states."""
        with self._lock:
            for key in [key for key in self._states if key.identity == identity]:
                self._used -= self._states.pop(key).layout.series

    def show_sampling_ratio(self, version: Version, kind: str, ratio: Callable[[], float]) -> None:
        """Expose what share of calls is observed for a kind of signals."""
        self._ratios[version, kind] = ratio

    def snapshots(self) -> list[SignalSnapshot]:
        """A copy of every state, with all rows that wait."""
        for queue in list(self._queues.values()):
            queue.drain(wait=True)
        return [state.snapshot() for state in list(self._states.values())]

    def baselines(self) -> list[LoadedBaseline]:
        """The baselines that are loaded."""
        return [LoadedBaseline(version, baseline) for (version, _), baseline in self._baselines.items()]

    def samples(self) -> list[MetricSample]:
        """The sampling ratios."""
        return [
            MetricSample(EXPORTER_SAMPLING, (*version, kind), ratio())
            for (version, kind), ratio in list(self._ratios.items())
        ]

    def after_fork(self) -> None:
        """In a forked child: start at 0."""
        self._lock = threading.RLock()
        for queue in self._queues.values():
            queue.after_fork()
        for state in self._states.values():
            state.reset()


def baseline_series(baseline: Baseline) -> int:
    """How many series describe the baseline itself."""
    count = 0
    for signal in baseline.signals:
        count += len(signal.ratios) + 1
        if isinstance(signal, NumericSignal):
            count += len(signal.upper_bounds) + sum(center is not None for center in signal.centers) + 2
    return count


def _row_queue(layout: SignalLayout, report: Report) -> RowQueue:
    try:
        from modelplane_exporter.signals.row_queue import RowQueue
    except ModuleNotFoundError as error:
        raise ValueError("a baseline needs NumPy; add it with: pip install 'modelplane[signals]'") from error
    return RowQueue(layout, report)


def _signal_state(key: SignalKey, layout: SignalLayout) -> SignalState:
    from modelplane_exporter.signals.row_queue import SignalState

    return SignalState(key, layout)
