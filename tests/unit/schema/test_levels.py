"""Levels that boards read: what is recorded at each, and from what."""

from __future__ import annotations

import promql_parser

from modelplane_schema.levels import CALLS, DEVICE, LEVEL_SERIES, LEVELS, level_rules
from modelplane_schema.metrics import DEVICE_SECONDS, LATENCY, TENANT_ID


def test_every_level_has_calls_latency_confidence_devices_and_calls_in_flight() -> None:
    names = {rule.series.name for rule in level_rules()}
    for level in LEVELS.keys() - {DEVICE}:
        prefix = "modelplane:" if level == CALLS else f"modelplane:{level}_"
        expected = {f"{prefix}{what}:rate5m" for what in ("calls", "confidence_sum", "device_seconds")}
        expected.add(f"{prefix}active:sum")
        if level != CALLS:
            expected |= {f"{prefix}{what}_buckets:rate5m" for what in ("latency", "confidence")}
        assert expected <= names
    assert len(names) == len(LEVEL_SERIES)


def test_a_device_has_the_seconds_of_each_model_and_nothing_else() -> None:
    """The label of the tenant would be as many series as are scraped, and calls are the model's."""
    (of_devices,) = (rule for rule in level_rules() if rule.level == DEVICE)
    assert of_devices.series.name == "modelplane:device_device_seconds:rate5m"
    assert of_devices.series.labels == ("model_name", "device", "device_type")
    assert DEVICE_SECONDS.name in of_devices.expression


def test_what_is_wrong_with_a_version_is_recorded_for_each_version_alone() -> None:
    of_faults = {series.name for series in LEVEL_SERIES if {"reason", "label"} & {*series.labels}}
    assert of_faults == {
        "modelplane:version_invalid_observations:rate5m",
        "modelplane:version_overflowed_calls:rate5m",
    }


def test_buckets_are_not_stored_a_second_time_for_each_tenant_of_each_version() -> None:
    of_calls = [rule.series for rule in level_rules() if rule.level == CALLS]
    assert all("le" not in series.labels for series in of_calls)


def test_an_expression_sums_one_series_to_the_labels_of_its_level() -> None:
    for rule in level_rules():
        parsed = promql_parser.parse(rule.expression)
        assert isinstance(parsed, promql_parser.AggregateExpr)
        assert (TENANT_ID in rule.series.labels) == (TENANT_ID in LEVELS[rule.level])
        labels = rule.expression.split("(", 1)[1].split(")", 1)[0]
        assert labels.split(", ")[1:] == list(rule.series.labels)


def test_a_fleets_buckets_are_those_of_versions_and_not_scraped_again() -> None:
    (fleet,) = (
        rule for rule in level_rules() if rule.series.name == "modelplane:fleet_latency_buckets:rate5m"
    )
    (tenant,) = (
        rule for rule in level_rules() if rule.series.name == "modelplane:tenant_latency_buckets:rate5m"
    )
    assert "modelplane:version_latency_buckets:rate5m" in fleet.expression
    assert LATENCY.name in tenant.expression
