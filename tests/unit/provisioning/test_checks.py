"""What ``modelplane doctor`` makes of a Prometheus' answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from modelplane_provisioning.checks import Parts, check_grafana, check_histograms, check_rules
from modelplane_provisioning.plane import PlaneError
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


class QueriedPrometheus:
    """Answers each query with a vector of the jobs that ``jobs_of`` names."""

    def __init__(self, jobs_of: Callable[[str], Sequence[str]]) -> None:
        self._jobs_of = jobs_of

    def get(self, path: str, params: Mapping[str, str]) -> dict[str, Any]:
        assert path == "/api/v1/query"
        result = [{"metric": {"job": job}, "value": [0, "1"]} for job in self._jobs_of(params["query"])]
        return {"data": {"result": result}}


class PartsDouble:
    def __init__(self, prometheus: PrometheusDouble | QueriedPrometheus) -> None:
        self.prometheus = prometheus


class GrafanaDouble:
    """Has every board; ``changed`` holds other answers, and None for a path that fails."""

    def __init__(self, changed: Mapping[str, Any]) -> None:
        self._answers = {SETTINGS: ENABLED, IDENTITY: {**WHO, "user": {"name": "admin"}}, **changed}

    def get(self, path: str, auth: tuple[str, str]) -> Any:
        assert auth == ("admin", "secret")
        answer = self._answers.get(path, {})
        if answer is None:
            raise PlaneError(f"Grafana answered {path} with status 500")
        return answer


class GrafanaParts:
    def __init__(self, changed: Mapping[str, Any]) -> None:
        self.grafana = GrafanaDouble(changed)
        self.grafana_login = ("admin", "secret")


SETTINGS = "/api/plugins/modelplane-monitoring-app/settings"
IDENTITY = "/api/datasources/proxy/uid/modelplane/read/identity"
ENABLED = {"enabled": True, "info": {"version": "0.1.0"}}
WHO = {"version": "0.1.0", "name": "grafana", "role": "grafana", "user": None}


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


def test_histograms_without_buckets_are_a_problem_that_names_the_job(registry: Registry) -> None:
    def converted(query: str) -> Sequence[str]:
        return ["vision"] if "model_inference_latency_seconds unless" in query else []

    finding = check_histograms(cast(Parts, PartsDouble(QueriedPrometheus(converted))), registry)
    (problem,) = finding.problems
    assert problem.startswith("model_inference_latency_seconds of job 'vision' is stored as native")
    assert "always_scrape_classic_histograms: true" in problem
    healthy = check_histograms(cast(Parts, PartsDouble(QueriedPrometheus(lambda _query: ()))), registry)
    assert (healthy.ok, healthy.summary) == (True, "2 histograms")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, None),
        ({IDENTITY: {**WHO, "role": "reader"}}, None),
        ({IDENTITY: WHO}, "idForwarding"),
        ({SETTINGS: {**ENABLED, "enabled": False}}, "is not enabled"),
        ({SETTINGS: {**ENABLED, "info": {"version": "0.0.9"}}}, "version 0.0.9 of the plugin"),
        ({SETTINGS: None}, f"Grafana answered {SETTINGS} with status 500"),
        ({IDENTITY: None}, f"Grafana answered {IDENTITY} with status 500"),
        ({"/api/dashboards/uid/mp-model": None}, "mp-model with status 500"),
    ],
)
def test_grafana_has_boards_and_the_plugin_which_reads_as_somebody(
    registry: Registry, changed: Mapping[str, Any], problem: str | None
) -> None:
    finding = check_grafana(cast(Parts, GrafanaParts(changed)), registry)
    assert len(finding.problems) == (problem is not None)
    assert all(problem in told for told in finding.problems if problem)
