"""Write the schemas that generated Kubernetes objects are held against. Needs npm, Node.js and pip.

``kubernetes.json`` comes from the OpenAPI documents of Kubernetes, in their strict form in the package
kubernetes-validate of PyPI. ``operator.json`` comes from the types of the Prometheus operator, which the
package @kubernetes-models/prometheus-operator of npm has from the operator's source: fields, types and values
of enumerations, without the patterns of texts.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
KUBERNETES = "v1.34.0"
KUBERNETES_PACKAGE = "kubernetes-validate==1.37.0"
OPERATOR_PACKAGES = ("@kubernetes-models/prometheus-operator@6.0.0", "ts-json-schema-generator@2.4.0")
KUBERNETES_OBJECTS = {
    "ConfigMap": "configmap-v1",
    "Deployment": "deployment-apps-v1",
    "NetworkPolicy": "networkpolicy-networking-v1",
    "PersistentVolumeClaim": "persistentvolumeclaim-v1",
    "PodDisruptionBudget": "poddisruptionbudget-policy-v1",
    "Secret": "secret-v1",
    "Service": "service-v1",
    "ServiceAccount": "serviceaccount-v1",
}
# The whole specifications of the servers have types of one name that the converter cannot tell apart.
PROMETHEUS_FIELDS = (
    "enableFeatures", "evaluationInterval", "exemplars", "externalLabels", "externalUrl", "replicas",
    "resources", "retention", "retentionSize", "scrapeInterval", "tsdb",
)  # fmt: skip
ALERTMANAGER_FIELDS = (
    "alertmanagerConfigMatcherStrategy", "alertmanagerConfigSelector", "replicas", "resources",
)  # fmt: skip
OPERATOR_OBJECTS = {
    "AlertmanagerConfigSpec": "v1alpha1",
    "AlertmanagerSpec": "v1",
    "PrometheusRuleSpec": "v1",
    "PrometheusSpec": "v1",
    "ScrapeConfigSpec": "v1alpha1",
    "ServiceMonitorSpec": "v1",
}
PICKED = {"AlertmanagerSpec": ALERTMANAGER_FIELDS, "PrometheusSpec": PROMETHEUS_FIELDS}


def kubernetes(folder: Path) -> dict[str, Any]:
    """The schemas of the objects of Kubernetes, with only the definitions that they use."""
    run(sys.executable, "-m", "pip", "install", "--no-deps", "--target", str(folder), KUBERNETES_PACKAGE)
    schemas = folder / "kubernetes_validate/kubernetes-json-schema" / f"{KUBERNETES}-local-strict"
    definitions = json.loads((schemas / "_definitions.json").read_text())["$defs"]
    objects = {
        kind: json.loads((schemas / f"{name}.json").read_text()) for kind, name in KUBERNETES_OBJECTS.items()
    }
    used: dict[str, Any] = {}
    waiting = [name for schema in objects.values() for name in references(schema)]
    while waiting:
        name = waiting.pop()
        if name not in used:
            used[name] = definitions[name]
            waiting += references(definitions[name])
    return plain({**used, **objects})


def operator(folder: Path) -> dict[str, Any]:
    """The schemas of the operator's specifications."""
    run("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), *OPERATOR_PACKAGES)
    (folder / "tsconfig.json").write_text(
        json.dumps({"compilerOptions": {"module": "NodeNext", "target": "ES2022", "skipLibCheck": True}})
    )
    schemas: dict[str, Any] = {}
    for kind, version in OPERATOR_OBJECTS.items():
        source = f"@kubernetes-models/prometheus-operator/monitoring.coreos.com/{version}/{kind}"
        wanted = " | ".join(f'"{field}"' for field in PICKED.get(kind, ()))
        chosen = f"Pick<I{kind}, {wanted}>" if wanted else f"I{kind}"
        (folder / f"{kind}.ts").write_text(
            f'import type {{ I{kind} }} from "{source}";\nexport type Chosen = {chosen};\n'
        )
        program = folder / "node_modules/.bin/ts-json-schema-generator"
        output = subprocess.run(
            [program, "-p", folder / f"{kind}.ts", "-t", "Chosen", "-f", folder / "tsconfig.json",
             "--no-type-check", "-j", "none"],
            check=True, capture_output=True, text=True, cwd=folder,
        ).stdout  # fmt: skip
        content = json.loads(output)
        for name, definition in content["definitions"].items():
            schemas[kind if name == "Chosen" else f"{kind}.{name}"] = renamed(definition, kind)
    # Routes below the first are any JSON to an API server; the operator reads them as routes.
    schemas["AlertmanagerConfigSpec.IJSON"] = {"$ref": "#/definitions/AlertmanagerConfigSpec.IRoute"}
    return plain(schemas)


def renamed(node: Any, kind: str) -> Any:
    """References of one document, made unique among several."""
    if isinstance(node, dict):
        return {
            key: f"#/definitions/{kind}.{name_in(value)}" if key == "$ref" else renamed(value, kind)
            for key, value in node.items()
        }
    return [renamed(each, kind) for each in node] if isinstance(node, list) else node


def references(node: Any) -> Iterator[str]:
    """Names of the definitions that a schema refers to."""
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield name_in(node["$ref"])
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def name_in(reference: str) -> str:
    """The name of the definition that a reference names."""
    return reference.rpartition("/")[2]


def plain(schemas: dict[str, Any]) -> dict[str, Any]:
    """One document of definitions, without descriptions."""
    definitions = {name: without_descriptions(schema) for name, schema in sorted(schemas.items())}
    return {"definitions": definitions}


def without_descriptions(node: Any) -> Any:
    """A schema without its texts for people, and with references inside one document."""
    if isinstance(node, dict):
        return {
            key: f"#/definitions/{name_in(value)}" if key == "$ref" else without_descriptions(value)
            for key, value in node.items()
            if not (key in ("description", "$schema", "$id") and isinstance(value, str))
            and not key.startswith("x-")
        }
    return [without_descriptions(each) for each in node] if isinstance(node, list) else node


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def main() -> None:
    for name, schemas in (("kubernetes", kubernetes), ("operator", operator)):
        with tempfile.TemporaryDirectory() as folder:
            text = json.dumps(schemas(Path(folder)), separators=(",", ":"), sort_keys=True)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
