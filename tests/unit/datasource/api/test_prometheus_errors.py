"""Errors below /prometheus, whoever raises them: always in the format of Prometheus."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_client import API, failure
from datasource_support.fake_prometheus import JSON_HEADERS, FakePrometheus
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token

TOKENS: dict[str, dict[str, object]] = {
    "admin": {"role": "admin"},
    "writer": {"role": "writer"},
    "reader": {"role": "reader", "tenants": ["user-A"]},
    "tenant": {"role": "tenant", "tenants": ["user-A"]},
}
QUERY = f"{API}/query?query=up"
OTHER_METHODS = ("PUT", "DELETE", "PATCH", "OPTIONS")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def web(settings: Settings, make_client: Callable[[Settings], FlaskClient], tmp_path: Path) -> FlaskClient:
    path = tmp_path / "tokens.json"
    tokens = [{"name": name, "sha256": hash_token(name), **token} for name, token in TOKENS.items()]
    path.write_text(json.dumps({"tokens": tokens}))
    return make_client(dataclasses.replace(settings, token_file=path, max_body_bytes=1000))


@pytest.mark.parametrize("headers", [{}, bearer("wrong"), {"Authorization": "Basic eDp5"}])
def test_without_a_token(web: FlaskClient, headers: dict[str, str]) -> None:
    """403 rather than 401, whose message Grafana would hide."""
    for path in (QUERY, "/prometheus", f"{API}/none", f"{API}/labels/"):
        for method in ("GET", "POST", *OTHER_METHODS):
            answer = web.open(path, method=method, headers=headers)
            assert failure(answer)[:2] == (403, "unauthorized")
        assert web.head(path, headers=headers).status_code == 403


@pytest.mark.parametrize("token", ["writer", "reader"])
def test_a_role_that_may_not(web: FlaskClient, token: str) -> None:
    for method in ("GET", *OTHER_METHODS) if token == "writer" else OTHER_METHODS:
        answer = web.open("/prometheus/-/reload", method=method, headers=bearer(token))
        if token == "writer" or method != "OPTIONS":
            assert failure(answer)[:2] == (403, "forbidden")
        else:
            assert failure(answer)[:2] == (404, "not_found")
    assert failure(web.get(QUERY, headers=bearer("writer")))[:2] == (403, "forbidden")


@pytest.mark.parametrize("token", ["admin", "reader", "tenant"])
def test_other_methods(web: FlaskClient, upstream: FakePrometheus, token: str) -> None:
    for method in OTHER_METHODS:
        answer = web.open(QUERY, method=method, headers=bearer(token))
        assert failure(answer)[:2] == (405, "bad_data")
        assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert upstream.calls == []


def test_a_body_that_is_too_large(web: FlaskClient) -> None:
    answer = web.post(QUERY, data={"time": "1" * 2000}, headers=bearer("tenant"))
    assert failure(answer)[:2] == (413, "bad_data")


def test_what_nobody_expected(web: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("globex")

    monkeypatch.setattr("modelplane_datasource.proxy.calls.restricted", broken)
    answer = web.get(QUERY, headers=bearer("tenant"))
    text = "The server failed unexpectedly; its log has the reason."
    assert failure(answer) == (500, "internal", text)


def test_paths_that_only_begin_alike_keep_the_shape_of_the_rest(web: FlaskClient) -> None:
    answer = web.get("/prometheus-other", headers=bearer("admin"))
    assert answer.status_code == 404
    assert set(answer.get_json()) == {"message", "error", "details"}


@pytest.mark.slow
@pytest.mark.parametrize("token", ["admin", "tenant"])
def test_too_many_requests_of_the_store(web: FlaskClient, upstream: FakePrometheus, token: str) -> None:
    for body in (b"too many", b'{"status":"error","errorType":"x","error":"globex"}', b""):
        upstream.reply = lambda *_, body=body: (429, {"Retry-After": "7"}, body)
        for call in ("query?query=up", "labels", "rules"):
            answer = web.get(f"{API}/{call}", headers=bearer(token))
            status, error_type, text = failure(answer)
            assert (status, error_type) == (429, "too_many_requests")
            assert answer.headers["Retry-After"] == "7"
            assert ("globex" in text) == (token == "admin" and b"globex" in body)
    upstream.reply = lambda *_: (429, {}, b"")
    assert "Retry-After" not in web.get(QUERY, headers=bearer(token)).headers


def test_too_many_requests_of_the_store_are_a_pause_for_other_routes(
    web: FlaskClient, upstream: FakePrometheus
) -> None:
    upstream.reply = lambda *_: (429, {"Retry-After": "7"}, b"too many")
    who = {"model-name": "resnet50", "tenant-id": "user-A"}
    answer = web.get("/api/v1/metrics/latency", query_string=who, headers=bearer("admin"))
    assert (answer.status_code, answer.get_json()["error"]) == (503, "upstream_busy")
    assert answer.headers["Retry-After"] == "7"
    assert len(upstream.calls) == 1


def test_a_store_without_the_call(web: FlaskClient, upstream: FakePrometheus) -> None:
    upstream.reply = lambda *_: (404, {"Content-Type": "text/plain"}, b"404 page not found\n")
    answer = web.get(f"{API}/status/buildinfo", headers=bearer("tenant"))
    assert failure(answer)[:2] == (404, "not_found")


@pytest.mark.parametrize("token", ["admin", "tenant"])
def test_bare_nan(web: FlaskClient, upstream: FakePrometheus, token: str) -> None:
    body = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,NaN]}]}}'
    upstream.reply = lambda *_: (200, JSON_HEADERS, body)
    assert failure(web.get(QUERY, headers=bearer(token)))[:2] == (502, "internal")


def test_queries_that_are_wrong(web: FlaskClient) -> None:
    for query in ("up @ 1e15", "up @ -1", "rate(up[5m*2])", "up offset (1m+1m)", "up[1e30]", "up["):
        answer = web.post(f"{API}/query", data={"query": query}, headers=bearer("tenant"))
        assert failure(answer)[:2] == (400, "bad_data")
