"""Pages of listed origins read what is answered; those of others do not."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from modelplane_datasource.settings import ConfigurationError, Settings
from modelplane_datasource.tenancy.tokens import hash_token

APP, OTHER = "https://app.example.org", "https://evil.example.org"
SETTING = "MODELPLANE_DATASOURCE_CORS_ORIGINS"
PREFLIGHT = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
ALLOWED, EXPOSED = "Access-Control-Allow-Origin", "Access-Control-Expose-Headers"


@pytest.fixture
def guarded(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> FlaskClient:
    path = tmp_path / "tokens.json"
    token = {"name": "page", "role": "admin", "sha256": hash_token("secret")}
    path.write_text(json.dumps({"tokens": [token]}))
    origins = (APP, "http://localhost:5173")
    return make_client(dataclasses.replace(settings, token_file=path, cors_origins=origins))


@pytest.mark.slow
@pytest.mark.parametrize("origin", [APP, "http://localhost:5173"])
@pytest.mark.parametrize("path", ["/api/v1/metrics", "/api/v1/alerts", "/grafana/query", "/nothing"])
def test_a_browser_may_ask_first_without_a_token(guarded: FlaskClient, path: str, origin: str) -> None:
    response = guarded.options(path, headers={"Origin": origin, **PREFLIGHT})
    assert (response.status_code, response.data) == (204, b"")
    assert response.headers[ALLOWED] == origin
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
    assert "POST" in response.headers["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in response.headers
    assert response.headers["Vary"] == "Origin"


def test_answers_and_errors_can_be_read(guarded: FlaskClient) -> None:
    for headers, status in (({"Authorization": "Bearer secret"}, 200), ({}, 401)):
        response = guarded.get("/api/v1/metrics", headers={"Origin": APP, **headers})
        assert (response.status_code, response.headers[ALLOWED]) == (status, APP)
        assert "X-Request-Id" in response.headers[EXPOSED]
        assert "Origin" in response.headers.getlist("Vary")


@pytest.mark.slow
@pytest.mark.parametrize(
    "origin", [OTHER, "null", "http://app.example.org", APP + ":8443", APP + ".evil.org", "*"]
)
def test_other_origins_are_told_nothing(guarded: FlaskClient, origin: str) -> None:
    for response in (
        guarded.options("/api/v1/metrics", headers={"Origin": origin, **PREFLIGHT}),
        guarded.get("/api/v1/metrics", headers={"Origin": origin, "Authorization": "Bearer secret"}),
    ):
        assert not [name for name in dict(response.headers) if name.startswith("Access-Control")]
        assert "Origin" in response.headers.getlist("Vary")
    assert guarded.options("/api/v1/metrics", headers={"Origin": origin, **PREFLIGHT}).status_code == 401


def test_without_the_setting_nothing_is_added(client: FlaskClient) -> None:
    response = client.get("/api/v1/metrics", headers={"Origin": APP})
    assert not [name for name in dict(response.headers) if name.startswith("Access-Control")]
    assert "Origin" not in response.headers.getlist("Vary")


def test_the_setting_is_a_list_of_origins() -> None:
    settings = Settings.from_environment(
        {SETTING: "https://App.Example.org, http://localhost:5173,http://[::1]:80"}
    )
    assert settings.cors_origins == (APP, "http://localhost:5173", "http://[::1]:80")
    for text in (
        "*",
        "null",
        "",
        "app.example.org",
        "https://a/",
        "https://a/b",
        "https://a,",
        "https://a b",
        "ftp://a",
    ):
        with pytest.raises(
            ConfigurationError, match=r"CORS_ORIGINS must be origins such as https://app\.example"
        ):
            Settings.from_environment({SETTING: text})
