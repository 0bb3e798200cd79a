"""Policies of shared cost: the operator chooses, so that no tenant learns what others use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from datasource_support.cost_series import ADMIN, RANGE, READER, START, TENANT, series
from datasource_support.route_walk import bearer
from modelplane_datasource.costs.ledger.allocation import IDLE_POLICIES, SHARED_POLICIES
from modelplane_datasource.settings import TABLE

HOUR_IN_GRAFANA = {"from": "2023-10-27T09:00:00Z", "to": "2023-10-27T10:00:00Z"}


def in_grafana(client: FlaskClient, token: str, payload: dict[str, str]) -> TestResponse:
    targets = [{"refId": "A", "target": "cost", "payload": payload}]
    body = {"range": HOUR_IN_GRAFANA, "targets": targets}
    return client.post("/grafana/query", json=body, headers=bearer(token))


def every_answer(client: FlaskClient, token: str, **policies: str) -> dict[str, TestResponse]:
    """Of every route that says what something costs, by these policies."""
    named = "".join(f"&{name}={policy}" for name, policy in policies.items())
    paths = (
        "costs?", "costs?format=csv&", "costs?format=focus&", "metrics/cost?step=1h&", "rows/cost?step=1h&",
    )  # fmt: skip
    answers = {path: client.get(f"/api/v1/{path}{RANGE}{named}", headers=bearer(token)) for path in paths}
    return {**answers, "grafana": in_grafana(client, token, policies)}


@pytest.mark.slow
@pytest.mark.parametrize("token", [TENANT, READER])
@pytest.mark.parametrize(
    ("name", "policy", "setting"),
    [
        ("idle", "proportional", "idle_policy"),
        ("idle", "even", "idle_policy"),
        ("shared", "scale", "shared_policy"),
    ],
)
def test_a_tenant_that_names_another_policy_is_refused_with_a_sentence(
    make_plane: Callable[..., FlaskClient], token: str, name: str, policy: str, setting: str
) -> None:
    client = make_plane()
    for path, answer in every_answer(client, token, **{name: policy}).items():
        body = answer.json
        assert body is not None
        assert (answer.status_code, body["error"]) == (403, "forbidden"), path
        assert body["message"].endswith(
            f"{name}={policy} would tell what other tenants use; allowed for this token: keep, "
            f"which is the server's setting {setting}."
        )
        assert body["details"]["parameter"] == name
        assert body["details"]["allowed"] == ["keep"]


@pytest.mark.slow
@pytest.mark.parametrize(("policy", "charged"), [("keep", 1.8), ("proportional", 2.4), ("even", 2.25)])
def test_a_tenant_is_charged_by_the_operators_policy(
    make_plane: Callable[..., FlaskClient], policy: str, charged: float
) -> None:
    client = make_plane(idle_policy=policy)
    for named in ({}, {"idle": policy}):
        answers = every_answer(client, TENANT, **named)
        assert {answer.status_code for answer in answers.values()} == {200}
        body = answers["costs?"].json
        assert body is not None
        assert sum(float(row["amount"]) for row in body["rows"]) == pytest.approx(charged)
        assert (body["idle"], body["shared"]) == (policy, "keep")
        assert f"idle-{policy}-shared-keep" in answers["costs?format=focus&"].text
    other = "even" if policy == "keep" else "keep"
    assert every_answer(client, TENANT, idle=other)["costs?"].status_code == 403


def test_an_operator_gets_the_policy_that_is_set_and_may_name_any(
    make_plane: Callable[..., FlaskClient],
) -> None:
    client = make_plane(idle_policy="even", shared_policy="scale")
    default = client.get(f"/api/v1/costs?{RANGE}", headers=bearer(ADMIN)).json
    assert default is not None
    assert (default["idle"], default["shared"]) == ("even", "scale")
    for idle in IDLE_POLICIES:
        for shared in SHARED_POLICIES:
            path = f"/api/v1/costs?{RANGE}&idle={idle}&shared={shared}"
            body = client.get(path, headers=bearer(ADMIN)).json
            assert body is not None
            assert (body["idle"], body["shared"]) == (idle, shared)


@pytest.mark.slow
def test_a_forecast_is_made_by_the_policy_that_is_set(make_plane: Callable[..., FlaskClient]) -> None:
    spent = {}
    for policy in ("keep", "proportional"):
        path = f"/api/v1/costs/forecast?to={(START + 3600) * 1000}"
        body = make_plane(idle_policy=policy).get(path, headers=bearer(TENANT)).json
        assert body is not None
        assert (body["idle"], body["shared"]) == (policy, "keep")
        (row,) = body["rows"]
        spent[policy] = row["spent"]
    assert spent["proportional"] > spent["keep"]


@pytest.mark.slow
def test_what_a_tenant_is_charged_by_default_does_not_depend_on_others(
    make_plane: Callable[..., FlaskClient], stored_series: list[dict[str, Any]]
) -> None:
    """Whatever the other one uses of the device, above its time included."""
    answers = set()
    for others in (0.0, 0.125, 0.5, 0.9):
        stored_series[1:] = [series("user-B", others)]
        client = make_plane()
        answers.add("".join(answer.text for answer in every_answer(client, TENANT).values()))
    assert len(answers) == 1


def test_the_settings_allow_what_the_ledger_knows() -> None:
    for name, policies in (("idle_policy", IDLE_POLICIES), ("shared_policy", SHARED_POLICIES)):
        (setting,) = (setting for setting in TABLE if setting.name == name)
        assert [setting.read("here", policy) for policy in policies] == list(policies)
        assert setting.default == "keep"
        for policy in policies:
            assert policy in setting.kind.allowed
