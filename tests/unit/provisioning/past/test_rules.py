"""In which order and how often rules are evaluated over a past."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelplane_alerts.render import DEMO_CONFIG, rule_files
from modelplane_provisioning.past.rules import Rule, levels, read_rules
from modelplane_schema.registry import load_registry

EXAMPLES = load_registry(Path(__file__).parents[4] / "examples" / "modelplane.yaml")
STALE_SECONDS = 300
FILE = """
groups:
  - name: fast
    interval: 4s
    rules:
      - {record: "a:b:c", expr: "sum(raw)", labels: {window: 1h}}
      - {record: "a:b:d", expr: "a:b:c / on () group_left () raw"}
      - alert: High
        expr: "a:b:d > 1"
        for: 1m30s
        labels: {severity: critical}
        annotations: {summary: It is high.}
  - name: hourly
    interval: 1h
    rules: [{record: "a:b:e", expr: "a:b:d"}]
  - name: without
    rules: [{record: "a:b:f", expr: "raw"}]
"""


def test_rules_are_read_with_their_labels_and_times() -> None:
    rules = {rule.name: rule for rule in read_rules([FILE])}
    assert rules["a:b:c"] == Rule("a:b:c", "sum(raw)", {"window": "1h"}, 120, None, {})
    assert rules["High"] == Rule(
        "High", "a:b:d > 1", {"severity": "critical"}, 120, 90, {"summary": "It is high."}
    )
    assert (rules["a:b:e"].seconds, rules["a:b:f"].seconds) == (3600, 120)


def test_records_come_after_what_they_read_and_alerts_last() -> None:
    named = [[rule.name for rule in level] for level in levels(read_rules([FILE]))]
    assert named == [["a:b:c", "a:b:f"], ["a:b:d"], ["a:b:e"], ["High"]]


def test_records_that_read_each_other_are_refused() -> None:
    circle = [Rule(name, other, {}, 120, None, {}) for name, other in (("a", "b"), ("b", "a"))]
    with pytest.raises(ValueError, match="these records read each other: a, b"):
        levels(circle)


@pytest.mark.slow
def test_the_examples_rules_have_an_order_and_leave_no_gaps() -> None:
    rules = read_rules(rule_files(EXAMPLES, DEMO_CONFIG).values())
    ordered = levels(rules)
    assert sum(map(len, ordered)) == len(rules) > 200
    assert all(rule.waits is not None for rule in ordered[-1])
    slow = {rule.name for rule in rules if rule.seconds >= STALE_SECONDS}
    assert all("hourly" in name for name in slow)
