"""The built-in server in this process, and requests to it."""

from __future__ import annotations

import contextlib
import ssl
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from prometheus_client import CollectorRegistry

from modelplane_exporter.serving import server
from modelplane_exporter.serving.server import MetricsServer
from modelplane_exporter.serving.server_settings import ServerSettings
from modelplane_provisioning.processes import PATIENCE_SECONDS

LOOPBACK = ServerSettings("127.0.0.1", 0)


@contextlib.contextmanager
def serving(
    registry: CollectorRegistry, settings: ServerSettings = LOOPBACK
) -> Iterator[server.MetricsServer]:
    running = MetricsServer(settings, registry)
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
        thread.join()


def fetch(
    url: str,
    headers: Mapping[str, str] = MappingProxyType({}),
    *,
    tls: ssl.SSLContext | None = None,
    method: str = "GET",
) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers=dict(headers), method=method)  # noqa: S310 - our server
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS, context=tls) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
