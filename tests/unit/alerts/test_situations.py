"""Each alert in ordinary and hostile situations: it fires, it does not, it ends. Evaluated by promtool."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from alert_situations.building import HOUR, Expected, Series, call_labels, labelled
from alert_situations.of_calls import CALLS
from alert_situations.of_planes import PLANES
from generations import Servers, available_servers
from modelplane_alerts.render import rule_files
from modelplane_schema.alerts import ALERTS
from modelplane_schema.registry import parse_registry
from promtool import complaints
from rule_groups import groups_behind, groups_of

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


@cache
def groups(interval: str, **settings: object) -> list[dict[str, Any]]:
    return groups_of(rule_files(REGISTRY, {**dict.fromkeys(INTERVALS, interval), **settings}))


def evaluate(
    servers: Servers, folder: Path, series: Series, expectations: Sequence[Expected], **settings: object
) -> str:
    """The complaints of promtool, or nothing."""
    is_long = max(expected.minute for expected in expectations) > LONG_MINUTES
    interval = "4m" if is_long else "1m"
    needed = groups_behind(groups(interval, **settings), {expected.alert for expected in expectations})
    test = {
        "interval": "1m",
        "input_series": [{"series": key, "values": values} for key, values in series.items()],
        "promql_expr_test": [expected.as_test() for expected in expectations],
    }
    content = {"evaluation_interval": interval, "tests": [test]}
    return complaints(servers.promtool, folder, needed, content)


@pytest.fixture
def newest() -> Servers:
    """One generation is enough for what rules conclude; that both take them is tested with the rules."""
    return available_servers()[-1]


@pytest.mark.parametrize("name", SITUATIONS)
def test_situation(newest: Servers, tmp_path: Path, name: str) -> None:
    assert evaluate(newest, tmp_path, *SITUATIONS[name]) == ""


def converted(fast: int, slow: int, **labels: str) -> dict[str, str]:
    """A histogram with bounds at 0.25 and 10 s, as Prometheus 3 converts it; it grows by so many a minute."""
    bounds = "schema:-53 custom_values:[0.25 10]"
    start = f"{{{{{bounds} count:0 sum:0 buckets:[0 0 0]}}}}"
    growth = f"{{{{{bounds} count:{fast + slow} sum:0 buckets:[{fast} 0 {slow}]}}}}"
    return {labelled("model_inference_latency_seconds", **call_labels(**labels)): f"{start}+{growth}x60"}


def test_latency_of_native_histograms(newest: Servers, tmp_path: Path) -> None:
    if newest.generation == "installed":
        pytest.skip("Prometheus 2 converts no histograms")
    series = {
        **converted(60, 40),
        **converted(100, 0, tenant_id="user-B"),
        **converted(60, 40, model_name="plain"),
    }
    expectations = [
        Expected(30, "ModelSloBurn", 1, tenant_id="user-A"),
        Expected(30, "ModelSloBurn", 0, tenant_id="user-B"),
        Expected(30, "ModelLatencyHigh", 1, tenant_id="user-A"),
    ]
    assert evaluate(newest, tmp_path, series, expectations, nativeHistograms=True) == ""
    assert evaluate(newest, tmp_path, series, expectations), "rules for buckets see nothing"


def test_every_alert_has_a_situation_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    expectations = [expected for _, several in SITUATIONS.values() for expected in several]
    firing = {expected.alert for expected in expectations if expected.instances}
    silent = {expected.alert for expected in expectations if not expected.instances}
    always = {"Watchdog"}
    assert firing == {alert.name for alert in ALERTS} - ELSEWHERE
    assert silent == firing - always
