"""The Alertmanager configuration: checked by amtool, routed by amtool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generations import Servers
from modelplane_alerts.routing import BACKEND_RECEIVER, MAX_ALERTS, Routing, alertmanager_config
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.registry import Registry, parse_registry

ROUTING = Routing("http://backend:8090", "/secrets/alertmanager-token", "/secrets")


def registry(*tenants: str) -> Registry:
    receiver = {"type": "webhook", "url": "https://hooks.example.org/x", "credentials_file": "tenant-token"}
    model = {"name": "m", "framework": "jax", "owner": "o", "tenants": ["silent"]}
    content = {
        "apiVersion": "modelplane/v1",
        "tenants": [{"id": "silent"}, *({"id": tenant, "receivers": [receiver]} for tenant in tenants)],
        "models": [{**model, "versions": [{"version": "1"}]}],
    }
    return parse_registry(yaml.safe_dump(content))


def amtool(
    servers: Servers, tmp_path: Path, config: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "alertmanager.yml"
    path.write_text(config, encoding="utf-8")
    command = [servers.amtool, arguments[0], *(arguments[1:] or [str(path)])]
    if arguments[0] == "config":
        command.append(f"--config.file={path}")
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)


def test_amtool_accepts_it(servers: Servers, tmp_path: Path) -> None:
    checked = amtool(
        servers, tmp_path, alertmanager_config(registry("user-A", "user-B"), ROUTING), "check-config"
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize(
    ("labels", "receivers"),
    [
        (["tenant_id=user-A"], f"{BACKEND_RECEIVER},tenant user-A"),
        (["tenant_id=silent"], BACKEND_RECEIVER),
        (["alertname=ModelDown"], BACKEND_RECEIVER),
    ],
)
def test_everything_reaches_the_backend_and_a_tenants_alerts_its_receivers(
    servers: Servers, tmp_path: Path, labels: list[str], receivers: str
) -> None:
    config = alertmanager_config(registry("user-A", "user-B"), ROUTING)
    routed = amtool(servers, tmp_path, config, "config", "routes", "test", *labels)
    assert routed.stdout.strip() == receivers, routed.stderr


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20))
def test_any_tenant_name_is_only_a_name(servers: Servers, tmp_path: Path, name: str) -> None:
    if name in ("silent", "__all__", "__overflow__", "__unknown__"):
        return
    checked = amtool(servers, tmp_path, alertmanager_config(registry(name), ROUTING), "check-config")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_secrets_are_named_by_file_and_never_written() -> None:
    config = yaml.safe_load(alertmanager_config(registry("user-A"), ROUTING))
    files = [
        webhook["http_config"]["authorization"]["credentials_file"]
        for receiver in config["receivers"]
        for webhook in receiver["webhook_configs"]
    ]
    assert files == ["/secrets/alertmanager-token", "/secrets/tenant-token"]


def test_only_what_goes_to_the_backend_is_cut_at_a_number_of_alerts() -> None:
    config = yaml.safe_load(alertmanager_config(registry("user-A"), ROUTING))
    most = {
        receiver["name"]: [webhook.get("max_alerts") for webhook in receiver["webhook_configs"]]
        for receiver in config["receivers"]
    }
    assert most == {BACKEND_RECEIVER: [MAX_ALERTS], "tenant user-A": [None]}


def test_a_model_that_is_down_inhibits_its_symptoms_only() -> None:
    (rule,) = yaml.safe_load(alertmanager_config(registry("user-A"), ROUTING))["inhibit_rules"]
    assert rule["source_matchers"] == ['alertname="ModelDown"']
    assert rule["target_matchers"] == ['alertname=~"ModelErrorRatioHigh|ModelLatencyHigh"']
    assert rule["equal"] == ["model_name", "model_version", "framework"]
