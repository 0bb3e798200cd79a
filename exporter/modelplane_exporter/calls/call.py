"""One inference call, from its start to its outcome: the context manager."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

from modelplane_exporter.measurement.device_meter import DeviceMeter
from modelplane_exporter.measurement.identity_state import (
    ENDED,
    FAILED,
    VALUE,
    WAS_CANCELLED,
    CallRecord,
    IdentityState,
    Value,
    new_call,
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
    """Where the calls of one exporter report to.

    ``read`` finds confidence in a result, ``signals`` is None without a baseline, ``event`` counts a business
    event of a tenant, ``trace`` gives the id of the current trace and is None without exemplars.
    """

    meter: DeviceMeter
    read: Read
    signals: SignalRecorder | None
    event: Callable[[IdentityState, str, int], None]
    trace: Callable[[], str | None] | None = None


class Call:
    """A call in flight; use as ``with exporter.track() as call``. Nothing here raises into the caller."""

    __slots__ = ("_meter", "_observed", "_record", "_sampled", "_state", "_stopped", "sinks")

    def __init__(self, sinks: Sinks, state: IdentityState) -> None:
        self.sinks = sinks
        self._meter = sinks.meter
        self._state = state
        self._observed: Observation | None = None
        self._record: CallRecord = []
        self._sampled: bool | None = None
        self._stopped: float | None = None

    def __enter__(self) -> Call:
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
        if self.sinks.trace is not None:
            self._note_trace(self.sinks.trace)
        end(self._meter, self._record, error, self._observed, self._stopped)
        return False

    @property
    def in_flight(self) -> bool:
        """Whether the block was entered and not left yet."""
        return bool(self._record) and self._record[ENDED] is None

    def stop(self) -> None:
        """The inference has ended; what follows in the block is not part of its latency."""
        self._stopped = self._meter.clock()

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
        """Observe business values, a mapping of names to a value or a column each."""
        self._observe("business", values)

    def activations(self, values: Mapping[str, object]) -> None:
        """Observe summaries of layer activations, whether or not this call's signals are sampled."""
        self._sampled, sampled = True, self._sampled
        self._observe("activation", values)
        self._sampled = sampled

    def event(self, name: str, count: int = 1) -> None:
        """Count a business event of this call's tenant."""
        try:
            self.sinks.event(self._state, name, count)
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

    def _note_trace(self, trace: Callable[[], str | None]) -> None:
        def note(observed: Observation) -> None:
            observed.trace_id = trace()

        self._note("no exemplar was taken", note)

    def _observe(self, kind: str, values: object, name: str | None = None) -> None:
        """Observe a mapping of names to values, or the values of ``name``."""
        signals = self.sinks.signals
        if signals is None:
            self.invalid("signal_unknown")
            return
        try:
            if self._sampled is None:
                self._sampled = signals.sampler.take()
            if self._sampled:
                if name is not None and not isinstance(values, Mapping):
                    values = {name: values}
                signals.observe(kind, values, self._state)
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            log_failure("signals were not observed", error)

    def _note(self, failure: str, change: Callable[[Observation], None]) -> None:
        try:
            if self._observed is None:
                self._observed = Observation()
            change(self._observed)
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            log_failure(failure, error)


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
        except ValueError:  # left in another context than entered, by an async generator for example
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
) -> None:
    """Report the end of a call, now or when it was ``stopped``, unless it was reported already."""
    if record[ENDED] is not None:
        return
    value: Value = observed
    if error is not None:
        value = FAILED if isinstance(error, Exception) else WAS_CANCELLED
        if observed is not None:
            observed.outcome = value.outcome
            value = observed
    ended = stopped or meter.clock()
    if meter.finish is None:
        record[ENDED], record[VALUE] = ended, value
        meter.events.append(record)
    else:
        meter.finish(record, ended, value)
    if isinstance(error, Exception):
        log_failed_call(record[1].key.identity, error)
    if len(meter.events) > meter.drain_at:
        meter.drain()


def log_failed_call(identity: Identity, error: Exception) -> None:
    """One line about a failed call, without the exception's text: that may quote an argument."""
    kind = type(error)
    rate_limited.log(logging.WARNING, (identity, kind), "inference failed: %s %s", kind.__name__, identity)


def current_trace_id() -> str | None:
    """The 32 hex digits of the current sampled span's trace, or None when there is none."""
    try:
        from opentelemetry.trace import get_current_span
    except ModuleNotFoundError:
        return None
    context = get_current_span().get_span_context()
    return format(context.trace_id, "032x") if context.is_valid and context.trace_flags.sampled else None
