"""Our conventions hold for every rule, and each one that is broken is told with its place and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from modelplane_alerts.checks.conventions import MOST_RULES, Scope, problems, registry_problems
from modelplane_alerts.checks.labels import LabelFlow
from modelplane_alerts.checks.syntax_tree import parse
from modelplane_alerts.render import DEMO_CONFIG
from modelplane_schema.registry import load_registry

EXAMPLE = load_registry(Path(__file__).parents[3] / "examples" / "modelplane.yaml")
SCOPE = Scope(("cluster",))
RECORD: dict[str, Any] = {
    "record": "modelplane:failures:rate5m",
    "expr": "sum by (cluster, model_name, model_version, tenant_id, framework) "
            '(rate(model_inference_requests_total{outcome="failure"}[5m]))',
}  # fmt: skip
ALERT: dict[str, Any] = {
    "alert": "DataContract",
    "expr": "sum by (cluster, model_name, model_version, reason) "
            "(increase(model_invalid_observations_total[1h])) > 20",
    "labels": {"severity": "warning", "audience": "owner"},
    "annotations": {
        "summary": "Calls break the contract.",
        "description": "{{ $value }} calls of {{ $labels.model_name }} ({{ $labels.reason }}).",
        "runbook_url": "https://x", "dashboard_url": "https://y",
    },
}  # fmt: skip


def told(*rules: dict[str, Any], scope: Scope = SCOPE, group: str = "g") -> list[str]:
    content = {"groups": [{"name": group, "rules": list(rules)}]}
    return [str(problem) for problem in problems({"f.yml": yaml.safe_dump(content)}, scope)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        {}, {**DEMO_CONFIG, "clusterLabels": [], "nativeHistograms": True, "keepFiringFor": True},
        {"clusterLabels": ["zone", "region"], "selector": 'job=~"a|b", team!=""', "planeSelector": "job='x'",
         "signalWindows": {"12h": "2m", "1d": None}},
    ],
    ids=["as it is", "other forms", "other labels and windows"],
)  # fmt: skip
def test_rules_keep_every_convention(config: dict[str, Any]) -> None:
    assert [str(problem) for problem in registry_problems(EXAMPLE, config)] == []


def test_nothing_is_told_of_rules_in_order() -> None:
    assert told(RECORD, ALERT) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": "failures:rate5m"}, "must be named modelplane:<what>:<operation><window>"),
        ({"record": "modelplane:other:rate5m"}, "is not declared in modelplane_schema.recorded; declare it"),
        ({"expr": "sum by (a"}, "is no PromQL"),
        ({"expr": "sum by (cluster, model_name) (up)"}, "`sum by` names model_name, which nothing"),
        ({"expr": "rate(node_cpu_seconds_total[5m])"}, "reads node_cpu_seconds_total, which neither"),
        ({"expr": RECORD["expr"].replace("cluster, ", "")}, "lacks the labels cluster, which"),
        ({"expr": RECORD["expr"].replace("framework", "outcome")}, "has the labels outcome, which its"),
        ({"expr": RECORD["expr"].replace("rate(", "irate(")}, "reads a range by irate"),
        ({"expr": "sum without (job) (model_active_inference_requests)"}, "aggregates `without` labels"),
        ({"expr": RECORD["expr"].replace("outcome=", "result=")}, "a matcher on model_inference_requests"),
        ({"expr": "{job='models'}"}, "reads series without a name"),
    ],
)  # fmt: skip
def test_a_recording_rule_that_breaks_one(change: dict[str, str], message: str) -> None:
    (problem, *_) = [text for text in told({**RECORD, **change}) if message in text]
    name = change.get("record", RECORD["record"])
    assert problem.startswith(f"f.yml, group g, rule 1 ({name}): ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alert": "data_contract"}, "must be named in CamelCase"),
        ({"alert": "DataContract" + "Broken" * 6}, "with at most 40 characters"),
        ({"alert": "Other"}, "is not declared in modelplane_schema.alerts"),
        ({"labels": {"severity": "page", "audience": "owner"}}, "needs the label severity, one of critical"),
        ({"labels": {"severity": "warning", "audience": "tenant"}}, "needs the label audience, one of owner"),
        ({"summary": "Calls of {{ $labels.model_name }} break it."}, "needs a summary that is the same"),
        ({"summary": "no sentence"}, "needs a summary that is the same"),
        ({"description": "Calls break it: $value."}, "needs a description that says of whom"),
        ({"description": "Calls of {{ $labels.model_name }} break it."}, "needs {{ $value }} in its"),
        ({"description": "{{ $value }} of {{ $labels.tenant_id }}"}, "tells of tenant_id, which"),
        ({"runbook_url": ""}, "needs the annotation runbook_url"),
        ({"expr": ALERT["expr"].replace("cluster, ", "")}, "loses cluster, so that a cluster that is well"),
        ({"expr": "model_invalid_observations_total / modelplane:failures:rate5m"}, "different ages"),
    ],
)  # fmt: skip
def test_an_alert_that_breaks_one(change: dict[str, Any], message: str) -> None:
    texts = {key: value for key, value in change.items() if key in ALERT["annotations"]}
    rule = {**ALERT, "annotations": {**ALERT["annotations"], **texts}}
    rule |= {key: value for key, value in change.items() if key not in texts}
    (problem,) = [text for text in told(RECORD, rule) if message in text]
    assert problem.startswith(f"f.yml, group g, rule 2 ({rule['alert']}): ")


def test_selectors_are_to_be_on_every_series() -> None:
    scope = Scope(("cluster",), 'job="models"', 'team="x"')
    down = {**ALERT, "alert": "TargetDown", "expr": "count by (cluster, job) (up == 0)"}
    for rule, series, setting in (
        (RECORD, "model_inference_requests_total", "selector"),
        (down, "up", "planeSelector"),
    ):
        assert any(
            f"reads {series} without the matchers of alerts.{setting}" in text
            for text in told(rule, scope=scope)
        )
    limited = {**RECORD, "expr": RECORD["expr"].replace('"failure"', '"failure", job="models"')}
    assert told(limited, scope=scope) == []


def test_groups_are_small_but_for_constants() -> None:
    many = [RECORD] * (MOST_RULES + 1)
    assert told(*many)[0].startswith(f"f.yml, group g: has {MOST_RULES + 1} rules")
    assert told(*many, group="modelplane-config") == []


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("a", "x y"), ("rate(a[5m])", "x y"), ("1", ""), ("vector(1)", ""), ("-a", "x y"),
        ("sum by (x) (a)", "x"), ("sum(a)", ""), ("a + 1", "x y"), ("1 + a", "x y"), ("a > 1", "x y"),
        ("a * on (x) group_left (z) b", "x y z"), ("b * on (x) group_right (z) a", "x y z"),
        ("a / on (x) b", "x"), ("a / b", "x"), ("a and on (x) b", "x y"), ("a or b", "x y z"),
        ("max_over_time(a[1h:5m])", "x y"), ('label_replace(a, "n", "$1", "x", "(.*)")', "n x y"),
        ("histogram_quantile(0.5, sum by (x, le) (h))", "x"), ("a * scalar(b)", "x y"),
    ],
)  # fmt: skip
def test_the_labels_of_a_result(text: str, labels: str) -> None:
    known = {"a": "x y", "b": "x z", "h": "x le"}
    flow = LabelFlow(lambda name: frozenset(known[name].split()))
    assert flow.result(parse(text)) == frozenset(labels.split())
    assert [problem for problem in flow.problems if "group" not in problem] == []
