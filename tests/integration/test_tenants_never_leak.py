"""Every route of the application, walked by who may see some tenants: nothing of another tenant comes back.

Two applications have the same data of one tenant, one of them another tenant's, too. Whatever is answered to
those who may not see the other one must hold none of its marks, and must be the same as if it did not exist.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from datasource_support.fake_alertmanager import FakeAlertmanager, serving_silences
from datasource_support.route_walk import Call, bearer, walk, without_request
from datasource_support.two_tenants import (
    ABSENT,
    ABSENT_MODEL,
    CALLER_TENANT,
    COMMON_SIGNAL,
    MARKERS,
    NOW,
    OTHER,
    OTHER_MODEL,
    OTHER_VERSION,
    QUIET,
    SHARED_MODEL,
    exposition,
    notification,
    registry,
)
from generations import Servers, newest_available
from modelplane_datasource.alerts.episodes import Observation
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_provisioning.processes import PATIENCE_SECONDS

ADMIN, TENANT, WRITER = "admin-token", "tenant-token", "writer-token"
# The one has data, the other none, and the last may see both.
NO_DATA, READER = "quiet-token", "reader-token"
EVERYBODY = "00000000-0000-0000-0000-000000000001"  # a silence
LIMITED = {TENANT: (CALLER_TENANT,), NO_DATA: (QUIET,), READER: (CALLER_TENANT, QUIET)}
TOKENS: list[dict[str, Any]] = [
    {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
    {"name": "alertmanager", "role": "writer", "sha256": hash_token(WRITER)},
    *(
        {
            "name": token,
            "role": "reader" if token == READER else "tenant",
            "tenants": list(tenants),
            "sha256": hash_token(token),
        }
        for token, tenants in LIMITED.items()
    ),
]


class Planes(NamedTuple):
    """The application over the data of two tenants, and over those of the first alone."""

    both: FlaskClient
    alone: FlaskClient


@pytest.fixture(scope="session")
def servers() -> Servers:
    """One generation: what the backend filters is the same; test_prometheus_api_leaks forwards to both."""
    return newest_available()


@pytest.fixture(scope="module")
def planes(
    backfill: Callable[[str, Path, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Planes]:
    """Applications over a real Prometheus and a database each."""
    clients = []
    with ExitStack() as running:
        for with_others in (True, False):
            folder = tmp_path_factory.mktemp("walk")
            url = backfill("prometheus", folder / "store", exposition(with_others))
            alertmanager = running.enter_context(serving_silences())
            clients.append(application(folder, url, alertmanager, with_others))
        yield Planes(*clients)
        for client in clients:
            close_app(client.application)


def application(
    folder: Path, prometheus_url: str, alertmanager: FakeAlertmanager, with_others: bool
) -> FlaskClient:
    (folder / "modelplane.yaml").write_text(registry(with_others))
    (folder / "tokens.json").write_text(json.dumps({"tokens": TOKENS}))
    settings = Settings(
        prometheus_timeout_seconds=PATIENCE_SECONDS,
        prometheus_url=prometheus_url,
        database_url=f"sqlite:///{folder}/modelplane.db",
        token_file=folder / "tokens.json",
        registry_file=folder / "modelplane.yaml",
        alertmanager_urls=(alertmanager.url,),
    )
    client = create_app(settings, clock=lambda: NOW).test_client()
    others = ((OTHER, SHARED_MODEL), (OTHER, OTHER_MODEL)) if with_others else ()
    for tenant, model in ((CALLER_TENANT, SHARED_MODEL), *others):
        body = notification(tenant, model, f"{tenant}-alert-{model}")
        assert client.post("/api/v1/alerts", json=body, headers=bearer(WRITER)).status_code == 200
    silence_alerts(client, alertmanager, with_others)
    return client


def silence_alerts(client: FlaskClient, alertmanager: FakeAlertmanager, with_others: bool) -> None:
    """The tenant's alert has a silence of its own, and one of everybody that tells of the other tenant."""
    own = alertmanager.add(("alertname", "=~", ".*"), ("tenant_id", "=", CALLER_TENANT))
    if with_others:
        alertmanager.add(("alertname", "=", "Slow"), ("tenant_id", "=", OTHER), comment=f"{OTHER} moves")
        of_all = alertmanager.add(("alertname", "=", "Slow"), id=EVERYBODY, comment=f"{OTHER} moves")
        alertmanager.silences[EVERYBODY] = {**alertmanager.silences.pop(of_all), "id": EVERYBODY}
    context = client.application.extensions["modelplane"]
    context.store.put_silences(context.alertmanagers.silences())
    labels = {"alertname": "Slow", "tenant_id": CALLER_TENANT, "model_name": SHARED_MODEL}
    silenced = Observation(
        "alertmanager", CALLER_TENANT, "silenced", "active", (NOW - 600) * 1000, (NOW - 60) * 1000,
        json.dumps(labels), suppressed_by=json.dumps([f"silence {own}", f"silence {EVERYBODY}"]),
    )  # fmt: skip
    context.store.record_poll([silenced], NOW * 1000, "alertmanager")


