"""A receiver of Alertmanager's notifications that remembers what it was told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from http_servers import serving_by


@dataclass
class Notified:
    """``firing`` has the labels of each alert of a notification, in their order."""

    url: str = ""
    firing: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def receiving() -> Iterator[Notified]:
    """A webhook on a free port of loopback."""
    state = Notified()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.firing += [alert["labels"] for alert in body["alerts"] if alert["status"] == "firing"]
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Notifications are in ``firing``."""

    with serving_by(Handler) as state.url:
        yield state
