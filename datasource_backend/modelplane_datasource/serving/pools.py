"""Threads for waitress: a pool with a bounded queue for each bulkhead, in place of one for all requests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from waitress.task import ThreadedTaskDispatcher

from modelplane_datasource.serving.bulkheads import Bulkhead, kind_of

_REFUSING_THREADS = 1
_SWEEP_SECONDS = 0.25
_IS_REFUSED = "modelplane_is_refused"


def is_refused(request: Any) -> bool:
    """Whether a request of waitress is to be answered without doing anything for it."""
    return bool(getattr(request, _IS_REFUSED, False))


class _Arrival(NamedTuple):
    """A channel whose first request is complete; ``at`` in seconds of the monotonic clock."""

    channel: Any
    at: float

    def service(self) -> None:
        """Answer the request."""
        self.channel.service()

    def cancel(self) -> None:
        """Close the connection."""
        self.channel.cancel()


class Pool(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress has no types
    """The threads of one bulkhead."""

    def __init__(self, threads: int, max_waiting: int | None = None) -> None:
        """Without ``max_waiting`` everything waits."""
        super().__init__()
        self._max_waiting = max_waiting
        self.set_thread_count(threads)

    def admit(self, channel: Any) -> bool:
        """Take a channel whose request is to be answered; False when too many wait."""
        with self.lock:
            if self._max_waiting is not None and len(self.queue) >= self._max_waiting:
                return False
            self.queue.append(_Arrival(channel, time.monotonic()))
            self.queue_cv.notify()
        return True

    def take_those_before(self, moment: float) -> list[Any]:
        """The channels that have waited since before a moment; they wait no more."""
        channels = []
        with self.lock:
            while self.queue and self.queue[0].at < moment:
                channels.append(self.queue.popleft().channel)
        return channels


class BulkheadPools:
    """What waitress gives complete requests to: each is answered by the pool of its kind, or refused.

    A request is refused when too many of its kind wait, or when it has waited for ``max_wait_seconds``.
    """

    def __init__(
        self, bulkheads: Iterable[Bulkhead], max_wait_seconds: float, on_refusal: Callable[[str], None]
    ) -> None:
        """``on_refusal`` gets the name of the bulkhead of each request that is refused."""
        self._max_wait_seconds = max_wait_seconds
        self._on_refusal = on_refusal
        self._pools = {kind.name: Pool(kind.threads, kind.max_waiting) for kind in bulkheads}
        self._refusing = Pool(_REFUSING_THREADS)
        self._is_stopped = threading.Event()
        self._sweeper = threading.Thread(target=self._sweep, name="sweep", daemon=True)
        self._sweeper.start()

    @property
    def waiting(self) -> Mapping[str, int]:
        """How many requests wait, by the name of their bulkhead."""
        return {name: len(pool.queue) for name, pool in self._pools.items()}

    def add_task(self, channel: Any) -> None:
        """Have the first request of a channel answered; waitress calls this."""
        request = channel.requests[0]
        if request.error:  # its answer waits for nothing
            self._refusing.admit(channel)
            return
        name = kind_of(request.command, request.path)
        if not self._pools[name].admit(channel):
            self._refuse(name, channel)

    def shutdown(self, cancel_pending: bool = True, timeout: float = 5) -> None:
        """Stop when what is being answered is answered, or after ``timeout`` seconds; waitress calls this."""
        self._is_stopped.set()
        self._sweeper.join()
        pools = (*self._pools.values(), self._refusing)
        for pool in pools:
            pool.set_thread_count(0)
        deadline = time.monotonic() + timeout
        for pool in pools:
            pool.shutdown(cancel_pending, max(0.0, deadline - time.monotonic()))

    def _refuse(self, name: str, channel: Any) -> None:
        self._on_refusal(name)
        setattr(channel.requests[0], _IS_REFUSED, True)
        self._refusing.admit(channel)

    def _sweep(self) -> None:
        while not self._is_stopped.wait(_SWEEP_SECONDS):
            oldest = time.monotonic() - self._max_wait_seconds
            for name, pool in self._pools.items():
                for channel in pool.take_those_before(oldest):
                    self._refuse(name, channel)
