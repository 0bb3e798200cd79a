"""One inference call, from its start to its outcome."""

from __future__ import annotations

import logging
import time
from types import TracebackType
from typing import Literal

from modelplane_exporter import confidence as reading
from modelplane_exporter.complaints import RateLimitedLog
from modelplane_exporter.identity import Identity
from modelplane_exporter.store import Store

complaints = RateLimitedLog()


class Call:
    """A call in flight; use as ``with exporter.track() as call``. Nothing here raises into the caller."""

    __slots__ = ("_identity", "_start", "_store")

    def __init__(self, store: Store, identity: Identity) -> None:
        self._store = store
        self._identity = identity
        self._start = 0.0

    def __enter__(self) -> Call:
        try:
            self._store.started(self._identity)
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            complain("a call's start was not counted", error)
        self._start = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        seconds = time.perf_counter() - self._start
        try:
            self._store.finished(self._identity, seconds, _outcome(kind))
        except Exception as own:  # noqa: BLE001 - monitoring must not break the model
            complain("a call's end was not counted", own)
        if kind is not None and issubclass(kind, Exception):
            # The exception's text may quote an argument, so only its type is logged.
            key = (self._identity, kind)
            complaints.log(logging.WARNING, key, "inference failed: %s %s", kind.__name__, self._identity)
        return False

    def confidence(self, value: object) -> None:
        """Observe confidence: a number or a batch of any shape, each in [0, 1]."""
        try:
            self._record(reading.read(value))
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            complain("confidence was not observed", error)

    def result(self, result: object, key: str = "confidence") -> None:
        """Observe the confidence under ``key`` of what the inference function returned."""
        try:
            self._record(reading.from_result(result, key))
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            complain("confidence was not observed", error)

    def _record(self, values: reading.Reading) -> None:
        self._store.observe_confidence(self._identity, values.values)
        for reason, count in values.invalid.items():
            self._store.count_invalid(self._identity, reason, count)


def complain(what: str, error: Exception) -> None:
    """Log a failure of monitoring itself, rate limited."""
    complaints.log(logging.ERROR, (what, type(error)), "%s: %s: %s", what, type(error).__name__, error)


def _outcome(kind: type[BaseException] | None) -> str:
    """An ``Exception`` is the model's failure; cancellation and interrupts derive from BaseException only."""
    if kind is None:
        return "success"
    return "failure" if issubclass(kind, Exception) else "cancelled"
