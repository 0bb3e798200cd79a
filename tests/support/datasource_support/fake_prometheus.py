"""A Prometheus that answers what a test tells it to, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs

import orjson

from http_servers import serving_by

NOW = 1_698_400_800  # 2023-10-27T10:00:00Z

STORE_QUERY = "vector(0) / vector(0)"  # by which the store is known

Form = dict[str, str]
Reply = tuple[int, dict[str, str], bytes]
Point = tuple[float, str]
JSON_HEADERS = {"Content-Type": "application/json"}


def matrix_reply(*series: tuple[Mapping[str, str], Sequence[Point]], **envelope: object) -> Reply:
    """The answer to a range query; ``envelope`` are further keys beside its data."""
    result = [{"metric": labels, "values": [list(point) for point in points]} for labels, points in series]
    body = {"status": "success", "data": {"resultType": "matrix", "result": result}, **envelope}
    return 200, JSON_HEADERS, orjson.dumps(body)


def vector_reply(*samples: tuple[dict[str, str], float]) -> Reply:
    """The answer to an instant query at ``NOW``."""
    result = [{"metric": labels, "value": [NOW, str(value)]} for labels, value in samples]
    body = {"status": "success", "data": {"resultType": "vector", "result": result}}
    return 200, JSON_HEADERS, orjson.dumps(body)


@dataclass
class FakePrometheus:
    """``reply(path, form)`` gives status, headers and body; ``calls`` are all (path, form, headers)."""

    url: str = ""
    reply: Callable[[str, Form], Reply] = lambda path, form: matrix_reply()
    calls: list[tuple[str, Form, dict[str, str]]] = field(default_factory=list)


@contextmanager
def serving() -> Iterator[FakePrometheus]:
    """A server on a free port of loopback."""
    state = FakePrometheus()

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

    with serving_by(Handler) as state.url:
        yield state
