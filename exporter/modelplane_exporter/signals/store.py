"""The signals of a process: which baselines are loaded, and the series of each."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from modelplane_exporter.baseline import Baseline, NumericSignal
from modelplane_exporter.identity import Version
from modelplane_exporter.layout.signals import (
    ExposedSignals,
    LoadedBaseline,
    SignalKey,
    SignalLayout,
    layout_of,
)
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.rate_limited_log import rate_limited
from modelplane_exporter.settings import SIGNAL_SERIES
from modelplane_exporter.signals.budget import SeriesBudget
from modelplane_exporter.signals.scores import ScoreStore
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import ALL_TENANTS, EXPORTER_SAMPLING, OVERFLOW

if TYPE_CHECKING:
    from modelplane_exporter.signals.row_queue import Report, RowQueue, SignalState

# Of these tenants each baseline has room for one identity.
_OF_MANY = (ALL_TENANTS, OVERFLOW)
_numbers = itertools.count(1)


class SignalLoad:
    """One baseline of one version as ``holders`` exporters have loaded it: its queue of rows, and its states.

    ``is_exposed`` says whether it is the version's newest one: only then are rows observed.
    """

    def __init__(self, version: Version, baseline: Baseline, report: Report) -> None:
        self.loaded = LoadedBaseline(version, baseline)
        self.layout = layout_of(baseline)
        self.queue = _row_queue(self.layout, report)
        self.states: dict[SignalKey, SignalState] = {}
        self.is_exposed = False
        self.holders = 0
        self._number = next(_numbers)

    @property
    def series(self) -> int:
        """How many there are at least: the baseline's own, and those of one identity."""
        return baseline_series(self.loaded.baseline) + self.layout.series

    @property
    def all_series(self) -> int:
        """How many there are."""
        return self.series + self.layout.series * sum(
            key.identity.tenant_id not in _OF_MANY for key in self.states
        )

    def exposed(self) -> ExposedSignals:
        """A copy of every state, with all rows that wait."""
        self.queue.drain(wait=True)
        return ExposedSignals(
            self._number, [self.loaded], [state.snapshot() for state in list(self.states.values())]
        )

    def hide(self) -> None:
        """Start at 0 when it is exposed again."""
        self.is_exposed = False
        self.queue.drain(wait=True)
        for key, state in list(self.states.items()):
            state.reset()
            if key.identity.tenant_id not in _OF_MANY:
                del self.states[key]


