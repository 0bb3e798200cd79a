"""A Prometheus that answers what a test tells it to, and an application in front of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from flask.testing import FlaskClient

from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings

NOW = 1_698_400_800  # 2023-10-27T10:00:00Z

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Upstream:
    """``reply(path, form)`` gives status, headers and body; ``calls`` are all (path, form, headers)."""

    url: str = ""
    reply: Callable[[str, dict[str, str]], Reply] = lambda path, form: matrix()
    calls: list[tuple[str, dict[str, str], dict[str, str]]] = field(default_factory=list)


def matrix(*series: tuple[dict[str, str], list[tuple[float, str]]], **envelope: object) -> Reply:
    result = [{"metric": labels, "values": [list(point) for point in points]} for labels, points in series]
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}, **envelope}
    return 200, {"Content-Type": "application/json"}, orjson.dumps(body)


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    state = Upstream()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            state.calls.append((self.path, form, dict(self.headers)))
            status, headers, body = state.reply(self.path, form)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Requests are in ``calls``."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def settings(upstream: Upstream, tmp_path: Path) -> Settings:
    return Settings(
        prometheus_url=upstream.url,
        prometheus_timeout_seconds=5,
        database_url=f"sqlite:///{tmp_path}/modelplane.db",
    )


class ReadingClient(FlaskClient):
    """Reads each answer to its end, as a server does: what is told about it is told then."""

    def open(self, *args: Any, **kwargs: Any) -> Any:
        return super().open(*args, buffered=True, **kwargs)


@pytest.fixture
def make_client() -> Iterator[Callable[[Settings], FlaskClient]]:
    apps = []

    def make(settings: Settings) -> FlaskClient:
        apps.append(create_app(settings, clock=lambda: NOW))
        apps[-1].test_client_class = ReadingClient
        return apps[-1].test_client()

    yield make
    for app in apps:
        close_app(app)


@pytest.fixture
def client(settings: Settings, make_client: Callable[[Settings], FlaskClient]) -> FlaskClient:
    return make_client(settings)


def vector(*samples: tuple[dict[str, str], float]) -> Reply:
    result = [{"metric": labels, "value": [NOW, str(value)]} for labels, value in samples]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return 200, {"Content-Type": "application/json"}, orjson.dumps(body)


@pytest.fixture
def answer_vector() -> Callable[..., Reply]:
    return vector


@pytest.fixture
def answer_matrix() -> Callable[..., Reply]:
    return matrix
