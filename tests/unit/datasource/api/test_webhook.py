"""Notifications are answered alike with and without Flask."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.alert_bodies import alert, payload
from modelplane_datasource.alerts.store import AlertStore, StoreError
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token

PATH = "/api/v1/alerts"
# A parameter that says what holds without it makes it a request for Flask.
FOR_FLASK = f"{PATH}?source=alertmanager"
ROLES = ("writer", "admin", "reader")
BODIES = (payload(alert()), payload(alert(), alert("f2", status="no")), payload(), b"", b"{}", b"x" * 2001)


@pytest.fixture
def protected(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> FlaskClient:
    tokens = [{"name": role, "role": role, "sha256": hash_token(role)} for role in ROLES]
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": tokens}))
    return make_client(dataclasses.replace(settings, token_file=path, max_body_bytes=2000))


Answer = tuple[int, Any, dict[str, str]]


def post(client: FlaskClient, path: str, body: bytes, role: str = "writer") -> Answer:
    """Status, body and headers of an answer."""
    response = client.post(path, data=body, headers={"Authorization": f"Bearer {role}"})
    headers = {name: text for name, text in response.headers.items() if name != "X-Request-Id"}
    return response.status_code, response.json, headers


@pytest.mark.slow
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("role", [*ROLES, "unknown"])
def test_both_ways_give_the_same_answer(protected: FlaskClient, body: bytes, role: str) -> None:
    assert post(protected, PATH, body, role) == post(protected, FOR_FLASK, body, role)


def test_a_notification_does_not_reach_flask(protected: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protected.application, "full_dispatch_request", lambda: pytest.fail("Flask answers"))
    assert post(protected, PATH, BODIES[0])[0] == 200


@pytest.mark.parametrize("path", [PATH, FOR_FLASK])
def test_requests_are_counted_and_logged_by_their_route(
    protected: FlaskClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    with caplog.at_level(logging.INFO):
        post(protected, path, BODIES[0])
    assert any("writer" in str(record.__dict__) for record in caplog.records)
    metrics = protected.get("/metrics", headers={"Authorization": "Bearer admin"}).get_data(as_text=True)
    series = 'modelplane_datasource_requests_total{method="POST",route="/api/v1/alerts",status="200"} 1.0'
    assert series in metrics


@pytest.mark.parametrize("path", [PATH, FOR_FLASK])
@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (StoreError("locked"), 503, "store_unavailable"),
        (ValueError("a fault of ours"), 500, "internal_error"),
    ],
)
def test_what_fails_is_answered_as_everywhere(
    protected: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    error: Exception,
    status: int,
    word: str,
) -> None:
    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(AlertStore, "record", fail)
    answered, body, headers = post(protected, path, BODIES[0])
    assert (answered, body["error"]) == (status, word)
    assert headers.get("Retry-After") == ("1" if status == 503 else None)


def test_a_body_that_ends_early_is_not_stored(protected: FlaskClient) -> None:
    response = protected.post(
        PATH,
        headers={"Authorization": "Bearer writer"},
        environ_overrides={"CONTENT_LENGTH": "100", "wsgi.input": BytesIO(b"{}")},
    )
    assert response.status_code == 400
    assert protected.get(PATH, headers={"Authorization": "Bearer admin"}).json == {"alerts": [], "total": 0}
