"""What cannot be said to a cluster is refused before a byte is written, and other choices are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from modelplane_provisioning.cli import cli
from modelplane_provisioning.kubernetes import objects
from modelplane_provisioning.kubernetes.boards import board_generators
from modelplane_provisioning.kubernetes.monitoring import alertmanager_config_object
from modelplane_provisioning.kubernetes.objects import KubernetesError, secret_key
from modelplane_provisioning.kubernetes.scraping import scrape_configs
from modelplane_provisioning.kubernetes.secrets import secret_generators
from modelplane_schema.registry import load_registry, parse_registry
from provisioning_support.guest_registry import write_registry

SMALL = """
apiVersion: modelplane/v1
tenants: [{id: a}]
models: [{name: m, framework: jax, owner: o, tenants: [a], versions: [{version: v1}]}]
"""
UNKNOWN = SMALL.replace(
    "[{id: a}]",
    """
  - id: a
    receivers: [{type: incidentio, url: "https://i.example.org", alert_source_token_file: receivers/teams}]
  - id: b
    receivers: [{type: email, to: b@example.org}]
    mute: [{weekdays: [sunday], location: Europe/Berlin}]
""",
)


def run(registry: Path, *arguments: str) -> Result:
    out = registry.parent / "build"
    command = ["bundle", "--registry", str(registry), "--out", str(out), "--target", "kubernetes", *arguments]
    return CliRunner().invoke(cli, command)


@pytest.mark.slow
def test_all_that_the_operator_does_not_know_is_named_and_nothing_written(tmp_path: Path) -> None:
    text = UNKNOWN.replace("tenants: \n", 'platform: {smtp: {smarthost: "m:25", from: a@b}}\ntenants: \n')
    outcome = run(write_registry(tmp_path, text))
    assert outcome.exit_code == 1
    assert "tenants[0].receivers[0]: type incidentio" in outcome.output
    assert "tenants[1].mute[0]: location Europe/Berlin" in outcome.output
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("namespace", ["", "Upper", "-a", "a_b", "x" * 64, "a.b"])
def test_what_is_no_namespace(tmp_path: Path, namespace: str) -> None:
    outcome = run(write_registry(tmp_path, SMALL), "--namespace", namespace)
    assert outcome.exit_code == 1
    assert "for example modelplane" in outcome.output
    assert not (tmp_path / "build").exists()


@pytest.mark.parametrize("image", ["a b", "a:\nb", "-x", "a@sha256:12", '"a"'])
def test_what_is_no_image(tmp_path: Path, image: str) -> None:
    outcome = run(write_registry(tmp_path, SMALL), f"--image={image}")
    assert outcome.exit_code == 1
    assert "for example registry.example.org/modelplane-backend:" in outcome.output
    assert not (tmp_path / "build").exists()


def test_options_of_other_targets_are_refused(tmp_path: Path) -> None:
    registry = write_registry(tmp_path, SMALL)
    outcome = run(registry, "--prometheus", "http://p:9090")
    assert outcome.exit_code == 2
    assert "--prometheus is for --target existing, not for kubernetes" in outcome.output
    command = ["bundle", "--registry", str(registry), "--namespace", "a"]
    assert "--namespace is for --target kubernetes" in CliRunner().invoke(cli, command).output


@pytest.mark.slow
def test_a_second_bundle_is_the_same_and_leaves_other_files(tmp_path: Path) -> None:
    registry = write_registry(tmp_path, SMALL)
    assert run(registry, "--api", "infinity").exit_code == 0
    out = tmp_path / "build"
    added = out / "overlays/added/kustomization.yaml"
    added.parent.mkdir()
    added.write_text("resources: [../small]\n")
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert run(registry, "--api", "infinity").exit_code == 0
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    values = yaml.safe_load((out / "kube-prometheus-stack/values.yaml").read_text())["grafana"]
    assert "extraConfigmapMounts" not in values
    names = [
        each["name"]
        for each in yaml.safe_load((out / "base/kustomization.yaml").read_text())["configMapGenerator"]
    ]
    assert "modelplane-plugin" not in names
    assert "ScrapeConfig" not in (out / "base/scraping.yaml").read_text()


@pytest.mark.slow
def test_without_a_grafana_no_identity_is_believed(tmp_path: Path) -> None:
    registry = write_registry(tmp_path, SMALL)
    assert run(registry, "--no-grafana").exit_code == 0
    assert '"grafana": {' not in (tmp_path / "build/secrets/backend/tokens.json").read_text()


@pytest.mark.slow
def test_what_is_larger_than_a_config_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = write_registry(tmp_path, SMALL)
    with pytest.raises(KubernetesError, match=r"boards/mp-fleet\.json: 1032193 bytes"):
        board_generators({"boards/mp-fleet.json": b"x" * 1032193}, "d", load_registry(registry))
    monkeypatch.setattr(objects, "MOST_BYTES", 100)
    outcome = run(registry)
    assert outcome.exit_code == 1
    assert "the registry takes" in outcome.output
    assert not (tmp_path / "build").exists()


def test_what_no_secret_can_hold() -> None:
    with pytest.raises(KubernetesError, match="modelplane-receivers would hold"):
        secret_generators({f"receivers/{number}": b"x" * 8192 for number in range(127)}, {})
    with pytest.raises(KubernetesError, match="receivers/a=b: kustomize takes no file"):
        secret_generators({"receivers/a=b": b"x"}, {})


@pytest.mark.slow
def test_what_no_object_can_hold() -> None:
    many = json.dumps([{"targets": [f"host-{number}:8000" for number in range(70_000)]}]).encode()
    job = {"job_name": "models", "file_sd_configs": [{"files": ["/t/*.json"]}]}
    with pytest.raises(KubernetesError, match="the targets of the job 'models' take"):
        scrape_configs([job], {"/t/m.json": many})
    registry = parse_registry(SMALL)
    configuration = {"route": {"receiver": "a"}, "receivers": [{"name": "x" * 1024} for _ in range(1100)]}
    with pytest.raises(KubernetesError, match="routes and receivers take"):
        alertmanager_config_object(yaml.safe_dump(configuration), registry)


@pytest.mark.slow
def test_a_bundle_of_another_target_is_not_replaced(tmp_path: Path) -> None:
    registry = write_registry(tmp_path, SMALL)
    assert run(registry).exit_code == 0
    before = {path: path.read_bytes() for path in (tmp_path / "build").rglob("*") if path.is_file()}
    for target in ("compose", "existing"):
        command = [
            "bundle",
            "--registry",
            str(registry),
            "--out",
            str(tmp_path / "build"),
            "--target",
            target,
        ]
        outcome = CliRunner().invoke(cli, command)
        assert outcome.exit_code == 1
        assert "is a bundle for --target kubernetes" in outcome.output
    assert {path: path.read_bytes() for path in (tmp_path / "build").rglob("*") if path.is_file()} == before


def test_keys_of_secrets_are_distinct() -> None:
    paths = ["a/b", "a-b", "a b", "x" * 300, "x" * 301]
    assert len({secret_key(path) for path in paths}) == len(paths)
    assert max(len(secret_key(path)) for path in paths) <= 253


@pytest.mark.slow
@pytest.mark.parametrize(
    ("discovery", "says"),
    [
        ("file: {paths: [/etc/prometheus/found.json]}", "targets in the file /etc/prometheus/found.json"),
        (
            "kubernetes: {label_selector: a=b, port: 80, kubeconfig_file: targets/kubeconfig}",
            "kubeconfig_file",
        ),
    ],
)
def test_discoveries_that_no_cluster_can_do(tmp_path: Path, discovery: str, says: str) -> None:
    text = SMALL.replace("owner: o,", f"owner: o, targets: {{discovery: {{{discovery}}}}},")
    registry = write_registry(tmp_path, text)
    (tmp_path / "targets/kubeconfig").write_text("clusters: []")
    outcome = run(registry)
    assert outcome.exit_code == 1
    assert f"'models/m' of Prometheus has {says}" in outcome.output.replace(" a kubeconfig", " kubeconfig")
    assert not (tmp_path / "build").exists()


def test_a_job_that_no_scrape_config_can_say() -> None:
    with pytest.raises(
        KubernetesError, match=r"'models/m' of Prometheus has consul_sd_configs.*relabels job to models"
    ):
        scrape_configs([{"job_name": "models/m", "consul_sd_configs": []}], {})
