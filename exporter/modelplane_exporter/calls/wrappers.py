"""Measured functions: plain ones, async ones, generators, and those whose values are declared."""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import types
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import AbstractContextManager
from types import AsyncGeneratorType, CoroutineType, FunctionType, GeneratorType
from typing import Any

from modelplane_exporter.calls.call import Call, Sinks, end
from modelplane_exporter.calls.deferred import Deferred, DeferredFuture, Finished, is_deferred
from modelplane_exporter.calls.stream_functions import (
    ASYNC_GENERATOR,
    COROUTINE,
    GENERATOR,
    holding_tenant,
    stream_function,
)
from modelplane_exporter.measurement.identity_state import ENDED, VALUE, CallRecord, IdentityState
from modelplane_exporter.tenant_context import (
    BoundAsyncGenerator,
    BoundGenerator,
    in_tenant,
    tenant_in_force,
)

Begin = Callable[[tuple[Any, ...], dict[str, Any]], AbstractContextManager[Call]]
Observe = Callable[[Call, tuple[Any, ...], dict[str, Any], Any], None]


def wrap_function(function: Callable[..., Any], sinks: Sinks, key: str | None) -> Callable[..., Any]:
    """Measure a plain function. ``key`` is where a dict holds its confidence, None to leave it to ``read``.

    It is written out, because each call of a helper would cost 0.05 us. What belongs to the process is asked
    of ``sinks`` in each call, so that the function can be pickled by value.

    A signal handler that raises can do so after any call. The call is queued inside ``try``, so whatever
    happens from then on, its end is queued too; it is queued once, because ``end`` looks for the end time.
    """
    clock, drain_at, readable = sinks.meter.clock, sinks.meter.drain_at, _type_with(key)
    # No global of this module is used in the function: see _with_globals_of.
    begun, take_result, end_call, go_on, is_coming = Call.begun, _take_result, end, follow, is_deferred
    ended_at, value_at = ENDED, VALUE

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        queue = sinks.queue
        call = [clock(), sinks.fixed or sinks.resolve(args, kwargs), None, None, None, None]
        try:
            queue(call)
            result = function(*args, **kwargs)
            ended = clock()
            try:
                value = result[key] if type(result) is readable else None  # type: ignore[index]
            except Exception:  # noqa: BLE001 - no such key, or a hostile one; read says so
                value = None
            if type(value) is not float:
                if is_coming(result):
                    return go_on(result, begun(sinks, call), take_result)
                value = sinks.read(result)
            finish = sinks.finish
            if finish is None:
                call[ended_at], call[value_at] = ended, value
                queue(call)
            else:
                finish(call, ended, value)
        except BaseException as error:
            end_call(sinks.meter, call, error, is_expected=sinks.is_expected)
            raise
        if len(sinks.events) > drain_at:
            sinks.meter.drain()
        return result

    if "torch" in sys.modules:
        measured = _with_globals_of(function, measured)
    return measured


def wrap_async(function: Callable[..., Any], sinks: Sinks, key: str | None) -> Callable[..., Any]:
    """Measure an async function, from its first step to its end; as ``wrap_function``, and as quick."""
    if sinks.fixed is not None:
        return _measured_async(function, sinks, key)
    measured = _measured_async(holding_tenant(function), sinks, key)

    def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return measured(tenant_in_force(), *args, modelplane_state=sinks.resolve(args, kwargs), **kwargs)

    return stream_function(function, COROUTINE, make)


