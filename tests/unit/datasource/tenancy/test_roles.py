"""Roles, the tenants of a token, and Grafana's signed identities."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus
from modelplane_datasource.errors import ApiError
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.caller import (
    ANYONE,
    Caller,
    current_tenants,
    permitted_tenants,
    set_caller,
)
from modelplane_datasource.tenancy.tokens import Gatekeeper, hash_token

ISSUER = "http://grafana.example.org/"
ADMIN, TENANT, WRITER, GRAFANA = "admin-token", "tenant-token", "writer-token", "grafana-token"
READER, TENANT_READER = "reader-token", "tenant-reader-token"
TOKENS: list[dict[str, Any]] = [
    {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
    {"name": "vision", "role": "tenant", "sha256": hash_token(TENANT), "tenants": ["user-A", "user-B"]},
    {"name": "alertmanager", "role": "writer", "sha256": hash_token(WRITER)},
    {"name": "grafana", "role": "grafana", "sha256": hash_token(GRAFANA)},
    {"name": "boards", "role": "reader", "sha256": hash_token(READER)},
    {"name": "clinic", "role": "reader", "sha256": hash_token(TENANT_READER), "tenants": ["user-A"]},
]
# What Grafana 12.4 signs, beside issuer and times.
USER_CLAIMS = {
    "aud": "org:2", "authenticatedBy": "password", "email": "w", "identifier": "ag5rkn1jtui2oa", "name": "w",
    "namespace": "org-2", "role": "Viewer", "sub": "user:3", "type": "user", "username": "w",
}  # fmt: skip
SERVICE_ACCOUNT_CLAIMS = {
    "aud": "org:1", "identifier": "dg5rkn1jtui2oa", "namespace": "default", "role": "Viewer",
    "sub": "service-account:4", "type": "service-account",
}  # fmt: skip


class Keys:
    """Grafana's published keys; ``fetched`` counts how often they were asked for."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.fetched = 0
        self.url = ""
        self.status = 200

    def published(self) -> bytes:
        key = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256).to_jwk(self.private.public_key())
        return json.dumps({"keys": [{**json.loads(key), "kid": "id-2026-11-es256", "use": "sig"}]}).encode()

    def identity(self, signed_by: Any = None, algorithm: str = "ES256", **claims: Any) -> str:
        """An identity of organisation 2, with other ``claims``; None leaves one out."""
        now = int(time.time())
        content = {"iss": ISSUER, **USER_CLAIMS, "exp": now + 600, "iat": now, **claims}
        present = {name: value for name, value in content.items() if value is not None}
        key = signed_by or self.private
        return jwt.encode(present, key, algorithm, headers={"kid": "id-2026-11-es256", "typ": "jwt"})


