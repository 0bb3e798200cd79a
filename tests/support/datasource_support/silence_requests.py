"""Requests about silences: tokens, bodies, and the tricks of a tenant that wants another's."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from datasource_support.fake_prometheus import NOW
from modelplane_datasource.tenancy.tokens import hash_token

ADMIN, A, B, BOTH, READER, WRITER = "admin", "token-a", "token-b", "token-ab", "reader", "writer"
TOKENS: list[dict[str, Any]] = [
    {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
    {"name": "a", "role": "tenant", "tenants": ["a"], "sha256": hash_token(A)},
    {"name": "b", "role": "tenant", "tenants": ["b"], "sha256": hash_token(B)},
    {"name": "ab", "role": "tenant", "tenants": ["a", "b"], "sha256": hash_token(BOTH)},
    {"name": "boards", "role": "reader", "sha256": hash_token(READER)},
    {"name": "alertmanager", "role": "writer", "sha256": hash_token(WRITER)},
]
SILENCE: dict[str, Any] = {
    "matchers": [{"name": "alertname", "value": "ModelDown"}], "duration": "2h", "by": "Ada",
    "comment": "why",
}  # fmt: skip
HOUR, DAY = 3_600_000, 86_400_000
MILLISECONDS = NOW * 1000
TRICKS: dict[str, list[dict[str, str]]] = {
    "the other tenant": [{"name": "tenant_id", "value": "b"}],
    "a regular expression of all": [{"name": "tenant_id", "operator": "=~", "value": ".*"}],
    "a regular expression of both": [{"name": "tenant_id", "operator": "=~", "value": "a|b"}],
    "a regular expression of one": [{"name": "tenant_id", "operator": "=~", "value": "a"}],
    "not one's own": [{"name": "tenant_id", "operator": "!=", "value": "a"}],
    "not the other": [{"name": "tenant_id", "operator": "!=", "value": "b"}],
    "not by a regular expression": [{"name": "tenant_id", "operator": "!~", "value": "a"}],
    "no tenant": [{"name": "tenant_id", "value": ""}],
    "one's own and the other": [{"name": "tenant_id", "value": "a"}, {"name": "tenant_id", "value": "b"}],
    "the other and one's own": [{"name": "tenant_id", "value": "b"}, {"name": "tenant_id", "value": "a"}],
    "nothing else": [{"name": "tenant_id", "value": "a"}],
    "none": [],
    "a look-alike": [{"name": "t\u0435nant_id", "value": "b"}],
    "full width letters": [{"name": "\uff54enant_id", "value": "b"}],
    "a space": [{"name": "tenant_id ", "value": "b"}],
    "a new line": [{"name": "tenant_id\n", "value": "b"}],
    "text for a parser": [{"name": 'alertname="x"} or {tenant_id', "value": "b"}],
    "another operator": [{"name": "tenant_id", "operator": "==", "value": "a"}],
    "other spellings of the fields": [{"name": "x", "value": "b", "isRegex": "true", "isEqual": "false"}],
}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def create(client: FlaskClient, token: str, query: str = "", **changed: Any) -> TestResponse:
    return client.post(f"/api/v1/silences{query}", json={**SILENCE, **changed}, headers=bearer(token))


def listed(client: FlaskClient, token: str, query: str = "") -> list[dict[str, Any]]:
    response = client.get(f"/api/v1/silences{query}", headers=bearer(token))
    assert response.status_code == 200, response.text
    assert response.json is not None
    assert response.json["total"] == len(response.json["silences"])
    silences: list[dict[str, Any]] = response.json["silences"]
    return silences


def expire(client: FlaskClient, token: str, number: str) -> TestResponse:
    body = {"by": "Grace", "note": "done"}
    return client.post(f"/api/v1/silences/{number}/expire", json=body, headers=bearer(token))


def message(response: TestResponse) -> str:
    assert response.json is not None
    return str(response.json["message"])
