"""An Alertmanager that holds silences, over HTTP; it looks at nothing that it is told but their form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from http_servers import serving_by

Answer = tuple[int, bytes]
ENDED = "2023-10-27T10:00:00.000Z"


@dataclass
class FakeAlertmanager:
    """``silences`` by id, as its API gives them. ``reply`` answers in its place when it is set."""

    url: str = ""
    silences: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    reply: Callable[[str, str], Answer] | None = None

    def add(self, *matchers: tuple[str, str, str], **fields: Any) -> str:
        """A silence of matchers (name, operator, value); its id follows from what it is."""
        silence = {
            "matchers": [
                {"name": name, "value": value, "isRegex": "~" in operator, "isEqual": "!" not in operator}
                for name, operator, value in matchers
            ],
            "startsAt": "2023-10-27T09:00:00.000Z",
            "endsAt": "2023-10-27T12:00:00.000Z",
            "createdBy": "Ada",
            "comment": "upgrade",
            **fields,
        }
        return self._put(silence)

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        """Status and body."""
        self.calls.append((method, path))
        if self.reply is not None:
            return self.reply(method, path)
        number = path.rpartition("/")[2]
        if path.endswith(("/status", "/alerts")):
            return 200, b"[]"
        if path.endswith("/silences"):
            content: Any = [*self.silences.values()]
            if method == "POST":
                content = {"silenceID": self._put(json.loads(body))}
            return 200, json.dumps(content).encode()
        if number not in self.silences:
            return 404, b""
        if method == "DELETE":
            self.silences[number] |= {"endsAt": ENDED, "status": {"state": "expired"}}
            return 200, b""
        return 200, json.dumps(self.silences[number]).encode()

    def _put(self, silence: dict[str, Any]) -> str:
        number = str(uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(silence, sort_keys=True)))
        self.silences[number] = {**silence, "id": number, "status": {"state": "active"}}
        return number


@contextmanager
def serving_silences() -> Iterator[FakeAlertmanager]:
    """A server on a free port of loopback."""
    state = FakeAlertmanager()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = state.answer(self.command, self.path, body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_DELETE = do_POST  # noqa: N815

        def log_message(self, *args: object) -> None:
            """Requests are in ``calls``."""

    with serving_by(Handler) as state.url:
        yield state
