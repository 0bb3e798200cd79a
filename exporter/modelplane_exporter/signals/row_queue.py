"""Signals of model versions: rows wait in a queue, a fold counts them into the bins of the baseline.

Needs NumPy. Single rows wait for others, because counting one by itself takes as long as counting fifty. A
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
from modelplane_exporter.measurement.identity_state import Series
from modelplane_exporter.rate_limited_log import complain
from modelplane_exporter.signals.binning import Plan, Tally
from modelplane_exporter.signals.inputs import Given, Reader, ShapeError, plain

UNKNOWN, WRONG_SHAPE, WRONG_TYPE = "signal_unknown", "signal_wrong_shape", "value_wrong_type"

# Rows that wait before a caller folds, and at which it waits for a fold that goes on.
FOLD_AT = 256
WAIT_AT = 2048
# From this many rows on a batch is counted at once: as a part of the queue it takes a list for each row.
_BATCH = 64
_MOST_PLANS = 256

Report = Callable[[Series, Counter[str]], None]
Waiting = tuple["SignalSeries", Plan, Series, Sequence[Any]]


class SignalSeries:
    """Counts and sums of one key. They are replaced together, so that a reader never sees half of a fold."""

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
        more = [round(value * SUM_UNITS) for value in sums.ravel().tolist()]
        self._state = (old_counts + counts, [old + new for old, new in zip(old_sums, more, strict=True)])

    def snapshot(self) -> SignalSnapshot:
        """A copy of the state."""
        counts, sums = self._state
        return SignalSnapshot(self.key, (*counts.tolist(), *split_sums(sums)))


class Recorder:
    """Observes signals against one baseline.

    ``report`` is told how many values of a call broke the data contract, by reason.
    """

    def __init__(self, layout: SignalLayout, report: Report) -> None:
        self._layout = layout
        self._report = report
        names = {kind: tuple(s.name for s in layout.baseline.of_kind(kind)) for kind, _ in layout.starts}
        self._readers = {kind: Reader(known, complete=kind == "input") for kind, known in names.items()}
        self._plans: dict[tuple[str, tuple[str, ...]], Plan] = {}
        self._waiting: deque[Waiting] = deque()
        self._folding = False
        self._lock = threading.RLock()

    def observe(self, kind: str, values: Any, series: SignalSeries, call: Series) -> None:
        """Observe values of one kind for ``series``; ``call`` is told of those that cannot be."""
        reader = self._readers.get(kind)
        if reader is None:
            self._report(call, Counter({UNKNOWN: 1}))
            return
        try:
            given = reader.read(values)
        except Exception as error:  # noqa: BLE001 - a foreign object may raise anything
            if not isinstance(error, ShapeError):
                complain("signals were not observed", error)
            self._report(call, Counter({WRONG_SHAPE: 1}))
            return
        if given.unknown:
            self._report(call, Counter({UNKNOWN: given.unknown}))
        if given.names:
            self._take(self._plan(kind, given.names), given, series, call)

    def fold(self, wait: bool = False) -> None:
        """Count the rows that wait; never raises an Exception.

        Unless told to ``wait``, leave it to whoever is at it as long as not too many rows wait.
        """
        if self._folding and not wait and len(self._waiting) < WAIT_AT:
            return
        with self._lock:
            if self._folding:  # entered again from a signal handler or a finalizer
                return
            self._folding = True
            try:
                self._fold()
            except Exception as error:  # noqa: BLE001 - monitoring must not break the model
                complain("signals were not counted", error)
            finally:
                self._folding = False

    def after_fork(self) -> None:
        """In a forked child: what waits is the parent's, and its lock may be held for ever."""
        self._waiting.clear()
        self._folding, self._lock = False, threading.RLock()

    def _plan(self, kind: str, names: tuple[str, ...]) -> Plan:
        plan = self._plans.get((kind, names))
        if plan is None:
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            plan = self._plans[kind, names] = Plan(self._layout, kind, names)
        return plan

    def _take(self, plan: Plan, given: Given, series: SignalSeries, call: Series) -> None:
        rows = given.rows
        if rows is None:
            if _length(given.columns) >= _BATCH:
                self._count_batch(plan, given.columns, series, call)
                return
            rows = _rows_of(given.columns)
        self._waiting.extend([(series, plan, call, row) for row in rows])
        if len(self._waiting) >= FOLD_AT:
            self.fold()

    def _count_batch(self, plan: Plan, columns: Any, series: SignalSeries, call: Series) -> None:
        tally = Tally(self._layout, 1)
        wrong = plan.count_columns(tally, columns)
        with self._lock:
            series.add(tally.counts[0], tally.sums[:, 0])
        if wrong:
            self._report(call, Counter({WRONG_TYPE: wrong}))

    def _fold(self) -> None:
        by_plan: dict[Plan, list[Waiting]] = {}
        for _ in range(len(self._waiting)):
            row = self._waiting.popleft()
            by_plan.setdefault(row[1], []).append(row)
        for plan, rows in by_plan.items():
            self._count_rows(plan, rows)

    def _count_rows(self, plan: Plan, waiting: list[Waiting]) -> None:
        owners = dict.fromkeys(row[0] for row in waiting)
        if len(owners) > 1:
            order = {series: index for index, series in enumerate(owners)}
            waiting.sort(key=lambda row: order[row[0]])
        sizes = Counter(row[0] for row in waiting)
        starts = np.cumsum([0, *sizes.values()][:-1])
        tally = Tally(self._layout, len(owners))
        wrong = plan.count_rows(tally, [row[3] for row in waiting], starts)
        for index, series in enumerate(owners):
            series.add(tally.counts[index], tally.sums[:, index])
        if wrong is not None:
            for row in np.flatnonzero(wrong).tolist():
                self._report(waiting[row][2], Counter({WRONG_TYPE: int(wrong[row])}))


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
