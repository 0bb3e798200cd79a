"""Which calls have their signals observed."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

RATIO_SECONDS = 60.0


class Sampler:
    """Takes one call in each ``every``, and of those no more than ``per_second``; ValueError for bad numbers.

    Which call of a block is taken looks random, because a fixed place could always fall on the same tenant.
    """

    def __init__(
        self,
        every: int = 1,
        per_second: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not isinstance(every, int) or every < 1:
            raise ValueError(f"signals_every must be a whole number from 1 on (got {every!r})")
        if per_second is not None and not 0 < per_second < float("inf"):
            raise ValueError(f"signals_per_second must be a number above 0 (got {per_second!r})")
        self._every = every
        self._per_second = per_second
        self._clock = clock
        self._position = itertools.count()  # its next() is safe for threads
        self._tokens = self._max_tokens = max(1.0, per_second or 0.0)
        self._filled_at = self._since = clock()
        self._offered = self._taken = 0
        self._last = (0, 0)

    def take(self) -> bool:
        """Whether to observe this call."""
        if self._every > 1:
            block, place = divmod(next(self._position), self._every)
            # Knuth's multiplicative hash: each block its own place, without a state to share.
            if place != (block * 2654435761 >> 8) % self._every:
                return False
        return self._per_second is None or self._within_budget(self._per_second)

    def ratio(self) -> float:
        """The share of calls that are observed; under a budget that of the last one to two minutes."""
        if self._per_second is None:
            return 1 / self._every
        self._roll()
        offered, taken = self._offered + self._last[0], self._taken + self._last[1]
        return (taken / offered if offered else 1.0) / self._every

    def _within_budget(self, per_second: float) -> bool:
        """A bucket of tokens that holds those of one second."""
        self._roll()
        now = self._clock()
        self._tokens = min(self._max_tokens, self._tokens + (now - self._filled_at) * per_second)
        self._filled_at = now
        self._offered += 1
        if self._tokens < 1:
            return False
        self._tokens -= 1
        self._taken += 1
        return True

    def _roll(self) -> None:
        now = self._clock()
        if now - self._since >= RATIO_SECONDS:
            recent = now - self._since < 2 * RATIO_SECONDS
            self._last = (self._offered, self._taken) if recent else (0, 0)
            self._offered = self._taken = 0
            self._since = now
