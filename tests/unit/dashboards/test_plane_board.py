"""The board of the plane: series of other servers that it reads, and what it says of faults."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from dashboards_support.panels import check, expressions, read_series, series
from generations import Servers
from modelplane_dashboards.boards.plane import plane
from modelplane_dashboards.kit.board import PromQuery
from modelplane_dashboards.kit.context import BoardContext
from modelplane_datasource.observability.telemetry import Telemetry
from modelplane_schema.plane_series import PLANE_SERIES, TARGET

ROOT = Path(__file__).parents[3]
CLUSTERLESS = BoardContext(clusters=())


def test_the_plane_reads_every_series_that_is_declared_for_it() -> None:
    names = {name.removesuffix("_bucket") for name in read_series(plane(CLUSTERLESS))}
    assert {metric.name for metric in PLANE_SERIES} <= names


def test_what_alerts_of_the_plane_read_is_declared() -> None:
    mixin = ROOT / "alerts" / "modelplane_alerts" / "mixin" / "alerts" / "plane.libsonnet"
    text = mixin.read_text(encoding="utf-8")
    names = set(re.findall(r"'((?:prometheus|alertmanager|vmalert|modelplane_datasource)_\w+|up)'", text))
    assert names
    assert names <= {metric.name for metric in PLANE_SERIES}


def test_the_backend_exposes_what_the_plane_reads_of_it() -> None:
    telemetry = Telemetry()
    telemetry.observe_watchdog(lambda: {"alertmanager": 0})
    telemetry.upstream_error("timeout")
    telemetry.store_call("read", succeeded=True, seconds=0.1)
    telemetry.refusal("queries")
    exposed = {family.name: family.type for family in telemetry.registry.collect()}
    declared = {metric.name: metric for metric in PLANE_SERIES if metric.name.startswith("modelplane_")}
    for name, metric in declared.items():
        assert exposed[name.removesuffix("_total")] == metric.type, name
    labels = {
        sample.name: set(sample.labels)
        for family in telemetry.registry.collect()
        for sample in family.samples
    }
    for name, metric in declared.items():
        sample = f"{name}_count" if metric.type == "histogram" else name
        if sample in labels:
            assert labels[sample] == set(metric.labels) - set(TARGET), name


def test_without_a_prometheus_its_panels_say_so() -> None:
    """Under VictoriaMetrics there is none, and no vmalert where Prometheus evaluates the rules."""
    panels = [
        panel
        for panel in plane(CLUSTERLESS).panels
        if any("prometheus_" in query.expr for query in panel.queries if isinstance(query, PromQuery))
    ]
    assert len(panels) > 5
    assert all(panel.empty for panel in panels)


PLANE = plane(CLUSTERLESS)
GROUP = "/rules/a.yml;modelplane-slo"


def rules(failed: str, missed: str = "0x60") -> list[dict[str, Any]]:
    return [
        series("prometheus_rule_evaluation_failures_total", failed, job="p", rule_group=GROUP),
        series("prometheus_rule_group_iterations_missed_total", missed, job="p", rule_group=GROUP),
    ]


VMALERT = [
    series("vmalert_alerting_rules_errors_total", "0+1x60", job="v", group="g", alertname="A"),
    series("vmalert_recording_rules_errors_total", "0+1x60", job="v", group="g", recording="r"),
    series("vmalert_recording_rules_errors_total", "0x60", job="v", group="h", recording="s"),
]
RULES: dict[str, tuple[list[dict[str, Any]], float | None]] = {
    "all is well": (rules("0x60"), 0),
    "failed": (rules("0+1x60"), 1),
    "left out": (rules("0x60", "0+1x60"), 1),
    "failed minutes ago": (rules("0+1x53 53x7"), 1),
    "failed long ago": (rules("0+1x30 30x30"), 0),
    "vmalert": (VMALERT, 2),
    "nobody tells": ([series("up", "1x60", job="p")], None),
}


@pytest.mark.slow
@pytest.mark.parametrize("state", RULES)
def test_rules_that_fail(servers: Servers, tmp_path: Path, state: str) -> None:
    data, value = RULES[state]
    (expression,) = expressions(PLANE, "rules-failing-now", __rate_interval="2m")
    check(servers, tmp_path, data, {expression: [] if value is None else [("{}", value)]})


def test_the_health_of_the_plane(servers: Servers, tmp_path: Path) -> None:
    version = {"model_name": "a", "model_version": "v1"}
    data = [
        series("up", "1x60", job="models", instance="a"),
        series("up", "0x60", job="models", instance="b"),
        series("alertmanager_notifications_failed_total", "0+1x60", job="am", integration="webhook"),
        series("alertmanager_notifications_failed_total", "0x60", job="am", integration="email"),
        series("prometheus_notifications_dropped_total", "0+1x60", job="p"),
        series("modelplane_datasource_watchdog_last_seen_timestamp_seconds", "3000x60", source="am"),
        series("modelplane_datasource_store_calls_total", "0+3x60", operation="write", result="ok"),
        series("modelplane_datasource_store_calls_total", "0+1x60", operation="read", result="error"),
        series("modelplane_datasource_requests_total", "0+4x60", route="/a", method="GET", status="200"),
        series("modelplane:version_invalid_observations:rate5m", "1x60", **version, reason="value_missing"),
        series("modelplane:version_overflowed_calls:rate5m", "2x60", **version, label="tenant_id"),
        series("modelplane:version_calls:rate5m", "10x60", **version, outcome="success"),
        series("modelplane:fleet_calls:rate5m", "10x60", outcome="success"),
        *rules("0x60"),
        series("prometheus_rule_group_last_duration_seconds", "6x60", rule_group=GROUP),
        series("prometheus_rule_group_interval_seconds", "30x60", rule_group=GROUP),
    ]
    used, took, interval, failing = expressions(PLANE, "slowest-rules")
    group = '{group="modelplane-slo"}'
    expected = {
        "targets-down-now": 1,
        "deliveries-failing-now": 2,
        "store-errors-now": 0.25,
        "backend-errors-now": 0,
        "data-contract-now": 0.1,
        "overflowing-now": 1,
    }
    check(
        servers,
        tmp_path,
        data,
        {expressions(PLANE, key)[0]: [("{}", value)] for key, value in expected.items()}
        | {
            expressions(PLANE, "watchdog-age")[0]: [('{source="am"}', 600)],
            used: [(group, 0.2)],
            took: [(group, 6)],
            interval: [(group, 30)],
            failing: [(group, 0)],
        },
    )


def test_a_fault_stays_as_long_as_its_alert_looks_back(servers: Servers, tmp_path: Path) -> None:
    """One failure seven minutes ago, of which the alert tells."""
    data = [
        series("alertmanager_notifications_failed_total", "0x53 1x7", job="am", integration="webhook"),
        series("modelplane_datasource_store_calls_total", "0+3x60", operation="write", result="ok"),
        series("modelplane_datasource_store_calls_total", "0x53 3x7", operation="read", result="error"),
    ]
    keys = ("deliveries-failing-now", "store-errors-now")
    texts = [expressions(PLANE, key, __rate_interval="2m")[0] for key in keys]
    check(servers, tmp_path, data, {f"({text}) > bool 0": [("{}", 1)] for text in texts})


def test_a_plane_without_faults_is_zero_and_not_empty(servers: Servers, tmp_path: Path) -> None:
    data = [
        series("up", "1x60", job="models", instance="a"),
        series("alertmanager_notifications_failed_total", "0x60", job="am", integration="webhook"),
        series("modelplane_datasource_store_calls_total", "0+3x60", operation="write", result="ok"),
        series("modelplane_datasource_requests_total", "0+4x60", route="/a", method="GET", status="200"),
        series("modelplane:fleet_calls:rate5m", "10x60", outcome="success"),
    ]
    keys = (
        "targets-down",
        "deliveries-failing",
        "store-errors",
        "backend-errors",
        "data-contract",
        "overflowing",
    )
    check(servers, tmp_path, data, {expressions(PLANE, f"{key}-now")[0]: [("{}", 0)] for key in keys})