class SignalStore:
    """Signals within one budget of series for all models of the process.

    A version has one baseline at a time, the one that was loaded last. Where that is unloaded, the one before
    it is exposed again, if an exporter still has it.
    """

    def __init__(self, budget: int) -> None:
        self._budget = SeriesBudget(budget)
        self.scores = ScoreStore(self._budget)
        self._lock = threading.RLock()
        self._loads: dict[Version, list[SignalLoad]] = {}
        self._ratios: dict[tuple[Version, str], Callable[[], float]] = {}

    def load(self, version: Version, baseline: Baseline, report: Report) -> SignalLoad:
        """The baseline's load, with a holder more; ValueError when its series exceed the budget."""
        with self._lock:
            loads = self._loads.get(version, [])
            same = (load for load in loads if load.loaded.baseline.fingerprint == baseline.fingerprint)
            load = next(same, None)
            load = load or SignalLoad(version, baseline, report)
            before = loads[-1] if loads else None
            if before is not load:
                self._check_room(load, before)
                if before is not None:
                    self._hide(before)
                self._expose(load)
                self._loads[version] = [*(other for other in loads if other is not load), load]
            load.holders += 1
            return load

    def unload(self, load: SignalLoad) -> None:
        """A holder is gone; with the last one the baseline and its series go."""
        with self._lock:
            load.holders -= 1
            if load.holders:
                return
            version, was_exposed = load.loaded.version, load.is_exposed
            rest = [other for other in self._loads[version] if other is not load]
            if was_exposed:
                self._hide(load)
            if rest:
                self._loads[version] = rest
                if was_exposed:
                    self._expose(rest[-1])
            else:
                del self._loads[version]

    def warn_of_replaced(self, load: SignalLoad) -> None:
        """Log whether the baseline before it is still held by exporters, but not observed any more.

        What lies further back was logged when it was replaced.
        """
        with self._lock:
            before = [other for other in self._loads[load.loaded.version] if other is not load][-1:]
        for other in before:
            if not other.is_exposed:
                _log_replaced(other.loaded, load.loaded.baseline)

    def state_of(self, load: SignalLoad, identity: Identity) -> SignalState | None:
        """The state of an identity; None when the budget has no room for its series."""
        key = SignalKey(identity, load.loaded.baseline.fingerprint)
        state = load.states.get(key)
        if state is not None:
            return state
        with self._lock:
            # The first identity's room was taken when the baseline was loaded.
            needed = 0 if identity.tenant_id in _OF_MANY or not load.is_exposed else load.layout.series
            if key not in load.states:
                if not self._budget.take(needed):
                    return None
                load.states[key] = _signal_state(key, load)
            return load.states[key]

    def forget(self, identity: Identity) -> None:
        """A tenant was evicted: drop its states."""
        with self._lock:
            for load in self._exposed_loads():
                for key in [key for key in load.states if key.identity == identity]:
                    self._budget.release(load.states.pop(key).layout.series)
        self.scores.forget(identity)

    def show_sampling_ratio(self, version: Version, kind: str, ratio: Callable[[], float]) -> None:
        """Expose what share of calls is observed for a kind of signals."""
        self._ratios[version, kind] = ratio

    def forget_sampling_ratios(self, version: Version) -> None:
        """The version is unloaded."""
        with self._lock:
            for key in [key for key in self._ratios if key[0] == version]:
                del self._ratios[key]

    def exposed(self) -> list[ExposedSignals]:
        """The signals of each baseline that is exposed, and the scores."""
        with self._lock:
            loads = self._exposed_loads()
        return [load.exposed() for load in loads] + self.scores.exposed()

    def samples(self) -> list[MetricSample]:
        """The sampling ratios."""
        return [
            MetricSample(EXPORTER_SAMPLING, (*version, kind), ratio())
            for (version, kind), ratio in list(self._ratios.items())
        ]

    def after_fork(self) -> None:
        """In a forked child: start at 0."""
        self._lock = threading.RLock()
        self._budget.after_fork()
        self.scores.after_fork()
        for load in (load for loads in self._loads.values() for load in loads):
            load.queue.after_fork()
            for state in load.states.values():
                state.reset()

    def _exposed_loads(self) -> list[SignalLoad]:
        return [load for loads in self._loads.values() for load in loads if load.is_exposed]

    def _check_room(self, load: SignalLoad, before: SignalLoad | None) -> None:
        """ValueError unless there is room for a baseline that replaces the one ``before`` it."""
        left = self._budget.left + (before.all_series if before is not None and before.is_exposed else 0)
        if load.series > left:
            version, baseline = load.loaded
            raise ValueError(
                f"baseline of {version.model_name} {version.model_version}: its "
                f"{len(baseline.signals)} signals need {load.series} series, but only "
                f"{left} of {self._budget.series} are left; fit it to fewer signals, "
                f"close() exporters of versions that are served no longer, or raise {SIGNAL_SERIES.name}"
            )

    def _hide(self, load: SignalLoad) -> None:
        if load.is_exposed:
            self._budget.release(load.all_series)
            load.hide()

    def _expose(self, load: SignalLoad) -> None:
        load.is_exposed = self._budget.take(load.series)


def baseline_series(baseline: Baseline) -> int:
    """How many series describe the baseline itself."""
    count = 0
    for signal in baseline.signals:
        count += len(signal.ratios) + 1
        if isinstance(signal, NumericSignal):
            count += len(signal.upper_bounds) + sum(center is not None for center in signal.centers) + 2
    return count


def _log_replaced(before: LoadedBaseline, baseline: Baseline) -> None:
    version, replaced = before
    rate_limited.log(
        logging.WARNING,
        (version, replaced.label, baseline.label),
        "baseline %s of %s %s is replaced by %s, which was loaded later: signals of exporters that were made "
        "with the old one are not counted any more",
        replaced.label,
        version.model_name,
        version.model_version,
        baseline.label,
    )


def _row_queue(layout: SignalLayout, report: Report) -> RowQueue:
    try:
        from modelplane_exporter.signals.row_queue import RowQueue
    except ModuleNotFoundError as error:
        raise ValueError("a baseline needs NumPy; add it with: pip install 'modelplane[signals]'") from error
    return RowQueue(layout, report)


def _signal_state(key: SignalKey, load: SignalLoad) -> SignalState:
    from modelplane_exporter.signals.row_queue import SignalState

    return SignalState(key, load.layout)
