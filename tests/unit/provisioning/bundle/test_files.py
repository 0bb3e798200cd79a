"""The bundle: what containers and local processes mount."""

from __future__ import annotations

import json
import re
import subprocess
from importlib.metadata import metadata, version
from pathlib import Path
from typing import Any

import pytest
import yaml

from generations import Servers
from modelplane_dashboards import ApiAccess
from modelplane_datasource.settings import PREFIX, TABLE
from modelplane_provisioning.bundle.credentials import SECRETS, TOKENS
from modelplane_provisioning.bundle.files import (
    bundle_files,
    registry_targets,
    retention_days,
)
from modelplane_provisioning.bundle.site import CONTAINERS, DEMO_TIMES, PRODUCTION_TIMES, local_site
from modelplane_provisioning.bundle.writer import write_bundle
from modelplane_provisioning.compose.containers import DATA_FOLDERS, container_files
from modelplane_provisioning.examples import PACKAGED
from modelplane_provisioning.generated import GENERATED_FOLDERS, generated_files
from modelplane_provisioning.images.table import PYTHON
from modelplane_provisioning.local.stack import alertmanager_version
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.files import surplus_files
from modelplane_schema.owned_files import OwnedFilesError
from modelplane_schema.registry import load_registry, parse_registry

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "examples"
REGISTRY = load_registry(EXAMPLES / "modelplane.yaml")


@pytest.fixture(scope="module")
def container_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundle")
    write_bundle(out, container_files(REGISTRY, "1000:1000", EXAMPLES), REGISTRY, EXAMPLES)
    return out


def read_yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_committed_files_are_current() -> None:
    files = generated_files(ROOT)
    stale = [path for path, content in files.items() if (ROOT / path).read_bytes() != content]
    assert (stale, surplus_files(ROOT, GENERATED_FOLDERS, files)) == ([], []), "run: make generate"


@pytest.mark.slow
def test_rendering_twice_gives_the_same_bytes() -> None:
    assert generated_files(ROOT) == generated_files(ROOT)


@pytest.mark.slow
def test_everything_the_design_names_is_there(container_bundle: Path) -> None:
    for path in (
        "grafana/provisioning/datasources/modelplane.yaml",
        "grafana/provisioning/dashboards/modelplane.yaml",
        "grafana/provisioning/plugins/modelplane.yaml",
        "grafana/dashboards/boards/mp-fleet.json",
        "prometheus/prometheus.yml",
        "prometheus/rules/modelplane-alerts.yml",
        "prometheus/targets/mp-model-digit-reader.json",
        "alertmanager/alertmanager.yml",
        "compose.yaml",
        f"secrets/{TOKENS.path}",
    ):
        assert (container_bundle / path).is_file(), path


@pytest.mark.slow
def test_local_configuration_passes_promtool_and_amtool(servers: Servers, tmp_path: Path) -> None:
    version = alertmanager_version(servers.alertmanager)
    site = local_site(str(tmp_path), str(tmp_path), "127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3", version)
    for times in (PRODUCTION_TIMES, DEMO_TIMES):
        write_bundle(
            tmp_path, bundle_files(REGISTRY, site, times, registry_targets(REGISTRY)), REGISTRY, EXAMPLES
        )
        for command in (
            [servers.promtool, "check", "config", f"{tmp_path}/prometheus/prometheus.yml"],
            [servers.amtool, "check-config", f"{tmp_path}/alertmanager/alertmanager.yml"],
        ):
            checked = subprocess.run(
                command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
            )
            assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.slow
def test_the_demo_differs_from_production_in_times_only() -> None:
    production, demo = (
        bundle_files(REGISTRY, CONTAINERS, times, registry_targets(REGISTRY))
        for times in (PRODUCTION_TIMES, DEMO_TIMES)
    )
    seconds = re.compile(rb"\b\d+[smh]\b")
    assert production.keys() == demo.keys()
    for path in production:
        assert seconds.sub(b"", production[path]) == seconds.sub(b"", demo[path]), path


def test_prometheus_keeps_the_longest_slo_window() -> None:
    assert retention_days(REGISTRY) == 31
    changed = yaml.safe_load((EXAMPLES / "modelplane.yaml").read_text(encoding="utf-8"))
    changed["models"][0]["slos"][0]["window"] = "90d"
    assert retention_days(parse_registry(yaml.safe_dump(changed))) == 91
    changed["models"] = [{**changed["models"][0], "slos": []}]
    assert retention_days(parse_registry(yaml.safe_dump(changed))) == 31


