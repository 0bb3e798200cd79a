"""A slow Prometheus, slow clients and a storm of notifications leave each other alone, and lose nothing."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from http_servers import serving_by
from modelplane_datasource.alerts.store import AlertFilter, AlertStore
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until

PREFIX = "MODELPLANE_DATASOURCE_"
QUERY = "/api/v1/metrics/latency?model-name=m&tenant-id=t&from=now-{}m"
NOBODY_LISTENS = "http://127.0.0.1:9"
EMPTY = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


class SlowPrometheus(NamedTuple):
    """It is ready, and answers queries when it may."""

    url: str
    may_answer: threading.Event


@pytest.fixture
def prometheus() -> Iterator[SlowPrometheus]:
    may_answer = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            may_answer.wait(PATIENCE_SECONDS)
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(EMPTY)))
            self.end_headers()
            self.wfile.write(EMPTY)

        def log_message(self, *args: object) -> None:
            """Silent."""

    with serving_by(Handler) as url:
        yield SlowPrometheus(url, may_answer)
        may_answer.set()


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: Any


class Backend:
    """A process of the backend on a database in a folder."""

    def __init__(self, folder: Path, prometheus_url: str = NOBODY_LISTENS, **settings: object) -> None:
        self.port = free_port()
        env = {
            "PORT": self.port,
            "PROMETHEUS_URL": prometheus_url,
            "PROMETHEUS_TIMEOUT_SECONDS": PATIENCE_SECONDS,
            "MAX_WAIT_SECONDS": PATIENCE_SECONDS,
            "DATABASE_URL": f"sqlite:///{folder}/m.db",
            **settings,
        }
        self.process = Process(
            f"backend-{self.port}",
            [sys.executable, "-m", "modelplane_datasource"],
            folder / f"backend-{self.port}.log",
            {PREFIX + name: str(value) for name, value in env.items()},
            f"http://127.0.0.1:{self.port}/healthz",
        )

    def send(self, path: str, body: bytes | None = None) -> Answer:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_SECONDS)) as client:
            client.request("GET" if body is None else "POST", path, body)
            response = client.getresponse()
            return Answer(response.status, response.headers, json.loads(response.read()))

    def deliver(self, fingerprint: str) -> int:
        """The status for a notification of one alert; 0 when there is no answer."""
        alert = {
            "status": "firing", "labels": {"alertname": "Storm", "tenant_id": "t", "model_name": "m"},
            "startsAt": "2026-01-01T00:00:00Z", "fingerprint": fingerprint,
        }  # fmt: skip
        try:
            return self.send(
                "/api/v1/alerts", json.dumps({"version": "4", "alerts": [alert]}).encode()
            ).status
        except (OSError, http.client.HTTPException):
            return 0


@pytest.fixture
def start() -> Iterator[Callable[[Backend], Backend]]:
    """Start a backend that is stopped when the test ends."""
    with ExitStack() as stack:

        def begin(backend: Backend) -> Backend:
            stack.callback(backend.process.stop)
            backend.process.start()
            backend.process.wait_ready()
            return backend

        yield begin


def stored(folder: Path) -> set[str]:
    """Fingerprints of what a restarted backend would have."""
    with closing(AlertStore(f"sqlite:///{folder}/m.db", 10)) as store:
        return {episode.fingerprint for episode in store.alerts(AlertFilter(limit=100_000))}


def acknowledged(outcomes: dict[str, Future[int]]) -> set[str]:
    return {name for name, outcome in outcomes.items() if outcome.result(PATIENCE_SECONDS) == 200}


def half_open(stack: ExitStack, port: int, text: bytes) -> None:
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS))
    client.sendall(text)


def test_slow_sockets_slow_queries_and_a_storm_at_once(
    prometheus: SlowPrometheus, tmp_path: Path, start: Callable[[Backend], Backend]
) -> None:
    backend = start(Backend(tmp_path, prometheus.url, MAX_WAITING_REQUESTS=100))
    head = b"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
    with ExitStack() as stack:
        for number in range(500):
            half_open(stack, backend.port, head if number % 2 else head + b"\r\n{")
        queries = stack.enter_context(ThreadPoolExecutor(200))
        stack.callback(prometheus.may_answer.set)
        answers = [queries.submit(backend.send, QUERY.format(number + 1)) for number in range(200)]
        # 8 are asked of Prometheus and 100 wait; all others know at once.
        assert wait_until(lambda: sum(answer.done() for answer in answers) == 92)
        refused = [answer.result() for answer in answers if answer.done()]
        assert {refusal.status for refusal in refused} == {503}
        assert {refusal.headers["Retry-After"] for refusal in refused} == {"1"}
        assert {refusal.body["error"] for refusal in refused} == {"overloaded"}
        storm = stack.enter_context(ThreadPoolExecutor(300))
        outcomes = {f"f{number}": storm.submit(backend.deliver, f"f{number}") for number in range(900)}
        while not all(outcome.done() for outcome in outcomes.values()):
            assert backend.send("/healthz").status == 200
        assert acknowledged(outcomes) == set(outcomes)
        assert backend.send("/readyz").status == 200
        assert backend.send("/api/v1/alerts?limit=1").status == 200
        assert sum(answer.done() for answer in answers) == 92
        backend.process.kill()
    assert stored(tmp_path) == set(outcomes)


def test_slow_queries_are_answered_when_prometheus_answers(
    prometheus: SlowPrometheus, tmp_path: Path, start: Callable[[Backend], Backend]
) -> None:
    backend = start(Backend(tmp_path, prometheus.url))
    with ThreadPoolExecutor(60) as queries:
        answers = [queries.submit(backend.send, QUERY.format(number + 1)) for number in range(60)]
        assert backend.send("/healthz").status == 200
        assert backend.deliver("f") == 200
        prometheus.may_answer.set()
        assert {answer.result(PATIENCE_SECONDS).status for answer in answers} == {200}


def test_who_waits_too_long_for_a_thread_is_refused(
    prometheus: SlowPrometheus, tmp_path: Path, start: Callable[[Backend], Backend]
) -> None:
    backend = start(Backend(tmp_path, prometheus.url, THREADS=2, MAX_WAIT_SECONDS=0.2))
    with ThreadPoolExecutor(10) as queries:
        answers = [queries.submit(backend.send, QUERY.format(number + 1)) for number in range(10)]
        assert wait_until(lambda: sum(answer.done() for answer in answers) == 8)
        assert {answer.result().status for answer in answers if answer.done()} == {503}
        prometheus.may_answer.set()
        assert Counter(answer.result(PATIENCE_SECONDS).status for answer in answers) == {200: 2, 503: 8}


@pytest.mark.parametrize("clients", [10, 100, 1000])
def test_a_burst_on_an_idle_store_is_stored(
    tmp_path: Path, start: Callable[[Backend], Backend], clients: int
) -> None:
    backend = start(Backend(tmp_path))
    at_once = threading.Barrier(clients)

    def deliver(name: str) -> int:
        at_once.wait(PATIENCE_SECONDS)
        return backend.deliver(name)

    with ThreadPoolExecutor(clients) as pool:
        outcomes = {f"f{number}": pool.submit(deliver, f"f{number}") for number in range(clients)}
        assert acknowledged(outcomes) == set(outcomes)
    backend.process.kill()
    assert stored(tmp_path) == set(outcomes)


def test_connections_beyond_the_limit_take_the_place_of_idle_ones(
    tmp_path: Path, start: Callable[[Backend], Backend]
) -> None:
    backend = start(Backend(tmp_path, MAX_CONNECTIONS=20))
    with ExitStack() as stack:
        for _ in range(100):
            half_open(stack, backend.port, b"POST /api/v1/alerts HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
            assert backend.send("/healthz").status == 200
        assert backend.deliver("f") == 200


def test_two_processes_share_a_file_while_one_is_killed(
    tmp_path: Path, start: Callable[[Backend], Backend]
) -> None:
    first, second = start(Backend(tmp_path)), start(Backend(tmp_path))
    names = (f"f{number}" for number in itertools.count())
    with ThreadPoolExecutor(40) as pool:
        outcomes = {
            name: pool.submit(backend.deliver, name)
            for backend, name in zip([first, second] * 400, names, strict=False)
        }
        assert wait_until(lambda: sum(outcome.done() for outcome in outcomes.values()) > 200)
        first.process.kill()
        of_second = {name for number, name in enumerate(outcomes) if number % 2}
        known = acknowledged(outcomes)
    assert of_second <= known
    assert len(known) < len(outcomes)
    assert known <= stored(tmp_path)


@pytest.mark.parametrize("remove", [os.remove, lambda path: os.rename(path, f"{path}.away")])
def test_nothing_is_acknowledged_that_a_restart_would_lose(
    tmp_path: Path, start: Callable[[Backend], Backend], remove: Callable[[str], None]
) -> None:
    backend = start(Backend(tmp_path))
    assert backend.deliver("before") == 200
    remove(f"{tmp_path}/m.db")
    assert backend.deliver("after") == 503
    answer = backend.send("/readyz")
    assert answer.status == 503
    assert "moved, deleted or replaced" in answer.body["details"]["store"]
    assert backend.send("/healthz").status == 200
