"""Rule files with some of the rules: to evaluate all of them at each instant takes long."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from modelplane_alerts.checks.syntax_tree import parse, selectors
from modelplane_alerts.render import rule_files
from modelplane_schema.recorded import SIGNAL_WINDOWS
from modelplane_schema.registry import Registry

SIGNALS = ("modelplane-config", "modelplane-signal", "modelplane-drift", "modelplane-token")


def write_rules(
    folder: Path, registry: Registry, config: Mapping[str, Any], prefixes: tuple[str, ...] = SIGNALS
) -> None:
    """Write the rule files below ``folder`` with the groups whose names begin with one of ``prefixes``."""
    for name, text in rule_files(registry, config).items():
        groups = yaml.load(text, yaml.CSafeLoader)["groups"]
        chosen = [group for group in groups if group["name"].startswith(prefixes)]
        (folder / name).write_text(yaml.dump({"groups": chosen}, Dumper=yaml.CSafeDumper), encoding="utf-8")


def signal_windows(interval: str, *windows: str) -> dict[str, str | None]:
    """The mixin's ``signalWindows`` with these windows alone, each evaluated every ``interval``."""
    return {**dict.fromkeys(SIGNAL_WINDOWS), **dict.fromkeys(windows, interval)}


def signal_settings(interval: str, *windows: str) -> dict[str, Any]:
    """Settings by which drift over these windows alone and what it reads are evaluated every ``interval``."""
    return {
        "signalWindows": signal_windows(interval, *windows),
        "constantInterval": interval,
        "signalBaselineInterval": interval,
    }


def groups_of(files: Mapping[str, str]) -> list[dict[str, Any]]:
    """All groups of rule files."""
    return [group for text in files.values() for group in yaml.load(text, yaml.CSafeLoader)["groups"]]


def groups_behind(groups: Collection[Mapping[str, Any]], wanted: Collection[str]) -> list[dict[str, Any]]:
    """The groups with no other rules than the alerts and series ``wanted``, and those that they read."""
    rules = [rule for group in groups for rule in group["rules"]]
    names = set(wanted)
    while added := set().union(*(series_in(rule["expr"]) for rule in rules if _name(rule) in names)) - names:
        names |= added
    chosen = [
        {**group, "rules": [rule for rule in group["rules"] if _name(rule) in names]} for group in groups
    ]
    return [group for group in chosen if group["rules"]]


@cache
def series_in(expression: str) -> set[str]:
    """The names of what an expression reads."""
    return {selector.name or "" for selector in selectors(parse(expression))}


def _name(rule: Mapping[str, str]) -> str:
    return rule.get("record") or rule["alert"]
