"""What many threads want written at once, written in one transaction.

A commit waits for the disk, however much it holds: writing together what waits gives each thread the
durability of a commit of its own at a fraction of its time.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Generic, NamedTuple, TypeVar

from modelplane_datasource.alerts.database import StoreError

T = TypeVar("T")

_ITEMS_AT_ONCE = 1000
_BYTES_AT_ONCE = 16 * 2**20


class _Waiting(NamedTuple, Generic[T]):
    item: T
    is_written: Future[None]


class GroupCommit(Generic[T]):
    """One thread writes; all others wait for the group that has their item."""

    def __init__(self, write: Callable[[Sequence[T]], None], size_of: Callable[[T], int]) -> None:
        """``write`` makes a group durable or raises; ``size_of`` gives the bytes of an item."""
        self._write = write
        self._size_of = size_of
        self._waiting: deque[_Waiting[T]] = deque()
        self._condition = threading.Condition()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="group commit", daemon=True)
        self._thread.start()

    def write(self, item: T) -> None:
        """Return once ``item`` is written; StoreError, or what else writing it raises."""
        waiting = _Waiting(item, Future[None]())
        with self._condition:
            if self._is_closed:
                raise StoreError("the database cannot be written: it is closed")
            self._waiting.append(waiting)
            self._condition.notify()
        waiting.is_written.result()

    def close(self) -> None:
        """Write what waits, then end."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._next_group():
            self._complete(group)

    def _next_group(self) -> list[_Waiting[T]]:
        """What waits, in its order; empty when there will be no more."""
        group: list[_Waiting[T]] = []
        size = 0
        with self._condition:
            self._condition.wait_for(lambda: self._waiting or self._is_closed)
            while self._waiting and len(group) < _ITEMS_AT_ONCE:
                size += self._size_of(self._waiting[0].item)
                if group and size > _BYTES_AT_ONCE:
                    break
                group.append(self._waiting.popleft())
        return group

    def _complete(self, group: Sequence[_Waiting[T]]) -> None:
        try:
            self._write([waiting.item for waiting in group])
        except Exception as error:  # noqa: BLE001 - it is raised where the item comes from
            if len(group) > 1 and not (isinstance(error, StoreError) and error.concerns_all):
                for waiting in group:  # one of them is at fault, and the others are not
                    self._complete([waiting])
                return
            for waiting in group:
                waiting.is_written.set_exception(error)
        else:
            for waiting in group:
                waiting.is_written.set_result(None)
