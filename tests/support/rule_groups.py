"""Rule files with some groups alone: a Prometheus that evaluates all of them each second is a busy one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from modelplane_alerts.render import rule_files
from modelplane_schema.registry import Registry

SIGNALS = ("modelplane-config", "modelplane-signal", "modelplane-drift", "modelplane-token")


def write_rules(
    folder: Path, registry: Registry, config: Mapping[str, Any], prefixes: tuple[str, ...] = SIGNALS
) -> None:
    """Write the rule files below ``folder`` with the groups whose names begin with one of ``prefixes``."""
    for name, text in rule_files(registry, config).items():
        groups = yaml.load(text, yaml.CSafeLoader)["groups"]
        chosen = [group for group in groups if group["name"].startswith(prefixes)]
        (folder / name).write_text(yaml.safe_dump({"groups": chosen}), encoding="utf-8")
