"""Whatever Prometheus says beside its data reaches operators alone, on every route; Alertmanager too."""

from __future__ import annotations

import dataclasses
import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import orjson
import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import JSON_HEADERS, FakePrometheus, Form, Reply
from datasource_support.route_walk import Call, bearer, walk
from datasource_support.two_tenants import CALLER_TENANT, NOW, QUIET, SHARED_MODEL, notification, registry
from modelplane_datasource.prometheus.decoding import INCOMPLETE
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.query_restriction import NOTHING
from modelplane_datasource.tenancy.tokens import hash_token

ADMIN, TENANT, READER = "admin-token", "tenant-token", "reader-token"
# What Prometheus says and no request does.
CANARY = "the-canary-sings"
LABELS = {
    "model_name": SHARED_MODEL, "model_version": "v1", "tenant_id": CALLER_TENANT, "framework": "jax",
    "kind": "input", "device": "host/serve", "device_type": "cpu-process",
}  # fmt: skip


def data_of(path: str, form: Form, labels: dict[str, str]) -> Any:
    """Data of the type that a call of Prometheus' API has, of one series where there are any."""
    selects_nothing = NOTHING in str(form)
    if path.endswith("/labels"):
        return [] if selects_nothing else [*labels]
    if "/label/" in path:
        value = labels.get(path.split("/")[-2])
        return [] if selects_nothing or value is None else [value]
    if path.endswith("/series"):
        return [labels]
    if path.endswith("/rules"):
        return {"groups": []}
    if path.endswith("/alerts"):
        return {"alerts": []}
    if path.endswith("/query_exemplars"):
        return [{"seriesLabels": labels, "exemplars": []}]
    if path.endswith("/buildinfo"):
        return {"version": "2.42.0"}
    is_range = path.endswith("/query_range") or form.get("query", "").endswith("ms]")
    point = [float(form.get("end") or form.get("time") or NOW), "1"]
    series = {"metric": labels, **({"values": [point]} if is_range else {"value": point})}
    return {"resultType": "matrix" if is_range else "vector", "result": [series]}


def silences(labels: dict[str, str]) -> Reply:
    """Alertmanager's list: what is in force for one tenant, and what says nothing of one."""
    of_tenant = {"name": "tenant_id", "value": labels["tenant_id"], "isRegex": False, "isEqual": True}
    of_others = {**of_tenant, "value": CANARY, "isEqual": False}
    span = {"startsAt": "2023-10-27T09:00:00Z", "endsAt": "2023-10-27T11:00:00Z"}
    body = [
        {"id": str(uuid.UUID(int=number)), "matchers": [matcher], **span, "createdBy": "", "comment": comment}
        for number, (matcher, comment) in enumerate([(of_tenant, labels["tenant_id"]), (of_others, CANARY)])
    ]
    return 200, JSON_HEADERS, orjson.dumps(body)


def successful(path: str, form: Form, labels: dict[str, str] = LABELS, **envelope: object) -> Reply:
    if path == "/api/v2/silences":
        return silences(labels)
    path, _, query = path.partition("?")
    body = {"status": "success", "data": data_of(path, form or {"": unquote_plus(query)}, labels), **envelope}
    return 200, JSON_HEADERS, orjson.dumps(body)


def failed(status: int, **envelope: object) -> Callable[[str, Form], Reply]:
    body = orjson.dumps({"status": "error", **envelope})
    return lambda *_: (status, JSON_HEADERS, body)


SAYINGS: dict[str, Callable[[str, Form], Reply]] = {
    "warnings": lambda path, form: successful(
        path, form, warnings=[f"store {CANARY} is down"], infos=[f"metric {CANARY}"], isPartial=True
    ),
    "other keys": lambda path, form: successful(path, form, stats={CANARY: CANARY}, canary=[CANARY]),
    "an error of the query": failed(422, errorType="execution", error=f"duplicate series {CANARY}"),
    "bad data": failed(400, errorType="bad_data", error=f"bad {CANARY}", data=CANARY),
    "an unknown type of error": failed(422, errorType=CANARY, error=CANARY),
    "no store": failed(503, errorType="unavailable", error=f"store {CANARY} is down"),
    "an error within a success": failed(200, errorType="execution", error=CANARY),
    "a page": lambda *_: (200, {"Content-Type": "text/html"}, f"<html>{CANARY}</html>".encode()),
    "a page of a gateway": lambda *_: (502, {CANARY: CANARY}, f"<html>{CANARY}</html>".encode()),
    "half a body": lambda path, form: (200, {}, successful(path, form, warnings=[CANARY])[2][:-3]),
    "a redirect": lambda *_: (302, {"Location": f"http://{CANARY}.invalid/"}, CANARY.encode()),
    "series of another tenant": lambda path, form: successful(path, form, {**LABELS, "tenant_id": CANARY}),
}
READ_BY_OPERATORS = ("warnings", "an error of the query", "bad data", "series of another tenant")


