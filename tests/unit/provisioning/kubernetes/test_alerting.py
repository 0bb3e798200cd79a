"""Rules and routes taken back out of the objects of the operator are those of every other bundle."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generations import newest_available
from modelplane_alerts.integrations import parse_version
from modelplane_alerts.routing import Routing, alertmanager_config
from modelplane_provisioning.kubernetes.objects import secret_key
from modelplane_schema.registry import load_registry

Object = dict[str, Any]
SECRET_FIELDS = {
    "apiURL": "api_url_file",
    "urlSecret": "url_file",
    "webhookURL": "webhook_url_file",
    "routingKey": "routing_key_file",
    "credentials": "credentials_file",
    "authPassword": "auth_password_file",
}
SMTP_FIELDS = ("smarthost", "from", "require_tls", "auth_username", "auth_password_file")


@pytest.fixture(scope="module")
def rule_groups(base: dict[tuple[str, str], Object]) -> list[Object]:
    return [
        group
        for (kind, _), each in base.items()
        if kind == "PrometheusRule"
        for group in each["spec"]["groups"]
    ]


@pytest.mark.slow
def test_promtool_takes_the_rules(rule_groups: list[Object], tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": rule_groups}))
    done = subprocess.run(
        [newest_available().promtool, "check", "rules", "--lint=all", "--lint-fatal", str(file)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_the_namespace_by_which_the_operator_routes(rule_groups: list[Object]) -> None:
    rules = [rule for group in rule_groups for rule in group["rules"]]
    alerts = [rule for rule in rules if "alert" in rule]
    assert len(alerts) > 20
    assert {rule["labels"]["namespace"] for rule in alerts} == {"ml-plane"}
    assert not any("namespace" in rule.get("labels", {}) for rule in rules if "record" in rule)


def snake(name: str) -> str:
    name = {"requireTLS": "require_tls", "authUsername": "auth_username"}.get(name, name)
    return SECRET_FIELDS.get(name) or re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), name)


def as_the_operator_reads(node: Any) -> Any:
    """Fields of an AlertmanagerConfig as those of ``alertmanager.yml``; a secret is its key."""
    if isinstance(node, list):
        return [as_the_operator_reads(each) for each in node]
    if not isinstance(node, dict):
        return node
    if node.keys() == {"name", "key"}:
        return node["key"]
    if "value" in node:
        value = node["value"].replace("\\", "\\\\").replace('"', '\\"')
        return f'{node["name"]}{node.get("matchType", "=")}"{value}"'
    return {snake(name): as_the_operator_reads(value) for name, value in node.items()}


def test_the_routes_are_those_of_every_bundle(bundle: Path, base: dict[tuple[str, str], Object]) -> None:
    registry = load_registry(bundle.parent / "modelplane.yaml")
    version, labels = parse_version("0.33"), ("cluster",)
    backend = "http://modelplane-backend:8090"
    routing = Routing(backend, "alertmanager-token", "", version, cluster_labels=labels)
    expected = yaml.safe_load(alertmanager_config(registry, routing))
    mail = {f: expected["global"][f"smtp_{f}"] for f in SMTP_FIELDS}
    for receiver in expected["receivers"]:
        for each in receiver.get("email_configs", ()):
            each.update(mail)
    spec = as_the_operator_reads(base["AlertmanagerConfig", "modelplane"]["spec"])
    assert spec["route"] == expected["route"]
    assert spec["receivers"] == keys_for_files(expected["receivers"])
    for interval, ours in zip(expected["time_intervals"], spec["mute_time_intervals"], strict=True):
        for period in interval["time_intervals"]:
            assert period.pop("location") == "UTC"
        assert ours == interval


def keys_for_files(node: Any) -> Any:
    if isinstance(node, list):
        return [keys_for_files(each) for each in node]
    if not isinstance(node, dict):
        return node
    return {
        name: secret_key(value.removeprefix("/receivers/"))
        if name.endswith("_file")
        else keys_for_files(value)
        for name, value in node.items()
    }


def test_amtool_takes_the_inhibitions_of_the_chart(bundle: Path, tmp_path: Path) -> None:
    values = yaml.safe_load((bundle / "kube-prometheus-stack/values.yaml").read_text())
    rules = values["alertmanager"]["config"]["inhibit_rules"]
    for rule in rules[:-1]:
        assert 'namespace != "ml-plane"' in rule["target_matchers"]
    content = {"route": {"receiver": "a"}, "receivers": [{"name": "a"}], "inhibit_rules": rules}
    (tmp_path / "alertmanager.yml").write_text(yaml.safe_dump(content))
    done = subprocess.run(
        [newest_available().amtool, "check-config", str(tmp_path / "alertmanager.yml")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 inhibit rules" in done.stdout
