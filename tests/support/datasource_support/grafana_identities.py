"""A Grafana that signs identities and publishes its keys, and the tokens of a backend that trusts it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from http_servers import serving_by
from modelplane_datasource.tenancy.tokens import hash_token

KEY_ID = "id-2026-11-es256"
ISSUER = "http://grafana.example.org/"
ADMIN, TENANT, WRITER, GRAFANA = "admin-token", "tenant-token", "writer-token", "grafana-token"
READER, TENANT_READER = "reader-token", "tenant-reader-token"
GRAFANA_OR_TOKEN = "boards-or-user-token"
TOKENS: list[dict[str, Any]] = [
    {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
    {"name": "vision", "role": "tenant", "sha256": hash_token(TENANT), "tenants": ["user-A", "user-B"]},
    {"name": "alertmanager", "role": "writer", "sha256": hash_token(WRITER)},
    {"name": "grafana", "role": "grafana", "sha256": hash_token(GRAFANA)},
    {
        "name": "boards-or-user", "role": "grafana", "sha256": hash_token(GRAFANA_OR_TOKEN),
        "without_identity": ["user-B"],
    },
    {"name": "boards", "role": "reader", "sha256": hash_token(READER)},
    {"name": "clinic", "role": "reader", "sha256": hash_token(TENANT_READER), "tenants": ["user-A"]},
]  # fmt: skip
# What Grafana 12.4 signs, beside issuer and times.
USER_CLAIMS = {
    "aud": "org:2", "authenticatedBy": "password", "email": "w", "identifier": "ag5rkn1jtui2oa", "name": "w",
    "namespace": "org-2", "role": "Viewer", "sub": "user:3", "type": "user", "username": "w",
}  # fmt: skip
SERVICE_ACCOUNT_CLAIMS = {
    "aud": "org:1", "identifier": "dg5rkn1jtui2oa", "namespace": "default", "role": "Viewer",
    "sub": "service-account:4", "type": "service-account", "email": None, "name": None, "username": None,
}  # fmt: skip


class Keys:
    """Grafana's published keys; ``fetched`` counts how often they were asked for."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.fetched = 0
        self.url = ""
        self.status = 200
        self.body: bytes | None = None  # in place of the keys
        self.answers = threading.Event()  # cleared: a request waits
        self.answers.set()

    def published(self) -> bytes:
        key = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(self.private.public_key())
        return json.dumps(
            {"keys": [{**json.loads(key), "kid": KEY_ID, "use": "sig", "alg": "ES256"}]}
        ).encode()

    def identity(
        self, signed_by: Any = None, algorithm: str = "ES256", kid: str | None = KEY_ID, **claims: Any
    ) -> str:
        """An identity of organisation 2, with other ``claims``; None leaves one out."""
        now = int(time.time())
        content = {"iss": ISSUER, **USER_CLAIMS, "exp": now + 600, "iat": now, **claims}
        present = {name: value for name, value in content.items() if value is not None}
        key = self.private if signed_by is None else signed_by
        headers = {"typ": "jwt"} | ({} if kid is None else {"kid": kid})
        return jwt.encode(present, key, algorithm, headers=headers)


@contextlib.contextmanager
def publishing() -> Iterator[Keys]:
    """Keys, published at their ``url`` inside the block."""
    keys = Keys()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.fetched += 1
            keys.answers.wait()
            with contextlib.suppress(OSError):  # whoever asked has given up
                self.send_response(keys.status)
                self.end_headers()
                self.wfile.write(keys.published() if keys.body is None else keys.body)

        def log_message(self, *args: object) -> None:
            """Requests are counted."""

    with serving_by(Handler) as url:
        keys.url = f"{url}/api/signing-keys/keys"
        try:
            yield keys
        finally:
            keys.answers.set()


def bearer(token: str) -> str:
    return f"Bearer {token}"


def identified(token: str, identity: str | None) -> dict[str, str]:
    """The headers of a request through Grafana."""
    return {"Authorization": bearer(token)} | ({} if identity is None else {"X-Grafana-Id": identity})
