"""What is done when a worker process ends in an orderly way, also in those that skip ``atexit``."""

from __future__ import annotations

import atexit
import multiprocessing.util
import sys
from collections.abc import Callable


class EndOfProcess:
    """Calls ``action`` when the process ends, and when one that is forked from it does.

    That includes processes of ``multiprocessing``, ``billiard`` and Celery's pool; none of them is imported.
    """

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        atexit.register(action)
        # Processes of multiprocessing end without atexit, and a forked one forgets its parent's finalizers.
        self._finalize()
        multiprocessing.util.register_after_fork(self, EndOfProcess._finalize)
        self.after_fork()

    def after_fork(self) -> None:
        """In a forked child: look again whether Celery is there, because it may have been imported since."""
        signals = sys.modules.get("celery.signals")
        if signals is not None:
            # A process of its pool ends without multiprocessing's finalizers too.
            signals.worker_process_shutdown.connect(
                self._on_celery_shutdown, weak=False, dispatch_uid=f"modelplane_exporter {id(self)}"
            )

    def _finalize(self) -> None:
        multiprocessing.util.Finalize(None, self._action, exitpriority=0)

    def _on_celery_shutdown(self, **_: object) -> None:
        self._action()
