"""The built-in server in this process, and requests to it."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

from prometheus_client import CollectorRegistry

from modelplane_exporter.serving import server
from modelplane_exporter.serving.server import create_server
from modelplane_exporter.serving.server_settings import ServerSettings

LOOPBACK = ServerSettings("127.0.0.1", 0)


@contextlib.contextmanager
def serving(
    registry: CollectorRegistry, settings: ServerSettings = LOOPBACK
) -> Iterator[server.MetricsServer]:
    running = create_server(settings, registry)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def fetch(
    url: str, tls: ssl.SSLContext | None = None, method: str = "GET", **headers: str
) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 - our server
    try:
        with urllib.request.urlopen(request, timeout=10, context=tls) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
