"""The gaps in who hears of alerts, in sentences."""

from __future__ import annotations

from typing import Any

import yaml

from modelplane_schema.alert_coverage import alerts_for, coverage_warnings
from modelplane_schema.registry import Registry, parse_registry

RECEIVER = {"type": "webhook", "url": "https://hooks.example.org"}
CRITICAL = {**RECEIVER, "severities": ["critical"]}
REST = {**RECEIVER, "severities": ["warning", "info"]}
TENANT_ALERTS, OWNER_ALERTS = alerts_for("tenant"), alerts_for("owner")
PLATFORM_ALERTS = alerts_for("platform")
STORED = "nobody hears of it: only the alert store has it"


def registry(tenants: list[Any], owners: list[Any] | None, platform: list[Any]) -> Registry:
    model = {"name": "m", "framework": "jax", "owner": "owner-0", "tenants": ["tenant-0"]}
    content: dict[str, Any] = {
        "apiVersion": "modelplane/v1",
        "platform": {"receivers": platform},
        "tenants": [{"id": f"tenant-{i}", "receivers": chosen} for i, chosen in enumerate(tenants)],
        "models": [{**model, "versions": [{"version": "1"}]}],
    }
    if owners is not None:
        content["owners"] = [{"id": f"owner-{i}", "receivers": chosen} for i, chosen in enumerate(owners)]
    return parse_registry(yaml.safe_dump(content))


def test_the_alerts_that_somebody_misses_are_named() -> None:
    assert "ModelDown" in TENANT_ALERTS
    assert "ModelDown" in OWNER_ALERTS
    assert "TargetDown" in PLATFORM_ALERTS
    assert "Watchdog" not in PLATFORM_ALERTS  # nobody is told of it


def test_where_everybody_hears_of_everything_there_is_nothing_to_say() -> None:
    assert coverage_warnings(registry([[RECEIVER], [CRITICAL, REST]], [[RECEIVER]], [RECEIVER])) == []


def test_what_somebody_misses_the_platform_hears_of() -> None:
    assert coverage_warnings(registry([[], [CRITICAL], []], [[]], [RECEIVER])) == [
        f"tenants[0] 'tenant-0', tenants[2] 'tenant-2': no receivers for {TENANT_ALERTS}; "
        "the platform hears of it instead",
        f"tenants[1] 'tenant-1': no receiver takes warning, info for {TENANT_ALERTS}; "
        "the platform hears of it instead",
        f"owners[0] 'owner-0': no receivers for {OWNER_ALERTS}; the platform hears of it instead",
    ]


def test_what_the_platform_does_not_take_nobody_hears_of() -> None:
    assert coverage_warnings(registry([[], [CRITICAL]], None, [CRITICAL])) == [
        f"tenants[0] 'tenant-0': no receivers for {TENANT_ALERTS}; "
        "the platform hears of critical instead, and of warning, info nobody does",
        f"tenants[1] 'tenant-1': no receiver takes warning, info for {TENANT_ALERTS}; {STORED}",
        f"owners: 'owner-0' not declared, hence no receivers for {OWNER_ALERTS}; "
        "the platform hears of critical instead, and of warning, info nobody does",
        f"platform: no receiver takes warning, info for {PLATFORM_ALERTS}, and what no tenant or owner "
        f"hears of; {STORED}",
    ]
    assert coverage_warnings(registry([[RECEIVER]], [[RECEIVER]], [])) == [
        f"platform: no receivers for {PLATFORM_ALERTS}, and what no tenant or owner hears of; {STORED}"
    ]


def test_a_thousand_tenants_without_receivers_are_one_sentence() -> None:
    (warning, _) = coverage_warnings(registry([[]] * 1000, [[RECEIVER]], []))
    assert "tenants[9] 'tenant-9' and 990 more: no receivers" in warning
