"""Rules as objects of the Prometheus operator, by its schema and its limits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from modelplane_alerts.operator_objects import prometheus_rules
from modelplane_alerts.render import rule_files
from modelplane_alerts.yaml_text import dump
from modelplane_provisioning.cli import cli
from modelplane_schema.registry import load_registry
from rule_groups import groups_of

EXAMPLE = Path(__file__).parents[3] / "examples" / "modelplane.yaml"
CONFIG_MAP_BYTES = 1024 * 1024
DURATION = {"type": "string", "pattern": r"^(0|(\d+y)?(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?)$"}
TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}


def closed(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    """An object without other fields, which an API server would drop without a word."""
    return {
        "type": "object", "properties": properties, "required": list(required), "additionalProperties": False,
    }  # fmt: skip


# What `kubectl explain prometheusrule.spec --recursive` says of operator 0.82, and names of Kubernetes.
RULE = closed(
    {
        "record": {"type": "string"}, "alert": {"type": "string"}, "expr": {"type": ["string", "integer"]},
        "for": DURATION, "keep_firing_for": {**DURATION, "minLength": 1},
        "labels": TEXTS, "annotations": TEXTS,
    },
    "expr",
)  # fmt: skip
GROUP = closed(
    {
        "name": {"type": "string", "minLength": 1}, "interval": DURATION, "query_offset": DURATION,
        "labels": TEXTS, "limit": {"type": "integer"}, "rules": {"type": "array", "items": RULE},
    },
    "name",
)  # fmt: skip
NAME = {"type": "string", "maxLength": 253, "pattern": r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"}
OBJECT = closed(
    {
        "apiVersion": {"const": "monitoring.coreos.com/v1"},
        "kind": {"const": "PrometheusRule"},
        "metadata": closed({"name": NAME, "namespace": NAME, "labels": TEXTS}, "name"),
        "spec": closed({"groups": {"type": "array", "items": GROUP}}, "groups"),
    },
    "apiVersion", "kind", "metadata", "spec",
)  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("namespace", [None, "monitoring"])
def test_the_operator_takes_the_objects(namespace: str | None) -> None:
    files = rule_files(load_registry(EXAMPLE))
    objects = prometheus_rules(files, namespace)
    assert objects.keys() == files.keys()
    for name, text in objects.items():
        content = yaml.load(text, yaml.CSafeLoader)
        jsonschema.validate(content, OBJECT)
        assert content["metadata"].get("namespace") == namespace
        assert content["spec"] == yaml.load(files[name], yaml.CSafeLoader)


@pytest.mark.slow
def test_a_large_registry_fits_the_config_maps_of_the_operator() -> None:
    files = rule_files(load_registry(EXAMPLE))
    (constants,) = groups_of({"config": files["modelplane-config.yml"]})
    many = {**constants, "rules": [dict(rule) for rule in constants["rules"] * 80]}
    files["modelplane-config.yml"] = dump({"groups": [many]})
    assert len(files["modelplane-config.yml"]) > CONFIG_MAP_BYTES / 2
    objects = prometheus_rules(files)
    contents = [yaml.load(text, yaml.CSafeLoader) for text in objects.values()]
    assert [f"{content['metadata']['name']}.yml" for content in contents] == list(objects)
    assert max(len(json.dumps(content["spec"])) for content in contents) < CONFIG_MAP_BYTES / 2
    groups = [group for content in contents for group in content["spec"]["groups"]]
    assert len({group["name"] for group in groups}) == len(groups)
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules == [rule for group in groups_of(files) for rule in group["rules"]]
    for content in contents:
        jsonschema.validate({**content, "spec": {"groups": []}}, OBJECT)


def test_a_smaller_rendering_leaves_no_object_of_a_larger_one(tmp_path: Path) -> None:
    rendering = ["rules", "render", "--registry", str(EXAMPLE), "--out", str(tmp_path)]
    stale = {"modelplane-config-2.yml": "kind: PrometheusRule\n"}
    others = {
        "modelplane-config-3.yml": "kind: ConfigMap\n",
        "marketing-config-2.yml": "",
    }
    for name, text in {**stale, **others}.items():
        (tmp_path / name).write_text(text, encoding="ascii")
    done = CliRunner().invoke(cli, [*rendering, "--format", "prometheusrule"])
    assert done.exit_code == 0, done.output
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"modelplane-config.yml", "modelplane-rules.yml", "modelplane-alerts.yml", *others}
