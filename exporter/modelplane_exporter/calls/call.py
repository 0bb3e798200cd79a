"""One inference call, from its start to its outcome: the context manager."""

from __future__ import annotations

import functools
import logging
import operator
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from modelplane_exporter.calls.expected import IsExpected, outcome_of
from modelplane_exporter.contract_log import NO_BASELINE, NOT_IN_FLIGHT, ContractLog, log_noted
from modelplane_exporter.measurement.device_meter import DeviceMeter, Finish
from modelplane_exporter.measurement.identity_state import (
    ENDED,
    FAILED,
    PAUSED,
    RESUMED,
    STATE,
    VALUE,
    CallRecord,
    IdentityState,
    Value,
    new_call,
    turn,
)
from modelplane_exporter.measurement.observation import Observation
from modelplane_exporter.rate_limited_log import log_failure, rate_limited
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import INVALID_REASONS

if TYPE_CHECKING:
    from modelplane_exporter.signals.recorder import SignalRecorder

Resolve = Callable[[tuple[Any, ...], dict[str, Any]], IdentityState]
Read = Callable[[Any], Value]


@dataclass(frozen=True, slots=True)
class Sinks:
    """Where the calls of one exporter, the ``owner``, report to.

    ``fixed`` is the state of the one tenant, None when ``resolve`` finds it for each call. ``read`` finds
    confidence in a result, ``signals`` is None without a baseline, ``event`` counts a business event of a
    tenant, ``values`` its business values and ``score`` a score, ``contract_log`` says what broke the data
    contract, ``trace`` gives the id of the current trace and is None without exemplars, ``is_expected`` tells
    exceptions that reject a call.
    """

    owner: Any
    meter: DeviceMeter
    fixed: IdentityState | None
    resolve: Resolve
    read: Read
    signals: SignalRecorder | None
    event: Callable[[IdentityState, str, int], None]
    values: Callable[[IdentityState, Any, Collection[str]], None]
    score: Callable[[IdentityState, object, object], None]
    contract_log: ContractLog
    trace: Callable[[], str | None] | None = None
    is_expected: IsExpected | None = None
    # Those of the meter, at hand for wrappers.
    events: deque[CallRecord] = field(init=False)
    queue: Callable[[CallRecord], None] = field(init=False)
    finish: Finish | None = field(init=False)

    def __post_init__(self) -> None:
        set_here = functools.partial(object.__setattr__, self)
        set_here("events", self.meter.events)
        set_here("queue", self.meter.events.append)
        set_here("finish", self.meter.finish)

    def __reduce__(self) -> Any:
        # A function that is pickled by value finds the exporter of the process that it comes to.
        return operator.attrgetter("_sinks"), (self.owner,)


