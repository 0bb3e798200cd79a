"""A listener to which a token could be taken, and what came there."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from modelplane_provisioning.clients.grafana import GrafanaError


class TokenListener:
    """``address`` is its ``host:port``; ``tokens`` counts the requests that brought one."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.tokens = 0


@contextmanager
def listening(host: str, port: int) -> Iterator[TokenListener]:
    """A listener until the block ends; GrafanaError when there is no such address. Port 0 is any free one."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing: a line would hold what was taken."""

        def do_GET(self) -> None:
            listener.tokens += "Authorization" in self.headers
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            self.do_GET()

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise GrafanaError(
            f"{host}:{port}: cannot be listened to ({error.strerror}): name another address with --listen"
        ) from error
    listener = TokenListener(f"{host}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
