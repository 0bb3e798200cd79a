"""The state of one identity on one device, and how finished calls are added to it."""

from __future__ import annotations

import math
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from operator import add, sub
from typing import Any, cast

from modelplane_exporter.contract_log import ContractLog
from modelplane_exporter.layout.calls import (
    ACTIVE,
    BILLION,
    CELLS,
    CONFIDENCE,
    DEVICE_SECONDS,
    FIRST_TOKEN,
    INVALID,
    ITEMS,
    LATENCY,
    PER_TOKEN,
    REQUESTS,
    TOKENS,
    Exemplar,
    Key,
    Snapshot,
)
from modelplane_exporter.measurement.histogram import count, count_ordered
from modelplane_exporter.measurement.observation import Observation, split
from modelplane_schema.metrics import INVALID_REASONS, OUTCOMES, TOKEN_KINDS, UNKNOWN_TENANT

SUCCESS, FAILURE, CANCELLED, REJECTED = map(OUTCOMES.index, ("success", "failure", "cancelled", "rejected"))

_INVALID = slice(INVALID.start, INVALID.stop)
_TENANT_INVALID = INVALID.start + INVALID_REASONS.index("tenant_invalid")

# A call: [begun, state, virtual time at the start, ended, value, entry of the journal]; all but the first two
# are None at first, and the last one stays so in a process on its own.
BEGUN, STATE, VIRTUAL, ENDED, VALUE, ENTRY, FIELDS = range(7)
CallRecord = list[Any]

# What a stream queues when it gives an item, and when its reader wants the next one: a record that begins
# before every time, with the call as its value. Between the two the call is in flight, but not on the device.
PAUSED, RESUMED = -math.inf, -sys.float_info.max

# The value of a call: one confidence, None for none, or more. Outcomes without more are shared objects.
Value = float | Observation | None


FAILED, WAS_CANCELLED, WAS_REJECTED = Observation(FAILURE), Observation(CANCELLED), Observation(REJECTED)


def new_call(begun: float, state: IdentityState) -> CallRecord:
    """A call that starts; wrappers write the list out."""
    return [begun, state, None, None, None, None]


def turn(which: float, now: float, call: CallRecord) -> CallRecord:
    """What a stream that is ``PAUSED`` or ``RESUMED`` queues."""
    return [which, call[STATE], None, now, call, None]


