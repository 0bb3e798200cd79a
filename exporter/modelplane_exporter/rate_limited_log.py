"""Log lines about monitoring itself, limited so that a broken call per millisecond stays one line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable

logger = logging.getLogger("modelplane_exporter")


class RateLimitedLog:
    """At most one line per key and interval; the next line says how many were left out."""

    _MAX_KEYS = 1000

    def __init__(self, interval_seconds: float = 10, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval = interval_seconds
        self._clock = clock
        self._lock = threading.RLock()  # a signal handler may log while a line is being written
        self._last: dict[Hashable, tuple[float, int]] = {}

    def log(self, level: int, key: Hashable, message: str, *args: object) -> None:
        """Log ``message % args`` unless ``key`` was logged within the interval."""
        now = self._clock()
        with self._lock:
            since, suppressed = self._last.get(key, (-self._interval, 0))
            if now - since < self._interval:
                self._last[key] = (since, suppressed + 1)
                return
            if len(self._last) >= self._MAX_KEYS:
                self._last.clear()
            self._last[key] = (now, 0)
        if suppressed:
            message += f" ({suppressed} more like this since the last line)"
        logger.log(level, message, *args)


rate_limited = RateLimitedLog()


def log_failure(what: str, error: BaseException) -> None:
    """Log a failure of monitoring itself, rate limited. The error's text may hold data, so it is left out."""
    rate_limited.log(logging.ERROR, (what, type(error)), "%s: %s", what, type(error).__name__)