@pytest.fixture
def keys() -> Iterator[Keys]:
    keys = Keys()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys.fetched += 1
            self.send_response(keys.status)
            self.end_headers()
            self.wfile.write(keys.published())

        def log_message(self, *args: object) -> None:
            """Requests are counted."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    keys.url = f"http://127.0.0.1:{server.server_port}/api/signing-keys/keys"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield keys
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def token_file(tmp_path: Path, keys: Keys) -> Path:
    path = tmp_path / "tokens.json"
    organisations = {"1": "all", "2": ["user-A"]}
    grafana = {"issuer": ISSUER, "keys_url": keys.url, "organisations": organisations}
    path.write_text(json.dumps({"tokens": TOKENS, "grafana": grafana}))
    return path


@pytest.fixture
def protected(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], token_file: Path
) -> FlaskClient:
    return make_client(dataclasses.replace(settings, token_file=token_file))


@pytest.fixture
def gatekeeper(token_file: Path) -> Gatekeeper:
    return Gatekeeper(token_file)


def bearer(token: str) -> str:
    return f"Bearer {token}"


@pytest.fixture(autouse=True)
def _somebody_else_next() -> Iterator[None]:
    yield
    set_caller(ANYONE)


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        (ADMIN, Caller("operator", "admin", None)),
        (TENANT, Caller("vision", "tenant", ("user-A", "user-B"))),
        (WRITER, Caller("alertmanager", "writer", ())),
        (READER, Caller("boards", "reader", None)),
        (TENANT_READER, Caller("clinic", "reader", ("user-A",))),
        ("other", None),
        ("", None),
    ],
)
def test_a_token_says_who_calls(gatekeeper: Gatekeeper, token: str, expected: Caller | None) -> None:
    assert gatekeeper.caller(bearer(token), None) == expected


@pytest.mark.parametrize(
    ("claims", "tenants"),
    [
        (USER_CLAIMS, ("user-A",)),
        (SERVICE_ACCOUNT_CLAIMS, None),
        ({**USER_CLAIMS, "aud": ["org:2"]}, ("user-A",)),
        ({**SERVICE_ACCOUNT_CLAIMS, "aud": ["org:1"]}, None),
    ],
    ids=["user", "service account", "user, audience in a list", "service account, audience in a list"],
)
def test_grafanas_identity_says_whose_data_may_be_seen(
    gatekeeper: Gatekeeper, keys: Keys, claims: dict[str, Any], tenants: tuple[str, ...] | None
) -> None:
    for _ in range(3):
        caller = gatekeeper.caller(bearer(GRAFANA), keys.identity(**claims))
        assert caller == Caller("grafana", "grafana", tenants)
    assert keys.fetched == 1


def other_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


BAD_IDENTITIES: dict[str, Callable[[Keys], str | None]] = {
    "none": lambda keys: None,
    "empty": lambda keys: "",
    "no token": lambda keys: "abc",
    "signed by another key": lambda keys: keys.identity(other_key()),
    "expired": lambda keys: keys.identity(exp=time.time() - 60),
    "without expiry": lambda keys: keys.identity(exp=None),
    "another issuer": lambda keys: keys.identity(iss="http://evil.example.org/"),
    "without issuer": lambda keys: keys.identity(iss=None),
    "unknown organisation": lambda keys: keys.identity(aud="org:3"),
    "two organisations": lambda keys: keys.identity(aud=["org:2", "org:1"]),
    "two organisations in a text": lambda keys: keys.identity(aud="org:2 org:1"),
    "no organisation in the list": lambda keys: keys.identity(aud=[]),
    "without organisation": lambda keys: keys.identity(aud=None),
    "empty organisation": lambda keys: keys.identity(aud=""),
    "organisation as number": lambda keys: keys.identity(aud=1),
    "organisation without its prefix": lambda keys: keys.identity(aud="1"),
    "shared secret": lambda keys: keys.identity("x" * 32, "HS256"),
    "unsigned": lambda keys: jwt.encode({"iss": ISSUER, "aud": "org:1", "exp": 2**33}, "", "none"),
}


@pytest.mark.parametrize("name", BAD_IDENTITIES)
def test_a_bad_identity_is_refused_with_a_sentence(
    protected: FlaskClient, keys: Keys, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    identity = BAD_IDENTITIES[name](keys)
    headers = {"Authorization": bearer(GRAFANA)} | ({} if identity is None else {"X-Grafana-Id": identity})
    with caplog.at_level(logging.DEBUG):
        response = protected.get("/api/v1/metrics", headers=headers)
    assert response.status_code == 403
    assert response.json is not None
    assert response.json["error"] == "identity"
    assert response.json["message"].endswith(".")
    assert " " in response.json["message"]
    for secret in (GRAFANA, identity):
        assert not secret or secret not in caplog.text + response.text


def test_without_grafanas_keys_nobody_is_let_in(gatekeeper: Gatekeeper, keys: Keys) -> None:
    keys.status = 500
    with pytest.raises(ApiError) as refused:
        gatekeeper.caller(bearer(GRAFANA), keys.identity())
    assert refused.value.status == 503


def test_an_identity_without_the_token_is_nobody(protected: FlaskClient, keys: Keys) -> None:
    headers = {"X-Grafana-Id": keys.identity(aud="org:1")}
    assert protected.get("/api/v1/metrics", headers=headers).status_code == 401


@pytest.mark.parametrize("identity", [True, False])
def test_a_tenant_does_not_become_another_by_an_identity(
    gatekeeper: Gatekeeper, keys: Keys, identity: bool
) -> None:
    header = keys.identity(aud="org:1") if identity else None
    caller = gatekeeper.caller(bearer(TENANT), header)
    assert caller is not None
    assert caller.tenants == ("user-A", "user-B")


@pytest.mark.parametrize(
    ("token", "method", "path", "allowed"),
    [
        (TENANT, "GET", "/api/v1/metrics", True),
        (TENANT, "GET", "/openapi.json", True),
        (TENANT, "GET", "/grafana", True),
        (TENANT, "GET", "/metrics", False),
        (TENANT, "POST", "/api/v1/alerts", False),
        (TENANT, "POST", "/api/v1/alerts/", False),
        (WRITER, "POST", "/api/v1/alerts", True),
        (WRITER, "GET", "/api/v1/alerts", False),
        (WRITER, "GET", "/api/v1/metrics", False),
        (WRITER, "GET", "/grafana", False),
        (ADMIN, "GET", "/metrics", True),
        (READER, "GET", "/api/v1/metrics", True),
        (READER, "GET", "/openapi.json", True),
        (READER, "POST", "/grafana/search", True),
        (READER, "POST", "/prometheus/api/v1/query", True),
        (READER, "POST", "/api/v1/alerts", False),
        (READER, "POST", "/api/v1/incidents/1/acknowledge", False),
        (READER, "POST", "/api/v1/incidents/1/comment", False),
        (READER, "GET", "/api/v1/silences", True),
        (READER, "POST", "/api/v1/silences", False),
        (READER, "POST", "/prometheus/-/reload", False),
        (TENANT, "POST", "/api/v1/silences/1/expire", True),
        (WRITER, "POST", "/api/v1/silences", False),
        (WRITER, "GET", "/api/v1/silences", False),
        (READER, "GET", "/metrics", False),
        (TENANT_READER, "GET", "/api/v1/metrics", True),
        (TENANT_READER, "POST", "/api/v1/incidents/1/acknowledge", False),
    ],
)
def test_roles(protected: FlaskClient, token: str, method: str, path: str, allowed: bool) -> None:
    response = protected.open(path, method=method, headers={"Authorization": bearer(token)})
    assert (response.status_code != 403) is allowed


@pytest.mark.parametrize("claims", [USER_CLAIMS, SERVICE_ACCOUNT_CLAIMS])
def test_nobody_silences_through_a_data_source_of_grafana(
    protected: FlaskClient, keys: Keys, claims: dict[str, Any]
) -> None:
    headers = {"Authorization": bearer(GRAFANA), "X-Grafana-Id": keys.identity(**claims)}
    assert protected.get("/api/v1/silences", headers=headers).status_code == 503  # none is configured
    for path in ("/api/v1/silences", "/api/v1/silences/1/expire"):
        assert protected.post(path, json={}, headers=headers).status_code == 403


@pytest.mark.parametrize("token", [READER, TENANT_READER])
def test_a_reader_may_call_nothing_that_writes(protected: FlaskClient, token: str) -> None:
    """Over the routes that exist: what is neither a read nor a query by POST is refused."""
    writes = [
        (method, rule.rule)
        for rule in protected.application.url_map.iter_rules()
        for method in (rule.methods or set()) - {"GET", "HEAD", "OPTIONS"}
        if not rule.rule.startswith(("/grafana/", "/prometheus/api/v1/", "/api/v1/gate"))
    ]
    assert {("POST", "/api/v1/alerts"), ("POST", "/api/v1/incidents/<id>/acknowledge")} <= set(writes)
    for method, path in writes:
        response = protected.open(path, method=method, headers={"Authorization": bearer(token)})
        assert response.status_code == 403, (method, path)


@pytest.mark.parametrize("token", [TENANT, TENANT_READER])
def test_another_tenant_is_refused_whether_it_exists_or_not(protected: FlaskClient, token: str) -> None:
    answers = []
    for tenant in ("user-C", "no-such-tenant"):
        query = {"model-name": "m", "tenant-id": tenant}
        headers = {"Authorization": bearer(token)}
        answers.append(protected.get("/api/v1/metrics/latency", query_string=query, headers=headers))
    assert [answer.status_code for answer in answers] == [403, 403]
    assert answers[0].data == answers[1].data
    assert answers[0].json is not None
    allowed = ["user-A", "user-B"] if token == TENANT else ["user-A"]
    assert answers[0].json["details"] == {"parameter": "tenant-id", "allowed": allowed}


def test_a_core_prometheus_data_source_keeps_two_organisations_apart(
    protected: FlaskClient, keys: Keys, upstream: FakePrometheus
) -> None:
    """Grafana's own Prometheus data source on /prometheus: its token, and the identity of who looks."""
    upstream.reply = lambda path, form: (
        200,
        {},
        b'{"status":"success","data":{"resultType":"vector","result":[]}}',
    )

    def ask(query: str, claims: dict[str, Any]) -> int:
        headers = {"Authorization": bearer(GRAFANA), "X-Grafana-Id": keys.identity(**claims)}
        return protected.post("/prometheus/api/v1/query", data={"query": query}, headers=headers).status_code

    assert ask("up", SERVICE_ACCOUNT_CLAIMS) == 200
    assert upstream.calls[-1][1]["query"] == "up"
    assert ask("sum(model_active_inference_requests)", USER_CLAIMS) == 200
    assert (
        upstream.calls[-1][1]["query"]
        == 'sum({__name__="model_active_inference_requests",tenant_id="user-A"})'
    )
    sent = len(upstream.calls)
    assert ask('model_active_inference_requests{tenant_id="user-B"}', USER_CLAIMS) == 403
    assert len(upstream.calls) == sent


