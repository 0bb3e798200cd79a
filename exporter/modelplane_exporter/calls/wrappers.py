"""Measured functions: plain ones, async ones, generators, and those whose values are declared."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

from modelplane_exporter.calls.call import Call, Read, Resolve, end
from modelplane_exporter.calls.expected import IsExpected
from modelplane_exporter.calls.stream_functions import (
    ASYNC_GENERATOR,
    COROUTINE,
    GENERATOR,
    holding_tenant,
    stream_function,
)
from modelplane_exporter.measurement.device_meter import DeviceMeter
from modelplane_exporter.measurement.identity_state import ENDED, VALUE, CallRecord, IdentityState
from modelplane_exporter.tenant_context import (
    BoundAsyncGenerator,
    BoundGenerator,
    tenant_in_force,
)

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Call]
Observe = Callable[[Call, tuple[Any, ...], dict[str, Any], Any], None]


def wrap_function(
    function: Callable[..., Any], meter: DeviceMeter, fixed: IdentityState | None, resolve: Resolve,
    read: Read, key: str | None, is_expected: IsExpected | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """Measure a plain function. ``key`` is where a dict holds its confidence, None to leave it to ``read``.

    It is written out, because each call of a helper would cost 0.05 us.

    A signal handler that raises can do so after any call. The call is queued inside ``try``, so whatever
    happens from then on, its end is queued too; it is queued once, because ``end`` looks for the end time.
    """
    events, clock, drain_at, drain = meter.events, meter.clock, meter.drain_at, meter.drain
    queue, finish = events.append, meter.finish

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        call = [clock(), fixed or resolve(args, kwargs), None, None, None, None]
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
            if finish is None:
                call[ENDED], call[VALUE] = ended, value
                queue(call)
            else:
                finish(call, ended, value)
        except BaseException as error:
            end(meter, call, error, is_expected=is_expected)
            raise
        if len(events) > drain_at:
            drain()
        return result

    return measured


def wrap_async(
    function: Callable[..., Any], meter: DeviceMeter, fixed: IdentityState | None, resolve: Resolve,
    read: Read, key: str | None, is_expected: IsExpected | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """Measure an async function, from its first step to its end; as ``wrap_function``, and as quick."""
    if fixed is not None:
        return _measured_async(function, meter, fixed, read, key, is_expected)
    measured = _measured_async(holding_tenant(function), meter, None, read, key, is_expected)

    def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return measured(tenant_in_force(), *args, modelplane_state=resolve(args, kwargs), **kwargs)

    return stream_function(function, COROUTINE, make)


def _measured_async(
    function: Callable[..., Any], meter: DeviceMeter, state: IdentityState | None,
    read: Read, key: str | None, is_expected: IsExpected | None,
) -> Callable[..., Any]:  # fmt: skip
    events, clock, drain_at, drain = meter.events, meter.clock, meter.drain_at, meter.drain
    queue, finish = events.append, meter.finish

    @functools.wraps(function)
    async def measured(*args: Any, modelplane_state: IdentityState | None = state, **kwargs: Any) -> Any:
        call: CallRecord = [clock(), modelplane_state, None, None, None, None]
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
            if finish is None:
                call[ENDED], call[VALUE] = ended, value
                queue(call)
            else:
                finish(call, ended, value)
        except BaseException as error:
            end(meter, call, error, is_expected=is_expected)
            raise
        if len(events) > drain_at:
            drain()
        return result

    return measured


def wrap_declared(
    function: Callable[..., Any],
    begin: Begin,
    observe: Observe,
) -> Callable[..., Any]:
    """Measure a plain function whose arguments and result ``observe`` looks into."""

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as call:
            result = function(*args, **kwargs)
            call.stop()
            observe(call, args, kwargs, result)
            return result

    return measured


def wrap_declared_async(
    function: Callable[..., Any],
    begin: Begin,
    observe: Observe,
) -> Callable[..., Any]:
    """Measure an async function likewise."""
    held = holding_tenant(function)

    @functools.wraps(function)
    async def measured(call: Call, tenant_id: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with call:
            result = await held(tenant_id, *args, **kwargs)
            call.stop()
            observe(call, args, kwargs, result)
            return result

    def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return measured(begin(args, kwargs), tenant_in_force(), args, kwargs)

    return stream_function(function, COROUTINE, make)


def wrap_generator(
    function: Callable[..., Iterator[Any]], begin: Begin,
    clock: Callable[[], float],
) -> Callable[..., Any]:  # fmt: skip
    """Measure a generator function: in flight from its first step until it is exhausted or closed."""

    @functools.wraps(function)
    def measured(call: Call, source: BoundGenerator) -> Generator[Any, Any, Any]:
        with call:
            timed = _Timed(source, clock)
            try:
                return (yield from timed)
            finally:
                timed.report(call)

    def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return measured(begin(args, kwargs), BoundGenerator(function(*args, **kwargs), tenant_in_force()))

    return stream_function(function, GENERATOR, make)


def wrap_async_generator(
    function: Callable[..., AsyncIterator[Any]], begin: Begin,
    clock: Callable[[], float],
) -> Callable[..., Any]:  # fmt: skip
    """Measure an async generator function likewise."""

    @functools.wraps(function)
    async def measured(call: Call, stream: BoundAsyncGenerator) -> AsyncGenerator[Any, None]:
        with call:
            first = last = 0.0
            count = 0
            try:
                async with contextlib.aclosing(stream) as source:
                    async for item in source:
                        last = clock()
                        first = first or last
                        count += 1
                        yield item
            finally:
                if count:
                    call.streamed(first, last, count)

    def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return measured(
            begin(args, kwargs), BoundAsyncGenerator(function(*args, **kwargs), tenant_in_force())
        )

    return stream_function(function, ASYNC_GENERATOR, make)


class _Timed:
    """A generator that notes when the items of ``source`` come; ``yield from`` passes sends and throws on."""

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
        """Report to the call what was noted."""
        if self._count:
            call.streamed(self._first, self._last, self._count)

    def _noted(self, item: Any) -> Any:
        self._last = self._clock()
        self._first = self._first or self._last
        self._count += 1
        return item
