"""Answers of Prometheus that are kept for a short time, and one call for all who ask the same at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from cachetools import TLRUCache

T = TypeVar("T")

HIT, MISS, COALESCED = "hit", "miss", "coalesced"
OUTCOMES = (HIT, MISS, COALESCED)
ENTRY_BYTES = 1024


class _Kept(NamedTuple):
    answer: Any
    size: int
    expires: float


class AnswerCache:
    """Least recently used answers go first when there are too many bytes.

    Each answer counts ``ENTRY_BYTES`` besides its own, which bounds their number too. The cache belongs
    to one process. A key must hold all that an answer depends on. Errors are not kept, but all who wait
    for a call get its error.
    """

    def __init__(
        self,
        max_bytes: int,
        on_lookup: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_lookup`` is told one of ``OUTCOMES`` for each question; ``clock`` is in seconds."""
        self._clock = clock
        self._on_lookup = on_lookup
        self._lock = threading.Lock()
        self._in_flight: dict[Hashable, Future[Any]] = {}
        self._kept: TLRUCache[Hashable, _Kept] = TLRUCache(
            max_bytes, lambda _key, kept, _now: kept.expires, clock, lambda kept: kept.size
        )

    @property
    def entries(self) -> int:
        """How many answers are kept."""
        with self._lock:
            return len(self._kept)

    @property
    def bytes(self) -> float:
        """The size of the answers that are kept."""
        with self._lock:
            return self._kept.currsize

    def get(self, key: Hashable, seconds: float, ask: Callable[[], T], size_of: Callable[[T], int]) -> T:
        """The answer to ``ask``, which was called for ``key`` at most ``seconds`` before, or is now.

        ``size_of`` gives the bytes of an answer and its key.
        """
        started = self._clock()
        own: Future[T] = Future()
        with self._lock:
            kept = self._kept.get(key)
            call = self._in_flight.get(key) if kept is None else None
            if kept is None and call is None:
                self._in_flight[key] = own
        if kept is not None:
            self._on_lookup(HIT)
            found: T = kept.answer
            return found
        if call is not None:
            self._on_lookup(COALESCED)
            shared: T = call.result()
            return shared
        self._on_lookup(MISS)
        return self._ask(key, own, started + seconds, ask, size_of)

    def _ask(
        self,
        key: Hashable,
        call: Future[T],
        expires: float,
        ask: Callable[[], T],
        size_of: Callable[[T], int],
    ) -> T:
        try:
            answer = ask()
            is_kept = expires > self._clock()
            kept = _Kept(answer, ENTRY_BYTES + size_of(answer), expires) if is_kept else None
        except BaseException as error:
            self._end(key, None)
            call.set_exception(error)
            raise
        self._end(key, kept)
        call.set_result(answer)
        return answer

    def _end(self, key: Hashable, kept: _Kept | None) -> None:
        with self._lock:
            del self._in_flight[key]
            if kept is not None and kept.size <= self._kept.maxsize:
                self._kept[key] = kept
