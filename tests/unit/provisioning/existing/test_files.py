"""The bundle for servers that are there: what each of them takes in, and nothing of what is theirs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from generations import newest_available
from modelplane_provisioning.cli import cli
from provisioning_support.guest_registry import SECRETS, TARGET_FILES, write_registry

NAMED = ("guarded", "discovered", "named")  # models that need a job of their own


def run(registry: Path, *arguments: str) -> Result:
    out = registry.parent / "build"
    command = ["bundle", "--registry", str(registry), "--out", str(out), "--target", "existing", *arguments]
    return CliRunner().invoke(cli, command)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("existing")
    outcome = run(
        write_registry(folder), "--seen-at", "/etc/modelplane", "--prometheus", "https://mimir.example.org/prometheus",
        "--alertmanager", "http://alertmanager:9093", "--backend", "monitoring:8090",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    return folder / "build"


@pytest.mark.slow
def test_no_server_of_ours_is_described(bundle: Path) -> None:
    assert not (bundle / "compose.yaml").exists()
    assert not (bundle / "prometheus/prometheus.yml").exists()
    assert not (bundle / "alertmanager/alertmanager.yml").exists()


def test_the_scrape_file_has_our_jobs_only(bundle: Path) -> None:
    content = yaml.safe_load((bundle / "prometheus/scrape.yml").read_text())
    assert content.keys() == {"scrape_configs"}
    jobs = {job["job_name"]: job for job in content["scrape_configs"]}
    assert jobs.keys() == {"models", *(f"models/{name}" for name in NAMED), "modelplane-backend"}
    assert jobs["models"]["file_sd_configs"] == [{"files": ["/etc/modelplane/prometheus/targets/*.json"]}]
    assert jobs["modelplane-backend"]["static_configs"] == [{"targets": ["monitoring:8090"]}]
    of_victoria_metrics = yaml.safe_load((bundle / "victoriametrics/scrape.yml").read_text())
    for ours, theirs in zip(content["scrape_configs"], of_victoria_metrics, strict=True):
        assert theirs.pop("max_scrape_size", None) == ours.pop("body_size_limit", None)
        assert ours.items() >= theirs.items()
        assert ours.keys() - theirs.keys() <= {"label_name_length_limit", "label_value_length_limit"}
    files = [path for path in secret_files(content) if path.startswith("/etc/modelplane/secrets/prometheus/")]
    assert len(files) == 1 + len(TARGET_FILES)
    assert all((bundle / file.removeprefix("/etc/modelplane/")).is_file() for file in files)


def test_alerts_carry_our_label_and_recorded_series_do_not(bundle: Path) -> None:
    groups = [
        group
        for path in (bundle / "prometheus/rules").iterdir()
        for group in yaml.load(path.read_text(), yaml.CSafeLoader)["groups"]
    ]
    rules = [rule for group in groups for rule in group["rules"]]
    assert {rule["labels"].get("plane") for rule in rules if "alert" in rule} == {"modelplane"}
    assert not any("plane" in rule.get("labels", {}) for rule in rules if "record" in rule)
    done = subprocess.run(
        [newest_available().promtool, "check", "rules", "--lint=all", "--lint-fatal",
         *map(str, (bundle / "prometheus/rules").iterdir())],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_secrets_of_receivers_are_where_alertmanager_looks(bundle: Path) -> None:
    content = yaml.safe_load((bundle / "alertmanager/modelplane.yml").read_text())
    assert "global" not in content
    files = set(secret_files(content))
    assert len(files) == len(SECRETS) + 1
    assert all((bundle / file.removeprefix("/etc/modelplane/")).is_file() for file in files)
    (mail,) = (each for receiver in content["receivers"] for each in receiver.get("email_configs", ()))
    assert mail["smarthost"] == "mail.example.org:587"


def secret_files(node: object) -> list[str]:
    if isinstance(node, dict):
        files = [value for name, value in node.items() if name.endswith("_file")]
        return files + [file for value in node.values() for file in secret_files(value)]
    return [file for each in node for file in secret_files(each)] if isinstance(node, list) else []


def test_grafana_asks_the_prometheus_that_is_there_and_keeps_its_default(bundle: Path) -> None:
    file = bundle / "grafana/provisioning/datasources/modelplane.yaml"
    sources = {each["uid"]: each for each in yaml.safe_load(file.read_text())["datasources"]}
    assert sources["modelplane-prometheus"]["url"] == "https://mimir.example.org/prometheus"
    assert sources["modelplane"]["url"] == "http://monitoring:8090"
    assert not any(each["isDefault"] for each in sources.values())
    assert '"grafana": {' not in (bundle / "secrets/backend/tokens.json").read_text()


def test_the_backend_starts_with_the_settings(bundle: Path) -> None:
    lines = dict(line.split("=", 1) for line in (bundle / "backend.env").read_text().splitlines())
    settings = {name.removeprefix("MODELPLANE_DATASOURCE_"): value for name, value in lines.items()}
    assert settings["PROMETHEUS_URL"] == "https://mimir.example.org/prometheus"
    assert settings["HOST"] == "0.0.0.0"
    for name in ("TOKEN_FILE", "REGISTRY_FILE"):
        assert (bundle / settings[name].removeprefix("/etc/modelplane/")).is_file()


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--prometheus", "prometheus:9090", "must be a URL that starts with http:// or https://"),
        ("--prometheus", "http://me:secret@p:9090", "without a user or a query"),
        ("--alertmanager", "http://a:9093/?x", "without a user or a query"),
        ("--backend", "http://b:8090", "must be HOST:PORT"),
        ("--backend", "b", "must be HOST:PORT"),
        ("--seen-at", "etc/modelplane", "must be an absolute path"),
        ("--seen-at", "/etc/model plane", "without spaces"),
        ("--namespace", "a", "--namespace is for --target kubernetes"),
    ],
)
def test_what_no_server_can_use(tmp_path: Path, option: str, value: str, says: str) -> None:
    outcome = run(write_registry(tmp_path), option, value)
    assert outcome.exit_code in (1, 2)
    assert says in outcome.output
    assert not (tmp_path / "build").exists()


def test_targets_of_models_are_in_files_that_prometheus_watches(bundle: Path) -> None:
    files = sorted((bundle / "prometheus/targets").glob("*.json"))
    targets = [
        target for file in files for group in json.loads(file.read_text()) for target in group["targets"]
    ]
    assert targets == ["10.0.0.5:8000", "resnet:8000"]