def test_outside_of_a_request_nobody_sees_anything() -> None:
    seen: list[object] = []
    thread = threading.Thread(target=lambda: seen.append(current_tenants()))
    thread.start()
    thread.join()
    assert seen == [()]


def test_permitted_tenants() -> None:
    set_caller(Caller("x", "tenant", ("a", "b")))
    assert permitted_tenants(()) == ("a", "b")
    assert permitted_tenants(("b",)) == ("b",)
    with pytest.raises(ApiError):
        permitted_tenants(("b", "c"))
    set_caller(ANYONE)
    assert permitted_tenants(("c",)) == ("c",)
    assert permitted_tenants(()) == ()


def test_the_token_file_is_read_again_when_it_changes(
    token_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    gatekeeper = Gatekeeper(token_file, lambda: now[0])
    fresh = token_file.with_name("fresh.json")
    fresh.write_text(json.dumps({"tokens": [{**TOKENS[0], "sha256": hash_token("new")}]}))
    os.replace(fresh, token_file)
    now[0] += 2
    assert gatekeeper.caller(bearer("new"), None) == Caller("operator", "admin", None)
    assert gatekeeper.caller(bearer(ADMIN), None) is None
    token_file.write_text("{")
    now[0] += 2
    with caplog.at_level(logging.ERROR):
        assert gatekeeper.caller(bearer("new"), None) is not None
    assert "is not valid JSON" in caplog.text
    assert "new" not in caplog.text.split("tokens.json")[1]
    token_file.unlink()
    now[0] += 2
    assert gatekeeper.caller(bearer("new"), None) is not None
