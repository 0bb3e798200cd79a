"""Ways to expose: content negotiation, WSGI, ASGI, the built-in server and its limits."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import http.client
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import flask
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.apps import asgi_app, wsgi_app
from modelplane_exporter.exposition.families import families
from modelplane_exporter.identity import Identity
from modelplane_exporter.layout.calls import CELLS, Exemplar, Key, Snapshot
from modelplane_exporter.layout.state import OwnSample, State
from modelplane_exporter.serving import server
from modelplane_exporter.serving.responder import exposition, respond
from modelplane_exporter.serving.server import ServerSettings, configured, create_server
from modelplane_schema.metrics import EXPORTER_SCRAPE_DURATION

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SNAPSHOT = Snapshot(
    Key(Identity("m", "v1", "t", "jax"), "GPU-1", "a100"),
    tuple(range(1, CELLS + 1)),
    {2: Exemplar("a" * 32, 0.004, 1.5)},
)


class FakeStore(Collector):
    """One snapshot; counts what it is asked for."""

    def __init__(self) -> None:
        self.scrapes: list[float] = []
        self.collected = 0
        self.error: Exception | None = None

    def state(self) -> State:
        if self.error:
            raise self.error
        return State([SNAPSHOT], [OwnSample(EXPORTER_SCRAPE_DURATION, (), 0.5)])

    def scraped(self, seconds: float) -> None:
        self.scrapes.append(seconds)

    def describe(self) -> Iterable[Family]:
        return []

    def collect(self) -> Iterable[Family]:
        self.collected += 1
        return families(*self.state())


class Failing(Collector):
    def describe(self) -> Iterable[Family]:
        return []

    def collect(self) -> Iterable[Family]:
        yield GaugeMetricFamily("half", "Half of a failing collector.", 1)
        raise RuntimeError("the secret")


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> FakeStore:
    fake = FakeStore()
    monkeypatch.setattr("modelplane_exporter.serving.responder.store_for", lambda registry: fake)
    return fake


@pytest.fixture
def registry(store: FakeStore) -> CollectorRegistry:
    """Our store between two foreign collectors."""
    registry = CollectorRegistry()
    Counter("before", "Before.", registry=registry).inc(2)
    registry.register(store)
    Counter("after", "After.", registry=registry).inc(3)
    return registry


def names(found: Iterable[Family]) -> list[str]:
    return [one.name for one in found]


def total(body: bytes, name: str) -> list[float]:
    return [s.value for one in parse_text(body.decode()) for s in one.samples if s.name == name]


# Exposition


def test_text_is_ours_and_the_rest_of_the_registry(registry, store) -> None:
    body, content_type = exposition(registry, store, "")
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    found = list(parse_text(body.decode()))
    assert {(one.name, s.value) for one in found for s in one.samples if s.name.endswith("_total")} >= {
        ("before", 2.0),
        ("after", 3.0),
    }
    assert names(found)[:2] == ["model_inference_latency_seconds", "model_inference_requests"]
    assert len(set(names(found))) == len(found)


def test_openmetrics_is_one_document_with_exemplars_and_target_info(registry, store) -> None:
    registry.set_target_info({"service": "resnet"})
    body, content_type = exposition(registry, store, OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")
    found = list(parse_openmetrics(body.decode()))
    assert names(found)[0] == "target"
    assert {"before", "after", "model_inference_latency_seconds"} <= set(names(found))
    assert body.count(b"# EOF") == 1
    assert b'# {trace_id="' + b"a" * 32 + b'"} 0.004 1.5' in body


@pytest.mark.parametrize("accept", ["", "text/plain", OPENMETRICS, f"{OPENMETRICS};q=0.5,text/plain;q=0.3"])
def test_our_store_is_rendered_once_and_its_scrape_is_reported(registry, store, accept) -> None:
    body, _ = exposition(registry, store, accept)
    assert body.count(b"# TYPE model_inference_requests") == 1
    assert store.collected == 0
    (seconds,) = store.scrapes
    assert 0 < seconds < 60


def test_a_failing_collector_costs_only_its_own_series(registry, store, caplog) -> None:
    registry.register(Failing())
    with caplog.at_level(logging.ERROR):
        answer = respond(registry, "GET", "", "")
    assert answer.status == 200
    assert total(answer.body, "before_total") == [2]
    assert b"model_inference_latency_seconds_count" in answer.body
    assert b"half" not in answer.body
    assert "collector Failing failed" in caplog.text
    assert "the secret" not in caplog.text


def test_a_failure_of_ours_is_500_with_a_short_text_and_a_log_line(registry, store, caplog) -> None:
    store.error = KeyError("the secret")
    with caplog.at_level(logging.ERROR):
        answer = respond(registry, "GET", "", "")
    assert (answer.status, answer.body) == (500, b"the metrics could not be rendered; see the log\n")
    assert "a scrape failed: KeyError" in caplog.text


def test_a_scrape_of_the_real_store() -> None:
    registry = CollectorRegistry()
    exporter = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)
    exporter(lambda: {"confidence": 0.5})()
    body = respond(registry, "GET", OPENMETRICS, "").body.decode()
    found = {one.name: one for one in parse_openmetrics(body)}
    assert [s.value for s in found["model_inference_requests"].samples] == [1, 0, 0]
    again = respond(registry, "GET", "", "").body
    assert total(again, "modelplane_exporter_scrape_duration_seconds")[0] > 0


# Answers


@pytest.mark.parametrize(
    ("accept_encoding", "compressed"),
    [
        ("", False),
        ("gzip", True),
        ("deflate, GZIP;q=0.5", True),
        ("gzip; q=0", False),
        ("gzip;q=0.0, br", False),
        ("gzip;q=0.01", True),
        ("identity", False),
    ],
)
def test_gzip_only_where_it_is_allowed(registry, accept_encoding, compressed) -> None:
    answer = respond(registry, "GET", "", accept_encoding)
    assert (dict(answer.headers).get("Content-Encoding") == "gzip") == compressed
    assert dict(answer.headers)["Content-Length"] == str(len(answer.body))
    body = gzip.decompress(answer.body) if compressed else answer.body
    assert total(body, "after_total") == [3]


def test_head_has_the_headers_of_get_and_no_body(registry) -> None:
    head, get = respond(registry, "HEAD", "", ""), respond(registry, "GET", "", "")
    assert (head.status, head.body) == (200, b"")
    assert head.headers == get.headers


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "DELETE", "get"])
def test_other_methods_are_refused(registry, store, method) -> None:
    answer = respond(registry, method, "", "")
    assert (answer.status, dict(answer.headers)["Allow"]) == (405, "GET, HEAD")
    assert not store.scrapes


# Applications


def test_flask_example(registry) -> None:
    app = flask.Flask("model")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": wsgi_app(registry)})  # type: ignore[method-assign]

    @app.get("/predict")
    def predict() -> str:
        return "cat"

    client = app.test_client()
    assert client.get("/predict").text == "cat"
    answer = client.get("/metrics", headers={"Accept": OPENMETRICS})
    assert answer.content_type.startswith("application/openmetrics-text")
    assert names(parse_openmetrics(answer.text))[0] == "model_inference_latency_seconds"
    assert client.post("/metrics").status_code == 405
    head = client.head("/metrics")
    assert (head.status_code, head.data) == (200, b"")


def fastapi_example(registry: CollectorRegistry) -> FastAPI:
    app = FastAPI()
    app.mount("/metrics", asgi_app(registry))

    @app.get("/predict")
    def predict() -> str:
        return "cat"

    return app


@contextlib.contextmanager
def uvicorn_serving(app: Any) -> Iterator[str]:
    """The base URL of a real server of ``app``; with ``lifespan="on"`` it insists on lifespan events."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_level="error", ws="none"))
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            running.should_exit = True
            thread.join(10)
    assert not thread.is_alive()