class IdentityState:
    """Some forty series of one identity on one device, as cells.

    Only the thread that holds its meter's lock may touch it.

    ``active`` calls are on the device, ``paused`` ones in flight without it: streams whose reader has the
    turn. ``device_seconds`` is a balance: a starting call takes the virtual time off, a finishing one adds
    it, so that balance + active x virtual time is what all calls, those in flight included, were charged.
    ``finished`` holds the fields of ended calls, one call after the other, until they are settled: adding a
    list to a list costs 0.04 us, computing the latency there and then 0.1 us more than later by slices.

    ``retired_at`` is when the store let go of it, infinite while the store has it.

    With several processes, ``record`` is where the worker's file has the state, 0 until it has; ``entries``
    are those of the journal whose calls are settled, but not yet in the file's state.
    ``contract_log`` gets what broke the data contract; a state that is only replayed has none.
    """

    __slots__ = (
        "__weakref__",
        "active",
        "cells",
        "contract_log",
        "device_seconds",
        "entries",
        "exemplars",
        "finished",
        "key",
        "last_used",
        "paused",
        "pinned",
        "record",
        "retired_at",
        "shown_nanoseconds",
    )

    def __init__(self, key: Key, contract_log: ContractLog | None = None) -> None:
        self.key = key
        self.contract_log = contract_log
        self.cells = [0] * CELLS
        self.active = self.paused = 0
        self.device_seconds = 0.0
        self.shown_nanoseconds = 0
        self.finished: list[Any] = []
        self.record = 0
        self.entries: list[Any] = []
        self.last_used = 0.0
        self.retired_at = math.inf
        self.pinned = False
        self.exemplars: dict[int, Exemplar] = {}

    def settle(self, now: float) -> None:
        """Move waiting latencies and values into the cells.

        The new cells are computed aside and swapped in without a call in between, so that an exception out of
        a signal handler finds either everything waiting or everything settled.
        """
        cells = self.cells.copy()
        latencies, values = self._ended_calls()
        count(cells, LATENCY, latencies)
        if set(map(type, values)) == {float}:
            _count_outcomes(cells, cast("list[float]", values))
        else:
            self._settle_mixed(cells, latencies, values)
        self._note_invalid(cells)
        if self.key.identity.tenant_id == UNKNOWN_TENANT:
            cells[_TENANT_INVALID] += len(latencies)
        entries = self._all_entries()
        self.cells, self.finished, self.entries, self.last_used = cells, [], entries, now

    def drop_finished(self) -> None:
        """Forget what waits, because it cannot be counted."""
        entries = self._all_entries()
        self.finished, self.entries = [], entries

    def drop(self, call: CallRecord) -> None:
        """Forget a call that is another process's."""
        self.entries = [*self.entries, *filter(None, call[ENTRY:])]

    def _all_entries(self) -> list[Any]:
        entries = self.finished[ENTRY::FIELDS]
        return [*self.entries, *filter(None, entries)] if any(entries) else self.entries

    def _ended_calls(self) -> tuple[list[float], list[Value]]:
        """Latencies in seconds, and values, of the calls that wait."""
        finished = self.finished
        return list(map(sub, finished[ENDED::FIELDS], finished[BEGUN::FIELDS])), finished[VALUE::FIELDS]

    @property
    def is_in_use(self) -> bool:
        """Whether a call is in flight, or waits to be settled."""
        return bool(self.active or self.paused or self.finished)

    def states(self) -> Iterable[IdentityState]:
        """The states whose cells change when this one is settled."""
        return (self,)

    def add_invalid(self, invalid: Counter[str]) -> None:
        """Count values that broke the data contract and were found after their call was reported."""
        cells = self.cells.copy()
        _count_invalid(cells, invalid)
        self._note_invalid(cells)
        self.cells = cells

    def reset(self) -> None:
        """Forget everything: in a forked child it is the parent's."""
        pinned = self.pinned
        IdentityState.__init__(self, self.key, self.contract_log)
        self.pinned = pinned

    def snapshot(self, virtual: float) -> Snapshot:
        """A copy, with what calls in flight were charged so far at ``virtual`` time."""
        cells = self.cells.copy()
        cells[ACTIVE.start] = self.active + self.paused
        charged = int((self.device_seconds + self.active * virtual) * BILLION)
        # Rounding may let the balance step back by a bit; a counter must not.
        self.shown_nanoseconds = max(self.shown_nanoseconds, charged)
        cells[DEVICE_SECONDS.start] = self.shown_nanoseconds
        return Snapshot(self.key, tuple(cells), self.exemplars)

    def _note_invalid(self, cells: Sequence[int]) -> None:
        """Note what new cells count as invalid and the present ones do not."""
        before, after = self.cells[_INVALID], cells[_INVALID]
        if before != after and self.contract_log is not None:
            counts = zip(INVALID_REASONS, before, after, strict=True)
            self.contract_log.note_reasons(reason for reason, old, new in counts if new > old)

    def _settle_mixed(self, cells: list[int], latencies: Sequence[float], values: Sequence[Value]) -> None:
        plain = [value for value in values if type(value) is float]
        if plain:
            _count_outcomes(cells, plain)
        for seconds, value in zip(latencies, values, strict=True):
            if value is None:
                cells[REQUESTS.start] += 1
                cells[ITEMS.start] += 1
            elif isinstance(value, Observation):
                add_observation(cells, value)
                if value.trace_id is not None:
                    self._add_exemplar(value.trace_id, seconds)

    def _add_exemplar(self, trace_id: str, seconds: float) -> None:
        bucket = bisect_left(LATENCY.metric.buckets, seconds)
        self.exemplars = {**self.exemplars, bucket: Exemplar(trace_id, seconds, time.time())}