class Call:
    """A call in flight; use as ``with exporter.track() as call``, or ``async with``.

    It may be used again once its block was left. Nothing here raises into the caller.
    """

    __slots__ = ("_meter", "_observed", "_record", "_sampled", "_state", "_stopped", "_was_paused", "sinks")

    def __init__(self, sinks: Sinks, state: IdentityState) -> None:
        self.sinks = sinks
        self._meter = sinks.meter
        self._state = state
        self._observed: Observation | None = None
        self._record: CallRecord = []
        self._sampled: bool | None = None
        self._stopped: float | None = None
        self._was_paused = False

    @classmethod
    def begun(cls, sinks: Sinks, record: CallRecord) -> Call:
        """A call whose start was queued already."""
        call = cls(sinks, record[STATE])
        call._record = record
        return call

    def __enter__(self) -> Call:
        if self._record:  # it is used again
            Call.__init__(self, self.sinks, self._state)
        self._record = new_call(self._meter.clock(), self._state)
        try:
            self._meter.events.append(self._record)
        except BaseException as error:  # a signal handler raised: __exit__ will not be called
            end(self._meter, self._record, error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        if not self._record:  # another one goes on in its place
            return False
        if self.sinks.trace is not None:
            self._note_trace(self.sinks.trace)
        if self._was_paused:
            self._end_pause()
        end(self._meter, self._record, error, self._observed, self._stopped, self.sinks.is_expected)
        self._observed = None  # what is observed from now on is of no call
        return False

    async def __aenter__(self) -> Call:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, error, trace)

    def hand_over(self) -> Call:
        """The same call, which goes on when the block of this one is left."""
        successor = Call.begun(self.sinks, self._record)
        successor._observed, successor._sampled = self._observed, self._sampled
        successor._was_paused = self._was_paused
        self._record = []
        return successor

    @property
    def clock(self) -> Callable[[], float]:
        """What gives the time of the meter, in seconds."""
        return self._meter.clock

    @property
    def in_flight(self) -> bool:
        """Whether the block was entered and not left yet."""
        return bool(self._record) and self._record[ENDED] is None

    def stop(self) -> None:
        """The inference has ended; what follows in the block is not part of its latency."""
        self._stopped = self._meter.clock()

    def pause(self, now: float | None = None) -> None:
        """The call waits for its reader: it stays in flight, and is charged no device time until ``resume``.

        ``now`` is a time of the meter's clock.
        """
        if self.in_flight:
            self._was_paused = True
            self._queue_turn(PAUSED, self._meter.clock() if now is None else now)

    def resume(self) -> None:
        """The reader wants the next item: the call works again. Nothing happens unless it was paused."""
        if self._was_paused and self.in_flight:
            self._queue_turn(RESUMED, self._meter.clock())

    def confidence(self, value: object) -> None:
        """Observe confidence: a number or a batch of any shape, each in [0, 1]."""
        self._note("confidence was not observed", lambda observed: observed.add_confidence(value))

    def items(self, count: int) -> None:
        """How many items (batch elements) the call processed; one, or one for each confidence, by default."""
        self._note("items were not counted", lambda observed: observed.set_items(count))

    def tokens(
        self, *, input: int = 0, output: int = 0, cached_input: int = 0, reasoning: int = 0  # noqa: A002
    ) -> None:  # fmt: skip
        """Add token counts. ``input`` is without cached ones, ``output`` without reasoning."""
        counts = {"input": input, "output": output, "cached_input": cached_input, "reasoning": reasoning}
        self._note("tokens were not counted", lambda observed: observed.add_tokens(counts))

    def result(self, result: object) -> None:
        """Observe the confidence in what the inference function returned."""
        value = self.sinks.read(result)
        if isinstance(value, Observation):
            in_result = value
            self._note("confidence was not observed", lambda observed: observed.take_from(in_result))
        elif value is not None:
            self.confidence(value)

    def streamed(self, first: float, last: float, count: int) -> None:
        """A stream gave ``count`` tokens; ``first`` and ``last`` are times of the meter's clock."""
        begun = self._record[0]

        def note(observed: Observation) -> None:
            observed.first_token = first - begun
            if count > 1:
                observed.per_token = (last - first) / (count - 1)

        self._note("a stream was not timed", note)

    def features(self, values: object) -> None:
        """Observe the features that the model was given, against the training baseline.

        A mapping of names to numbers and texts (one row) or to columns, a pandas or polars frame, an Arrow
        table, a structured array, a record such as a dataclass instance or a list of records, an array of
        shape (rows, features) in the baseline's order, or one row as a list or 1-D array. A feature that is
        not given counts as missing.
        """
        self._observe("input", values)

    def prediction(self, values: object, name: str = "prediction") -> None:
        """Observe what the model predicted: one value, a column, or a mapping of names to either."""
        self._observe("output", values, name)

    def business(self, values: Mapping[str, object]) -> None:
        """Count business values and add them up: a mapping of names to a number, truth value or column each.

        What the baseline has as a signal is observed against it too.
        """
        try:
            signals = self.sinks.signals
            described = [] if signals is None else signals.names("business")
            self.sinks.values(self._state, values, described)
            log_noted()
            present = {name: values[name] for name in described if name in values}
        except Exception as error:  # noqa: BLE001 - hostile values
            log_failure("business values were not counted", error)
            return
        if present:
            self._observe("business", present)

    def score(self, name: str, value: object) -> None:
        """Observe a named score of this call, such as its groundedness: a number from 0 to 1, or a batch."""
        try:
            self.sinks.score(self._state, name, value)
            log_noted()
        except Exception as error:  # noqa: BLE001 - a hostile name or value
            log_failure("a score was not observed", error)

    def activations(self, values: Mapping[str, object]) -> None:
        """Observe summaries of layer activations, whether or not this call's signals are sampled."""
        self._sampled, sampled = True, self._sampled
        self._observe("activation", values)
        self._sampled = sampled

    def event(self, name: str, count: int = 1) -> None:
        """Count a business event of this call's tenant."""
        try:
            self.sinks.event(self._state, name, count)
            log_noted()
        except Exception as error:  # noqa: BLE001 - a hostile name or count
            log_failure("an event was not counted", error)

    def invalid(self, reason: str) -> None:
        """Count a value that broke the data contract; ``reason`` is one of the schema's."""
        if type(reason) is str and reason in INVALID_REASONS:
            self._note(
                "an invalid value was not counted", lambda observed: observed.invalid.update((reason,))
            )
        else:
            log_failure("an invalid value was not counted", ValueError("the reason is unknown"))

    def _queue_turn(self, which: float, now: float) -> None:
        meter = self._meter
        meter.events.append(turn(which, now, self._record))
        if len(meter.events) > meter.drain_at:
            meter.drain()

    def _end_pause(self) -> None:
        """Before the end: a call that ends is on the device."""

        def note(observed: Observation) -> None:
            observed.was_paused = True

        self.resume()
        self._note("a pause was not noted", note)

    def _note_trace(self, trace: Callable[[], str | None]) -> None:
        def note(observed: Observation) -> None:
            observed.trace_id = trace()

        self._note("no exemplar was taken", note)

    def _observe(self, kind: str, values: object, name: str | None = None) -> None:
        """Observe a mapping of names to values, or the values of ``name``."""
        signals = self.sinks.signals
        if signals is None:
            self.sinks.contract_log.log(NO_BASELINE, kind)
            self.invalid("signal_unknown")
            return
        try:
            if self._sampled is None:
                self._sampled = signals.sampler.take()
            if self._sampled:
                if name is not None and not isinstance(values, Mapping):
                    values = {name: values}
                signals.observe(kind, values, self._state)
                log_noted()
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            log_failure("signals were not observed", error)

    def _note(self, failure: str, change: Callable[[Observation], None]) -> None:
        try:
            if self._observed is None:
                self._observed = Observation()
            change(self._observed)
            self._log(self._observed)
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            log_failure(failure, error)

    def _log(self, observed: Observation) -> None:
        if observed.invalid:
            self.sinks.contract_log.note_reasons(observed.invalid)
            log_noted()
        if not self.in_flight:
            self.sinks.contract_log.log(NOT_IN_FLIGHT)


