"""Boards as ConfigMaps, which the sidecar of Grafana's chart puts into folders."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from modelplane_dashboards import FOLDERS
from modelplane_provisioning.kubernetes.objects import MOST_BYTES, KubernetesError, generator
from modelplane_schema.registry import Registry
from modelplane_schema.uids import dashboard_uid

# What the sidecar looks for, as its chart has it; the values file sets the annotation.
BOARD_LABEL, DATASOURCE_LABEL, PLUGIN_LABEL = "grafana_dashboard", "grafana_datasource", "grafana_plugin"
FOLDER_ANNOTATION = "grafana_folder"
_TENANTS = FOLDERS["tenant"]
_NOT_IN_A_PATH = re.compile(r"[^\w .()&+,-]")


def board_generators(boards: Mapping[str, bytes], folder: str, registry: Registry) -> list[dict[str, Any]]:
    """An entry of kustomize's configMapGenerator for each board.

    ``boards`` are by their path below ``folder``. KubernetesError names those too large for a ConfigMap.
    """
    too_large = [f"{path}: {len(text)} bytes" for path, text in boards.items() if len(text) > MOST_BYTES]
    if too_large:
        raise KubernetesError(
            "\n".join(
                f"{problem}, and a ConfigMap holds {MOST_BYTES}: use --target existing, where "
                "boards are files"
                for problem in too_large
            )
        )
    titles = dict(_folder_titles(boards, registry))
    return [
        generator(
            f"modelplane-board-{PurePosixPath(path).stem}",
            "dashboard",
            [f"{folder}/{path}"],
            BOARD_LABEL,
            {FOLDER_ANNOTATION: titles[path]},
        )
        for path in boards
    ]


def _folder_titles(boards: Mapping[str, bytes], registry: Registry) -> Iterator[tuple[str, str]]:
    """The folder of each board; each tenant's board has one of its own, whose permissions can differ."""
    of_tenants = {
        f"{_TENANTS.name}/{dashboard_uid('tenant', tenant.id)}.json": tenant_folder(tenant.full_title)
        for tenant in registry.tenants
    }
    by_name = {folder.name: folder.title for folder in FOLDERS.values()}
    for path in boards:
        yield path, of_tenants.get(path) or by_name[path.partition("/")[0]]


def tenant_folder(title: str) -> str:
    """The name of a tenant's folder, which the sidecar makes on a disk; no two titles share one."""
    name = _NOT_IN_A_PATH.sub("-", title).strip(" .")
    if name != title or len(name) > 80:
        name = f"{name[:80].strip()} {hashlib.sha256(title.encode()).hexdigest()[:6]}"
    return f"Modelplane {name}"
