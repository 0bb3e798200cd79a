"""One inference call, from its start to its outcome: the context manager and the wrappers of functions."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from types import TracebackType
from typing import Any, Literal

from modelplane_exporter.complaints import complain, complaints
from modelplane_exporter.identity import Identity
from modelplane_exporter.meter import DeviceMeter
from modelplane_exporter.observation import MISSING, Observation
from modelplane_exporter.series import ENDED, FAILED, VALUE, WAS_CANCELLED, CallRecord, Series, Value

Resolve = Callable[[tuple[Any, ...], dict[str, Any]], Series]
Read = Callable[[Any], Value]

NO_CONFIDENCE = Observation()
NO_CONFIDENCE.invalid[MISSING] = 1


class Call:
    """A call in flight; use as ``with exporter.track() as call``. Nothing here raises into the caller."""

    __slots__ = ("_meter", "_observed", "_read", "_record", "_series")

    def __init__(self, meter: DeviceMeter, series: Series, read: Read) -> None:
        self._meter = meter
        self._series = series
        self._read = read
        self._observed: Observation | None = None
        self._record: CallRecord = []

    def __enter__(self) -> Call:
        self._record = [self._meter.clock(), self._series, None, None, None]
        try:
            self._meter.events.append(self._record)
        except BaseException as error:  # a signal handler raised: __exit__ will not be called
            end(self._meter, self._record, error)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        end(self._meter, self._record, error, self._observed)
        return False

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
        value = self._read(result)
        if isinstance(value, Observation):
            found = value
            self._note("confidence was not observed", lambda observed: observed.take_from(found))
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

    def _note(self, failure: str, change: Callable[[Observation], None]) -> None:
        try:
            if self._observed is None:
                self._observed = Observation()
            change(self._observed)
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            complain(failure, error)


def end(
    meter: DeviceMeter, record: CallRecord, error: BaseException | None, observed: Observation | None = None
) -> None:
    """Report the end of a call, unless it was reported already."""
    if record[ENDED] is not None:
        return
    value: Value = observed
    if error is not None:
        value = FAILED if isinstance(error, Exception) else WAS_CANCELLED
        if observed is not None:
            observed.outcome = value.outcome
            value = observed
    ended = meter.clock()
    record[ENDED], record[VALUE] = ended, value
    meter.events.append(record)
    if isinstance(error, Exception):
        log_failure(record[1].key.identity, error)
    if len(meter.events) > meter.fold_at:
        meter.fold()


def log_failure(identity: Identity, error: Exception) -> None:
    """One line about a failed call, without the exception's text: that may quote an argument."""
    kind = type(error)
    complaints.log(logging.WARNING, (identity, kind), "inference failed: %s %s", kind.__name__, identity)


def wrap_function(
    function: Callable[..., Any], meter: DeviceMeter, fixed: Series | None, resolve: Resolve, read: Read,
    key: str | None,
) -> Callable[..., Any]:  # fmt: skip
    """Measure a plain function. ``key`` is where a dict holds its confidence, None to leave it to ``read``.

    It is written out, because each call of a helper would cost 0.05 us.

    A signal handler that raises can do so after any call. The call is queued inside ``try``, so whatever
    happens from then on, its end is queued too; it is queued once, because ``end`` looks for the end time.
    """
    events, clock, fold_at, fold = meter.events, meter.clock, meter.fold_at, meter.fold
    queue = events.append

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        call = [clock(), fixed or resolve(args, kwargs), None, None, None]
        try:
            queue(call)
            result = function(*args, **kwargs)
            ended = clock()
            try:
                value = result.get(key) if type(result) is dict else None
            except Exception:  # noqa: BLE001 - a hostile key; read says so
                value = None
            if type(value) is not float:
                value = read(result)
            call[ENDED], call[VALUE] = ended, value
            queue(call)
        except BaseException as error:
            end(meter, call, error)
            raise
        if len(events) > fold_at:
            fold()
        return result

    return measured


def wrap_async(
    function: Callable[..., Any], meter: DeviceMeter, fixed: Series | None, resolve: Resolve, read: Read,
    key: str | None,
) -> Callable[..., Any]:  # fmt: skip
    """Measure an async function, from its first step to its end; as ``wrap_function``, and as quick."""
    events, clock, fold_at, fold = meter.events, meter.clock, meter.fold_at, meter.fold
    queue = events.append

    @functools.wraps(function)
    async def measured(*args: Any, **kwargs: Any) -> Any:
        call = [clock(), fixed or resolve(args, kwargs), None, None, None]
        try:
            queue(call)
            result = await function(*args, **kwargs)
            ended = clock()
            try:
                value = result.get(key) if type(result) is dict else None
            except Exception:  # noqa: BLE001 - a hostile key; read says so
                value = None
            if type(value) is not float:
                value = read(result)
            call[ENDED], call[VALUE] = ended, value
            queue(call)
        except BaseException as error:
            end(meter, call, error)
            raise
        if len(events) > fold_at:
            fold()
        return result

    return measured


def wrap_generator(
    function: Callable[..., Iterator[Any]], begin: Callable[[tuple[Any, ...], dict[str, Any]], Call],
    clock: Callable[[], float],
) -> Callable[..., Any]:  # fmt: skip
    """Measure a generator function: in flight from its first step until it is exhausted or closed."""

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begin(args, kwargs) as call:
            timed = _Timed(function(*args, **kwargs), clock)
            try:
                return (yield from timed)
            finally:
                timed.report(call)

    return measured


def wrap_async_generator(
    function: Callable[..., AsyncIterator[Any]], begin: Callable[[tuple[Any, ...], dict[str, Any]], Call],
    clock: Callable[[], float],
) -> Callable[..., Any]:  # fmt: skip
    """Measure an async generator function likewise."""

    @functools.wraps(function)
    async def measured(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, None]:
        with begin(args, kwargs) as call:
            first = last = 0.0
            count = 0
            try:
                async with contextlib.aclosing(function(*args, **kwargs)) as source:  # type: ignore[type-var]
                    async for item in source:
                        last = clock()
                        first = first or last
                        count += 1
                        yield item
            finally:
                if count:
                    call.streamed(first, last, count)

    return measured


class _Timed:
    """A generator's face that notes when items come; ``yield from`` passes sends and throws through it."""

    __slots__ = ("_clock", "_count", "_first", "_last", "_source")

    def __init__(self, source: Any, clock: Callable[[], float]) -> None:
        self._source = source
        self._clock = clock
        self._count = 0
        self._first = self._last = 0.0

    def __iter__(self) -> _Timed:
        return self

    def __next__(self) -> Any:
        return self._noted(next(self._source))

    def send(self, value: Any) -> Any:
        return self._noted(self._source.send(value))

    def throw(self, *error: Any) -> Any:
        return self._noted(self._source.throw(*error))

    def close(self) -> None:
        self._source.close()

    def report(self, call: Call) -> None:
        """Tell the call what was noted."""
        if self._count:
            call.streamed(self._first, self._last, self._count)

    def _noted(self, item: Any) -> Any:
        self._last = self._clock()
        self._first = self._first or self._last
        self._count += 1
        return item