def test_fastapi_example(registry) -> None:
    with uvicorn_serving(fastapi_example(registry)) as url:
        assert fetch(f"{url}/predict") == (200, b'"cat"')
        status, body = fetch(f"{url}/metrics", Accept=OPENMETRICS, **{"Accept-Encoding": "gzip"})
        assert status == 200
        families = parse_openmetrics(gzip.decompress(body).decode())
        assert names(families)[0] == "model_inference_latency_seconds"
        assert fetch(f"{url}/metrics/", method="HEAD") == (200, b"")
        assert fetch(f"{url}/metrics/", method="POST")[0] == 405


def test_uvicorn_serves_the_application_alone(registry) -> None:
    with uvicorn_serving(asgi_app(registry)) as url:
        assert total(fetch(f"{url}/any/path")[1], "after_total") == [3]


def test_a_scrape_leaves_the_event_loop_free(registry, store, monkeypatch) -> None:
    rendering, go_on = threading.Event(), threading.Event()

    def slow() -> tuple[list[Snapshot], list[OwnSample]]:
        rendering.set()
        assert go_on.wait(10)
        return [SNAPSHOT], []

    monkeypatch.setattr(store, "state", slow)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        scope = {"type": "http", "method": "GET", "headers": []}
        scrape = asyncio.create_task(asgi_app(registry)(scope, None, send))
        while not rendering.is_set():
            await asyncio.sleep(0.001)
        assert not sent
        go_on.set()
        await scrape

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_websockets_are_refused(registry) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(asgi_app(registry)({"type": "websocket"}, None, send))
    assert sent == [{"type": "websocket.close"}]