def _measured_async(function: Callable[..., Any], sinks: Sinks, key: str | None) -> Callable[..., Any]:
    """Where the tenant is not fixed, the state of a call is its keyword argument ``modelplane_state``."""
    clock, drain_at, readable = sinks.meter.clock, sinks.meter.drain_at, _type_with(key)

    @functools.wraps(function)
    async def measured(*args: Any, modelplane_state: IdentityState | None = None, **kwargs: Any) -> Any:
        queue = sinks.queue
        call: CallRecord = [clock(), modelplane_state or sinks.fixed, None, None, None, None]
        try:
            queue(call)
            result = await function(*args, **kwargs)
            ended = clock()
            try:
                value = result[key] if type(result) is readable else None  # type: ignore[index]
            except Exception:  # noqa: BLE001 - no such key, or a hostile one; read says so
                value = None
            if type(value) is not float:
                if is_deferred(result):
                    return follow(result, Call.begun(sinks, call), _take_result)
                value = sinks.read(result)
            finish = sinks.finish
            if finish is None:
                call[ENDED], call[VALUE] = ended, value
                queue(call)
            else:
                finish(call, ended, value)
        except BaseException as error:
            end(sinks.meter, call, error, is_expected=sinks.is_expected)
            raise
        if len(sinks.events) > drain_at:
            sinks.meter.drain()
        return result

    return measured


