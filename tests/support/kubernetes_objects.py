"""Kubernetes objects, held against the schemas of Kubernetes and of the Prometheus operator."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).parent / "kubernetes_schemas"
MOST_BYTES = 1024 * 1024  # of the values of a ConfigMap or Secret
OPERATOR_VERSIONS = {
    "AlertmanagerConfig": "v1alpha1",
    "PrometheusRule": "v1",
    "ScrapeConfig": "v1alpha1",
    "ServiceMonitor": "v1",
}
SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
LABEL_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
DATA_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")


class _Loader(yaml.CSafeLoader):
    """Takes "=" for a text, as Go's YAML does."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda _, node: node.value)


def load_objects(text: str) -> list[dict[str, Any]]:
    """The objects of a file of several documents."""
    return list(yaml.load_all(text, _Loader))


@cache
def validator(document: str, definition: str) -> Draft202012Validator:
    """A validator of one definition of a document of schemas."""
    schemas = json.loads((SCHEMAS / f"{document}.json").read_text(encoding="utf-8"))
    return Draft202012Validator({**schemas, "$ref": f"#/definitions/{definition}"})


def problems(objects: Iterable[dict[str, Any]]) -> list[str]:
    """What an API server would refuse of objects, or drop without a word; a line each."""
    listed = []
    for each in objects:
        name = f"{each.get('kind')} {each.get('metadata', {}).get('name')}"
        listed += [f"{name}: {problem}" for problem in (*_schema(each), *_metadata(each), *_data(each))]
    return listed


def _schema(content: dict[str, Any]) -> list[str]:
    kind = content["kind"]
    if kind not in OPERATOR_VERSIONS:
        return _errors("kubernetes", kind, content)
    version = f"monitoring.coreos.com/{OPERATOR_VERSIONS[kind]}"
    wrong = [] if content["apiVersion"] == version else [f"apiVersion is not {version}"]
    surplus = content.keys() - {"apiVersion", "kind", "metadata", "spec"}
    wrong += [f"unknown field {field}" for field in surplus]
    meta = _errors("kubernetes", "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", content["metadata"])
    return wrong + meta + _errors("operator", f"{kind}Spec", content["spec"])


def _errors(document: str, definition: str, content: Any) -> list[str]:
    return [
        f"{error.json_path}: {error.message}"
        for error in validator(document, definition).iter_errors(content)
    ]


def values_problems(kind: str, content: dict[str, Any]) -> list[str]:
    """What is no field of the specification of a server of the operator."""
    return _errors("operator", f"{kind}Spec", content)


def _metadata(content: dict[str, Any]) -> list[str]:
    metadata = content["metadata"]
    names = LABEL if content["kind"] == "Service" else SUBDOMAIN
    wrong = [] if names.fullmatch(metadata["name"]) else ["not a name"]
    for key, value in metadata.get("labels", {}).items():
        if not LABEL_KEY.fullmatch(key) or not LABEL_VALUE.fullmatch(value):
            wrong.append(f"label {key}={value}")
    annotations = metadata.get("annotations", {})
    wrong += [f"annotation {key}" for key in annotations if not LABEL_KEY.fullmatch(key)]
    return wrong


def _data(content: dict[str, Any]) -> list[str]:
    data = {**content.get("data", {}), **content.get("binaryData", {})}
    size = sum(len(key) + len(value.encode()) for key, value in data.items())
    wrong = [f"key {key!r}" for key in data if not DATA_KEY.fullmatch(key)]
    return wrong + ([f"holds {size} bytes"] if size > MOST_BYTES else [])