def test_prometheus_accepts_late_samples_and_stores_exemplars(container_bundle: Path) -> None:
    config = read_yaml(container_bundle / "prometheus/prometheus.yml")
    assert config["storage"]["tsdb"]["out_of_order_time_window"] == "2h"
    assert config["storage"]["exemplars"]["max_exemplars"] > 0
    command = read_yaml(container_bundle / "compose.yaml")["services"]["prometheus"]["command"]
    assert "--enable-feature=exemplar-storage" in command
    assert "--storage.tsdb.retention.time=31d" in command


def test_no_secret_lies_outside_its_own_file(container_bundle: Path) -> None:
    secrets = {
        path.read_bytes()
        for path in (container_bundle / "secrets").rglob("*")
        if path.is_file() and path.name != TOKENS.file
    }
    assert len(secrets) == len(SECRETS) - 1
    for path in container_bundle.rglob("*"):
        if path.is_file() and path.relative_to(container_bundle).parts[0] != "secrets":
            assert not any(secret in path.read_bytes() for secret in secrets), path


def test_compose_mounts_only_what_the_bundle_holds(container_bundle: Path) -> None:
    services = read_yaml(container_bundle / "compose.yaml")["services"]
    for name, service in services.items():
        for volume in service.get("volumes", ()):
            source = volume["source"]
            in_data = source in {f"./data/{folder}" for folder in DATA_FOLDERS}
            assert in_data or (container_bundle / source).exists(), (name, source)


def test_compose_pins_images_and_runs_nothing_as_root_or_on_all_addresses(container_bundle: Path) -> None:
    services = read_yaml(container_bundle / "compose.yaml")["services"]
    assert {"prometheus", "alertmanager", "backend", "grafana"} < set(services)
    assert len([name for name in services if name.startswith("example-")]) == 6
    for name, service in services.items():
        assert service["user"] == "1:1" or service["user"] == "1000:1000", name
        assert "build" in service or re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name


def stages(dockerfile: Path) -> set[str]:
    return set(re.findall(r"^FROM \S+ AS (\S+)$", dockerfile.read_text(encoding="utf-8"), re.MULTILINE))


def test_a_checkout_has_a_dockerfile_with_the_same_stages(container_bundle: Path) -> None:
    dockerfile = ROOT / "provisioning" / "Dockerfile"
    lines = dockerfile.read_text(encoding="utf-8").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    assert copied
    assert all((ROOT / source).exists() for sources in copied for source in sources)
    services = read_yaml(container_bundle / "compose.yaml")["services"]
    targets = {service["build"]["target"] for service in services.values() if "build" in service}
    assert targets == {"backend", "examples"}
    for each in (dockerfile, container_bundle / "image" / "Dockerfile"):
        assert targets <= stages(each)


def test_examples_are_those_of_the_package(container_bundle: Path, tmp_path: Path) -> None:
    """The stage links the package's folder to where the commands expect it."""
    services = read_yaml(container_bundle / "compose.yaml")["services"]
    (tmp_path / "examples").symlink_to(PACKAGED)
    names = [name for name in services if name.startswith("example-")]
    for name in names:
        python, script = services[name]["command"]
        assert python == "python"
        assert (tmp_path / script).is_file()
        assert services[name]["build"]["args"]["REQUIREMENT"].startswith("modelplane[demo]==")
    assert len(names) == 6


@pytest.mark.slow
@pytest.mark.parametrize("api", ["plugin", "infinity"])
def test_other_images_are_built_from_the_bundle(api: ApiAccess) -> None:
    files = container_files(REGISTRY, "1:1", api=api)
    services = yaml.safe_load(files["compose.yaml"])["services"]
    built = {name: service["build"] for name, service in services.items() if "build" in service}
    assert set(built) == {"backend", *(["grafana"] if api == "infinity" else [])}
    dockerfile = files["image/Dockerfile"].decode()
    for build in built.values():
        assert f" AS {build['target']}\n" in dockerfile
        assert set(build["args"]) <= set(re.findall(r"^ARG (\w+)", dockerfile, re.MULTILINE))
    assert {"image/wheels/README.md", "image/plugins/README.md"} <= files.keys()


