"""Which models need attention, and what is declared against what is seen."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import NOW, FakePrometheus, Form, Reply, vector_reply
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.tokens import hash_token
from modelplane_datasource.triage import findings

ADMIN, TENANT = "admin-token", "tenant-token"
TOKENS = [
    {"name": "operator", "role": "admin", "sha256": hash_token(ADMIN)},
    {"name": "acme", "role": "tenant", "tenants": ["acme"], "sha256": hash_token(TENANT)},
]
REGISTRY = {
    "apiVersion": "modelplane/v1",
    "tenants": [{"id": "acme"}, {"id": "globex"}, {"id": "quiet"}],
    "models": [
        {
            "name": "open", "framework": "jax", "owner": "vision", "tenants": ["acme", "globex", "quiet"],
            "versions": [{"version": "v1"}, {"version": "v2", "stage": "canary"}],
            "drift": {"visible_to_tenants": True},
        },
        {
            "name": "closed", "framework": "jax", "owner": "speech", "tenants": ["acme", "globex"],
            "versions": [{"version": "v1"}],
        },
    ],
}  # fmt: skip


def labels(model: str, tenant: str, version: str = "v1", **more: str) -> dict[str, str]:
    return {"model_name": model, "tenant_id": tenant, "model_version": version, **more}


SEEN = [
    labels("open", "acme"), labels("open", "globex", "v2"), labels("open", "globex", "v9"),
    labels("closed", "acme"), labels("closed", "globex"), labels("stray", "globex"),
]  # fmt: skip
MOVED = [
    labels("open", "__all__", kind="input", signal="age"),
    labels("open", "__all__", kind="input", signal='b "/$'),
    labels("open", "__all__", "v2", kind="output", signal="of v2"),
    labels("closed", "__all__", kind="input", signal="size"),
]
BURNING = [
    (labels("closed", "acme", slo="availability"), 20.0), (labels("open", "globex", slo="fast"), 7.0),
    (labels("open", "acme", slo="fast"), 1.5), (labels("open", "acme", slo="availability"), 3.0),
]  # fmt: skip


class Prometheus:
    """Answers the questions of triage; what belongs to tenants that a query does not name is left out."""

    def __init__(self) -> None:
        self.samples: dict[str, list[tuple[dict[str, str], float]]] = {
            "slo_burn_rate": BURNING,
            "signal_moved": [(of_signal, 0.4) for of_signal in MOVED],
            "invalid_observations": [(labels("open", "acme"), 12.0)],
            "budget": [({"tenant_id": "globex", "currency": "EUR"}, 1.25)],
            "requests_total": [(of_version, 3.0) for of_version in SEEN],
        }
        self.queries: list[str] = []

    def __call__(self, _path: str, form: Form) -> Reply:
        query = form["query"]
        self.queries.append(query)
        (samples,) = (samples for name, samples in self.samples.items() if name in query)
        names = [name for name in ("tenant_id", "model_name") if f"{name}=" in query]
        return vector_reply(
            *(sample for sample in samples if all(f'{name}="{sample[0][name]}"' in query for name in names))
        )


@pytest.fixture
def prometheus(upstream: FakePrometheus) -> Prometheus:
    answers = Prometheus()
    upstream.reply = answers
    return answers


@pytest.fixture
def plane(
    prometheus: Prometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    tmp_path: Path,
) -> FlaskClient:
    (tmp_path / "modelplane.yaml").write_text(json.dumps(REGISTRY))
    (tmp_path / "tokens.json").write_text(json.dumps({"tokens": TOKENS}))
    with_files = dataclasses.replace(
        settings, registry_file=tmp_path / "modelplane.yaml", token_file=tmp_path / "tokens.json"
    )
    client = make_client(with_files)
    for number, severity in enumerate(("warning", "critical")):
        fire(client, f"Alert{number}", severity)
    return client


def fire(client: FlaskClient, name: str, severity: str) -> None:
    of_alert = {**labels("open", "globex"), "alertname": name, "severity": severity}
    alert = {"status": "firing", "labels": of_alert, "annotations": {}, "fingerprint": name,
             "startsAt": "2023-10-27T09:50:00Z", "endsAt": "0001-01-01T00:00:00Z"}  # fmt: skip
    body = {"version": "4", "status": "firing", "receiver": "modelplane", "alerts": [alert]}
    response = client.post("/api/v1/alerts", json=body, headers={"Authorization": f"Bearer {ADMIN}"})
    assert response.status_code == 200, response.text


def answer(client: FlaskClient, path: str, token: str = ADMIN) -> Any:
    response = client.get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.json


def subjects(body: Any) -> list[tuple[str, str]]:
    return [(row["model_name"], row["tenant_id"]) for row in body["rows"]]


def test_the_worst_is_first_and_each_subject_is_one_row(plane: FlaskClient) -> None:
    body = answer(plane, "triage")
    assert [
        (row["model_name"], row["tenant_id"], row["severity"], row["reasons"]) for row in body["rows"]
    ] == [
        ("open", "globex", "critical", ["incident", "slo_burn"]),
        ("closed", "acme", "critical", ["slo_burn"]),
        ("closed", "__all__", "warning", ["drift"]),
        ("open", "__all__", "warning", ["drift"]),
        ("open", "acme", "info", ["slo_burn", "data_contract"]),
        ("", "globex", "info", ["budget"]),
        ("open", "quiet", "info", ["not_seen"]),
    ]
    assert (body["total"], body["query_time"]) == (7, "2023-10-27T10:00:00Z")
    assert NOW == 1_698_400_800


def test_a_row_says_what_is_found_and_where_to_go_on(plane: FlaskClient) -> None:
    rows = {(row["model_name"], row["tenant_id"]): row for row in answer(plane, "triage")["rows"]}
    first, whole = rows["open", "globex"], rows["open", "__all__"]
    assert first["alertnames"] == "Alert0, Alert1"
    assert answer(plane, f"incidents/{first['incident_id']}")["tenant_id"] == "globex"
    assert (first["owner"], first["production"], first["candidate"]) == ("vision", "v1", "v2")
    assert (whole["moved_signals"], whole["kind"], whole["signal"]) == (3, "input", "age")
    assert (rows["open", "acme"]["slo"], rows["open", "acme"]["burn_rate"]) == ("availability", 3.0)
    assert rows["open", "acme"]["invalid_observations"] == 12
    assert (rows["", "globex"]["budget_ratio"], rows["", "globex"]["currency"]) == (1.25, "EUR")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("tenant-id=acme", [("closed", "acme"), ("open", "acme")]),
        ("owner=speech", [("closed", "acme"), ("closed", "__all__")]),
        ("search=SPEECH&tenant-id=acme", [("closed", "acme")]),
        ("search=quie", [("open", "quiet")]),
        ("reason=budget&reason=not_seen", [("", "globex"), ("open", "quiet")]),
        ("limit=1&offset=1", [("closed", "acme")]),
        ("offset=100", []),
    ],
)
def test_rows_are_searched_and_paged(plane: FlaskClient, query: str, expected: list[Any]) -> None:
    assert subjects(answer(plane, f"triage?{query}")) == expected


def test_the_number_of_questions_does_not_grow_with_models(
    plane: FlaskClient, prometheus: Prometheus
) -> None:
    answer(plane, "triage")
    expected = [findings.BURNING, findings.MOVED, findings.INVALID, findings.SPENT_RATIO]
    expected.append(findings.seen_query())
    assert sorted(prometheus.queries) == sorted(expected)


def test_a_tenant_is_told_of_its_own_and_of_signals_that_it_may_see(plane: FlaskClient) -> None:
    body = answer(plane, "triage", TENANT)
    assert subjects(body) == [("closed", "acme"), ("open", "__all__"), ("open", "acme")]
    assert body["rows"][1]["moved_signals"] == 2  # version v2 serves others alone
    assert {(row["production"], row["candidate"]) for row in body["rows"]} == {("v1", "")}
    assert "globex" not in json.dumps(body)
    forbidden = plane.get("/api/v1/triage?tenant-id=globex", headers={"Authorization": f"Bearer {TENANT}"})
    assert forbidden.status_code == 403


def test_what_differs_from_the_registry_comes_first(plane: FlaskClient) -> None:
    body = answer(plane, "registry")
    rows = [(row["model_name"], row["model_version"], row["tenant_id"], row["state"]) for row in body["rows"]]
    assert rows == [
        ("open", "v1", "globex", "unseen"),
        ("open", "v1", "quiet", "unseen"),
        ("open", "v2", "acme", "unseen"),
        ("open", "v2", "quiet", "unseen"),
        ("open", "v9", "globex", "undeclared"),
        ("stray", "v1", "globex", "undeclared"),
        ("closed", "v1", "acme", "as declared"),
        ("closed", "v1", "globex", "as declared"),
        ("open", "v1", "acme", "as declared"),
        ("open", "v2", "globex", "as declared"),
    ]
    assert body["states"] == {"as declared": 4, "undeclared": 2, "unseen": 4}
    stray = answer(plane, "registry?search=stray")["rows"][0]
    assert (stray["stage"], stray["owner"], stray["framework"]) == ("", "", "")
    assert len(answer(plane, "registry?state=undeclared&limit=1")["rows"]) == 1


def test_a_tenant_reads_its_part_of_the_registry(plane: FlaskClient) -> None:
    body = answer(plane, "registry", TENANT)
    rows = [(row["model_name"], row["model_version"], row["tenant_id"]) for row in body["rows"]]
    # Version v2 of the first is declared, and called by others alone.
    assert rows == [("closed", "v1", "acme"), ("open", "v1", "acme")]


def test_without_a_registry_all_is_undeclared(client: FlaskClient, prometheus: Prometheus) -> None:
    body = client.get("/api/v1/registry").json
    assert body is not None
    assert body["states"] == {"as declared": 0, "undeclared": len(SEEN), "unseen": 0}
    assert body["warnings"] == [
        "The backend has no registry, so that nothing is declared: set registry_file."
    ]
    assert client.get("/api/v1/triage?reason=not_seen").json == {
        "query_time": "2023-10-27T10:00:00Z", "rows": [], "total": 0,
    }  # fmt: skip
