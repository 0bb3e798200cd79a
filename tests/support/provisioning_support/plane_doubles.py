"""A Prometheus and a backend of doctor's tests, which answer as the real ones do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from http_servers import serving_by
from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.clients.plane_errors import NoAnswerError, NoRouteError, PlaneError
from modelplane_schema.metrics import REQUESTS

MODEL_INFO = "group by (model_name) (model_info)"
CALLS = f"sum by (model_name, tenant_id) (increase({REQUESTS.name}"

IDENTITY = {"version": "0.1.0", "name": "grafana", "role": "reader", "user": None}
ROWS = ("data", "rows", "alerts", "incidents", "indicators", "noisiest", "silences")


def target(address: str, health: str = "up", error: str = "", job: str = "models") -> dict[str, Any]:
    return {
        "scrapeUrl": f"http://{address}/metrics",
        "labels": {"job": job, "instance": address},
        "health": health,
        "lastError": error,
    }


@dataclass
class PrometheusDouble(Connection):
    """``vectors`` maps a part of a query to the labels of what it returns; without one, all have a row.

    ``names`` are the recorded names that are stored, ``rules`` the loaded rules by name with their health,
    and ``absent`` the routes that this store lacks.
    """

    vectors: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    targets: Sequence[Mapping[str, Any]] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    names: Sequence[str] = ()
    menus: Mapping[str, Sequence[str]] = field(default_factory=dict)
    absent: Sequence[str] = ()
    age_seconds: float = 3600
    queries: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__("Prometheus", "http://prometheus:9090")

    def get(self, path: str, params: Mapping[str, Any] | None = None, auth: Any = None) -> Any:
        if path in self.absent:
            raise NoRouteError(f"Prometheus has no {path}")
        return {"status": "success", "data": self._data(path, params or {})}

    def _data(self, path: str, params: Mapping[str, Any]) -> Any:
        if path in ("/api/v1/query", "/api/v1/query_range"):
            return {"result": self._vector(params["query"])}
        if path == "/api/v1/label/__name__/values":
            return [name for name in self.names if re.match(params["match[]"].split('"')[1], name)]
        if path.startswith("/api/v1/label/"):
            return list(self.menus.get(path.split("/")[4], ()))
        if path not in (fixed := self._fixed()):
            raise NoRouteError(f"Prometheus has no {path}")
        return fixed[path]

    def _fixed(self) -> dict[str, Any]:
        loaded = (datetime.now(UTC) - timedelta(seconds=self.age_seconds)).isoformat()
        rules = [
            {"name": name, "health": health, "lastError": "bad" if health == "err" else ""}
            for name, health in self.rules.items()
        ]
        return {
            "/-/ready": {},
            "/api/v1/targets": {"activeTargets": list(self.targets)},
            "/api/v1/rules": {"groups": [{"interval": 60, "rules": rules}] if rules else []},
            "/api/v1/status/runtimeinfo": {"startTime": loaded, "lastConfigTime": loaded},
            "/api/v1/status/buildinfo": {"version": "3.5.0"},
            "/api/v1/alertmanagers": {"activeAlertmanagers": [{"url": "http://alertmanager:9093"}]},
        }

    def _vector(self, query: str) -> list[dict[str, Any]]:
        self.queries.append(query)
        for part, rows in self.vectors.items():
            if part in query:
                return [{"metric": dict(labels), "value": [0, "1"]} for labels in rows]
        return [{"metric": {}, "value": [0, "1"]}]


@dataclass
class BackendDouble(Connection):
    """``empty`` are parts of paths that have no rows; ``failure`` is raised by paths with ``failing``.

    Every other answer has rows below each key that a route of the real backend uses.
    """

    empty: Sequence[str] = ()
    failing: str = "nothing"
    failure: Exception | None = None
    paths: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__("the backend", "http://backend:8090")

    def get(self, path: str, params: Mapping[str, Any] | None = None, auth: Any = None) -> Any:
        self.paths.append(path)
        if self.failure is not None and self.failing in path:
            raise self.failure
        rows: list[Any] = [] if any(part in path for part in self.empty) else [{"value": 1}]
        return {**dict.fromkeys(ROWS, rows), **IDENTITY}


def no_answer(part: str) -> NoAnswerError:
    return NoAnswerError(part, f"{part} does not answer at http://x: the connection is refused")


@contextmanager
def serving_part(part: PrometheusDouble | BackendDouble) -> Iterator[str]:
    """URL of a double over HTTP; what it raises is status 404 or 503 with the text as the message."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Nothing: queries are listed."""

        def do_GET(self) -> None:
            address = urlsplit(self.path)
            params = {name: values[0] for name, values in parse_qs(address.query).items()}
            is_backend = isinstance(part, BackendDouble)
            try:
                status, content = 200, part.get(self.path if is_backend else address.path, params)
            except NoRouteError as error:
                status, content = 404, {"message": str(error)}
            except PlaneError as error:
                status, content = 503, {"message": str(error)}
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with serving_by(Handler) as url:
        yield url
