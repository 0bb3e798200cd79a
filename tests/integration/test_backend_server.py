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
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest

from modelplane_provisioning.processes import Process, free_port

PREFIX = "MODELPLANE_DATASOURCE_"
SLOW_SECONDS = 1.5
PATIENCE = 1.0  # seconds in which /healthz must answer
EMPTY_VECTOR = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'


class Backend(NamedTuple):
    port: int
    process: Process
    log: Path


@pytest.fixture(scope="module")
def slow_prometheus() -> Iterator[int]:
    """A Prometheus that takes its time; the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(SLOW_SECONDS)
            self.send_response(200)
            self.send_header("Content-Length", str(len(EMPTY_VECTOR)))
            self.end_headers()
            self.wfile.write(EMPTY_VECTOR)

        def log_message(self, *args: object) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def backend(slow_prometheus: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backend]:
    with running(slow_prometheus, tmp_path_factory.mktemp("backend")) as backend:
        yield backend


@contextmanager
def running(prometheus_port: int, folder: Path) -> Iterator[Backend]:
    """A backend in front of a Prometheus."""
    port = free_port()
    env = {
        PREFIX + "PORT": str(port),
        PREFIX + "PROMETHEUS_URL": f"http://127.0.0.1:{prometheus_port}",
        PREFIX + "DATABASE_URL": f"sqlite:///{folder}/m.db",
        PREFIX + "LOG_FORMAT": "json",
    }
    log = folder / "backend.log"
    argv = [sys.executable, "-m", "modelplane_datasource"]
    process = Process("backend", argv, log, env, f"http://127.0.0.1:{port}/healthz")
    process.start()
    process.wait_ready(30)
    try:
        yield Backend(port, process, log)
    finally:
        process.stop()


def get(port: int, path: str, timeout: float) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def prompt_answers(port: int, tries: int) -> int:
    """How many of ``tries`` are answered in time: a busy machine delays one, a blocked server all."""
    found = 0
    for _ in range(tries):
        with suppress(TimeoutError):
            found += get(port, "/healthz", PATIENCE)[0] == 200
    return found


def half_open(stack: ExitStack, port: int, text: bytes) -> None:
    client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
    client.sendall(text)


def test_five_hundred_half_open_connections_leave_it_answering(backend: Backend) -> None:
    with ExitStack() as stack:
        for number in range(500):
            head = b"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            half_open(stack, backend.port, head if number % 2 else head + b"\r\n{")
        assert prompt_answers(backend.port, 5) >= 3


def send_much(port: int, head: bytes, sent: list[int]) -> None:
    """Send 100 MB, or as much of it as is taken."""
    piece = b"a" * (1 << 20)
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        try:
            client.sendall(head)
            for _ in range(100):
                chunk = b"%x\r\n%s\r\n" % (len(piece), piece) if b"chunked" in head else piece
                client.sendall(chunk)
                sent.append(len(piece))
        except OSError:
            return


@pytest.mark.parametrize("length", [b"Content-Length: 104857600", b"Transfer-Encoding: chunked"])
def test_bodies_of_a_hundred_megabytes_are_refused_while_it_answers(backend: Backend, length: bytes) -> None:
    head = b"POST /api/v1/alerts HTTP/1.1\r\nHost: x\r\n" + length + b"\r\n\r\n"
    sent: list[int] = []
    senders = [threading.Thread(target=send_much, args=(backend.port, head, sent)) for _ in range(4)]
    for sender in senders:
        sender.start()
    assert prompt_answers(backend.port, 5) >= 3
    for sender in senders:
        sender.join(30)
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
    with socket.create_connection(("127.0.0.1", backend.port), timeout=5) as client:
        client.sendall(request_)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == status
        assert response.headers["Content-Type"] == "application/json"
        assert set(json.loads(response.read())) == {"message", "error", "details"}


def test_what_is_in_flight_is_answered_when_it_is_stopped(slow_prometheus: int, tmp_path: Path) -> None:
    answers: list[int] = []
    path = "/api/v1/metrics/latency?model-name=m&tenant-id=t"
    with running(slow_prometheus, tmp_path) as backend:
        asking = threading.Thread(target=lambda: answers.append(get(backend.port, path, 20)[0]))
        asking.start()
        time.sleep(SLOW_SECONDS / 3)
        os.kill(backend.process.pid, signal.SIGTERM)
        asking.join(20)
    assert answers == [200]


def test_the_log_names_requests_and_holds_no_secrets(backend: Backend) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", backend.port, timeout=5)
    headers = {"Authorization": "Bearer top-secret", "X-Request-Id": "abc-1"}
    connection.request("POST", "/api/v1/alerts?password=hidden", b'{"labels": "payload-secret"}', headers)
    response = connection.getresponse()
    response.read()
    assert response.headers["X-Request-Id"] == "abc-1"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    connection.request("GET", "/api/v1/metrics", headers={"X-Request-Id": "not allowed\t"})
    other = connection.getresponse()
    other.read()
    connection.close()
    assert len(other.headers["X-Request-Id"]) == 32
    lines = [json.loads(line) for line in backend.log.read_text().splitlines()]
    (line,) = [one for one in lines if one.get("request_id") == "abc-1" and "status" in one]
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
