"""Checks of what the backend needs, of which one of a kind runs at a time, however many ask."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

PATIENCE_SECONDS = 2.0


class ReadinessCheck:
    """All who ask while it runs share its outcome."""

    def __init__(self, name: str, check: Callable[[], str]) -> None:
        """``check`` gives the state of what is checked; it may take long."""
        self._name = name
        self._check = check
        self._lock = threading.Lock()
        self._running: Future[str] | None = None

    def start(self) -> Future[str]:
        """The outcome of the check that runs, or begins to."""
        with self._lock:
            if self._running is None:
                self._running = Future()
                arguments = (self._running,)
                threading.Thread(target=self._run, args=arguments, name=self._name, daemon=True).start()
            return self._running

    def _run(self, outcome: Future[str]) -> None:
        try:
            state = self._check()
        except Exception as error:  # noqa: BLE001 - it is raised where it is asked for
            self._forget()
            outcome.set_exception(error)
        else:
            self._forget()
            outcome.set_result(state)

    def _forget(self) -> None:
        with self._lock:
            self._running = None


def state_of(outcome: Future[str]) -> str:
    """The outcome of a check, or that there is none yet."""
    return outcome.result() if outcome.done() else f"no answer within {PATIENCE_SECONDS:g} s."