# The built-in server


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


def test_the_server_serves_metrics_and_a_page_that_links_to_them(registry) -> None:
    with serving(registry) as running:
        status, body = fetch(running.url)
        assert (status, total(body, "after_total")) == (200, [3])
        assert fetch(f"{running.url}?x=1")[0] == 200
        status, page = fetch(running.url.removesuffix("metrics"))
        assert status == 200
        assert b'<a href="/metrics">' in page
        assert fetch(running.url + "/other")[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("HEAD", "/metrics", 200),
        ("HEAD", "/", 200),
        ("HEAD", "/x", 404),
        ("POST", "/metrics", 405),
        ("PUT", "/", 405),
    ],
)
def test_methods_of_the_server(registry, method, path, status) -> None:
    with serving(registry) as running:
        connection = http.client.HTTPConnection("127.0.0.1", running.server_address[1], timeout=10)
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, bool(answer.read())) == (status, method != "HEAD")
        connection.close()


def test_the_port_can_be_had_again_and_again_but_never_twice(registry) -> None:
    port = 0
    for _ in range(3):
        with serving(registry, ServerSettings("127.0.0.1", port)) as running:
            port = running.server_address[1]
            assert fetch(running.url)[0] == 200
            with pytest.raises(OSError, match="in use"):
                create_server(ServerSettings("127.0.0.1", port), registry)


def test_an_address_that_cannot_be_had_is_an_os_error(registry) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - the text is the system's
        create_server(ServerSettings("203.0.113.1", 0), registry)


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_ipv6(registry) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("needs IPv6")
    with serving(registry, ServerSettings("::1", 0)) as running:
        assert running.url.startswith("http://[::1]:")
        assert fetch(running.url)[0] == 200


