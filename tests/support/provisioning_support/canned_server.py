"""A server with one answer for each method and path: a double for what a part of a plane answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from http_servers import serving_by

# By method and path: the status, and text or what is sent as JSON. A list gives its answers one by one.
Answers = dict[str, Any]


@contextmanager
def canned_server(answers: Answers, requests: list[str] | None = None) -> Iterator[str]:
    """Its URL; ``requests`` gets method and path of each that came. What has no answer is 404."""
    log = requests if requests is not None else []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = f"{self.command} {self.path.partition('?')[0]}"
            log.append(path)
            answer = answers.get(path, (404, ""))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            status, content = answer
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing is printed."""

    with serving_by(Handler) as url:
        yield url
