"""Work that repeats in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

_LOG = logging.getLogger(__name__)


class Periodic:
    """Calls ``work`` every ``interval`` seconds, the first time at once, until it is stopped."""

    def __init__(self, name: str, interval: float, work: Callable[[], object]) -> None:
        self._name = name
        self._interval = interval
        self._work = work
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the call that is being made, if any."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._work()
            except Exception:  # noqa: BLE001 - whatever failed once may succeed the next time
                _LOG.exception("%s failed and is tried again in %g s", self._name, self._interval)
            self._stopped.wait(self._interval)
