"""Values that are cached for a short time, and made once for all who need the same at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

from cachetools import TLRUCache

from modelplane_datasource.tenancy.notices import Notice, collected, note

T = TypeVar("T")

HIT, MISS, COALESCED = "hit", "miss", "coalesced"
OUTCOMES = (HIT, MISS, COALESCED)
ENTRY_BYTES = 1024


class _Made(NamedTuple):
    """A value and what was noted while it was made, for whomever it concerns."""

    value: Any
    notices: tuple[Notice, ...]


class _Entry(NamedTuple):
    made: _Made
    size: int
    expires: float


class SingleFlightCache:
    """Least recently used values go first when there are too many bytes.

    Each value counts ``ENTRY_BYTES`` besides its own, which bounds their number too. The cache belongs
    to one process. A key must hold all that a value depends on. Errors are not cached, but all who wait
    for a value get its error. Whoever gets a value gets of the notices of its making those that it may read.
    """

    def __init__(
        self,
        max_bytes: int,
        on_lookup: Callable[[str], None] = lambda _outcome: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``on_lookup`` gets one of ``OUTCOMES`` for each lookup; ``clock`` is in seconds."""
        self._clock = clock
        self._on_lookup = on_lookup
        self._lock = threading.Lock()
        self._in_flight: dict[Hashable, Future[_Made]] = {}
        self._entries: TLRUCache[Hashable, _Entry] = TLRUCache(
            max_bytes, lambda _key, entry, _now: entry.expires, clock, lambda entry: entry.size
        )

    @property
    def entries(self) -> int:
        """How many values are cached."""
        with self._lock:
            return len(self._entries)

    @property
    def bytes(self) -> float:
        """The size of the values that are cached."""
        with self._lock:
            return self._entries.currsize

    def get_or_make(
        self, key: Hashable, seconds: float, make: Callable[[], T], size_of: Callable[[T], int]
    ) -> T:
        """What ``make`` gave for ``key`` at most ``seconds`` before, or gives now.

        ``size_of`` gives the bytes of a value and its key.
        """
        made = self._get_or_make(key, seconds, make, size_of)
        note(made.notices)
        value: T = made.value
        return value

    def _get_or_make(
        self, key: Hashable, seconds: float, make: Callable[[], T], size_of: Callable[[T], int]
    ) -> _Made:
        started = self._clock()
        flight: Future[_Made] = Future()
        with self._lock:
            entry = self._entries.get(key)
            in_flight = self._in_flight.get(key) if entry is None else None
            if entry is None and in_flight is None:
                self._in_flight[key] = flight
        if entry is not None:
            self._on_lookup(HIT)
            return entry.made
        if in_flight is not None:
            self._on_lookup(COALESCED)
            return in_flight.result()
        self._on_lookup(MISS)
        return self._make(key, flight, started + seconds, make, size_of)

    def _make(
        self,
        key: Hashable,
        flight: Future[_Made],
        expires: float,
        make: Callable[[], T],
        size_of: Callable[[T], int],
    ) -> _Made:
        try:
            made = _Made(*collected(make))
            is_cached = expires > self._clock()
            entry = _Entry(made, ENTRY_BYTES + size_of(made.value), expires) if is_cached else None
        except BaseException as error:
            self._land(key, None)
            flight.set_exception(error)
            raise
        self._land(key, entry)
        flight.set_result(made)
        return made

    def _land(self, key: Hashable, entry: _Entry | None) -> None:
        with self._lock:
            del self._in_flight[key]
            if entry is not None and entry.size <= self._entries.maxsize:
                self._entries[key] = entry
