"""The demo says who was told: of drift the owner, of failures the tenants, and nobody of others' models."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from modelplane_provisioning import demo
from modelplane_provisioning.checks import Finding
from modelplane_schema.registry import parse_registry

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: north}, {id: south}]
models:
  - {name: a, framework: jax, owner: vision, tenants: [north], versions: [{version: v1}]}
  - {name: b, framework: jax, owner: retail, tenants: [north, south], versions: [{version: v1}]}
""")
DRIFT = {"alertname": "ModelSignalDrift", "labels": {"model_name": "a", "owner": "vision"}}
BURN = {"alertname": "ModelSloBurn", "labels": {"model_name": "b", "tenant_id": "south"}}


@pytest.fixture(autouse=True)
def _nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelplane_provisioning.demo._PEOPLE_SECONDS", 0)


def verdict(*alerts: dict[str, Any]) -> Finding:
    parts: Any = SimpleNamespace(
        backend=SimpleNamespace(get=lambda path, query: {"alerts": list(alerts)}),
    )
    return demo.check_people(parts, REGISTRY)


def test_owners_and_tenants_of_the_models_are_told() -> None:
    finding = verdict(DRIFT, BURN, {**BURN, "alertname": "ModelDown", "labels": {}})
    assert (finding.ok, finding.summary) == (True, "drift: vision; failures: south")


@pytest.mark.parametrize(
    ("alerts", "problem"),
    [
        ([BURN], "nobody was told of drift by ModelSignalDrift or ModelSignalFarFromBaseline"),
        ([DRIFT], "nobody was told of failures by ModelSloBurn or ModelSloBurnSlow"),
        (
            [DRIFT, {**BURN, "labels": {"model_name": "a", "tenant_id": "south"}}],
            "'south' was told of failures of 'a', which is not theirs",
        ),
        (
            [BURN, {**DRIFT, "labels": {"model_name": "b", "owner": "vision"}}],
            "'vision' was told of drift of 'b', which is not theirs",
        ),
        (
            [BURN, {**DRIFT, "labels": {"model_name": "a"}}],
            "'' was told of drift of 'a', which is not theirs",
        ),
    ],
)
def test_what_is_missing_or_went_to_others(alerts: list[dict[str, Any]], problem: str) -> None:
    assert verdict(*alerts).problems == (problem,)
