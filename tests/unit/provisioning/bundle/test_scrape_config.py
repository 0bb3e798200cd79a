"""What Prometheus is told to scrape: shared and separate jobs, and labels that stay the exporter's."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generations import INSTALLED, Servers
from modelplane_provisioning.bundle.files import registry_targets
from modelplane_provisioning.bundle.scrape_config import loopback_hosts, model_jobs, target_files
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.metrics import IDENTITY
from modelplane_schema.registry import Registry, parse_registry

SECURED = {
    "scheme": "https",
    "metrics_path": "/internal",
    "basic_auth": {"username": "prometheus", "password_file": "targets/password"},
    "tls": {"ca_file": "targets/ca.pem", "server_name": "models.example.org"},
    "labels": {"cluster": "eu $1"},
}
WAYS: dict[str, Any] = {
    "dns": {"names": ["models.example.org"], "type": "A", "port": 8000},
    "kubernetes": {"label_selector": "app=resnet50", "port": "metrics", "namespaces": ["vision"]},
    "file": {"paths": ["/etc/prometheus/discovered/*.json"]},
    "http": {"url": "http://inventory.example.org/targets"},
}


def registry(**targets: Any) -> Registry:
    models = [
        {"name": name, "framework": "pytorch", "owner": "vision", "tenants": ["a"], "targets": declared,
         "versions": [{"version": "v1"}]}
        for name, declared in targets.items()
    ]  # fmt: skip
    content = {"apiVersion": "modelplane/v1", "tenants": [{"id": "a"}], "models": models}
    return parse_registry(yaml.safe_dump(content))


def jobs(declared: Registry) -> dict[str, Any]:
    return {job["job_name"]: job for job in model_jobs(declared, "/targets", "/secrets")}


def files(declared: Registry) -> dict[str, Any]:
    texts = target_files(declared, registry_targets(declared))
    return {path: json.loads(text) for path, text in texts.items()}


def test_models_that_need_nothing_special_share_a_job_by_files() -> None:
    declared = registry(
        plain=["a:1", "b:1"],
        labelled={"hosts": ["c:1"], "scheme": "https", "metrics_path": "/m", "labels": {"cluster": "eu"}},
        absent=[],
    )
    assert jobs(declared) == {
        "models": {"job_name": "models", "file_sd_configs": [{"files": ["/targets/*.json"]}]}
    }
    labels = {"__scheme__": "https", "__metrics_path__": "/m", "cluster": "eu"}
    assert files(declared) == {
        "mp-model-plain.json": [{"targets": ["a:1", "b:1"]}],
        "mp-model-labelled.json": [{"targets": ["c:1"], "labels": labels}],
        "mp-model-absent.json": [{"targets": []}],
    }


def test_a_model_with_a_password_has_a_job_whose_series_look_like_the_others() -> None:
    declared = registry(plain=["a:1"], secured={**SECURED, "hosts": ["b:1"]})
    assert jobs(declared)["models/secured"] == {
        "job_name": "models/secured",
        "scheme": "https",
        "metrics_path": "/internal",
        "basic_auth": {"username": "prometheus", "password_file": "/secrets/targets/password"},
        "tls_config": {"ca_file": "/secrets/targets/ca.pem", "server_name": "models.example.org"},
        "file_sd_configs": [{"files": ["/targets/jobs/mp-model-secured.json"]}],
        "relabel_configs": [
            {"target_label": "cluster", "replacement": "eu $$1"},
            {"target_label": "job", "replacement": "models"},
        ],
    }
    assert files(declared)["jobs/mp-model-secured.json"] == [{"targets": ["b:1"]}]


def test_a_token_is_sent_as_a_bearer() -> None:
    token = {"authorization": {"credentials_file": "targets/token"}, "hosts": ["a:1"]}
    expected = {"type": "Bearer", "credentials_file": "/secrets/targets/token"}
    assert jobs(registry(m=token))["models/m"]["authorization"] == expected


def test_models_with_the_same_settings_share_a_job_so_that_no_process_is_scraped_twice() -> None:
    first, second = {**SECURED, "hosts": ["a:1", "b:1"]}, {**SECURED, "hosts": ["b:1", "c:1"]}
    other = {**SECURED, "hosts": ["d:1"], "labels": {}}
    made = jobs(registry(first=first, other=other, second=second))
    assert list(made) == ["models", "models/first", "models/other"]
    assert made["models/first"]["file_sd_configs"] == [
        {"files": ["/targets/jobs/mp-model-first.json", "/targets/jobs/mp-model-second.json"]}
    ]


@pytest.mark.parametrize("way", ["file", "http"])
def test_labels_of_discovered_targets_take_none_of_the_exporters(way: str) -> None:
    drop, job = jobs(registry(m={"discovery": {way: WAYS[way]}}))["models/m"]["relabel_configs"]
    assert drop["action"] == "labeldrop"
    assert all(re.fullmatch(drop["regex"], label) for label in IDENTITY)
    assert not re.fullmatch(drop["regex"], "cluster")
    assert job == {"target_label": "job", "replacement": "models"}


def test_pods_are_found_by_label_and_the_name_of_a_port() -> None:
    job = jobs(registry(m={"discovery": {"kubernetes": WAYS["kubernetes"]}}))["models/m"]
    assert job["kubernetes_sd_configs"] == [
        {"role": "pod", "namespaces": {"names": ["vision"]},
         "selectors": [{"role": "pod", "label": "app=resnet50"}]}
    ]  # fmt: skip
    source = ["__meta_kubernetes_pod_container_port_name"]
    assert job["relabel_configs"][0] == {"action": "keep", "source_labels": source, "regex": "metrics"}
    targets = [rule["target_label"] for rule in job["relabel_configs"] if "target_label" in rule]
    assert targets == ["namespace", "pod", "job"]


def test_pods_by_the_number_of_a_port_need_not_declare_it() -> None:
    way = {**WAYS["kubernetes"], "port": 8000}
    rules = jobs(registry(m={"discovery": {"kubernetes": way}}))["models/m"]["relabel_configs"]
    replacements = [rule["replacement"] for rule in rules if rule.get("target_label") == "__address__"]
    assert replacements == ["$1:8000", "[$1]:8000"]


def test_endpoints_are_kept_by_the_number_of_their_port() -> None:
    way = {**WAYS["kubernetes"], "role": "endpoints", "port": 8000}
    rules = jobs(registry(m={"discovery": {"kubernetes": way}}))["models/m"]["relabel_configs"]
    assert rules[0] == {"action": "keep", "source_labels": ["__address__"], "regex": ".+:8000"}


def test_a_discovered_model_has_no_file_of_hosts() -> None:
    assert files(registry(m={"discovery": {"dns": WAYS["dns"]}})) == {"mp-models.json": [{"targets": []}]}


def test_the_shared_job_has_a_file_without_models_too() -> None:
    alone = files(registry(secured={**SECURED, "hosts": ["b:1"]}))
    assert alone["mp-models.json"] == [{"targets": []}]
    assert "mp-models.json" not in files(registry(secured={**SECURED, "hosts": ["b:1"]}, plain=["a:1"]))


def test_hosts_that_a_container_would_look_for_in_itself_are_said() -> None:
    declared = registry(
        far=["10.0.0.5:1", "localhosts:1"], near=["localhost:1", "a:1", "[::1]:2", "127.0.0.9:3"]
    )
    (line,) = loopback_hosts(declared)
    assert line.startswith("models[1].targets: localhost:1, [::1]:2, 127.0.0.9:3 of 'near': a container")


@pytest.mark.slow
def test_promtool_accepts_every_way(servers: Servers, tmp_path: Path) -> None:
    (tmp_path / "targets" / "jobs").mkdir(parents=True)
    for name in ("password", "ca.pem", "token", "kubeconfig"):
        (tmp_path / "targets" / name).write_text("x", encoding="ascii")
    ways = {way: {way: content} for way, content in WAYS.items()}
    pods = WAYS["kubernetes"]
    if servers.generation == INSTALLED:
        del ways["kubernetes"]  # Debian builds its Prometheus 2.42 without it
    else:
        ways["port"] = {"kubernetes": {**pods, "port": 8000}}
        ways["slices"] = {"kubernetes": {**pods, "role": "endpointslice"}}
        ways["elsewhere"] = {"kubernetes": {**pods, "kubeconfig_file": "targets/kubeconfig"}}
    declared = registry(
        plain=["a:1"],
        secured={**SECURED, "hosts": ["b:1"]},
        token={"hosts": ["c:1"], "authorization": {"type": "Token", "credentials_file": "targets/token"}},
        srv={"discovery": {"dns": {"names": ["_metrics._tcp.models.example.org"]}}},
        **{name: {"discovery": way} for name, way in ways.items()},
    )
    for path, text in target_files(declared, registry_targets(declared)).items():
        (tmp_path / "targets" / path).write_text(text, encoding="utf-8")
    config = tmp_path / "prometheus.yml"
    content = {"scrape_configs": model_jobs(declared, str(tmp_path / "targets"), str(tmp_path))}
    config.write_text(yaml.safe_dump(content), encoding="utf-8")
    checked = subprocess.run(
        [servers.promtool, "check", "config", str(config)],
        capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout + checked.stderr
