"""Recording and alerting rules as they are evaluated over a past: how often, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from modelplane_alerts.checks.syntax_tree import parse, selectors

# Both are less than the five minutes after which Prometheus takes a series for gone. Half of the work is the
# signals'; they move slowly, their windows being an hour and more.
STEP_SECONDS = 120
SLOW_STEP_SECONDS = 270
_SLOW_GROUPS = ("modelplane-signal", "modelplane-config")
# A day is longer than the past, and the work for signals would be half as much again.
_LEFT_OUT_GROUPS = ("modelplane-signals-1d",)
_UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a file: the ``name`` of its record or alert, and ``seconds`` between its evaluations.

    ``waits`` is an alert's `for` in seconds, None for a record.
    """

    name: str
    expression: str
    labels: Mapping[str, str]
    seconds: int
    waits: int | None
    annotations: Mapping[str, str]


def read_rules(files: Iterable[str]) -> list[Rule]:
    """The rules of rule files, given as text."""
    return [
        _rule(rule, group)
        for text in files
        for group in yaml.load(text, yaml.CSafeLoader)["groups"]
        if group["name"] not in _LEFT_OUT_GROUPS
        for rule in group["rules"]
    ]


def levels(rules: Sequence[Rule]) -> list[list[Rule]]:
    """Recording rules by how many records lie between them and raw series, then the alerts."""
    records = [rule for rule in rules if rule.waits is None]
    remaining = {rule.name for rule in records}
    reads = [(rule, _names_in(rule.expression) & remaining) for rule in records]
    floors = []
    while remaining:
        ready = remaining - {rule.name for rule, names in reads if names & remaining}
        if not ready:
            raise ValueError(f"these records read each other: {', '.join(sorted(remaining))}")
        floors.append([rule for rule in records if rule.name in ready])
        remaining -= ready
    return [*floors, [rule for rule in rules if rule.waits is not None]]


def _names_in(expression: str) -> set[str]:
    return {str(selector.name) for selector in selectors(parse(expression))}


def _rule(rule: Mapping[str, Any], group: Mapping[str, Any]) -> Rule:
    least = SLOW_STEP_SECONDS if group["name"].startswith(_SLOW_GROUPS) else STEP_SECONDS
    return Rule(
        rule.get("record") or rule["alert"],
        rule["expr"],
        rule.get("labels", {}),
        max(least, _seconds(group.get("interval", "0s"))),
        _seconds(rule.get("for", "0s")) if "alert" in rule else None,
        rule.get("annotations", {}),
    )


def _seconds(duration: str) -> int:
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smh])", duration))
