"""The signals of a process: which baselines are loaded, and the series of each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
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
from modelplane_exporter.layout.state import OwnSample
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import ALL_TENANTS, EXPORTER_SAMPLING, OVERFLOW

if TYPE_CHECKING:
    from modelplane_exporter.signals.row_queue import Recorder, Report, SignalSeries

BUDGET_VARIABLE = "MODELPLANE_EXPORTER_SIGNAL_SERIES"
DEFAULT_BUDGET = 50_000


def configured_budget(environ: Mapping[str, str] = os.environ) -> int:
    """How many series signals may have in this process; ValueError names the variable."""
    text = environ.get(BUDGET_VARIABLE, str(DEFAULT_BUDGET))
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{BUDGET_VARIABLE} must be a whole number (got {text!r})")
    return int(text)


class SignalStore:
    """Series of signals by key, within one budget for all models of the process."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._used = 0
        self._lock = threading.RLock()
        self._recorders: dict[tuple[Version, str], Recorder] = {}
        self._baselines: dict[tuple[Version, str], Baseline] = {}
        self._series: dict[SignalKey, SignalSeries] = {}
        self._ratios: dict[tuple[Version, str], Callable[[], float]] = {}

    def load(self, version: Version, baseline: Baseline, report: Report) -> Recorder:
        """What observes against the baseline; ValueError when its series exceed the budget."""
        key, layout = (version, baseline.fingerprint), layout_of(baseline)
        with self._lock:
            if key not in self._recorders:
                # Room for one identity at least: __all__, or __overflow__ where signals are by tenant.
                needed = baseline_series(baseline) + layout.series
                if self._used + needed > self._budget:
                    raise ValueError(
                        f"baseline of {version.model_name} {version.model_version}: its "
                        f"{len(baseline.signals)} signals need {needed} series, but only "
                        f"{self._budget - self._used} of {self._budget} are left; fit it to fewer signals "
                        f"or raise {BUDGET_VARIABLE}"
                    )
                recorder = _recorder(layout, report)
                self._used += needed
                self._recorders[key], self._baselines[key] = recorder, baseline
            return self._recorders[key]

    def series_of(self, identity: Identity, layout: SignalLayout) -> SignalSeries | None:
        """The series of an identity; None when the budget has no room for them."""
        key = SignalKey(identity, layout.baseline.fingerprint)
        found = self._series.get(key)
        if found is not None:
            return found
        with self._lock:
            # The first identity's room was taken when the baseline was loaded.
            needed = 0 if identity.tenant_id in (ALL_TENANTS, OVERFLOW) else layout.series
            if key not in self._series:
                if self._used + needed > self._budget:
                    return None
                self._used += needed
                self._series[key] = _series(key, layout)
            return self._series[key]

    def forget(self, identity: Identity) -> None:
        """A tenant was evicted: drop its series."""
        with self._lock:
            for key in [key for key in self._series if key.identity == identity]:
                series = self._series.pop(key)
                self._used -= series.layout.series

    def show_ratio(self, version: Version, kind: str, ratio: Callable[[], float]) -> None:
        """Expose what share of calls is observed for a kind of signals."""
        self._ratios[version, kind] = ratio

    def snapshots(self) -> list[SignalSnapshot]:
        """A copy of every series, with all rows that wait."""
        for recorder in list(self._recorders.values()):
            recorder.fold(wait=True)
        return [series.snapshot() for series in list(self._series.values())]

    def baselines(self) -> list[LoadedBaseline]:
        """The baselines that are loaded."""
        return [LoadedBaseline(version, baseline) for (version, _), baseline in self._baselines.items()]

    def samples(self) -> list[OwnSample]:
        """The sampling ratios."""
        return [
            OwnSample(EXPORTER_SAMPLING, (*version, kind), ratio())
            for (version, kind), ratio in list(self._ratios.items())
        ]

    def after_fork(self) -> None:
        """In a forked child: start at 0."""
        self._lock = threading.RLock()
        for recorder in self._recorders.values():
            recorder.after_fork()
        for series in self._series.values():
            series.reset()


def baseline_series(baseline: Baseline) -> int:
    """How many series describe the baseline itself."""
    count = 0
    for signal in baseline.signals:
        count += len(signal.ratios) + 1
        if isinstance(signal, NumericSignal):
            count += len(signal.upper_bounds) + sum(center is not None for center in signal.centers) + 2
    return count


def _recorder(layout: SignalLayout, report: Report) -> Recorder:
    try:
        from modelplane_exporter.signals.row_queue import Recorder
    except ModuleNotFoundError as error:
        raise ValueError("a baseline needs NumPy; add it with: pip install 'modelplane[signals]'") from error
    return Recorder(layout, report)


def _series(key: SignalKey, layout: SignalLayout) -> SignalSeries:
    from modelplane_exporter.signals.row_queue import SignalSeries

    return SignalSeries(key, layout)
