"""Each alert in ordinary and hostile situations: it fires, it does not, it ends. Evaluated by promtool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from alert_situations.building import HOUR, Expected, Situations, call_labels, labelled
from alert_situations.of_calls import CALLS
from alert_situations.of_planes import PLANES
from generations import Servers, available_servers
from modelplane_alerts.render import rule_files
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.alerts import ALERTS
from modelplane_schema.registry import parse_registry

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: user-A, budget: {amount: 100, currency: USD}}, {id: user-B}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    replicas: 2
    max_in_flight: 10
    versions: [{version: v1}, {version: v2, stage: canary}, {version: v3, stage: development}]
    slos:
      - {name: availability, objective: 0.99, indicator: {type: errors}}
      - {name: latency, objective: 0.99, indicator: {type: latency, threshold_seconds: 0.25}}
  - {name: plain, framework: jax, owner: research, tenants: [user-A], versions: [{version: v1}]}
devices:
  prices: [{device_type: h200, amount: 3.60, currency: USD, effective_from: 1970-01-01}]
""")
SITUATIONS = CALLS | PLANES
pytestmark = pytest.mark.slow
# Alerts whose own tests are elsewhere: those of drift, in test_drift_alert_rules.py.
ELSEWHERE = {alert.name for alert in ALERTS if alert.name.startswith("ModelSignal")}


# Hours are evaluated every minute; days every four, for a recorded value is found for less than five.
LONG_MINUTES = 6 * HOUR
INTERVALS = (
    "constantInterval", "replicaInterval", "sloInterval", "sloLongInterval", "sloPeriodInterval",
    "trafficInterval", "qualityInterval", "levelInterval", "tokenCostInterval", "signalBaselineInterval",
)  # fmt: skip
# Every rule is evaluated at every instant, so groups that a situation does not need are left out. Drift has
# situations of its own, and levels alert nobody.
DRIFT = ("modelplane-signal", "modelplane-drift", "modelplane-level")
NOT_OF_CALLS = (
    *DRIFT, "modelplane-latency", "modelplane-confidence", "modelplane-token-costs", "modelplane-slo-budget",
    "modelplane-quality-alerts", "modelplane-cost-alerts", "modelplane-plane-alerts",
)  # fmt: skip
NOT_OF_DAYS = (
    *DRIFT, "modelplane-latency", "modelplane-token-costs", "modelplane-slo-budget", "modelplane-cost-alerts",
    "modelplane-plane-alerts",
)  # fmt: skip
NOT_OF_PLANES = (*DRIFT, "modelplane-latency", "modelplane-slo-budget", "modelplane-slo-long")


def evaluate(
    servers: Servers,
    folder: Path,
    interval: str,
    situations: Situations,
    left_out: tuple[str, ...],
    **settings: object,
) -> str:
    """The complaints of promtool, or nothing."""
    config = {**dict.fromkeys(INTERVALS, interval), **settings}
    for name, text in rule_files(REGISTRY, config).items():
        groups = yaml.load(text, yaml.CSafeLoader)["groups"]
        kept = [group for group in groups if not group["name"].startswith(left_out)]
        (folder / name).write_text(yaml.safe_dump({"groups": kept}), encoding="utf-8")
    tests = [
        {
            "name": name,
            "interval": "1m",
            "input_series": [{"series": key, "values": values} for key, values in series.items()],
            "promql_expr_test": [expected.as_test() for expected in expectations],
        }
        for name, (series, expectations) in situations.items()
    ]
    files = sorted(path.name for path in folder.glob("modelplane-*.yml"))
    content = {"rule_files": files, "evaluation_interval": interval, "tests": tests}
    (folder / "situations.yml").write_text(yaml.safe_dump(content, width=1_000_000), encoding="utf-8")
    done = subprocess.run(
        [servers.promtool, "test", "rules", "situations.yml"],
        cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    return "" if done.returncode == 0 else done.stdout + done.stderr


def chosen(situations: Situations, *, long: bool) -> Situations:
    return {
        name: (series, expectations)
        for name, (series, expectations) in situations.items()
        if (max(expected.minute for expected in expectations) > LONG_MINUTES) == long
    }


@pytest.fixture
def newest() -> Servers:
    """One generation is enough for what rules conclude; that both take them is tested with the rules."""
    return available_servers()[-1]


def test_situations_of_calls(newest: Servers, tmp_path: Path) -> None:
    complaints = evaluate(newest, tmp_path, "1m", chosen(CALLS, long=False), NOT_OF_CALLS)
    assert not complaints, complaints


def test_situations_of_planes(newest: Servers, tmp_path: Path) -> None:
    complaints = evaluate(newest, tmp_path, "1m", chosen(PLANES, long=False), NOT_OF_PLANES)
    assert not complaints, complaints


def test_situations_of_days(newest: Servers, tmp_path: Path) -> None:
    complaints = evaluate(newest, tmp_path, "4m", chosen(SITUATIONS, long=True), NOT_OF_DAYS)
    assert not complaints, complaints


def converted(fast: int, slow: int, **labels: str) -> dict[str, str]:
    """A histogram with bounds at 0.25 and 10 s, as Prometheus 3 converts it; it grows by so many a minute."""
    bounds = "schema:-53 custom_values:[0.25 10]"
    start = f"{{{{{bounds} count:0 sum:0 buckets:[0 0 0]}}}}"
    growth = f"{{{{{bounds} count:{fast + slow} sum:0 buckets:[{fast} 0 {slow}]}}}}"
    return {labelled("model_inference_latency_seconds", **call_labels(**labels)): f"{start}+{growth}x60"}


def test_latency_of_native_histograms(newest: Servers, tmp_path: Path) -> None:
    if newest.generation == "installed":
        pytest.skip("Prometheus 2 converts no histograms")
    situations: Situations = {
        "converted": (
            {
                **converted(60, 40),
                **converted(100, 0, tenant_id="user-B"),
                **converted(60, 40, model_name="plain"),
            },
            [
                Expected(30, "ModelSloBurn", 1, tenant_id="user-A"),
                Expected(30, "ModelSloBurn", 0, tenant_id="user-B"),
                Expected(30, "ModelLatencyHigh", 1, tenant_id="user-A"),
            ],
        )
    }
    complaints = evaluate(newest, tmp_path, "1m", situations, NOT_OF_CALLS, nativeHistograms=True)
    assert not complaints, complaints
    assert evaluate(newest, tmp_path, "1m", situations, NOT_OF_CALLS), "rules for buckets see nothing"


def test_every_alert_has_a_situation_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    expectations = [expected for _, several in SITUATIONS.values() for expected in several]
    firing = {expected.alert for expected in expectations if expected.instances}
    silent = {expected.alert for expected in expectations if not expected.instances}
    always = {"Watchdog"}
    assert firing == {alert.name for alert in ALERTS} - ELSEWHERE
    assert silent == firing - always