def _count_outcomes(cells: list[int], confidences: Sequence[float]) -> None:
    """Successful calls with one confidence each, all of them floats."""
    cells[REQUESTS.start] += len(confidences)
    cells[ITEMS.start] += len(confidences)
    total, ordered = sum(confidences), sorted(confidences)
    # A NaN makes the sum NaN; only without one do the ends of the order say something about all.
    if total == total and ordered[0] >= 0.0 and ordered[-1] <= 1.0:
        count_ordered(cells, CONFIDENCE, ordered, total)
        return
    accepted, invalid = split(confidences)
    count(cells, CONFIDENCE, accepted)
    _count_invalid(cells, invalid)


def add_observation(cells: list[int], observed: Observation) -> None:
    """Add all that one call observed, except its latency."""
    cells[REQUESTS.start + observed.outcome] += 1
    if observed.items is not None:
        cells[ITEMS.start] += observed.items
    elif observed.outcome == SUCCESS:
        cells[ITEMS.start] += observed.values or 1
    count(cells, CONFIDENCE, observed.confidences)
    if observed.cells is not None:
        counted = slice(CONFIDENCE.start, CONFIDENCE.stop)
        cells[counted] = map(add, cells[counted], observed.cells[counted])
    for kind, tokens in observed.tokens.items():
        cells[TOKENS.start + TOKEN_KINDS.index(kind)] += tokens
    if observed.first_token is not None:
        count(cells, FIRST_TOKEN, (observed.first_token,))
    if observed.per_token is not None:
        count(cells, PER_TOKEN, (observed.per_token,))
    _count_invalid(cells, observed.invalid)


def _count_invalid(cells: list[int], invalid: Counter[str]) -> None:
    for reason, values in invalid.items():
        cells[INVALID.start + INVALID_REASONS.index(reason)] += values


class BatchState(IdentityState):
    """One batch call for several tenants: when it ends, each tenant gets a call, and its share of the charge.

    ``parts`` has each tenant's state with its number of items; ``on_settled`` is called when the call ended.
    """

    __slots__ = ("on_settled", "parts")

    def __init__(
        self, key: Key, parts: Sequence[tuple[IdentityState, int]], on_settled: Callable[[BatchState], None]
    ) -> None:
        super().__init__(key)
        self.parts = parts
        self.on_settled = on_settled

    def states(self) -> Iterable[IdentityState]:
        """The tenants' states."""
        return [part for part, _ in self.parts]

    def settle(self, now: float) -> None:
        """Hand the ended call on to the parts."""
        (call,) = [self.finished[start : start + FIELDS] for start in range(0, len(self.finished), FIELDS)]
        charged = self.device_seconds
        self.finished, self.device_seconds = [], 0.0
        total = sum(items for _, items in self.parts)
        for position, (part, items) in enumerate(self.parts):
            part.device_seconds += charged * items / total
            part.finished += [*call[:VALUE], _part_of(call[VALUE], items, first=position == 0), None]
            part.settle(now)
        self.on_settled(self)


def _part_of(value: Value, items: int, first: bool) -> Observation:
    """What one tenant of a batch observed; what cannot be attributed to a tenant goes to the first."""
    part = Observation()
    part.items = items
    if isinstance(value, Observation):
        part.outcome = value.outcome
        if first:
            part.take_from(value)
            part.tokens = value.tokens
            part.first_token, part.per_token = value.first_token, value.per_token
    elif value is not None and first:
        part.add_confidence(value)
    if part.outcome != SUCCESS:
        part.items = 0
    return part
