"""Counters that a child goes on showing after it was killed."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def shared_counters(number: int) -> Iterator[memoryview]:
    """So many integers that forked children share."""
    with mmap.mmap(-1, 8 * number) as memory:
        view = memoryview(memory).cast("q")
        try:
            yield view
        finally:
            view.release()