@pytest.fixture(scope="module")
def client(planes: Planes) -> FlaskClient:
    return planes.both


@pytest.fixture(scope="module")
def calls(client: FlaskClient) -> list[Call]:
    return list(walk(client, ADMIN))


def described(response: TestResponse) -> tuple[str, str, bytes]:
    return response.status, str(response.headers), response.get_data()


def test_no_answer_holds_anything_of_a_tenant_that_the_caller_may_not_see(
    planes: Planes, calls: list[Call]
) -> None:
    """Status, headers and body. Both applications get the same calls in the same order, for some write."""
    leaks, differences, seen_by_admin, served = [], [], 0, 0
    for call in calls:
        for token in LIMITED:
            response = call.send(planes.both, token)
            served += response.status_code == 200
            if MARKERS.search(without_request(response, call)):
                leaks.append((token, call, response.get_data()[:300]))
            assert response.status_code < 500, (call, response.get_data())
            alone = call.send(planes.alone, token)
            if described(response) != described(alone):
                differences.append((token, call, response.get_data()[:300], alone.get_data()[:300]))
        admin = call.send(planes.both, ADMIN)
        call.send(planes.alone, ADMIN)
        seen_by_admin += bool(MARKERS.search(without_request(admin, call)))
    assert not leaks, "\n".join(map(str, leaks))
    assert not differences, "\n".join(map(str, differences))
    assert len(calls) > 500
    assert served > 900
    assert seen_by_admin > 200  # the other tenant is there to be seen


WARNINGS = {
    "costs": f"/api/v1/costs?from={(NOW - 3600) * 1000}",
    "series": f"/api/v1/metrics/cost?from={(NOW - 3600) * 1000}",
    "rows": f"/api/v1/rows/cost?from={(NOW - 3600) * 1000}",
    "forecast": "/api/v1/costs/forecast",
}


@pytest.mark.parametrize("path", WARNINGS.values(), ids=WARNINGS)
def test_warnings_of_costs_are_for_whom_they_are_about(client: FlaskClient, path: str) -> None:
    def warnings(token: str) -> list[str]:
        body = client.get(path, headers=bearer(token)).json
        assert body is not None
        return [str(text) for text in body.get("warnings", [])]

    about_caller = {
        "Device acme-lost (t4) is used and not in the inventory: "
        "it has no capacity, and all its use is over.",
        "The price of t4 goes from 1 to 9 USD on 2023-06-01, by more than a factor of 5; check it.",
    }
    if path == WARNINGS["forecast"]:  # its month begins before the samples do
        about_caller.add(
            "Device host/serve is partly unknown from 2023-10-01T00:00:00Z to 2023-10-27T07:00:00Z: "
            "it was not scraped, and no counter tells what was used."
        )
    assert set(warnings(TENANT)) == set(warnings(READER)) == about_caller
    assert warnings(NO_DATA) == []
    others = [text for text in warnings(ADMIN) if MARKERS.search(text.encode())]
    unknown = [text for text in others if "is partly unknown" in text]
    assert (len(others), len(unknown)) == ((8, 2) if path == WARNINGS["forecast"] else (6, 0))
    assert set(warnings(ADMIN)) == {*about_caller, *others}