def wrap_observed(function: Callable[..., Any], begin: Begin, observe: Observe) -> Callable[..., Any]:
    """Measure a plain function whose arguments and result ``observe`` looks into."""

    @functools.wraps(function)
    def measured(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as call:
            result = function(*args, **kwargs)
            if is_deferred(result):
                return follow(result, call.hand_over(), functools.partial(_observe, observe, args, kwargs))
            observe(call, args, kwargs, result)
            return result

    return measured


def wrap_observed_async(function: Callable[..., Any], begin: Begin, observe: Observe) -> Callable[..., Any]:
    """Measure an async function likewise."""
    held = holding_tenant(function)

    @functools.wraps(function)
    async def measured(
        context: AbstractContextManager[Call],
        tenant_id: object,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        with context as call:
            result = await held(tenant_id, *args, **kwargs)
            if is_deferred(result):
                return follow(result, call.hand_over(), functools.partial(_observe, observe, args, kwargs))
            observe(call, args, kwargs, result)
            return result

    def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return measured(begin(args, kwargs), tenant_in_force(), args, kwargs)

    return stream_function(function, COROUTINE, make)


def follow(source: Any, call: Call, finished: Finished) -> Any:
    """What the caller gets in place of ``source``, a deferred result: ``call`` ends when it does.

    ``finished`` gets the call and what a coroutine or future came to. A future is its own stand-in.
    """
    kind = type(source)
    if kind not in _FOLLOWERS:
        DeferredFuture(call, finished).follow(source)
        return source
    deferred = Deferred(call, source, finished)
    following = _FOLLOWERS[kind](deferred)
    following.__name__, following.__qualname__ = source.__name__, source.__qualname__
    return following


def wrap_generator(function: Callable[..., Iterator[Any]], begin: Begin) -> Callable[..., Any]:
    """Measure a generator function: in flight from its first step until it is exhausted or closed."""

    @functools.wraps(function)
    def measured(context: AbstractContextManager[Call], source: BoundGenerator) -> Generator[Any, Any, Any]:
        with context as call:
            timed = _Timed(source, call)
            try:
                return (yield from timed)
            finally:
                timed.report()

    if _is_awaited(function):
        measured = types.coroutine(measured)

    def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return measured(begin(args, kwargs), BoundGenerator(function(*args, **kwargs), tenant_in_force()))

    return stream_function(function, GENERATOR, make)


def _is_awaited(function: Callable[..., Any]) -> bool:
    """Whether what a generator function makes can be awaited: one of ``types.coroutine``."""
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & inspect.CO_ITERABLE_COROUTINE)


def wrap_async_generator(
    function: Callable[..., AsyncGenerator[Any, Any]], begin: Begin
) -> Callable[..., Any]:
    """Measure an async generator function likewise."""

    @functools.wraps(function)
    async def measured(
        context: AbstractContextManager[Call], source: BoundAsyncGenerator
    ) -> AsyncGenerator[Any, Any]:
        with context as call:
            timed = _Timed(source, call)
            try:
                item = await _first_step(source)
                while True:
                    try:
                        sent = yield timed.noted(item)
                    except BaseException as error:  # noqa: BLE001 - thrown in by the consumer
                        call.resume()
                        item = await source.athrow(error)
                    else:
                        call.resume()
                        item = await source.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                timed.report()

    def make(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return measured(
            begin(args, kwargs), BoundAsyncGenerator(function(*args, **kwargs), tenant_in_force())
        )

    return stream_function(function, ASYNC_GENERATOR, make)


def _first_step(source: Any) -> Any:
    """The first step of an async generator whose end is its wrapper's business, and not the event loop's.

    At its end a loop closes all generators that it knows at once, and two that close each other fail.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return source.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


class _Timed:
    """A generator that notes when the items of ``source`` come; ``yield from`` passes sends and throws on.

    From an item on until the next one is wanted, the call is paused.
    """

    __slots__ = ("_call", "_count", "_first", "_last", "_source")

    def __init__(self, source: Any, call: Call) -> None:
        self._source = source
        self._call = call
        self._count = 0
        self._first = self._last = 0.0

    def __iter__(self) -> _Timed:
        return self

    def __next__(self) -> Any:
        self._call.resume()
        return self.noted(next(self._source))

    def send(self, value: Any) -> Any:
        self._call.resume()
        return self.noted(self._source.send(value))

    def throw(self, *error: Any) -> Any:
        self._call.resume()
        return self.noted(self._source.throw(*error))

    def close(self) -> None:
        self._call.resume()
        self._source.close()

    def report(self) -> None:
        """Report to the call what was noted."""
        if self._count:
            self._call.streamed(self._first, self._last, self._count)

    def noted(self, item: Any) -> Any:
        """An item has come."""
        self._last = self._call.clock()
        self._first = self._first or self._last
        self._count += 1
        self._call.pause(self._last)
        return item


def _follow_coroutine(deferred: Deferred) -> Any:
    return _following(deferred, tenant_in_force())


async def _following(deferred: Deferred, tenant_id: object) -> Any:
    with deferred as call:
        result = await in_tenant(tenant_id, deferred.source)
        if is_deferred(result):
            return follow(result, call.hand_over(), deferred.finished)
        deferred.finished(call, result)
        return result


def _follow_generator(deferred: Deferred) -> Any:
    return wrap_generator(_source_of, _context_of)(deferred)


def _follow_async_generator(deferred: Deferred) -> Any:
    return wrap_async_generator(_source_of, _context_of)(deferred)


_FOLLOWERS: dict[type, Callable[[Deferred], Any]] = {
    CoroutineType: _follow_coroutine,
    GeneratorType: _follow_generator,
    AsyncGeneratorType: _follow_async_generator,
}


def _source_of(deferred: Deferred) -> Any:
    return deferred.source


def _context_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Deferred:
    deferred: Deferred = args[0]
    return deferred


def _take_result(call: Call, result: Any) -> None:
    call.stop()
    call.result(result)


def _observe(
    observe: Observe, args: tuple[Any, ...], kwargs: dict[str, Any], call: Call, result: Any
) -> None:
    observe(call, args, kwargs, result)


def _type_with(key: str | None) -> type:
    """The type of results in which ``key`` is looked up at once; without a key no result is of that type."""
    return dict if key is not None else _NoResult


class _NoResult:
    """What no function returns."""


def _with_globals_of(function: Callable[..., Any], measured: Callable[..., Any]) -> Any:
    """``measured`` for ``torch.jit.script``, which compiles the source of ``function``.

    Of a function it takes what ``__prepare_scriptable__`` gives. Of a method it looks the names in the source
    up in the globals of what it was given: those of ``function`` are put there, unless these have something
    else under the name of a builtin of ours.
    """
    ours = {step.argval for step in dis.get_instructions(measured.__code__) if step.opname == "LOAD_GLOBAL"}
    if type(function) is FunctionType and ours.isdisjoint(function.__globals__):
        code, cells = measured.__code__, measured.__closure__
        scope = function.__globals__
        measured = functools.update_wrapper(FunctionType(code, scope, code.co_name, None, cells), function)
    measured.__prepare_scriptable__ = lambda: function  # type: ignore[attr-defined]
    return measured
