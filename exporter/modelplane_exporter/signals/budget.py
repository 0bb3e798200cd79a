"""How many series the signals of a process may have."""

from __future__ import annotations

import threading


class SeriesBudget:
    """One budget for all signals of all models of a process; safe for threads."""

    def __init__(self, series: int) -> None:
        self.series = series
        self._used = 0
        self._lock = threading.RLock()

    @property
    def left(self) -> int:
        """How many more there may be."""
        return self.series - self._used

    def take(self, series: int) -> bool:
        """Whether there is room for so many more; they are taken then."""
        with self._lock:
            fits = series <= self.left
            if fits:
                self._used += series
            return fits

    def release(self, series: int) -> None:
        """Give so many back."""
        with self._lock:
            self._used -= series

    def after_fork(self) -> None:
        """In a forked child the lock may be held for ever."""
        self._lock = threading.RLock()
