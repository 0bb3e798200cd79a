"""Levels that boards read: what is recorded at each, and from what."""

from __future__ import annotations

import promql_parser

from modelplane_schema.levels import CALLS, LEVEL_SERIES, LEVELS, level_rules
from modelplane_schema.metrics import LATENCY, TENANT_ID


def test_every_level_has_calls_latency_confidence_devices_and_calls_in_flight() -> None:
    names = {rule.series.name for rule in level_rules()}
    for level in LEVELS:
        prefix = "modelplane:" if level == CALLS else f"modelplane:{level}_"
        expected = {f"{prefix}{what}:rate5m" for what in ("calls", "confidence_sum", "device_seconds")}
        expected.add(f"{prefix}active:sum")
        if level != CALLS:
            expected |= {f"{prefix}{what}_buckets:rate5m" for what in ("latency", "confidence")}
        assert expected <= names
    assert len(names) == len(LEVEL_SERIES)


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
