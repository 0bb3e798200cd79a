"""What ``modelplane doctor`` makes of a Prometheus' answers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from modelplane_provisioning.checks import Parts, check_rules
from modelplane_schema.registry import Registry, parse_registry


class PrometheusDouble:
    """Answers for one rule of a group that is evaluated every minute."""

    def __init__(self, health: str, age_seconds: float, error: str = "") -> None:
        rule = {"name": "modelplane:x:rate5m", "health": health, "lastError": error}
        loaded = datetime.now(UTC) - timedelta(seconds=age_seconds)
        self._answers = {
            "/api/v1/rules": {"groups": [{"interval": 60, "rules": [rule]}]},
            "/api/v1/status/runtimeinfo": {"lastConfigTime": loaded.isoformat()},
        }

    def get(self, path: str) -> dict[str, Any]:
        return {"data": self._answers[path]}


class PartsDouble:
    def __init__(self, prometheus: PrometheusDouble) -> None:
        self.prometheus = prometheus


@pytest.fixture
def registry() -> Registry:
    return parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: a}]
models: [{name: m, framework: jax, owner: o, tenants: [a], versions: [{version: v1}]}]
""")


@pytest.mark.parametrize(
    ("health", "age_seconds", "summary", "problems"),
    [
        ("ok", 5, "1 rules", 0),
        ("unknown", 5, "1 rules, 1 wait for their first evaluation", 0),
        ("unknown", 121, "1 rules", 1),
        ("err", 5, "1 rules", 1),
    ],
)
def test_a_rule_may_wait_for_its_first_evaluation_twice_its_interval(
    registry: Registry, health: str, age_seconds: float, summary: str, problems: int
) -> None:
    parts = cast(Parts, PartsDouble(PrometheusDouble(health, age_seconds, "bad" if health == "err" else "")))
    finding = check_rules(parts, registry)
    assert finding.summary == summary
    assert len(finding.problems) == problems
    assert all("modelplane:x:rate5m" in problem for problem in finding.problems)
