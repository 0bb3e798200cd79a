"""A double of a registry of images: manifests by repository and tag, for tests of pinning alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from http_servers import serving_by

INDEX = "application/vnd.oci.image.index.v1+json"
TOKEN = "anonymous"


@dataclass
class Answer:
    """What a path is answered; ``digest`` is the header, None the true one and empty none at all."""

    body: bytes = b'{"schemaVersion": 2}'
    status: int = 200
    content_type: str = INDEX
    digest: str | None = None

    @property
    def true_digest(self) -> str:
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"


@dataclass
class RegistryDouble:
    """``answers`` by path; every other path has an index of its own. ``wants_token`` as Docker's does."""

    answers: dict[str, Answer] = field(default_factory=dict)
    wants_token: bool = False
    gives_token: bool = True
    realm: str = ""
    address: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, path: str) -> Answer:
        return self.answers.get(path, Answer(b'{"path": "%s"}' % path.encode()))


@contextmanager
def serving(double: RegistryDouble) -> Iterator[RegistryDouble]:
    """The double at ``double.address`` of loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            double.asked.append(self.path)
            if path == "/token":
                body = b'{"token": "%s"}' % TOKEN.encode() if double.gives_token else b"<html>log in</html>"
                self._send(Answer(body, 200, "application/json", ""))
            elif double.wants_token and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self._send(Answer(b"{}", 401, "application/json", ""), challenge=True)
            elif not path.startswith("/v2/") or INDEX not in self.headers["Accept"]:
                self._send(Answer(b"{}", 404, "application/json", ""))
            else:
                self._send(double.answer(path))

        def _send(self, answer: Answer, challenge: bool = False) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
            if challenge:
                realm = double.realm or f"http://{double.address}/token"
                self.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="double",scope="pull"')
            digest = answer.true_digest if answer.digest is None else answer.digest
            if digest:
                self.send_header("Docker-Content-Digest", digest)
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            pass

    with serving_by(Handler) as url:
        double.address = url.removeprefix("http://")
        yield double