def test_version_changes_are_those_of_versions_that_the_caller_calls(client: FlaskClient) -> None:
    def titles(token: str, query: str = "") -> set[str]:
        path = f"/api/v1/annotations/version_changes?from={(NOW - 3600) * 1000}{query}"
        body = client.get(path, headers=bearer(token)).json
        assert body is not None
        return {row["title"] for row in body["rows"]}

    called = {f"{SHARED_MODEL} v2 {state}" for state in ("loaded", "in production")}
    assert titles(TENANT) == titles(READER) == titles(ADMIN, f"&tenant-id={CALLER_TENANT}") == called
    assert titles(NO_DATA) == set()
    assert f"{SHARED_MODEL} {OTHER_VERSION} loaded" in titles(ADMIN)


def test_common_signals_are_those_of_versions_that_the_caller_calls(client: FlaskClient) -> None:
    def signals(token: str, path: str) -> set[tuple[str, str]]:
        body = client.get(f"/api/v1/{path}&to={NOW * 1000}", headers=bearer(token)).json
        assert body is not None
        return {(row["model_version"], row["signal"]) for row in body.get("rows", ())}

    path = f"drift/top?model-name={SHARED_MODEL}&tenant-id=__all__"
    called = {("v1", COMMON_SIGNAL), ("v2", COMMON_SIGNAL)}
    assert signals(TENANT, path) == signals(READER, path) == called
    assert signals(NO_DATA, path) == set()
    assert signals(ADMIN, path) == {*called, (OTHER_VERSION, f"{OTHER}_common")}
    own = {("v1", f"{CALLER_TENANT}_age"), ("v2", f"{CALLER_TENANT}_age")}
    assert signals(TENANT, f"drift/top?model-name={SHARED_MODEL}") == called | own


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
        if call.names_tenant and not call.names_policy and call.query.get("model-name") != OTHER_MODEL:
            of_tenant = call._replace(query={**call.query, "tenant-id": CALLER_TENANT})
            answer, admin = of_tenant.send(client, TENANT), of_tenant.send(client, ADMIN)
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


def test_a_tenant_ends_its_own_silences_alone(client: FlaskClient) -> None:
    listed = client.get("/api/v1/silences?status={active,expired}", headers=bearer(ADMIN)).json
    assert listed is not None
    tenants = {silence["id"]: silence["tenant_id"] for silence in listed["silences"]}
    assert {CALLER_TENANT, OTHER, ""} <= set(tenants.values())
    absent = "00000000-0000-0000-0000-000000000000"
    answers = {
        number: client.post(
            f"/api/v1/silences/{number}/expire", json={"by": "someone"}, headers=bearer(TENANT)
        )
        for number in (*tenants, absent)
    }
    for number, tenant in tenants.items():
        assert answers[number].status_code == (200 if tenant == CALLER_TENANT else 404)
        if tenant != CALLER_TENANT:
            assert answers[number].get_data() == answers[absent].get_data()


def unknown_incident(client: FlaskClient) -> bytes:
    """What is answered to an id that never was, without the id."""
    path = "/api/v1/incidents/nothing/acknowledge"
    answer = client.post(path, json={"by": "someone"}, headers=bearer(TENANT))
    return answer.get_data().replace(b"nothing", b"")


def test_an_unknown_path_tells_a_tenant_nothing(client: FlaskClient) -> None:
    for path in ("/api/v1/nothing", "/prometheus/api/v1/targets", "/prometheus/api/v1/admin/tsdb/snapshot"):
        assert client.get(path, headers=bearer(TENANT)).status_code in (403, 404)
