"""Named scores from 0 to 1, such as the groundedness of an answer: signals in fixed bins, without training
data.

Their bins are the same for every version, so versions and times compare. Sums of deviations are taken from 0
in units of 1: of u = x the mean and the variance of a score can be had as of any other signal.
"""

from __future__ import annotations

import functools
import math
import threading
from bisect import bisect_right
from collections import Counter, defaultdict

from modelplane_exporter.baseline import Baseline, NumericSignal
from modelplane_exporter.identity import Version, version_of
from modelplane_exporter.layout.signals import (
    SUM_UNITS,
    ExposedSignals,
    LoadedBaseline,
    SignalKey,
    SignalLayout,
    SignalSnapshot,
    layout_of,
    split_sums,
)
from modelplane_exporter.measurement.names import is_name
from modelplane_exporter.measurement.numbers_in import is_missing, parts_of, to_float
from modelplane_exporter.signals.budget import SeriesBudget
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import CONFIDENCE_TOLERANCE, OVERFLOW, SCORE_KIND

MAX_SCORES = 100
BINS = 10
_EDGES = tuple(index / BINS for index in range(1, BINS))

WRONG_TYPE, OUT_OF_RANGE = "value_wrong_type", "value_out_of_range"


@functools.lru_cache(maxsize=MAX_SCORES)
def fixed_bins(name: str) -> Baseline:
    """What stands for the training data of a score; only bins, mean 0 and deviation 1 mean something."""
    ratios = (*(1 / BINS for _ in range(BINS)), 0.0)
    signal = NumericSignal(
        SCORE_KIND, name, _EDGES, (None,) * BINS, ratios, mean=0.0, stddev=1.0, observations=1
    )
    return Baseline("any", None, (signal,), "fixed")


class ScoreState:
    """Counts by bin and sums of one score of one identity."""

    def __init__(self, key: SignalKey, layout: SignalLayout) -> None:
        self.key = key
        self.layout = layout
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a forked child it is the parent's."""
        self._counts = [0] * self.layout.bins
        self._sum = self._squares = 0

    def add(self, values: list[float], missing: int) -> None:
        """Add values from 0 to 1, and values that are missing."""
        for value in values:
            self._counts[bisect_right(_EDGES, value)] += 1
        self._counts[-1] += missing
        self._sum += round(sum(values) * SUM_UNITS)
        self._squares += round(sum(value * value for value in values) * SUM_UNITS)

    def snapshot(self) -> SignalSnapshot:
        """A copy of the state."""
        return SignalSnapshot(self.key, (*self._counts, *split_sums((self._sum, 0, self._squares))))


class ScoreStore:
    """Scores by identity and name, within the budget of series of all signals."""

    def __init__(self, budget: SeriesBudget) -> None:
        self._budget = budget
        self._lock = threading.RLock()
        self._names: defaultdict[Version, dict[str, None]] = defaultdict(dict)
        self._states: dict[SignalKey, ScoreState] = {}

    def observe(self, identity: Identity, name: object, value: object) -> tuple[Counter[str], bool]:
        """Observe a score, or a batch of them, each from 0 to 1; NaN and None count as missing.

        Gives what was invalid by reason, and whether the name fits: one too many counts as ``__overflow__``.
        """
        if not is_name(name):
            return Counter({WRONG_TYPE: 1}), True
        values, missing, invalid = _scores(value)
        with self._lock:
            names = self._names[version_of(identity)]
            state = None
            if name in names or len(names) < MAX_SCORES:
                state = self._state_of(identity, name)
            fits = state is not None
            state = state or self._state_of(identity, OVERFLOW)
            if state is not None:
                names[name if fits else OVERFLOW] = None
                state.add(values, missing)
        return invalid, fits

    def forget(self, identity: Identity) -> None:
        """A tenant was evicted: drop its states."""
        with self._lock:
            for key in [key for key in self._states if key.identity == identity]:
                self._budget.release(self._states.pop(key).layout.series)

    def forget_version(self, version: Version) -> None:
        """No tenant of the version is left."""
        with self._lock:
            self._names.pop(version, None)
            for key in [key for key in self._states if version_of(key.identity) == version]:
                self._budget.release(self._states.pop(key).layout.series)

    def exposed(self) -> list[ExposedSignals]:
        """A copy of every state, and the bins that they are laid out by; empty while there are none."""
        with self._lock:
            states = list(self._states.values())
            bins = {(version_of(state.key.identity), state.layout.baseline): None for state in states}
            snapshots = [state.snapshot() for state in states]
        if not states:
            return []
        return [ExposedSignals(0, [LoadedBaseline(*of_version) for of_version in bins], snapshots)]

    def after_fork(self) -> None:
        """In a forked child: start at 0."""
        self._lock = threading.RLock()
        for state in self._states.values():
            state.reset()

    def _state_of(self, identity: Identity, name: str) -> ScoreState | None:
        """The state of a score; None when the budget has no room for its series."""
        layout = layout_of(fixed_bins(name))
        key = SignalKey(identity, layout.baseline.fingerprint)
        state = self._states.get(key)
        if state is None and self._budget.take(layout.series):
            state = self._states[key] = ScoreState(key, layout)
        return state


def _scores(value: object) -> tuple[list[float], int, Counter[str]]:
    """Values from 0 to 1, how many are missing, and how many were invalid by reason."""
    values: list[float] = []
    missing = 0
    invalid = Counter[str]()
    for part in parts_of(value):
        for item in part:
            number = to_float(item)
            if is_missing(item) or (number is not None and math.isnan(number)):
                missing += 1
            elif number is None:
                invalid[WRONG_TYPE] += 1
            elif -CONFIDENCE_TOLERANCE <= number <= 1 + CONFIDENCE_TOLERANCE:
                values.append(min(max(number, 0.0), 1.0))
            else:
                invalid[OUT_OF_RANGE] += 1
    return values, missing, invalid
