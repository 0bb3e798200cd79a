"""Every route of the application, walked with the token of a tenant: nothing of another tenant comes back.

The walk is made from the URL map and from the OpenAPI document, so that a new route is walked without
anyone remembering; a path argument or a body that it does not know fails the test.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from datasource_support.two_tenants import (
    ABSENT,
    ABSENT_MODEL,
    CALLER_TENANT,
    MARKERS,
    NOW,
    OTHER,
    OTHER_MODEL,
    REGISTRY,
    SHARED_MODEL,
    exposition,
    notification,
)
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.grafana.annotations import SOURCES
from modelplane_datasource.grafana.menus import VARIABLES
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema import metrics

ADMIN, TENANT, WRITER = "admin-token", "tenant-token", "writer-token"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture(scope="module")
def client(
    backfill: Callable[[str, Path, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FlaskClient]:
    """The application over a real Prometheus and a database that hold two tenants."""
    folder = tmp_path_factory.mktemp("walk")
    (folder / "modelplane.yaml").write_text(REGISTRY)
    tokens: list[dict[str, Any]] = [
        {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
        {"name": "acme", "role": "tenant", "tenants": [CALLER_TENANT], "sha256": hash_token(TENANT)},
        {"name": "alertmanager", "role": "writer", "sha256": hash_token(WRITER)},
    ]
    (folder / "tokens.json").write_text(json.dumps({"tokens": tokens}))
    settings = Settings(
        prometheus_timeout_seconds=PATIENCE_SECONDS,
        prometheus_url=backfill("prometheus", folder / "store", exposition()),
        database_url=f"sqlite:///{folder}/modelplane.db",
        token_file=folder / "tokens.json",
        registry_file=folder / "modelplane.yaml",
    )
    app = create_app(settings, clock=lambda: NOW)
    client = app.test_client()
    for tenant, model in ((CALLER_TENANT, SHARED_MODEL), (OTHER, SHARED_MODEL), (OTHER, OTHER_MODEL)):
        body = notification(tenant, model, f"{tenant}-alert-{model}")
        assert client.post("/api/v1/alerts", json=body, headers=bearer(WRITER)).status_code == 200
    yield client
    close_app(app)


class Call(NamedTuple):
    """One request of the walk; ``names_tenant`` says whether it can ask for a tenant."""

    method: str
    path: str
    query: dict[str, Any]
    body: Any = None
    names_tenant: bool = False

    def send(self, client: FlaskClient, token: str) -> TestResponse:
        return client.open(
            self.path, method=self.method, query_string=self.query, json=self.body, headers=bearer(token)
        )


def of_incidents(client: FlaskClient) -> list[str]:
    listed = client.get("/api/v1/incidents", headers=bearer(ADMIN)).json
    assert listed is not None
    return [str(incident["id"]) for incident in listed["incidents"]]


def arguments(client: FlaskClient) -> dict[str, list[str]]:
    """What can stand in a path."""
    return {
        "metric": [metric.name for metric in SERIES_METRICS],
        "label": ["tenant_id", "model_name", "model_version", "owner", "signal", "__name__"],
        "name": ["tenant_id", "model_name", "model_version", "owner", "signal", "__name__"],
        "id": of_incidents(client),
        "path": ["series", "status/tsdb", "targets", "metadata"],
    }


def paths(rule: Rule, known: dict[str, list[str]]) -> Iterator[str]:
    """A rule with its arguments filled in."""
    unknown = set(rule.arguments) - set(known)
    assert not unknown, f"teach the walk what {unknown} of {rule.rule} can be"
    names = sorted(rule.arguments)
    for values in itertools.product(*(known[name] for name in names)):
        path = rule.rule
        for name, value in zip(names, values, strict=True):
            path = re.sub(rf"<(?:[^:<>]+:)?{name}>", value, path)
        yield path


def parameters_of(document: dict[str, Any], path: str, method: str) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = (
        document["paths"].get(path, {}).get(method.lower(), {}).get("parameters", [])
    )
    return [parameter for parameter in described if parameter.get("in") == "query"]


VALUES: dict[str, list[str]] = {
    "model-name": [SHARED_MODEL, OTHER_MODEL],
    "tenant-id": [CALLER_TENANT],
    "baseline": ["v1"],
    "candidate": ["v2"],
    "signal": [f"{CALLER_TENANT}_age", f"{OTHER}_age"],
    "kind": ["input"],
    "from": [str((NOW - 3600) * 1000)],
    "to": [str(NOW * 1000)],
    "step": ["5m"],
}
PROMETHEUS_QUERIES = (
    "model_info",
    "count({__name__=~'.+'})",
    f'{metrics.REQUESTS.name}{{tenant_id="{OTHER}"}}',
    f"sum by (tenant_id) ({metrics.REQUESTS.name})",
)


def get_calls(path: str, described: list[dict[str, Any]]) -> Iterator[Call]:
    """Calls with the required parameters, and with each other one in turn."""
    names = {parameter["name"] for parameter in described}
    base: dict[str, Any] = {name: VALUES[name][0] for name in ("from", "to") if name in names}
    for parameter in described:
        if parameter.get("required"):
            base[parameter["name"]] = VALUES.get(parameter["name"], ["1"])[0]
    has_tenant = "tenant-id" in names
    yield Call("GET", path, base, None, has_tenant)
    for parameter in described:
        for value in (*VALUES.get(parameter["name"], ()), *parameter["schema"].get("enum", ()), "nothing"):
            yield Call("GET", path, {**base, parameter["name"]: value}, None, has_tenant)
    if has_tenant and "tenant-id" in base:
        yield Call("GET", path, {name: text for name, text in base.items() if name != "tenant-id"})


def prometheus_calls(method: str, path: str) -> Iterator[Call]:
    for query in PROMETHEUS_QUERIES:
        form = {"query": query, "time": str(NOW - 60), "start": str(NOW - 600), "end": str(NOW - 60)}
        yield Call(method, path, {**form, "step": "60"})
        yield Call(method, path, {"match[]": query, "start": form["start"], "end": form["end"]})
    yield Call(method, path, {})


def grafana_bodies() -> Iterator[dict[str, Any]]:
    span = {"from": "2023-10-27T09:00:00Z", "to": "2023-10-27T10:00:00Z"}
    base: dict[str, Any] = {"range": span, "intervalMs": 60_000, "maxDataPoints": 100}
    payloads: list[dict[str, Any]] = [
        {"model-name": model, **tenant}
        for model in (SHARED_MODEL, OTHER_MODEL)
        for tenant in ({}, {"tenant-id": CALLER_TENANT}, {"tenant-id": OTHER})
    ]
    for target in (*(metric.name for metric in SERIES_METRICS), *SOURCES):
        for kind, payload in itertools.product(("timeserie", "table", "frame"), payloads):
            targets = [{"refId": "A", "target": target, "type": kind, "payload": payload}]
            yield {**base, "targets": targets, "adhocFilters": []}
            filters = [{"key": "tenant_id", "operator": "=~", "value": ".*"}]
            yield {**base, "targets": targets, "adhocFilters": filters, "scopedVars": {}}
        for name in ("tenant-id", "model-name", "model-version", "signal", "kind"):
            yield {"metric": target, "name": name, "payload": {}, **base}
        yield {**base, "annotation": {"name": target, "query": target, "enable": True}}
    for variable in VARIABLES:
        yield {"payload": {"target": variable}, **base}
        yield {"target": variable, **base}
    for key in ("tenant_id", "model_name", "model_version"):
        yield {"key": key, **base, "filters": [], "adhocFilters": []}
    yield {}


def walk(client: FlaskClient) -> Iterator[Call]:
    """Every route with every method."""
    known = arguments(client)
    document = client.get("/openapi.json", headers=bearer(ADMIN)).json
    assert document is not None
    for rule in client.application.url_map.iter_rules():
        for path in paths(rule, known):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                if path.startswith("/prometheus"):
                    yield from prometheus_calls(method, path)
                elif path.startswith("/grafana") and method == "POST":
                    yield from (Call(method, path, {}, body) for body in grafana_bodies())
                elif method == "GET":
                    yield from get_calls(path, parameters_of(document, path, method))
                else:
                    yield Call(method, path, {}, {"by": "someone", "note": "seen"})


@pytest.fixture(scope="module")
def calls(client: FlaskClient) -> list[Call]:
    return list(walk(client))


def without_request_texts(response: TestResponse, call: Call) -> bytes:
    """The answer without the texts of the request, which errors repeat."""
    text = response.get_data()
    queries = [call.query, *(call.body["targets"] if call.body and "targets" in call.body else ())]
    for value in itertools.chain.from_iterable(_texts(query) for query in queries):
        text = text.replace(json.dumps(value)[1:-1].encode(), b"")
    return text


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif value in (OTHER, OTHER_MODEL, f"{OTHER}_age", *PROMETHEUS_QUERIES):
        yield value


def test_no_answer_to_a_tenant_holds_anything_of_another(client: FlaskClient, calls: list[Call]) -> None:
    leaks, seen_by_admin, served = [], 0, 0
    for call in calls:
        response = call.send(client, TENANT)
        served += response.status_code == 200
        if MARKERS.search(without_request_texts(response, call)):
            leaks.append((call, response.get_data()[:300]))
        assert response.status_code < 500, (call, response.get_data())
        admin = call.send(client, ADMIN)
        seen_by_admin += bool(MARKERS.search(without_request_texts(admin, call)))
    assert not leaks, "\n".join(f"{call}\n  {answer!r}" for call, answer in leaks)
    assert len(calls) > 500
    assert served > 200
    assert seen_by_admin > 100  # the other tenant is there to be seen


def test_another_tenant_is_answered_like_one_that_does_not_exist(
    client: FlaskClient, calls: list[Call]
) -> None:
    compared = 0
    for call in calls:
        if call.names_tenant:
            answers = [
                call._replace(query={**call.query, "tenant-id": tenant}).send(client, TENANT)
                for tenant in (OTHER, ABSENT)
            ]
            assert answers[0].status_code in (400, 403), call  # 400 where another parameter is wrong
            assert answers[0].status_code == answers[1].status_code
            assert answers[0].get_data() == answers[1].get_data()
            compared += answers[0].status_code == 403
    assert compared > 30


def test_a_model_of_another_tenant_is_answered_like_one_that_does_not_exist(
    client: FlaskClient, calls: list[Call]
) -> None:
    compared = 0
    for call in calls:
        if "model-name" in call.query:
            answers = [
                call._replace(query={**call.query, "model-name": model}).send(client, TENANT)
                for model in (OTHER_MODEL, ABSENT_MODEL)
            ]
            assert answers[0].status_code == answers[1].status_code, call
            bodies = [answer.get_data() for answer in answers]
            assert bodies[0].replace(OTHER_MODEL.encode(), ABSENT_MODEL.encode()) == bodies[1], call
            compared += 1
    assert compared > 100


def test_a_tenant_gets_what_an_admin_gets_for_that_tenant(client: FlaskClient, calls: list[Call]) -> None:
    compared = 0
    for call in calls:
        if call.names_tenant and call.query.get("model-name") != OTHER_MODEL:
            mine = call._replace(query={**call.query, "tenant-id": CALLER_TENANT})
            answer, admin = mine.send(client, TENANT), mine.send(client, ADMIN)
            assert answer.status_code == admin.status_code, (call, answer.get_data(), admin.get_data())
            assert answer.get_data() == admin.get_data(), call
            compared += answer.status_code == 200
    assert compared > 30


def test_a_tenant_acknowledges_its_own_incidents_alone(client: FlaskClient) -> None:
    listed = client.get("/api/v1/incidents", headers=bearer(ADMIN)).json
    assert listed is not None
    owners = {incident["id"]: incident["tenant_id"] for incident in listed["incidents"]}
    assert set(owners.values()) == {CALLER_TENANT, OTHER}
    absent = "0" * len(next(iter(owners)))
    for incident, owner in {**owners, absent: ABSENT}.items():
        path = f"/api/v1/incidents/{incident}/acknowledge"
        answer = client.post(path, json={"by": "someone"}, headers=bearer(TENANT))
        assert answer.status_code == (200 if owner == CALLER_TENANT else 404)
        if owner != CALLER_TENANT:
            assert answer.get_data().replace(incident.encode(), b"") == unknown_incident(client)


def unknown_incident(client: FlaskClient) -> bytes:
    """What is answered to an id that never was, without the id."""
    path = "/api/v1/incidents/nothing/acknowledge"
    answer = client.post(path, json={"by": "someone"}, headers=bearer(TENANT))
    return answer.get_data().replace(b"nothing", b"")


def test_an_unknown_path_tells_a_tenant_nothing(client: FlaskClient) -> None:
    for path in ("/api/v1/nothing", "/prometheus/api/v1/targets", "/prometheus/api/v1/admin/tsdb/snapshot"):
        assert client.get(path, headers=bearer(TENANT)).status_code in (403, 404)
