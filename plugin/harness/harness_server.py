"""What stands for Grafana's server: the page, its files, and the data source's proxy before a backend."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from werkzeug.middleware.shared_data import SharedDataMiddleware
from werkzeug.serving import WSGIRequestHandler, make_server

PLUGIN = Path(__file__).parents[1]
BUILD = PLUGIN / "harness" / "build"
PROXY = "/api/datasources/proxy/uid/modelplane"
PAGE = (
    b"<!doctype html><meta charset=utf-8><link rel=stylesheet href=/build/harness.css>"
    b"<link rel=icon href=data:,><body style=margin:0><div id=root></div>"
    b"<script>window.grafanaBootData = "
    b"{assets: {}, settings: {featureToggles: {}}, user: {}, navTree: []}</script>"
    b"<script src=/build/harness.js></script>"
)
Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class _QuietHandler(WSGIRequestHandler):
    """Logs nothing: requests are counted."""

    def log(self, type: str, message: str, *args: Any) -> None:  # noqa: A002 - the name in the base class
        """Nothing."""


class Proxy:
    """Grafana's proxy: ``read`` and ``write`` stand for the API's root.

    ``requests`` has what was asked. ``failing`` (status, body) answers instead of the backend, and nothing is
    answered while ``open`` is cleared.
    """

    def __init__(self, backend: Wsgi) -> None:
        self.backend = backend
        self.requests: list[str] = []
        self.failing: tuple[str, bytes] | None = None
        self.open = threading.Event()
        self.open.set()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path: str = environ["PATH_INFO"]
        if not path.startswith(PROXY):
            is_page = path == "/"
            start_response("200 OK" if is_page else "404 Not Found", [("Content-Type", "text/html")])
            return [PAGE if is_page else b""]
        self.requests.append(path.removeprefix(PROXY))
        self.open.wait()
        if self.failing:
            start_response(self.failing[0], [("Content-Type", "application/json")])
            return [self.failing[1]]
        _, _, rest = path.removeprefix(f"{PROXY}/").partition("/")
        return self.backend({**environ, "PATH_INFO": f"/api/v1/{rest}"}, start_response)


def remote(url: str, token: str) -> Wsgi:
    """A backend that runs elsewhere, asked with ``token``."""

    def call(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        length = int(environ.get("CONTENT_LENGTH") or 0)
        request = urllib.request.Request(  # noqa: S310 - who runs the walk names the address
            f"{url}{quote(environ['PATH_INFO'].encode('latin-1'))}?{environ['QUERY_STRING']}",
            data=environ["wsgi.input"].read(length) if length else None,
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
            method=environ["REQUEST_METHOD"],
        )
        try:
            response = urllib.request.urlopen(request)  # noqa: S310 - as above
        except urllib.error.HTTPError as error:
            response = error
        with response:
            status = HTTPStatus(response.status)
            headers = [("Content-Type", response.headers["Content-Type"])]
            start_response(f"{status.value} {status.phrase}", headers)
            return [response.read()]

    return call


@contextmanager
def served(backend: Wsgi, packages: Path = PLUGIN) -> Iterator[tuple[str, Proxy]]:
    """The address of the page with Grafana's ``packages``, and what stands for Grafana's proxy."""
    proxy = Proxy(backend)
    public = packages / "node_modules" / "@grafana" / "ui" / "dist" / "public"
    # Grafana 11.6 has its icons in /public/img, later ones in /public/build/img.
    icons = dict.fromkeys(("/public/img", "/public/build/img"), str(public / "img"))
    files = {"/build": str(BUILD), "/plugin": str(PLUGIN / "dist"), **icons}
    server = make_server(
        "127.0.0.1", 0, SharedDataMiddleware(proxy, files), threaded=True, request_handler=_QuietHandler
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}/", proxy
    finally:
        proxy.open.set()
        server.shutdown()
        thread.join()
        server.server_close()