def test_the_backends_image_is_the_published_package_of_this_release(container_bundle: Path) -> None:
    """A checkout has its own Dockerfile, with a stage of the same name."""
    backend = read_yaml(container_bundle / "compose.yaml")["services"]["backend"]
    release = version("modelplane")
    assert backend["image"] == f"modelplane-backend:{release}"
    assert backend["build"]["args"]["REQUIREMENT"] == f"modelplane[backend,postgresql]=={release}"
    assert {"backend", "postgresql"} <= set(metadata("modelplane").get_all("Provides-Extra", []))
    assert backend["build"]["context"] == "${MODELPLANE_SOURCE:-./image}"
    assert backend["build"]["dockerfile"] == "${MODELPLANE_SOURCE:+provisioning/}Dockerfile"
    checkout = ROOT / "provisioning" / "Dockerfile"
    assert "backend" in stages(checkout)
    assert f"ARG PYTHON_IMAGE={PYTHON.reference({})}\n" in checkout.read_text(encoding="utf-8")
    assert "backend" in stages(container_bundle / "image" / "Dockerfile")


def test_the_operator_sets_the_policies_of_cost_beside_the_bundle(container_bundle: Path) -> None:
    """Compose takes them from ``.env``, and ``keep`` where that has none."""
    environment = read_yaml(container_bundle / "compose.yaml")["services"]["backend"]["environment"]
    policies = {name: text for name, text in environment.items() if name.endswith("_POLICY")}
    assert policies == {
        f"{PREFIX}{name}": f"${{{PREFIX}{name}:-keep}}" for name in ("IDLE_POLICY", "SHARED_POLICY")
    }
    assert {setting.variable for setting in TABLE} >= environment.keys()


def test_example_containers_are_the_targets(container_bundle: Path) -> None:
    services = read_yaml(container_bundle / "compose.yaml")["services"]
    for path in (container_bundle / "prometheus" / "targets").iterdir():
        (group,) = json.loads(path.read_text(encoding="utf-8"))
        (target,) = group["targets"]
        host, port = target.split(":")
        assert services[host]["environment"]["MODELPLANE_EXPORTER_PORT"] == port


@pytest.mark.slow
def test_targets_are_the_registrys_without_examples() -> None:
    files = container_files(REGISTRY, "1:1")
    (group,) = json.loads(files["prometheus/targets/mp-model-digit-reader.json"])
    assert group == {"targets": ["localhost:8001"]}
    assert b"example-" not in files["compose.yaml"]


@pytest.mark.slow
def test_files_of_models_that_left_the_registry_are_removed(tmp_path: Path) -> None:
    write_bundle(tmp_path, container_files(REGISTRY, "1:1"), REGISTRY, EXAMPLES)
    smaller = REGISTRY.model_copy(update={"models": REGISTRY.models[:1]})
    write_bundle(tmp_path, container_files(smaller, "1:1"), smaller, EXAMPLES)
    assert [path.name for path in (tmp_path / "prometheus/targets").iterdir()] == [
        "mp-model-digit-reader.json"
    ]
    assert len(list((tmp_path / "grafana/dashboards/models").iterdir())) == 1


@pytest.mark.slow
def test_a_bundle_in_use_is_replaced_file_by_file_in_folders_that_stay(tmp_path: Path) -> None:
    files = container_files(REGISTRY, "1:1")
    write_bundle(tmp_path, files, REGISTRY, EXAMPLES)
    rules = tmp_path / "prometheus" / "rules"
    config, alerts = rules / "modelplane-config.yml", rules / "modelplane-alerts.yml"
    before = {path: path.stat().st_ino for path in (rules, config, alerts)}
    with config.open("rb") as reader:
        changed = {**files, "prometheus/rules/modelplane-config.yml": b"groups: []\n"}
        write_bundle(tmp_path, changed, REGISTRY, EXAMPLES)
        assert reader.read() == files["prometheus/rules/modelplane-config.yml"]
    assert config.read_bytes() == b"groups: []\n"
    assert [path.stat().st_ino == inode for path, inode in before.items()] == [True, False, True]


@pytest.mark.slow
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    with pytest.raises(OwnedFilesError, match=r"file/out: Not a directory; nothing was changed.*--out"):
        write_bundle(tmp_path / "file" / "out", container_files(REGISTRY, "1:1"), REGISTRY, EXAMPLES)
