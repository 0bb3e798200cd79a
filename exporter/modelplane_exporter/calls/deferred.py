"""Results that are not there yet: coroutines, generators, async generators and futures."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from concurrent.futures import Future
from types import AsyncGeneratorType, CoroutineType, GeneratorType, TracebackType
from typing import Any, Literal

from modelplane_exporter.calls.call import Call

Finished = Callable[[Call, Any], None]

_STREAMS = (CoroutineType, GeneratorType, AsyncGeneratorType)

# The answers so far, so that few calls wait for one; types that are made for each call do not pile up.
_known: dict[type, bool] = {}
_MAX_KNOWN = 256


def is_deferred(result: Any) -> bool:
    """Whether a result is only on its way, or still to be asked for."""
    kind = type(result)
    try:
        known = _known.get(kind)
        return _ask(kind) if known is None else known
    except Exception:  # noqa: BLE001 - anybody's metaclass
        return False


class Deferred:
    """A call that ends when ``source``, a coroutine or a generator, does; its block is that of the call.

    ``finished`` gets the call and what a coroutine came to. A source that is dropped is a cancelled call.
    """

    __slots__ = ("call", "finished", "source")

    def __init__(self, call: Call, source: Any, finished: Finished) -> None:
        self.call = call
        self.source = source
        self.finished = finished

    def __enter__(self) -> Call:
        return self.call

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        return self.call.__exit__(kind, error, trace)

    def __del__(self) -> None:
        source = self.source
        if type(source) is CoroutineType and inspect.getcoroutinestate(source) == inspect.CORO_CREATED:
            source.close()  # who warns that it was never awaited is the coroutine that the caller has
        _cancel(self.call)


class DeferredFuture:
    """A call that ends when a future is done; ``finished`` as above. A future that is dropped cancels it."""

    __slots__ = ("_call", "_finished")

    def __init__(self, call: Call, finished: Finished) -> None:
        self._call = call
        self._finished = finished

    def follow(self, future: Any) -> None:
        """End the call with ``future``."""
        if future.done():  # an event loop would have to run for the callback
            self.settle(future)
        else:
            future.add_done_callback(self.settle)

    def settle(self, future: Any) -> None:
        """The future is done."""
        error = _error_of(future)
        try:
            if error is None:
                self._finished(self._call, future.result())
        except Exception as raised:  # noqa: BLE001 - of a wait for the device; a callback has nobody to tell
            error = raised
        self._call.__exit__(None, error, None)

    def __del__(self) -> None:
        _cancel(self._call)


def _cancel(call: Call) -> None:
    if call.in_flight:
        call.__exit__(None, GeneratorExit(), None)


def _error_of(future: Any) -> BaseException | None:
    if future.cancelled():
        return GeneratorExit()
    # asyncio's ``exception()`` marks the error as seen: a task that nobody awaits would fail silently.
    error: BaseException | None = future._exception if _is_of_asyncio(type(future)) else future.exception()
    return error


def _ask(kind: type) -> bool:
    deferred = kind in _STREAMS or issubclass(kind, Future) or _is_of_asyncio(kind)
    if len(_known) < _MAX_KNOWN:
        _known[kind] = deferred
    return deferred


def _is_of_asyncio(kind: type) -> bool:
    # What asyncio.isfuture() asks; asyncio takes long to import.
    return hasattr(kind, "_asyncio_future_blocking")
