"""Who writes through Grafana: viewers never, editors by name, and only about their own tenants."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.alert_bodies import alert, payload
from datasource_support.grafana_identities import (
    ADMIN,
    GRAFANA,
    GRAFANA_OR_TOKEN,
    READER,
    TENANT,
    TOKENS,
    WRITER,
    Keys,
    bearer,
    identified,
)
from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import Caller
from modelplane_datasource.tenancy.tokens import Gatekeeper

LABELS = {"alertname": "ModelDown", "severity": "critical", "model_name": "m"}
DELIVERY = payload(
    *(alert(tenant, labels={**LABELS, "tenant_id": tenant}) for tenant in ("user-A", "user-B"))
)
MAY_WRITE = (ADMIN, TENANT, GRAFANA)


@pytest.fixture
def incidents(protected: FlaskClient) -> dict[str, str]:
    """The id of each tenant's incident."""
    assert (
        protected.post("/api/v1/alerts", data=DELIVERY, headers=identified(WRITER, None)).status_code == 200
    )
    listed = protected.get("/api/v1/incidents", headers=identified(ADMIN, None)).json
    assert listed is not None
    return {incident["tenant_id"]: incident["id"] for incident in listed["incidents"]}


def write(
    client: FlaskClient, action: str, number: str, headers: dict[str, str], by: str = "somebody"
) -> Any:
    body = {"by": by, "comment": "seen"} if action == "comment" else {"by": by, "note": "seen"}
    return client.post(f"/api/v1/incidents/{number}/{action}", json=body, headers=headers)


@pytest.mark.slow
@pytest.mark.parametrize("token", MAY_WRITE)
def test_a_viewer_writes_nothing_even_with_a_token_that_may(
    protected: FlaskClient, keys: Keys, incidents: dict[str, str], token: str
) -> None:
    incident = f"incidents/{incidents['user-A']}"
    paths = (f"{incident}/acknowledge", f"{incident}/comment", "silences", "silences/1/expire")
    for role, path in itertools.product(("Viewer", "None", "", None, "editor", "Editor,Admin"), paths):
        headers = identified(token, keys.identity(role=role))
        response = protected.post(f"/api/v1/{path}", json={"by": "w", "note": ""}, headers=headers)
        assert response.status_code == 403, (role, path)
        assert response.json is not None
        assert "it takes Editor or Admin" in response.json["message"]


@pytest.mark.slow
@pytest.mark.parametrize(("token", "role"), [(ADMIN, "Admin"), (TENANT, "Editor"), (GRAFANA, "Editor")])
def test_an_editor_writes_under_the_name_that_grafana_signed(
    protected: FlaskClient, keys: Keys, incidents: dict[str, str], token: str, role: str
) -> None:
    """Whatever name the body says."""
    headers = identified(token, keys.identity(role=role, username="ada"))
    assert write(protected, "acknowledge", incidents["user-A"], headers, "the boss").status_code == 200
    answer = write(protected, "comment", incidents["user-A"], headers, "the boss").json
    assert answer["acknowledged_by"] == "ada"
    assert [comment["by"] for comment in answer["comments"]] == ["ada"]


def test_without_an_identity_the_body_says_who(protected: FlaskClient, incidents: dict[str, str]) -> None:
    answer = write(protected, "acknowledge", incidents["user-A"], identified(TENANT, None), "Ada").json
    assert answer["acknowledged_by"] == "Ada"


def test_a_token_for_grafana_writes_nothing_without_an_identity(
    protected: FlaskClient, incidents: dict[str, str]
) -> None:
    for token in (GRAFANA, GRAFANA_OR_TOKEN):
        response = write(protected, "acknowledge", incidents["user-B"], identified(token, None))
        assert (response.status_code, response.json["error"]) == (403, "identity"), token


def test_nobody_writes_about_a_tenant_of_another_organisation(
    protected: FlaskClient, keys: Keys, incidents: dict[str, str]
) -> None:
    """An identity of organisation 2 sees user-A alone, also with a token that sees more."""
    for token in MAY_WRITE:
        headers = identified(token, keys.identity(role="Editor"))
        assert write(protected, "acknowledge", incidents["user-B"], headers).status_code == 404, token


def test_a_token_of_one_tenant_gives_nothing_to_an_identity_of_another(
    protected: FlaskClient, keys: Keys, incidents: dict[str, str]
) -> None:
    headers = identified(TENANT, keys.identity(aud="org:2", sub="user:7", role="Admin"))  # sees user-C alone
    for number in incidents.values():
        assert write(protected, "acknowledge", number, headers).status_code == 404


FORGED: dict[str, dict[str, Any]] = {
    "expired": {"exp": 1},
    "not valid yet": {"nbf": 2**33},
    "another issuer": {"iss": "http://evil.example.org/"},
    "an unknown organisation": {"aud": "org:3"},
    "another audience": {"aud": "another-service"},
    "an id of a key that is not published": {"kid": "other"},
}


def test_a_forged_identity_writes_nothing(
    protected: FlaskClient, keys: Keys, incidents: dict[str, str]
) -> None:
    for token, (name, claims) in itertools.product(MAY_WRITE, FORGED.items()):
        identity = keys.identity(**{"role": "Editor", **claims})
        response = write(protected, "acknowledge", incidents["user-A"], identified(token, identity))
        assert (response.status_code, response.json["error"]) == (403, "identity"), (token, name)


def test_a_reader_writes_nothing_as_an_admin_of_grafana(
    protected: FlaskClient, keys: Keys, incidents: dict[str, str]
) -> None:
    headers = identified(READER, keys.identity(aud="org:1", role="Admin"))
    assert write(protected, "acknowledge", incidents["user-A"], headers).status_code == 403


def test_nobody_delivers_alerts_through_grafana(protected: FlaskClient, keys: Keys) -> None:
    headers = identified(GRAFANA, keys.identity(aud="org:1", role="Admin"))
    assert protected.post("/api/v1/alerts", json={}, headers=headers).status_code == 403


def test_an_identity_that_nobody_can_verify_writes_nothing(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "no-section.json"
    tokens = [token for token in TOKENS if token["role"] != "grafana"]
    path.write_text(json.dumps({"tokens": tokens}))
    gatekeeper = Gatekeeper(path)
    with pytest.raises(ApiError, match="no section grafana"):
        gatekeeper.caller(bearer(TENANT), keys.identity(role="Admin"), writes=True)
    caller = gatekeeper.caller(bearer(TENANT), keys.identity())
    assert caller == Caller("vision", "tenant", ("user-A", "user-B"))


def test_who_asks_is_told_who_they_are(protected: FlaskClient, keys: Keys, upstream: Any) -> None:
    upstream.reply = lambda path, form: (200, {}, b'{"status":"success","data":[]}')
    told = protected.get("/api/v1/identity", headers=identified(GRAFANA, keys.identity(role="Editor")))
    assert told.json is not None
    assert told.json["user"] == {"name": "w", "role": "Editor", "may_write": True}
    assert told.json["role"] == "grafana"
