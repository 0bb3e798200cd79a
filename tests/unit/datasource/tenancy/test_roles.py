"""Roles of tokens, and the tenants of a token."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from datasource_support.grafana_identities import (
    ADMIN,
    READER,
    TENANT,
    TENANT_READER,
    TOKENS,
    WRITER,
    Keys,
    bearer,
)
from modelplane_datasource.errors import ApiError
from modelplane_datasource.tenancy.caller import (
    ANYONE,
    Caller,
    current_tenants,
    permitted_tenants,
    set_caller,
)
from modelplane_datasource.tenancy.tokens import Gatekeeper, hash_token


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


@pytest.mark.parametrize("identity", [True, False])
def test_a_tenant_does_not_become_another_by_an_identity(
    gatekeeper: Gatekeeper, keys: Keys, identity: bool
) -> None:
    header = keys.identity(aud="org:1") if identity else None
    caller = gatekeeper.caller(bearer(TENANT), header)
    assert caller is not None
    assert caller.tenants == ("user-A", "user-B")


@pytest.mark.slow
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
