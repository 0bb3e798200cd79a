"""The built-in metrics server: its limits, and the one that a process starts."""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import io
import os
import socket
import sys
import threading
import time
import weakref
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from prometheus_client import CollectorRegistry

from modelplane_exporter.rate_limited_log import log_failure, logger
from modelplane_exporter.serving.lone_process import REMEDY, say_when_forked
from modelplane_exporter.serving.port_holder import PortHolder
from modelplane_exporter.serving.responder import METHODS, Response, method_not_allowed, plain, respond
from modelplane_exporter.serving.server_settings import ServerSettings, server_settings
from modelplane_exporter.settings import PORT

REQUEST_SECONDS = 10.0  # from the first byte to the last; as long as Prometheus waits by default
REQUEST_BYTES = 16 * 1024
MAX_CONNECTIONS = 16
SLOT_SECONDS = 1.0

_LANDING = b"""<!doctype html><html lang="en"><title>modelplane exporter</title>
<h1>modelplane exporter</h1><p><a href="/metrics">Metrics</a></p></html>
"""


class MetricsServer(ThreadingTCPServer):
    """Serves one registry; each connection carries one request in a daemon thread.

    At most ``MAX_CONNECTIONS`` are open: a further one closes the oldest, so clients that are slow cannot
    keep a scrape out. OSError when the port cannot be had.
    """

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True  # a port whose old connections linger can be had again at once
    allow_reuse_port = False  # a port that another process serves must be refused
    request_queue_size = 64

    def __init__(self, settings: ServerSettings, registry: CollectorRegistry) -> None:
        self.settings = settings
        self.registry = registry
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self._deadlines: dict[socket.socket, float] = {}
        resolved = socket.getaddrinfo(
            settings.address, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        self.address_family, _, _, _, (host, *_) = resolved[0]
        super().__init__((str(host), settings.port), _Handler)
        _servers.add(self)

    @property
    def url(self) -> str:
        """Where the metrics are, with the port that was really given."""
        host = f"[{self.settings.address}]" if ":" in self.settings.address else self.settings.address
        return f"{'https' if self.settings.tls else 'http'}://{host}:{self.server_address[1]}/metrics"

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.settings.tls:
            # The handshake waits for the connection's thread: here it would hold up all others.
            connection = self.settings.tls.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        return connection, address

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._slots.acquire(blocking=False):
            self._abort(next(iter(self._deadlines.copy()), None))
            if not self._slots.acquire(timeout=SLOT_SECONDS):
                super().shutdown_request(request)
                return
        self._deadlines[request] = time.monotonic() + REQUEST_SECONDS
        super().process_request(request, client_address)

    def service_actions(self) -> None:
        """End what is overdue; ``serve_forever`` calls this twice a second."""
        now = time.monotonic()
        for connection, deadline in self._deadlines.copy().items():
            if deadline < now:
                self._abort(connection)

    def shutdown_request(self, request: Any) -> None:
        if self._deadlines.pop(request, None) is not None:
            self._slots.release()
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if isinstance(error, OSError):  # the client went away, was too slow or failed the handshake
            logger.debug("metrics client %s: %s", client_address, error)
        elif error is not None:
            log_failure("the metrics server failed", error)

    def forget(self) -> None:
        """In a forked child: close the parent's sockets here, so that its port is free once it dies."""
        for connection in (self.socket, *self._deadlines):
            connection.close()

    @staticmethod
    def _abort(connection: socket.socket | None) -> None:
        if connection is None:
            return
        try:
            # Not SSLSocket.shutdown: it drops the encryption before it closes.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        except OSError as error:  # it ended by itself
            logger.debug("metrics client: %s", error)


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    timeout = REQUEST_SECONDS

    def handle(self) -> None:
        with self.rfile:
            head = self._head()
        if head:
            self.rfile = io.BufferedReader(io.BytesIO(head))
            self.handle_one_request()

    def _head(self) -> bytes:
        """The request up to its empty line; empty when it is larger than ``REQUEST_BYTES``."""
        head = b""
        while True:
            line = self.rfile.readline(REQUEST_BYTES - len(head) + 1)
            head += line
            if len(head) > REQUEST_BYTES:
                return b""
            if line in (b"\r\n", b"\n", b""):
                return head

    def _answer(self) -> None:
        answer = self._response()
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def _response(self) -> Response:
        if not self._is_authorized():
            challenge = ("WWW-Authenticate", 'Basic realm="modelplane", charset="UTF-8"')
            return plain(HTTPStatus.UNAUTHORIZED, "a user name and a password are required", challenge)
        path = self.path.partition("?")[0]
        if path == "/metrics":
            accept, encoding = (self.headers.get_all(name, []) for name in ("Accept", "Accept-Encoding"))
            return respond(self.server.registry, self.command, ",".join(accept), ",".join(encoding))
        if path != "/":
            return plain(HTTPStatus.NOT_FOUND, "the metrics are at /metrics")
        if self.command not in METHODS:
            return method_not_allowed()
        headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(_LANDING)))]
        return Response(HTTPStatus.OK, headers, _LANDING)

    def _is_authorized(self) -> bool:
        expected = self.server.settings.credentials
        if expected is None:
            return True
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        try:
            credentials = base64.b64decode(encoded.strip(), validate=True)
        except ValueError:
            return False
        matches = hmac.compare_digest(hashlib.sha256(credentials).digest(), expected)
        return matches and scheme.lower() == "basic"

    def version_string(self) -> str:
        return "modelplane"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        logger.debug(format, *args)


_servers: weakref.WeakSet[MetricsServer] = weakref.WeakSet()
_lock = threading.Lock()
_attempted = False


def ensure_started(
    registry: CollectorRegistry, address: str | None, port: int | None, shared: bool = False
) -> None:
    """Serve ``registry`` unless this process already tried; a port that cannot be had is logged, once.

    Of processes that share their counts whichever gets the port serves it, and the others wait for it.
    ValueError when the environment's settings cannot be used.
    """
    global _attempted
    if port is None:
        return
    with _lock:
        if _attempted:
            return
        settings = server_settings(address, port)
        _attempted = True
        if shared:
            # Its thread resolves the address. A fork while that imports would leave the child an import lock
            # that nobody releases: with gunicorn --preload a worker hung at the first request that needs it.
            import encodings.idna  # noqa: F401

            PortHolder(lambda: MetricsServer(settings, registry))
            return
        try:
            server = MetricsServer(settings, registry)
        except OSError as error:
            logger.error(
                "metrics are not served: cannot listen on %s:%d (%s); the model goes on. "
                "Set %s to a free port, or to 'off' to mount /metrics yourself.%s",
                settings.address,
                port,
                error.strerror or error,
                PORT.name,
                f" {REMEDY}" if error.errno == errno.EADDRINUSE else "",
            )
            return
    threading.Thread(target=server.serve_forever, name="modelplane-metrics", daemon=True).start()
    logger.info("metrics are served at %s", server.url)


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.Lock()
    for server in list(_servers):
        server.forget()
        say_when_forked(server.registry)


os.register_at_fork(after_in_child=_after_fork_in_child)
