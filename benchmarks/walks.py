"""How many functions, modules and hops between modules each walk of docs/architecture.md takes.

    python benchmarks/walks.py

Prints JSON. A reader of the code passes these, so fewer is better. Comprehensions and lambdas count as the
function that holds them; imports at the first use are done before counting starts.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from prometheus_client import CollectorRegistry

import modelplane_dashboards
from modelplane_alerts.render import rule_files
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.apps import wsgi_app
from modelplane_schema.registry import load_registry

ROOT = Path(__file__).parents[1]
NOW = 1_698_400_800
_INNER = ("<lambda>", "<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>")


class Walk:
    """What is called while it is recorded."""

    def __init__(self) -> None:
        self.functions: set[tuple[str, str]] = set()
        self.modules: set[str] = set()
        self.hops = 0
        self._last: dict[int, str] = {}

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        module = frame.f_globals.get("__name__", "")
        if event != "call" or not module.startswith("modelplane_") or frame.f_code.co_name in _INNER:
            return
        self.functions.add((module, _name(frame.f_code)))
        self.modules.add(module)
        thread = threading.get_ident()
        self.hops += self._last.get(thread, module) != module
        self._last[thread] = module

    def figures(self) -> dict[str, int]:
        return {"functions": len(self.functions), "modules": len(self.modules), "hops": self.hops}


def _name(code: CodeType) -> str:
    return str(getattr(code, "co_qualname", code.co_name))


@contextmanager
def recorded() -> Iterator[Walk]:
    walk = Walk()
    threading.setprofile(walk)
    sys.setprofile(walk)
    try:
        yield walk
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


@contextmanager
def prometheus() -> Iterator[str]:
    """A double that answers every range query with one series of two points."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            labels = {"model_name": "m", "model_version": "v1", "tenant_id": "a"}
            values = [[NOW - 60, "0.1"], [NOW - 45, "0.2"]]
            result = {"resultType": "matrix", "result": [{"metric": labels, "values": values}]}
            body = json.dumps({"status": "success", "data": result}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nothing is logged."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def twice(action: Callable[[], object]) -> Walk:
    """The walk of the second run: the first one imports and fills what is made once."""
    action()
    with recorded() as walk:
        action()
    return walk


def call_to_exposition() -> dict[str, Any]:
    registry = CollectorRegistry()
    exporter = ModelMetricsExporter("m", "v1", tenant_id="a", framework="jax", registry=registry, port="off")
    predict = exporter(lambda: {"confidence": 0.5})
    application = wsgi_app(registry)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics", "QUERY_STRING": ""}

    def scrape() -> bytes:
        return b"".join(application(environ, lambda *_: lambda _: None))

    call = twice(predict)
    exposition = twice(scrape)
    return {"call": call.figures(), "scrape": exposition.figures()}


def get_to_bytes(folder: Path) -> dict[str, int]:
    with prometheus() as url:
        app = create_app(
            Settings(prometheus_url=url, database_url=f"sqlite:///{folder}/series.db"), clock=lambda: NOW
        )
        client = app.test_client()
        quantiles = iter(("0.5", "0.9"))

        def ask() -> None:
            query = {"model-name": "m", "tenant-id": "a", "quantile": next(quantiles)}
            assert client.get("/api/v1/metrics/latency", query_string=query, buffered=True).status_code == 200

        walk = twice(ask)
        close_app(app)
    return walk.figures()


def webhook_to_incident(folder: Path) -> dict[str, Any]:
    app = create_app(Settings(database_url=f"sqlite:///{folder}/alerts.db"), clock=lambda: NOW)
    client = app.test_client()
    starts = iter(("2023-10-27T09:30:00Z", "2023-10-27T09:31:00Z"))

    def deliver() -> None:
        alert = {
            "status": "firing",
            "labels": {"alertname": "A", "severity": "critical", "tenant_id": "a", "model_name": "m"},
            "annotations": {},
            "startsAt": next(starts),
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "",
            "fingerprint": "0" * 16,
        }
        body = {"version": "4", "groupKey": "g", "status": "firing", "receiver": "x", "alerts": [alert]}
        assert client.post("/api/v1/alerts", json=body, buffered=True).status_code == 200

    def read() -> None:
        assert client.get("/api/v1/incidents", buffered=True).status_code == 200

    figures = {"webhook": twice(deliver).figures(), "incidents": twice(read).figures()}
    close_app(app)
    return figures


def registry_to_files() -> dict[str, Any]:
    path = ROOT / "examples" / "modelplane.yaml"
    registry = load_registry(path)
    return {
        "registry": twice(lambda: load_registry(path)).figures(),
        "boards": twice(lambda: modelplane_dashboards.files(registry)).figures(),
        "rules": twice(lambda: rule_files(registry)).figures(),
    }


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        result = {
            "method": "sys.setprofile over the second run; distinct functions and modules of ours, and calls "
            "that leave the module of the call before",
            "a call to a line of /metrics": call_to_exposition(),
            "a GET to its bytes": get_to_bytes(folder),
            "a webhook to an incident": webhook_to_incident(folder),
            "the registry to a panel and an alert": registry_to_files(),
        }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
