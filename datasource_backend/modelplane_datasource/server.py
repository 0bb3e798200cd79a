"""Run the application with waitress."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import waitress
from flask import Flask

from modelplane_datasource.alert_store import StoreError
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import ConfigurationError, Settings, is_loopback

_LOG = logging.getLogger(__name__)

# Above this waitress itself refuses a body, as plain text; the application's own limit lies far below.
_WIRE_LIMIT_BYTES = 256 * 1024 * 1024


class ServerError(RuntimeError):
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
        raise ServerError(f"{settings.database_url}: {error}") from error
    try:
        _run(app, settings)
    finally:
        close_app(app)


def _run(app: Flask, settings: Settings) -> None:
    server = waitress.create_server(
        app,
        sockets=[_listen(settings.host, settings.port)],
        threads=settings.threads,
        ident="modelplane",
        max_request_body_size=_WIRE_LIMIT_BYTES,
    )
    _LOG.info("listening on http://%s:%d", settings.host, settings.port)
    try:
        with _stop_on_sigterm():
            server.run()
    finally:
        server.close()
    _LOG.info("stopped")


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
    path = Path(database_url.removeprefix("sqlite:///"))
    folder = path.resolve().parent
    if not folder.is_dir():
        raise ServerError(f"{path}: the folder of the database does not exist; create {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ServerError(f"{path}: the folder of the database cannot be written: {folder}")
