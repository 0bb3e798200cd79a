"""Rules as they are written and as Prometheus has loaded them, in one form; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

import yaml

from modelplane_alerts.checks.syntax_tree import parse
from modelplane_provisioning.bundle.layout import RULES_FOLDER

# Of each rule its name, its labels and its expression, in the order of evaluation.
Group = tuple[tuple[str, tuple[tuple[str, str], ...], str], ...]


def written_groups(files: Mapping[str, bytes]) -> dict[str, Group]:
    """The groups of rule files by ``file: group``."""
    return {
        f"{PurePosixPath(path).name}: {group['name']}": tuple(
            _rule(rule.get("record") or rule["alert"], rule.get("labels", {}), rule["expr"])
            for rule in group["rules"]
        )
        for path, content in files.items()
        if path.startswith(f"{RULES_FOLDER}/")
        for group in yaml.load(content, yaml.CSafeLoader)["groups"]
    }


def loaded_groups(groups: Iterable[Mapping[str, Any]], files: frozenset[str]) -> dict[str, Group]:
    """The groups of files of these names, from an answer of ``/api/v1/rules``."""
    return {
        f"{name}: {group['name']}": tuple(
            _rule(rule["name"], rule.get("labels", {}), rule["query"]) for rule in group["rules"]
        )
        for group in groups
        if (name := PurePosixPath(group["file"]).name) in files
    }


def _rule(
    name: str, labels: Mapping[str, Any], expression: str
) -> tuple[str, tuple[tuple[str, str], ...], str]:
    texts = sorted((key, str(value)) for key, value in labels.items())
    return name, tuple(texts), _normal_form(expression)


@lru_cache(maxsize=20_000)  # while it is waited for, the same rules are compared every second
def _normal_form(expression: str) -> str:
    """The expression as its syntax tree is written: Prometheus formats what it has loaded."""
    return str(parse(expression))
