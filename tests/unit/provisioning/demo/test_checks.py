"""The demo says who was told: of drift the owner, of failures the tenants in the stories, and no others."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from modelplane_provisioning.demo import checks
from modelplane_provisioning.demo.checks import Told
from modelplane_provisioning.doctor.finding import Finding
from modelplane_provisioning.past.stories import Change, Story
from modelplane_schema.registry import parse_registry
from provisioning_support.told_model import END, MODEL, STORY, chapter, effect

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: north}, {id: south}, {id: east}]
models:
  - {name: drifting, framework: jax, owner: vision, tenants: [north, south], versions: [{version: v1}]}
  - {name: failing, framework: jax, owner: retail, tenants: [north, south], versions: [{version: v1}]}
""")
QUIET = chapter("quiet", 6.0)
CHANGE = Change(signal="age", times=2.0, plus=0.0)
STORIES: Mapping[str, Story] = {
    "drifting": STORY.model_copy(
        update={"chapters": (QUIET, chapter("drift", 1.0, effect("", "", 0.0, 0.0, CHANGE)))}
    ),
    "failing": STORY.model_copy(update={"chapters": (QUIET, chapter("bad", 1.0, effect("south", "", 0.3)))}),
}
TOLD = Told(STORIES, END)


def alert(name: str, at: int = END, **labels: str) -> dict[str, Any]:
    return {"alertname": name, "starts_at": at, "ends_at": None, "labels": labels}


DRIFT = alert("ModelSignalDrift", model_name="drifting", owner="vision")
BURN = alert("ModelSloBurn", model_name="failing", tenant_id="south", slo="availability")


@pytest.fixture(autouse=True)
def _nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelplane_provisioning.demo.checks._PEOPLE_SECONDS", 0)


def parts(*alerts: dict[str, Any]) -> Any:
    return SimpleNamespace(
        backend=SimpleNamespace(get=lambda path, query: {"alerts": list(alerts)}),
        prometheus=None,
        registry=REGISTRY,
    )


def people(*alerts: dict[str, Any], told: Told = TOLD) -> Finding:
    return checks.check_people(told, parts(*alerts))


def test_owners_and_tenants_of_the_stories_are_told() -> None:
    finding = people(DRIFT, BURN, alert("ModelDown"))
    assert (finding.ok, finding.summary) == (True, "drift: vision; failures: south")


NOT_DRIFT = "'vision' was not told of drift of 'drifting' by ModelSignalDrift or ModelSignalFarFromBaseline"
NOT_BURN = "'south' was not told of failures of 'failing' by ModelSloBurn or ModelSloBurnSlow"


@pytest.mark.parametrize(
    ("alerts", "problems"),
    [
        ([], [NOT_DRIFT, NOT_BURN]),
        ([BURN], [NOT_DRIFT]),
        ([DRIFT], [NOT_BURN]),
        ([DRIFT, {**BURN, "starts_at": END - 1}], [NOT_BURN]),
        (
            [DRIFT, BURN, alert("ModelSloBurn", model_name="failing", tenant_id="north", slo="availability")],
            ["'north' was told of failures of 'failing', which is none of theirs"],
        ),
        (
            [DRIFT, BURN, alert("ModelSignalDrift", model_name="failing", owner="retail")],
            ["'retail' was told of drift of 'failing', which is none of theirs"],
        ),
        (
            [DRIFT, BURN, alert("ModelSignalDrift", model_name="drifting")],
            ["'' was told of drift of 'drifting', which is none of theirs"],
        ),
        ([DRIFT, BURN, alert("ModelSloBurn", model_name="failing", tenant_id="north", slo="latency")], []),
    ],
)
def test_what_is_missing_or_went_to_others(alerts: list[dict[str, Any]], problems: list[str]) -> None:
    assert [problem.text for problem in people(*alerts).problems] == problems


def test_nobody_need_be_told_of_what_befalls_no_model_that_runs() -> None:
    quiet = dict.fromkeys(STORIES, STORY.model_copy(update={"chapters": (QUIET,)}))
    finding = people(told=Told(quiet, END))
    assert (finding.ok, finding.summary) == (True, "drift: none; failures: none")


def past(monkeypatch: pytest.MonkeyPatch, absent: str = "") -> tuple[Finding, list[str]]:
    expressions: list[str] = []

    def query(prometheus: object, expression: str) -> list[int]:
        expressions.append(expression)
        return [] if absent and absent in expression else [1]

    monkeypatch.setattr(checks, "prometheus_query", query)
    over = alert("ModelSloBurn", at=END - 9000) | {"ends_at": END - 1}
    return checks.check_past(Told({MODEL: STORY}, END), parts(over, BURN)), expressions


def test_the_past_holds_drift_burn_and_deploy(monkeypatch: pytest.MonkeyPatch) -> None:
    finding, expressions = past(monkeypatch)
    assert finding.ok
    assert finding.summary == (
        "drift of pricing in age; burn of pricing for south; deploy of pricing v2; 1 alert that is over"
    )
    window = "[10800s] @ 1800000000.000"
    assert expressions == [
        f'max_over_time(modelplane:signal_psi:1h{{model_name="pricing",signal="age"}}{window}) > 0.25',
        f'max_over_time(modelplane:slo_burn_rate:1h{{model_name="pricing",tenant_id="south"}}{window}) > 6.0',
        'model_info{model_name="pricing",model_version="v2"} @ 1799997000.000 unless on (model_version) '
        'model_info{model_name="pricing"} @ 1799995800.000',
    ]


@pytest.mark.parametrize("absent", ["psi", "burn", "model_info"])
def test_what_the_past_lacks_is_a_problem(monkeypatch: pytest.MonkeyPatch, absent: str) -> None:
    finding, _ = past(monkeypatch, absent)
    assert len(finding.problems) == 1
    assert absent in finding.problems[0].text
