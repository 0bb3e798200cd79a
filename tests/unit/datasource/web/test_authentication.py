from __future__ import annotations

import dataclasses
import json
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import (
    JSON_HEADERS,
    FakePrometheus,
    Form,
    Reply,
    matrix_reply,
    vector_reply,
)
from modelplane_datasource.app import create_app
from modelplane_datasource.settings import ConfigurationError, Settings
from modelplane_datasource.tenancy.tokens import hash_token, load_tokens

ADMIN, WRITER = "grafana-token", "alertmanager-token"
REGISTRY = Path(__file__).parents[4] / "examples" / "modelplane.yaml"
TOKENS = [
    {"name": "grafana", "role": "admin", "sha256": hash_token(ADMIN)},
    {"name": "alertmanager", "role": "writer", "sha256": hash_token(WRITER).upper()},
]


@pytest.fixture
def protected(
    settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path
) -> FlaskClient:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"tokens": TOKENS}))
    more = {"registry_file": REGISTRY, "alertmanager_urls": (settings.prometheus_url,)}
    return make_client(dataclasses.replace(settings, token_file=path, **more))  # type: ignore[arg-type]


def every_call(client: FlaskClient) -> list[tuple[str, str]]:
    """Each route and method of the application, with a metric's name filled in."""
    return [
        (method, rule.rule.replace("<metric>", "latency").replace("<name>", "tenant_id"))
        for rule in client.application.url_map.iter_rules()
        for method in sorted(rule.methods or ())
    ]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_hash_token_is_sha256() -> None:
    assert hash_token("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong"), bearer(""), {"Authorization": "Basic eDp5"}, {"Authorization": ADMIN}]
)
def test_without_a_valid_token_only_probes_and_runbooks_answer(
    protected: FlaskClient, headers: dict[str, str]
) -> None:
    for method, path in [*every_call(protected), ("GET", "/nothing")]:
        response = protected.open(path, method=method, headers=headers)
        if path in ("/healthz", "/readyz", "/runbooks"):
            assert response.status_code in (200, 405)
        elif path.startswith(("/grafana", "/prometheus")):
            assert response.status_code == 403
        else:
            assert response.status_code == 401
            assert response.headers["WWW-Authenticate"] == "Bearer"
        if method not in ("HEAD", "OPTIONS") or response.status_code >= 400:
            assert method == "HEAD" or path == "/runbooks" or response.json is not None


@pytest.mark.slow
def test_a_writer_may_only_post_alerts(protected: FlaskClient) -> None:
    for method, path in every_call(protected):
        response = protected.open(path, method=method, headers=bearer(WRITER))
        if (method, path) == ("POST", "/api/v1/alerts"):
            assert response.status_code == 202
        elif path not in ("/healthz", "/readyz", "/runbooks"):
            assert response.status_code == 403
    assert protected.get("/api/v1/alerts/", headers=bearer(WRITER)).status_code == 403


@pytest.mark.slow
def test_an_admin_may_do_everything(protected: FlaskClient, upstream: FakePrometheus) -> None:
    def reply(path: str, form: Form) -> Reply:
        if path == "/api/v2/silences":
            return 200, JSON_HEADERS, b"[]"
        if "/label" in path or path.endswith("/series"):
            return 200, JSON_HEADERS, b'{"status":"success","data":[]}'
        is_instant = path == "/api/v1/query" and not form["query"].endswith("]")
        return vector_reply() if is_instant else matrix_reply()

    upstream.reply = reply
    calls = every_call(protected)
    assert len(calls) > 15
    for method, path in calls:
        response = protected.open(path, method=method, headers=bearer(ADMIN))
        assert response.status_code in (200, 202, 400, 404)
    assert protected.get("/metrics", headers={"Authorization": f"bearer {ADMIN}"}).status_code == 200


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ("", "is not valid JSON: EOF while parsing a value at line 1"),
        ("[]", "must be a mapping with the keys tokens, grafana"),
        ("{}", "tokens: is required"),
        ('{"tokens": []}', "tokens: "),
        ({"role": "root"}, r"tokens\[0\].role: .*'admin', 'reader', 'tenant', 'grafana' or 'writer'"),
        ({"sha256": "abc"}, r"tokens\[0\].sha256: "),
        ({"name": ""}, r"tokens\[0\].name: "),
        ({"token": "plain"}, r"tokens\[0\].token: "),
        ({"name": "alertmanager"}, "name 'alertmanager' occurs 2 times"),
        ({"sha256": hash_token(WRITER)}, "sha256 .* occurs 2 times"),
    ],
)
def test_a_bad_token_file_is_a_clear_error(
    settings: Settings, tmp_path: Path, content: str | dict[str, str], place: str
) -> None:
    path = tmp_path / "tokens.json"
    if isinstance(content, dict):
        content = json.dumps({"tokens": [{**TOKENS[0], **content}, TOKENS[1]]})
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=rf"tokens\.json: .*{place}"):
        create_app(dataclasses.replace(settings, token_file=path))


def test_the_error_of_a_token_file_never_quotes_it(tmp_path: Path) -> None:
    """People paste the token itself where its hash belongs."""
    path = tmp_path / "tokens.json"
    for content in ('{"tokens": [{"sha256": "plain-secret"', '{"tokens": [{"sha256": "plain-secret"}]}'):
        path.write_text(content)
        with pytest.raises(ConfigurationError) as refused:
            load_tokens(path)
        assert "plain-secret" not in "".join(traceback.format_exception(refused.value))


def test_a_missing_token_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        load_tokens(tmp_path / "absent.json")