@pytest.fixture
def plane(
    upstream: FakePrometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    tmp_path: Path,
) -> FlaskClient:
    (tmp_path / "modelplane.yaml").write_text(registry())
    tokens: list[dict[str, Any]] = [
        {"name": "operator", "role": "admin"},
        {"name": "acme", "role": "tenant", "tenants": [CALLER_TENANT]},
        {"name": "boards", "role": "reader", "tenants": [CALLER_TENANT, QUIET]},
    ]
    for token, secret in zip(tokens, (ADMIN, TENANT, READER), strict=True):
        token["sha256"] = hash_token(secret)
    (tmp_path / "tokens.json").write_text(json.dumps({"tokens": tokens}))
    upstream.reply = successful
    client = make_client(
        dataclasses.replace(
            settings,
            token_file=tmp_path / "tokens.json",
            registry_file=tmp_path / "modelplane.yaml",
            alertmanager_urls=(upstream.url,),
            cache_seconds=0,
        )
    )
    body = notification(CALLER_TENANT, SHARED_MODEL, "Slow")
    assert client.post("/api/v1/alerts", json=body, headers=bearer(ADMIN)).status_code == 200
    return client


def calls_of(client: FlaskClient) -> Iterator[Call]:
    """One call of each route, and one of each target and menu of Grafana."""
    seen = set()
    for call in walk(client, ADMIN):
        targets = [target["target"] for target in (call.body or {}).get("targets", ())]
        key = (call.method, call.path, str(targets), str(list(call.body or ())))
        if key not in seen and not (call.query == {} and "/prometheus" in call.path):
            seen.add(key)
            yield call


@pytest.mark.slow
@pytest.mark.parametrize("saying", SAYINGS)
def test_what_prometheus_says_is_for_operators(
    plane: FlaskClient, upstream: FakePrometheus, saying: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("modelplane_datasource.prometheus.client._RETRY_PAUSES", ())
    calls = list(calls_of(plane))
    upstream.reply = SAYINGS[saying]
    leaks, read_by_operator = [], 0
    for call, token in zip(calls, itertools.cycle((TENANT, READER)), strict=False):
        response = call.send(plane, token)
        if CANARY in f"{response.status}{response.headers}{response.text}":
            leaks.append((call, response.text[:300]))
        if saying in READ_BY_OPERATORS:
            read_by_operator += CANARY in call.send(plane, ADMIN).text
    assert not leaks, "\n".join(map(str, leaks))
    assert len(calls) > 80
    assert upstream.calls
    assert read_by_operator > 20 or saying not in READ_BY_OPERATORS


def test_a_tenant_reads_that_something_is_missing(plane: FlaskClient, upstream: FakePrometheus) -> None:
    upstream.reply = SAYINGS["warnings"]
    selected = f"model-name={SHARED_MODEL}&tenant-id={CALLER_TENANT}"
    body = plane.get(f"/api/v1/metrics/active?{selected}", headers=bearer(TENANT)).json
    assert body is not None
    assert body["warnings"][0] == INCOMPLETE
    assert "partial" in body["warnings"][1]
    csv = plane.get("/api/v1/costs?format=csv", headers=bearer(TENANT))
    assert csv.status_code == 200
    assert INCOMPLETE in csv.text
    focus = plane.get("/api/v1/costs?format=focus", headers=bearer(TENANT))
    assert focus.status_code == 502
    assert INCOMPLETE in (focus.json or {})["message"]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/api/v1/metrics", "/nothing"])
def test_nobody_reads_what_is_for_operators(plane: FlaskClient, upstream: FakePrometheus, path: str) -> None:
    """Probes need no token; Mimir, which has no probe, is asked a query."""

    def reply(path: str, form: Form) -> Reply:
        return (404, {}, b"") if path == "/-/ready" else SAYINGS["warnings"](path, form)

    upstream.reply = reply
    response = plane.get(path)
    assert CANARY not in f"{response.headers}{response.text}"


def test_a_store_that_ignores_selectors_of_menus_is_found_out(
    plane: FlaskClient, upstream: FakePrometheus
) -> None:
    upstream.reply = lambda *_: (
        200,
        JSON_HEADERS,
        json.dumps({"status": "success", "data": [CANARY]}).encode(),
    )
    body = {"payload": {"target": "models"}}
    answer = plane.post("/grafana/variable", json=body, headers=bearer(TENANT))
    assert answer.status_code == 502
    assert CANARY not in answer.text
    operators = plane.post("/grafana/variable", json=body, headers=bearer(ADMIN))
    assert operators.json == [{"__text": CANARY, "__value": CANARY}]