def connect(running: server.MetricsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", running.server_address[1]), timeout=10)


def test_slow_clients_neither_hold_up_scrapes_nor_grow_threads(registry, monkeypatch) -> None:
    before = threading.active_count()
    with serving(registry) as running, contextlib.ExitStack() as clients:
        slow = [clients.enter_context(connect(running)) for _ in range(server.MOST_CONNECTIONS * 2)]
        for client in slow:
            with contextlib.suppress(OSError):  # it was closed for a newer one
                client.sendall(b"GET /metrics HTTP/1.1\r\n")
        for _ in range(3):
            assert fetch(running.url)[0] == 200
        assert threading.active_count() <= before + 1 + server.MOST_CONNECTIONS


def is_cut_off(client: socket.socket) -> bool:
    try:
        client.sendall(b"X")
    except OSError:  # reset or broken pipe
        return True
    return False


def test_a_client_that_dribbles_is_cut_off_at_the_deadline(registry, monkeypatch) -> None:
    monkeypatch.setattr(server, "REQUEST_SECONDS", 0.2)
    with serving(registry) as running, connect(running) as client:
        client.sendall(b"GET /metrics HTTP/1.1\r\n")
        wait_until(lambda: is_cut_off(client))
        wait_until(lambda: not running._deadlines)


def test_a_large_request_is_dropped(registry) -> None:
    with serving(registry) as running, connect(running) as client:
        with contextlib.suppress(OSError):
            client.sendall(b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * server.REQUEST_BYTES)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
        assert fetch(running.url)[0] == 200


@pytest.mark.parametrize(
    "request_", [b"\r\n\r\n", b"\0\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_broken_requests_do_no_harm(registry, request_, capfd) -> None:
    with serving(registry) as running:
        with connect(running) as client:
            client.sendall(request_)
            client.shutdown(socket.SHUT_WR)
            client.recv(4096)
        assert fetch(running.url)[0] == 200
    assert capfd.readouterr().err == ""


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# TLS and basic authentication


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = str(folder / "cert.pem"), str(folder / "key.pem")
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-days", "1", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_tls(registry, certificate) -> None:
    cert, key = certificate
    settings = configured("127.0.0.1", 0, tls_cert_file=cert, tls_key_file=key, environ={})
    trust = ssl.create_default_context(cafile=cert)
    with serving(registry, settings) as running:
        assert running.url.startswith("https://127.0.0.1:")
        with connect(running):  # a client that never shakes hands
            status, body = fetch(running.url, trust)
            assert (status, total(body, "after_total")) == (200, [3])
        with connect(running) as plain, contextlib.suppress(ConnectionResetError):
            plain.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            assert b"200" not in plain.recv(4096)
        assert fetch(running.url, trust)[0] == 200


def credentials(user: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}


def test_basic_authentication(registry, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret:ü\n")
    environ = {
        "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
        "MODELPLANE_EXPORTER_USERNAME": "prometheus",
        "MODELPLANE_EXPORTER_PASSWORD_FILE": str(tmp_path / "password"),
    }
    settings = configured(None, 0, environ=environ)
    assert "s3cret" not in repr(settings)
    with serving(registry, settings) as running:
        assert fetch(running.url, **credentials("prometheus", "s3cret:ü"))[0] == 200
        refused = [
            {},
            credentials("prometheus", "s3cret"),
            credentials("prometheus", "s3cret:ü\n"),
            credentials("other", "s3cret:ü"),
            {"Authorization": "Basic !"},
            {
                "Authorization": credentials("prometheus", "s3cret:ü")["Authorization"].replace(
                    "Basic", "Bearer"
                )
            },
        ]
        for headers in refused:
            for path in ("metrics", "", "other"):
                assert fetch(running.url.removesuffix("metrics") + path, **headers)[0] == 401


CERT, KEY = "MODELPLANE_EXPORTER_TLS_CERT_FILE", "MODELPLANE_EXPORTER_TLS_KEY_FILE"
USER, PASSWORD = "MODELPLANE_EXPORTER_USERNAME", "MODELPLANE_EXPORTER_PASSWORD_FILE"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({CERT: "c"}, f"{KEY} is required with {CERT}"),
        ({KEY: "k", CERT: ""}, f"{CERT} is required with {KEY}"),
        ({USER: "u"}, f"{PASSWORD} is required with {USER}"),
        ({PASSWORD: "p"}, f"{USER} is required with {PASSWORD}"),
        ({CERT: "missing", KEY: "missing"}, f"{CERT} and {KEY} cannot be used"),
        ({USER: "u", PASSWORD: "missing"}, f"{PASSWORD} cannot be read"),
        ({USER: "u", PASSWORD: os.devnull}, f"{PASSWORD} names an empty file"),
        ({USER: "u:v", PASSWORD: os.devnull}, f"{USER} must not contain a colon"),
    ],
)
def test_settings_that_cannot_be_used_name_the_variable(given, message) -> None:
    with pytest.raises(ValueError, match=message):
        configured(None, 0, environ=given)


def test_an_encrypted_key_is_an_error_and_not_a_question(certificate, tmp_path) -> None:
    locked = str(tmp_path / "locked.pem")
    subprocess.run(
        ["openssl", "pkey", "-in", certificate[1], "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
        capture_output=True,
    )
    with pytest.raises(ValueError, match=f"{CERT} and {KEY} cannot be used"):
        configured(None, 0, tls_cert_file=certificate[0], tls_key_file=locked, environ={})


def test_arguments_go_before_the_environment(certificate) -> None:
    environ = {"MODELPLANE_EXPORTER_ADDRESS": "192.0.2.1", CERT: "x", KEY: "y"}
    settings = configured(
        "::1", 9, tls_cert_file=certificate[0], tls_key_file=certificate[1], environ=environ
    )
    assert (settings.address, settings.port, settings.tls is not None) == ("::1", 9, True)
    assert configured(None, 9, environ={}) == ServerSettings("0.0.0.0", 9)


# Forks


FORKING = """
import os, socket, sys, threading, time, urllib.request
from prometheus_client import CollectorRegistry
from modelplane_exporter.serving.server import ServerSettings, create_server
running = create_server(ServerSettings("127.0.0.1", 0), CollectorRegistry())
threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
port = running.server_address[1]
child = os.fork()
if child == 0:
    os.close(1)  # or a reader would wait for this process when the parent fails
    sys.stdin.readline()
    os._exit(0)
running.shutdown()
running.server_close()
again = create_server(ServerSettings("127.0.0.1", port), CollectorRegistry())
again.server_close()
print("taken over")
"""


def test_a_forked_child_does_not_keep_the_port() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "taken over\n"
        run.communicate("end\n", timeout=10)
    assert run.returncode == 0
