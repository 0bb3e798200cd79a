"""The backend's process in front of slow, broken and oversized clients, and while it is stopped."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from http_servers import serving_by
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until

PREFIX = "MODELPLANE_DATASOURCE_"
EMPTY_VECTOR = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


class Backend(NamedTuple):
    port: int
    process: Process
    log: Path


class SlowPrometheus(NamedTuple):
    """A Prometheus that tells when it has been queried and answers when it may."""

    url: str
    is_queried: threading.Event
    may_answer: threading.Event


@pytest.fixture(scope="module")
def slow_prometheus() -> Iterator[SlowPrometheus]:
    is_queried, may_answer = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            is_queried.set()
            may_answer.wait(PATIENCE_SECONDS)
            self.send_response(200)
            self.send_header("Content-Length", str(len(EMPTY_VECTOR)))
            self.end_headers()
            self.wfile.write(EMPTY_VECTOR)

        def log_message(self, *args: object) -> None:
            """Silent."""

    with serving_by(Handler) as url:
        yield SlowPrometheus(url, is_queried, may_answer)


@pytest.fixture(scope="module")
def backend(slow_prometheus: SlowPrometheus, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(slow_prometheus.url, tmp_path_factory.mktemp("backend")) as backend:
        yield backend


@contextmanager
def running(prometheus_url: str, folder: Path) -> Iterator[Backend]:
    """A backend in front of a Prometheus."""
    port = free_port()
    env = {
        PREFIX + "PORT": str(port),
        PREFIX + "PROMETHEUS_URL": prometheus_url,
        PREFIX + "PROMETHEUS_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        PREFIX + "DATABASE_URL": f"sqlite:///{folder}/m.db",
        PREFIX + "LOG_FORMAT": "json",
    }
    log = folder / "backend.log"
    argv = [sys.executable, "-m", "modelplane_datasource"]
    with Process("backend", argv, log, env, f"http://127.0.0.1:{port}/healthz") as process:
        yield Backend(port, process, log)


def get(port: int, path: str) -> int:
    """The status of an answer; a server that is blocked gives none."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)) as connection:
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        return response.status


def half_open(stack: ExitStack, port: int, text: bytes) -> None:
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS))
    client.sendall(text)


def test_five_hundred_half_open_connections_leave_it_answering(backend: Backend) -> None:
    with ExitStack() as stack:
        for number in range(500):
            head = b"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            half_open(stack, backend.port, head if number % 2 else head + b"\r\n{")
        assert [get(backend.port, "/healthz") for _ in range(5)] == [200] * 5


def send_much(port: int, head: bytes, sent: list[int]) -> None:
    """Send 100 MB, or as much of it as is taken."""
    mebibyte = b"a" * (1 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS) as client:
        try:
            client.sendall(head)
            for _ in range(100):
                chunk = b"%x\r\n%s\r\n" % (len(mebibyte), mebibyte) if b"chunked" in head else mebibyte
                client.sendall(chunk)
                sent.append(len(mebibyte))
        except OSError:
            return


@pytest.mark.parametrize("length", [b"Content-Length: 104857600", b"Transfer-Encoding: chunked"])
def test_bodies_of_a_hundred_megabytes_are_refused_while_it_answers(backend: Backend, length: bytes) -> None:
    head = b"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n"
    sent: list[int] = []
    senders = [threading.Thread(target=send_much, args=(backend.port, head, sent)) for _ in range(4)]
    for sender in senders:
        sender.start()
    statuses = [get(backend.port, "/healthz") for _ in range(5)]
    for sender in senders:
        sender.join()
    assert statuses == [200] * 5
    assert sum(sent) < 4 * 100 * (1 << 20)
    assert backend.process.alive


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBroken\r\n\r\n", 400),
        (b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
    ],
)
def test_a_broken_request_is_answered_with_json(backend: Backend, request_: bytes, status: int) -> None:
    with socket.create_connection(("127.0.0.1", backend.port), timeout=PATIENCE_SECONDS) as client:
        client.sendall(request_)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == status
        assert response.headers["Content-Type"] == "application/json"
        assert set(json.loads(response.read())) == {"message", "error", "details"}


def test_what_is_in_flight_is_answered_when_it_is_stopped(
    slow_prometheus: SlowPrometheus, tmp_path: Path
) -> None:
    path = "/api/v1/metrics/latency?model-name=m&tenant-id=t"
    with running(slow_prometheus.url, tmp_path) as backend, ThreadPoolExecutor(1) as pool:
        status = pool.submit(get, backend.port, path)
        try:
            assert slow_prometheus.is_queried.wait(PATIENCE_SECONDS)
            os.kill(backend.process.pid, signal.SIGTERM)
            time.sleep(0.5)  # long enough for the signal to be heard first, unless the machine is very busy
        finally:
            slow_prometheus.may_answer.set()
        assert status.result(PATIENCE_SECONDS) == 200


def test_the_log_names_requests_and_holds_no_secrets(backend: Backend) -> None:
    address = ("127.0.0.1", backend.port)
    with closing(http.client.HTTPConnection(*address, timeout=PATIENCE_SECONDS)) as connection:
        headers = {"Authorization": "Bearer top-secret", "X-Request-Id": "abc-1"}
        connection.request("POST", "/api/v1/alerts?password=hidden", b'{"labels": "payload-secret"}', headers)
        response = connection.getresponse()
        response.read()
        assert response.headers["X-Request-Id"] == "abc-1"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        connection.request("GET", "/api/v1/metrics", headers={"X-Request-Id": "not allowed\t"})
        other = connection.getresponse()
        other.read()
    assert len(other.headers["X-Request-Id"]) == 32

    def lines_of_request() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in backend.log.read_text().splitlines()]
        return [line for line in lines if line.get("request_id") == "abc-1" and "status" in line]

    assert wait_until(lambda: bool(lines_of_request()))
    (line,) = lines_of_request()
    assert (line["method"], line["path"], line["status"], line["caller"]) == (
        "POST", "/api/v1/alerts", 400, "anyone",
    )  # fmt: skip
    text = backend.log.read_text()
    assert not any(secret in text for secret in ("top-secret", "hidden", "payload-secret"))


def test_help_shows_every_setting_and_an_example() -> None:
    argv = [sys.executable, "-m", "modelplane_datasource", "--help"]
    shown = subprocess.run(argv, capture_output=True, text=True, check=True, env=os.environ).stdout
    assert "Example: python -m modelplane_datasource" in shown
    assert "--prometheus-url" in shown
    assert "--max-connections" in shown
