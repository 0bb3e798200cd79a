"""Measured functions: plain ones, async ones, generators, and those whose values are declared."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any

from modelplane_exporter.calls.call import Call, Read, Resolve, end
from modelplane_exporter.measurement.device_meter import DeviceMeter
from modelplane_exporter.measurement.identity_state import ENDED, VALUE, IdentityState

Begin = Callable[[tuple[Any, ...], dict[str, Any]], Call]
Observe = Callable[[Call, tuple[Any, ...], dict[str, Any], Any], None]


def wrap_function(
    function: Callable[..., Any], meter: DeviceMeter, fixed: IdentityState | None, resolve: Resolve,
    read: Read, key: str | None,
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
            end(meter, call, error)
            raise
        if len(events) > drain_at:
            drain()
        return result

    return measured


def wrap_async(
    function: Callable[..., Any], meter: DeviceMeter, fixed: IdentityState | None, resolve: Resolve,
    read: Read, key: str | None,
) -> Callable[..., Any]:  # fmt: skip
    """Measure an async function, from its first step to its end; as ``wrap_function``, and as quick."""
    events, clock, drain_at, drain = meter.events, meter.clock, meter.drain_at, meter.drain
    queue, finish = events.append, meter.finish

    @functools.wraps(function)
    async def measured(*args: Any, **kwargs: Any) -> Any:
        call = [clock(), fixed or resolve(args, kwargs), None, None, None, None]
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
            end(meter, call, error)
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

    @functools.wraps(function)
    async def measured(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as call:
            result = await function(*args, **kwargs)
            call.stop()
            observe(call, args, kwargs, result)
            return result

    return measured


def wrap_generator(
    function: Callable[..., Iterator[Any]], begin: Begin,
    clock: Callable[[], float],
) -> Callable[..., Any]:  # fmt: skip
    """Measure a generator function: in flight from its first step until it is exhausted or closed."""

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        with begin(args, kwargs) as call:
            timed = _Timed(function(*args, **kwargs), clock, call)
            try:
                return (yield from timed)
            finally:
                timed.report()

    return measured


def wrap_async_generator(
    function: Callable[..., AsyncIterator[Any]], begin: Begin,
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
                        call.pause(last)
                        try:
                            yield item
                        finally:
                            call.resume()
            finally:
                if count:
                    call.streamed(first, last, count)

    return measured


class _Timed:
    """A generator that notes when the items of ``source`` come; ``yield from`` passes sends and throws on.

    From an item on until the next one is wanted, the call is paused.
    """

    __slots__ = ("_call", "_clock", "_count", "_first", "_last", "_source")

    def __init__(self, source: Any, clock: Callable[[], float], call: Call) -> None:
        self._source = source
        self._clock = clock
        self._call = call
        self._count = 0
        self._first = self._last = 0.0

    def __iter__(self) -> _Timed:
        return self

    def __next__(self) -> Any:
        self._call.resume()
        return self._noted(next(self._source))

    def send(self, value: Any) -> Any:
        self._call.resume()
        return self._noted(self._source.send(value))

    def throw(self, *error: Any) -> Any:
        self._call.resume()
        return self._noted(self._source.throw(*error))

    def close(self) -> None:
        self._call.resume()
        self._source.close()

    def report(self) -> None:
        """Report to the call what was noted."""
        if self._count:
            self._call.streamed(self._first, self._last, self._count)

    def _noted(self, item: Any) -> Any:
        self._last = self._clock()
        self._first = self._first or self._last
        self._count += 1
        self._call.pause(self._last)
        return item
