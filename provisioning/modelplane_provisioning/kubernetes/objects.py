"""What all objects share: names, labels, limits."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from modelplane_schema.errors import UserError

Object = dict[str, Any]

PART_OF = {"app.kubernetes.io/part-of": "modelplane"}
BACKEND = "modelplane-backend"
REGISTRY = "modelplane-registry"
PLUGIN = "modelplane-plugin"
# Of what a ConfigMap or Secret may hold, 1 MiB, some is for names and labels.
MOST_BYTES = 1024 * 1024 - 16 * 1024
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*(@sha256:[0-9a-f]{64})?")
_KEY = re.compile(r"[^-._a-zA-Z0-9]")


class KubernetesError(UserError, ValueError):
    """The plane cannot be described for Kubernetes; a line for each problem says what to do."""


def check_namespace(namespace: str) -> None:
    """KubernetesError for what cannot be the name of a namespace (DNS-1123 label)."""
    if not _NAMESPACE.fullmatch(namespace):
        raise KubernetesError(
            f"--namespace {namespace!r}: must have at most 63 lower-case letters, digits and -, and begin "
            "and end with a letter or digit, for example modelplane"
        )


def check_image(image: str) -> None:
    """KubernetesError for what cannot name an image."""
    if not _IMAGE.fullmatch(image):
        raise KubernetesError(
            f"--image {image!r}: must be the name of an image with its tag or digest, for example "
            "registry.example.org/modelplane-backend:1.0.0"
        )


def labels(component: str, name: str = "modelplane") -> dict[str, str]:
    """The labels of an object; ``component`` says what it is part of."""
    return {"app.kubernetes.io/name": name, "app.kubernetes.io/component": component, **PART_OF}


def build(api_version: str, kind: str, name: str, component: str, **content: Any) -> Object:
    """An object, whose namespace the kustomization gives."""
    label_name = BACKEND if component == "backend" else "modelplane"
    metadata = {"name": name, "labels": labels(component, label_name)}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **content}


def secret_key(path: str) -> str:
    """A key of a Secret for a file that the registry names, such that no two files share one."""
    key = _KEY.sub("-", path)
    if key == path and len(key) <= 200:
        return key
    return f"{key[:200]}-{hashlib.sha256(path.encode()).hexdigest()[:6]}"


def secret_reference(name: str, key: str) -> dict[str, str]:
    """What a field of an object that takes a secret holds."""
    return {"name": name, "key": key}


def generator(
    name: str,
    component: str,
    files: Iterable[str],
    sidecar_label: str | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An entry of kustomize's configMapGenerator or secretGenerator.

    Grafana's sidecar takes what has ``sidecar_label``.
    """
    of_sidecar = {sidecar_label: "1"} if sidecar_label else {}
    options: dict[str, Any] = {"labels": {**labels(component), **of_sidecar}}
    if annotations:
        options["annotations"] = dict(annotations)
    return {"name": name, "files": sorted(files), "options": options}
