"""What the alert store needs while the backend runs: retention, and reconciliation with Alertmanager."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modelplane_datasource.alerts.reconciliation import Reconciler
from modelplane_datasource.alerts.store import AlertStore
from modelplane_datasource.timeline.times import DAY

_LOG = logging.getLogger(__name__)
_PRUNE_SECONDS = 3600


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


@dataclass(frozen=True, slots=True)
class MaintenanceRules:
    """What ended more than ``retention_days`` ago is deleted. Without ``alertmanager_urls`` nothing is
    reconciled.

    ``absent_grace_seconds`` must exceed Alertmanager's group_interval, for which a resolution may wait.
    """

    retention_days: int = 400
    alertmanager_urls: tuple[str, ...] = ()
    reconcile_interval_seconds: float = 30.0
    absent_grace_seconds: float = 600.0


class Maintenance:
    """The threads of one store; ``clock`` gives milliseconds since 1970."""

    def __init__(
        self, store: AlertStore, rules: MaintenanceRules, clock: Callable[[], int], *others: Periodic
    ) -> None:
        """``others`` are started and stopped with them."""
        self._reconciler: Reconciler | None = None
        threads = [
            Periodic("retention", _PRUNE_SECONDS, lambda: store.prune(clock() - rules.retention_days * DAY))
        ]
        if rules.alertmanager_urls:
            grace = round(rules.absent_grace_seconds * 1000)
            self._reconciler = Reconciler(store, rules.alertmanager_urls, clock, grace)
            threads.append(
                Periodic("reconciliation", rules.reconcile_interval_seconds, self._reconciler.run_once)
            )
        self._threads: Sequence[Periodic] = (*threads, *others)

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Stop the threads."""
        for thread in self._threads:
            thread.stop()
        if self._reconciler is not None:
            self._reconciler.close()