_current: ContextVar[TrackedCall | None] = ContextVar("modelplane_call", default=None)


class TrackedCall(Call):
    """A call that code inside its block can find."""

    __slots__ = ("_outer", "_token")

    def __enter__(self) -> Call:
        call = super().__enter__()
        self._outer = _current.get()
        self._token: Token[TrackedCall | None] = _current.set(self)
        return call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        try:
            _current.reset(self._token)
        except ValueError:
            # Left in another context than entered, by an async generator for example: only a copy that was
            # made inside the block has this call.
            if _current.get() is self:
                _current.set(self._outer)
        return super().__exit__(kind, error, trace)

    def outer(self) -> TrackedCall | None:
        """The call in whose block this one was entered."""
        return self._outer


def current_call(sinks: Sinks) -> Call | None:
    """The innermost call that reports to ``sinks`` and in whose ``track`` block we are."""
    call = _current.get()
    while call is not None and (call.sinks is not sinks or not call.in_flight):
        call = call.outer()
    return call


def end(
    meter: DeviceMeter,
    record: CallRecord,
    error: BaseException | None,
    observed: Observation | None = None,
    stopped: float | None = None,
    is_expected: IsExpected | None = None,
) -> None:
    """Report the end of a call, now or when it was ``stopped``, unless it was reported already."""
    if record[ENDED] is not None:
        return
    value: Value = observed
    outcome = None if error is None else outcome_of(error, is_expected)
    if outcome is not None:
        if observed is None:
            value = outcome
        else:
            observed.outcome = outcome.outcome
    ended = stopped or meter.clock()
    if meter.finish is None:
        record[ENDED], record[VALUE] = ended, value
        meter.events.append(record)
    else:
        meter.finish(record, ended, value)
    if error is not None and outcome is FAILED:
        log_failed_call(record[1].key.identity, error)
    if len(meter.events) > meter.drain_at:
        meter.drain()


def log_failed_call(identity: Identity, error: BaseException) -> None:
    """One line about a failed call, without the exception's text: that may quote an argument."""
    kind = type(error)
    rate_limited.log(logging.WARNING, (identity, kind), "inference failed: %s %s", kind.__name__, identity)
