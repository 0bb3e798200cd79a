"""Of several worker processes whichever gets the port serves the metrics; when it dies another takes over."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Protocol

from modelplane_exporter.rate_limited_log import logger


class Server(Protocol):
    """A listening server, as ``socketserver`` has them."""

    def serve_forever(self) -> None:
        """Serve until ``shutdown``."""

    def shutdown(self) -> None:
        """End ``serve_forever``, now or as soon as it begins."""

    def server_close(self) -> None:
        """Close the listening socket; may be called again."""


class PortHolder:
    """Tries to create the metrics server until it has it, then serves; all in one daemon thread.

    ``create`` gives a listening server or raises OSError. It is tried at once and then every
    ``interval_seconds``, so a dead holder is replaced within that time; a try that fails takes 0.03 ms. A
    forked child tries on its own account, after closing its copy of the parent's socket: else the port would
    stay taken, and unanswered, when the parent dies.
    """

    def __init__(self, create: Callable[[], Server], interval_seconds: float = 0.1) -> None:
        self._create = create
        self._interval_seconds = interval_seconds
        self._logged: set[object] = set()
        self._start()
        _holders.add(self)

    def stop(self) -> None:
        """Stop trying, or serving; the port is free afterwards. Another call does nothing."""
        with self._lock:
            self._stopped.set()
            server = self._server
        _holders.discard(self)
        if server is not None:
            server.shutdown()
        if self._thread.is_alive():
            self._thread.join(self._interval_seconds)

    def restart_after_fork(self) -> None:
        """Begin again in a child, where no thread of the parent's lives on."""
        if self._server is not None:
            self._server.server_close()
        self._start()

    def _start(self) -> None:
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._server: Server | None = None
        self._thread = threading.Thread(target=self._run, name="modelplane-port", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # the process is at its limit of threads, or ending
            self._stopped.set()
            self._log_once("thread", error)

    def _run(self) -> None:
        while not self._stopped.is_set():
            server = self._created()
            if server is None:
                self._stopped.wait(self._interval_seconds)
                continue
            try:
                with self._lock:
                    if self._stopped.is_set():
                        return
                    self._server = server
                server.serve_forever()
            except Exception as error:  # noqa: BLE001 - the port is tried again, the model goes on
                self._log_once("serve", error)
                self._stopped.wait(self._interval_seconds)
            finally:
                self._server = None
                server.server_close()

    def _created(self) -> Server | None:
        try:
            return self._create()
        except Exception as error:  # noqa: BLE001 - monitoring must not break the model
            self._log_once(getattr(error, "errno", type(error)), error)
        return None

    def _log_once(self, key: object, error: Exception) -> None:
        if key in self._logged:
            return
        self._logged.add(key)
        if key == errno.EADDRINUSE:
            logger.debug("another process serves the metrics; this one waits for the port")
        else:
            logger.error("this process does not serve the metrics and goes on trying: %s", error)


_holders: set[PortHolder] = set()


def _restart_after_fork() -> None:
    for holder in _holders:
        holder.restart_after_fork()


os.register_at_fork(after_in_child=_restart_after_fork)
