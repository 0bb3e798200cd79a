"""WSGI and ASGI applications to mount."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
from collections.abc import Iterator
from typing import Any

import flask
import pytest
import uvicorn
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from exporter_support.exposing import OPENMETRICS, SNAPSHOT, FakeStore, names, parse_openmetrics, total
from exporter_support.serving_metrics import fetch
from modelplane_exporter.apps import asgi_app, wsgi_app
from modelplane_exporter.layout.calls import Snapshot
from modelplane_exporter.layout.state import MetricSample
from modelplane_provisioning.processes import PATIENCE_SECONDS


def test_flask_example(exposed_registry: CollectorRegistry) -> None:
    app = flask.Flask("model")
    app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {"/metrics": wsgi_app(exposed_registry)})  # type: ignore[method-assign]

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


async def receive() -> dict[str, Any]:
    raise AssertionError("a scrape has no body to wait for")


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
            thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()


@pytest.mark.slow
def test_fastapi_example(exposed_registry: CollectorRegistry) -> None:
    with uvicorn_serving(fastapi_example(exposed_registry)) as url:
        assert fetch(f"{url}/predict") == (200, b'"cat"')
        status, body = fetch(f"{url}/metrics", {"Accept": OPENMETRICS, "Accept-Encoding": "gzip"})
        assert status == 200
        families = parse_openmetrics(gzip.decompress(body).decode())
        assert names(families)[0] == "model_inference_latency_seconds"
        assert fetch(f"{url}/metrics/", method="HEAD") == (200, b"")
        assert fetch(f"{url}/metrics/", method="POST")[0] == 405


def test_uvicorn_serves_the_application_alone(exposed_registry: CollectorRegistry) -> None:
    with uvicorn_serving(asgi_app(exposed_registry)) as url:
        assert total(fetch(f"{url}/any/path")[1], "after_total") == [3]


def test_a_scrape_leaves_the_event_loop_free(
    exposed_registry: CollectorRegistry, fake_store: FakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendering, go_on = threading.Event(), threading.Event()

    def slow() -> tuple[list[Snapshot], list[MetricSample]]:
        rendering.set()
        assert go_on.wait(PATIENCE_SECONDS)
        return [SNAPSHOT], []

    monkeypatch.setattr(fake_store, "state", slow)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        scope = {"type": "http", "method": "GET", "headers": []}
        scrape = asyncio.ensure_future(asgi_app(exposed_registry)(scope, receive, send))
        while not rendering.is_set():
            await asyncio.sleep(0.001)
        assert not sent
        go_on.set()
        await scrape

    asyncio.run(main())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]


def test_websockets_are_refused(exposed_registry: CollectorRegistry) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        await asgi_app(exposed_registry)({"type": "websocket"}, receive, send)

    asyncio.run(main())
    assert sent == [{"type": "websocket.close"}]
