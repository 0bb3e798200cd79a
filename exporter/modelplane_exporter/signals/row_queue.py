"""Signals of model versions: rows wait in a queue, a drain counts them into the bins of the baseline.

Needs NumPy. Single rows wait for others, because counting a single row takes as long as counting fifty. A
batch is counted at once, in the call that brings it.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter.layout.signals import SUM_UNITS, SignalKey, SignalLayout, SignalSnapshot, split_sums
from modelplane_exporter.measurement.identity_state import IdentityState
from modelplane_exporter.rate_limited_log import log_failure
from modelplane_exporter.signals.binning import BinCounts, BinningPlan
from modelplane_exporter.signals.inputs import ShapeError, SignalReader, SignalValues, plain

UNKNOWN, WRONG_SHAPE, WRONG_TYPE = "signal_unknown", "signal_wrong_shape", "value_wrong_type"

# Rows that wait before a caller drains the queue, and at which it waits for a drain that goes on.
DRAIN_AT = 256
WAIT_AT = 2048
# From this many rows on a batch is counted at once: in the queue it would take a list for each row.
_BATCH = 64
_MAX_PLANS = 256
_NAMES_SHOWN = 10

Report = Callable[[IdentityState, str, int, str, str], None]
Waiting = tuple["SignalState", BinningPlan, IdentityState, Sequence[Any]]


class SignalState:
    """Counts and sums of one key. They are replaced together, so that a reader never sees half of a drain."""

    def __init__(self, key: SignalKey, layout: SignalLayout) -> None:
        self.key = key
        self.layout = layout
        self.reset()

    def reset(self) -> None:
        """Forget everything: in a forked child it is the parent's."""
        self._state = (np.zeros(self.layout.bins, np.int64), [0] * (3 * len(self.layout.deviating)))

    def add(self, counts: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
        """Add counts of shape (bins) and sums of shape (3, deviating)."""
        old_counts, old_sums = self._state
        added = [round(value * SUM_UNITS) for value in sums.ravel().tolist()]
        self._state = (old_counts + counts, [old + new for old, new in zip(old_sums, added, strict=True)])

    def snapshot(self) -> SignalSnapshot:
        """A copy of the state."""
        counts, sums = self._state
        return SignalSnapshot(self.key, (*counts.tolist(), *split_sums(sums)))


class RowQueue:
    """Rows of signals that wait until they are counted into the bins of one baseline.

    ``report`` gets what broke the data contract in a call: the kind of violation, how many values, the kind
    of signals, and a detail for the log.
    """

    def __init__(self, layout: SignalLayout, report: Report) -> None:
        self._layout = layout
        self._report = report
        names = {kind: tuple(s.name for s in layout.baseline.of_kind(kind)) for kind, _ in layout.starts}
        self._readers = {
            kind: SignalReader(of_kind, complete=kind == "input") for kind, of_kind in names.items()
        }
        self._known = {
            kind: f"the baseline has {', '.join(of_kind[:_NAMES_SHOWN])}"
            + (f" and {len(of_kind) - _NAMES_SHOWN} more" if len(of_kind) > _NAMES_SHOWN else "")
            for kind, of_kind in names.items()
        }
        self._plans: dict[tuple[str, tuple[str, ...]], BinningPlan] = {}
        self._waiting: deque[Waiting] = deque()
        self._draining = False
        self._lock = threading.RLock()

    def observe(self, kind: str, values: Any, state: SignalState, call: IdentityState) -> None:
        """Observe values of one kind for ``state``; what cannot be observed is reported for ``call``."""
        reader = self._readers.get(kind)
        if reader is None:
            self._report(call, UNKNOWN, 1, kind, "the baseline has none of this kind")
            return
        try:
            signal_values = reader.read(values)
        except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
            if not isinstance(error, ShapeError):
                log_failure("signals were not observed", error)
            detail = str(error) if isinstance(error, ShapeError) else type(error).__name__
            self._report(call, WRONG_SHAPE, 1, kind, detail)
            return
        if signal_values.unknown:
            self._report(call, UNKNOWN, signal_values.unknown, kind, self._known[kind])
        if signal_values.names:
            self._add(self._plan(kind, signal_values.names), signal_values, state, call)

    def drain(self, wait: bool = False) -> None:
        """Count the rows that wait; never raises an Exception.

        Without ``wait`` it is left to a drain that goes on, as long as not too many rows wait.
        """
        if self._draining and not wait and len(self._waiting) < WAIT_AT:
            return
        with self._lock:
            if self._draining:  # entered again from a signal handler or a finalizer
                return
            self._draining = True
            try:
                self._count_waiting()
            except Exception as error:  # noqa: BLE001 - monitoring must not break the model
                log_failure("signals were not counted", error)
            finally:
                self._draining = False

    def after_fork(self) -> None:
        """In a forked child: what waits is the parent's, and its lock may be held for ever."""
        self._waiting.clear()
        self._draining, self._lock = False, threading.RLock()

    def _plan(self, kind: str, names: tuple[str, ...]) -> BinningPlan:
        plan = self._plans.get((kind, names))
        if plan is None:
            if len(self._plans) >= _MAX_PLANS:
                self._plans.clear()
            plan = self._plans[kind, names] = BinningPlan(self._layout, kind, names)
        return plan

    def _add(self, plan: BinningPlan, values: SignalValues, state: SignalState, call: IdentityState) -> None:
        rows = values.rows
        if rows is None:
            if _length(values.columns) >= _BATCH:
                self._count_batch(plan, values.columns, state, call)
                return
            rows = _rows_of(values.columns)
        self._waiting.extend([(state, plan, call, row) for row in rows])
        if len(self._waiting) >= DRAIN_AT:
            self.drain()

    def _count_batch(self, plan: BinningPlan, columns: Any, state: SignalState, call: IdentityState) -> None:
        bin_counts = BinCounts(self._layout, 1)
        wrong = plan.count_columns(bin_counts, columns)
        with self._lock:
            state.add(bin_counts.counts[0], bin_counts.sums[:, 0])
        if wrong:
            self._report(call, WRONG_TYPE, wrong, plan.kind, "")

    def _count_waiting(self) -> None:
        by_plan: dict[BinningPlan, list[Waiting]] = {}
        for _ in range(len(self._waiting)):
            row = self._waiting.popleft()
            by_plan.setdefault(row[1], []).append(row)
        for plan, rows in by_plan.items():
            self._count_rows(plan, rows)

    def _count_rows(self, plan: BinningPlan, waiting: list[Waiting]) -> None:
        owners = dict.fromkeys(row[0] for row in waiting)
        if len(owners) > 1:
            order = {state: index for index, state in enumerate(owners)}
            waiting.sort(key=lambda row: order[row[0]])
        sizes = Counter(row[0] for row in waiting)
        starts = np.cumsum([0, *sizes.values()][:-1])
        bin_counts = BinCounts(self._layout, len(owners))
        wrong = plan.count_rows(bin_counts, [row[3] for row in waiting], starts)
        for index, state in enumerate(owners):
            state.add(bin_counts.counts[index], bin_counts.sums[:, index])
        if wrong is not None:
            for row in np.flatnonzero(wrong).tolist():
                self._report(waiting[row][2], WRONG_TYPE, int(wrong[row]), plan.kind, "")


def _length(columns: Any) -> int:
    if isinstance(columns, np.ndarray):
        return len(columns)
    return len(columns[0]) if columns else 0


def _rows_of(columns: Any) -> list[Sequence[Any]]:
    if isinstance(columns, np.ndarray):
        rows: list[Sequence[Any]] = columns.tolist()
        return rows
    lists = [
        column.tolist()
        if isinstance(column, np.ndarray) and column.dtype.kind in "fiub"
        else map(plain, column)
        for column in columns
    ]
    return list(zip(*lists, strict=True))
