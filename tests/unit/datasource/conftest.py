"""A Prometheus that answers what a test tells it to, and an application in front of it."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import promql_parser
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


class Scraped:
    """Answers what the ledger asks of the series in ``held``: their samples, the last of each cell, resets.

    A series is ``{"metric": labels, "values": [[seconds, text], ...]}``. A range is open at its start.
    """

    def __init__(self, held: Callable[[str], Iterable[dict[str, Any]]]) -> None:
        """``held`` gives all series of the metric with a name."""
        self._held = held

    def __call__(self, path: str, form: dict[str, str]) -> Reply:
        query = promql_parser.parse(form["query"])
        is_range = path.endswith("/query_range")
        start, end, step = (
            float(form[name]) for name in (("start", "end", "step") if is_range else ("time",) * 3)
        )
        times = range(round(start), round(end) + 1, round(step)) if is_range else [end]
        asked = _matrix_selector(query)
        least = query.rhs.val if isinstance(query, promql_parser.BinaryExpr) else -1.0
        call = query.lhs if isinstance(query, promql_parser.BinaryExpr) else query
        function = call.func.name if isinstance(call, promql_parser.Call) else None
        found = []
        for one in self._held(asked.vector_selector.name):
            if _is_chosen(one["metric"], asked.vector_selector.matchers.matchers):
                points = [
                    point
                    for at in times
                    for point in _evaluated(function, at, asked.range.total_seconds(), one["values"])
                    if function != "resets" or float(point[1]) > least
                ]
                found += [{"metric": one["metric"], "values": points}] if points else []
        return (
            200,
            {"Content-Type": "application/json"},
            orjson.dumps({"status": "success", "data": {"resultType": "matrix", "result": found}}),
        )


def _matrix_selector(node: Any) -> Any:
    match node:
        case promql_parser.MatrixSelector():
            return node
        case promql_parser.BinaryExpr():
            return _matrix_selector(node.lhs)
    return _matrix_selector(node.args[0])


def _is_chosen(labels: dict[str, str], matchers: Any) -> bool:
    return all(
        re.fullmatch(one.value, labels.get(one.name, "")) is not None
        if str(one.op) == "MatchOp.Re"
        else labels.get(one.name, "") == one.value
        for one in matchers
    )


def _evaluated(function: str | None, at: float, length: float, values: Any) -> list[list[Any]]:
    """Points at the time ``at``."""
    within = [[instant, text] for instant, text in values if at - length < instant <= at]
    if function is None:
        return within
    if function == "last_over_time":
        return [[at, text] for _, text in within[-1:]]
    assert function == "resets"
    numbers = [float(text) for _, text in within if re.fullmatch(r"[\d.e+-]+", str(text))]
    resets = sum(later < earlier for earlier, later in pairwise(numbers))
    return [[at, str(resets)]] if within else []


@pytest.fixture
def scraped() -> type[Scraped]:
    return Scraped


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
