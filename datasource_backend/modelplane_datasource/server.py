"""Run the application with waitress."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Flask
from sqlalchemy import make_url

from modelplane_datasource.alerts.store import StoreError
from modelplane_datasource.app import close_app, create_app, maintenance_of, telemetry_of
from modelplane_datasource.serving.bulkheads import bulkheads
from modelplane_datasource.serving.pools import BulkheadPools
from modelplane_datasource.serving.waitress_server import Server
from modelplane_datasource.settings import ConfigurationError, Settings, is_loopback
from modelplane_schema.errors import UserError

_LOG = logging.getLogger(__name__)

# A body that is larger than allowed is read up to this multiple of the limit, so that its sender gets to read
# the answer; beyond, the connection is closed while the sender still sends.
_READ_TO_REFUSE = 2
_IDLE_SECONDS = 120
_SPARE_FILES = 200  # connections to Prometheus and to the database, spooled bodies


class ServerError(UserError, RuntimeError):
    """The server cannot start; the message says why."""


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT; call it in the main thread.

    ConfigurationError for settings that do not go together, ServerError when the port is taken or
    the database cannot be used.
    """
    if settings.token_file is None and not is_loopback(settings.host):
        raise ConfigurationError(
            f"without a token file the server listens on loopback only, not on {settings.host}: "
            "set token_file, or host to 127.0.0.1"
        )
    _check_database(settings.database_url)
    try:
        app = create_app(settings)
    except StoreError as error:
        # The text of the URL hides its password.
        raise ServerError(f"{make_url(settings.database_url)}: {error}") from error
    maintenance = maintenance_of(app)
    maintenance.start()
    try:
        _run(app, settings)
    finally:
        maintenance.stop()
        close_app(app)


def _run(app: Flask, settings: Settings) -> None:
    listener = _listen(settings.host, settings.port)
    connections = min(settings.max_connections, _allowed_open_files(settings.max_connections))
    telemetry = telemetry_of(app)
    pools = BulkheadPools(bulkheads(settings), settings.max_wait_seconds, telemetry.refusal)
    telemetry.observe_waiting(lambda: pools.waiting)
    server = Server(
        app,
        listener,
        pools,
        connections,
        ident="modelplane",
        max_request_body_size=_READ_TO_REFUSE * settings.max_body_bytes,
        channel_timeout=_IDLE_SECONDS,
        asyncore_use_poll=True,  # select() knows no more than 1024 files
    )
    _LOG.info(
        "listening on http://%s:%d%s",
        settings.host,
        settings.port,
        "" if settings.token_file else "; without tokens everyone on this machine sees everything",
    )
    gc.freeze()  # what every request needs is never garbage, and need not be looked at
    try:
        with _stop_on_sigterm():
            server.run()  # when it is stopped, requests in flight are answered for up to 5 s
    finally:
        server.close()
    _LOG.info("stopped")


def _allowed_open_files(connections: int) -> int:
    """For how many connections files may be open besides the others; as many are allowed as can be."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return connections if soft == resource.RLIM_INFINITY else max(1, soft - _SPARE_FILES)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ServerError(f"cannot listen on {host}:{port}: {error.strerror}") from error


@contextmanager
def _stop_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the server's loop as SIGINT does. Only the main thread can receive signals."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        raise SystemExit

    previous = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _check_database(database_url: str) -> None:
    if not database_url.startswith("sqlite:///"):
        return
    path = Path(database_url.removeprefix("sqlite:///"))
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ServerError(f"{path}: the folder of the database does not exist; create {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ServerError(f"{path}: the folder of the database cannot be written: {folder}")
