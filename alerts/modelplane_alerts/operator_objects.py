"""Rule files as objects of the Prometheus operator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from modelplane_alerts.render import Group
from modelplane_alerts.yaml_text import dump
from modelplane_schema.files import read_if_present

# The operator refuses an object whose rules take more than half of a ConfigMap's 1 MiB.
LARGEST_BYTES = 384 * 1024


def prometheus_rules(files: Mapping[str, str], namespace: str | None = None) -> dict[str, str]:
    """The rule files as ``PrometheusRule`` objects, by file name: ``NAME.yml``, and ``NAME-2.yml`` and so on
    where the groups of a file are more than one object may hold.

    A group that is larger by itself is split, too. Only the constants of the registry are: no rule of theirs
    reads another.
    """
    objects = {}
    for name, text in files.items():
        groups = yaml.load(text, yaml.CSafeLoader)["groups"]
        for number, part in enumerate(_objects(groups), 1):
            stem = Path(name).stem if number == 1 else f"{Path(name).stem}-{number}"
            metadata: dict[str, Any] = {"name": stem, "labels": {"app.kubernetes.io/part-of": "modelplane"}}
            if namespace is not None:
                metadata["namespace"] = namespace
            content = {
                "apiVersion": "monitoring.coreos.com/v1",
                "kind": "PrometheusRule",
                "metadata": metadata,
                "spec": {"groups": part},
            }
            objects[f"{stem}.yml"] = dump(content)
    return objects


def surplus_objects(folder: Path, objects: Mapping[str, str]) -> list[Path]:
    """Files of objects that an earlier rendering wrote below ``folder`` because it had more of them."""
    return [
        path
        for path in sorted(folder.glob("modelplane-*-*.yml"))
        if path.name not in objects
        and re.fullmatch(r"modelplane-[a-z]+-\d+\.yml", path.name)
        and b"kind: PrometheusRule" in (read_if_present(path) or b"")
    ]


def _objects(groups: list[Group]) -> Iterator[list[Group]]:
    """The groups of each object."""
    small_groups = []
    for group in groups:
        for number, rules in enumerate(_batches(group["rules"]), 1):
            name = group["name"] if number == 1 else f"{group['name']}-{number}"
            small_groups.append({**group, "name": name, "rules": rules})
    return _batches(small_groups)


def _batches(items: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Consecutive items whose JSON takes LARGEST_BYTES at most together; a larger one stands alone."""
    batch: list[dict[str, Any]] = []
    size = 0
    for item in items:
        added = len(json.dumps(item))
        if batch and size + added > LARGEST_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(item)
        size += added
    yield batch
