"""compose.yaml: what Compose itself makes of it, and what each container may do."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import compose_program
from modelplane_provisioning.compose import ComposeChoices, ExampleContainer, compose_file, grafana_on_host
from modelplane_provisioning.compose import containers as container_bundle
from modelplane_provisioning.compose.containers import DATA_FOLDERS, container_files
from modelplane_provisioning.images.table import BUNDLED, IMAGES
from modelplane_schema.registry import load_registry

ROOT = Path(__file__).parents[4]
EXAMPLES = ROOT / "examples"
REGISTRY = load_registry(EXAMPLES / "modelplane.yaml")
EXAMPLE = ExampleContainer("jax_diabetes.py", 8000)
DIGEST = f"sha256:{'0a' * 32}"
CHOICES: dict[str, dict[str, Any]] = {
    "with an example": {"examples": (EXAMPLE,)},
    "Infinity": {"api": "infinity"},
    "no API": {"api": "none"},
    "no Grafana": {"starts_grafana": False},
    "many boards": {"boards": 11_000},
    "pinned": {"digests": {image.name: DIGEST for image in BUNDLED}},
}
PARTS = ("prometheus", "alertmanager", "backend", "grafana", "example-jax-diabetes")
Service = dict[str, Any]


def text_of(**changes: Any) -> str:
    common = {"user": "1000:1000", "retention_days": 31, "scrape_interval_seconds": 15, "boards": 9}
    return compose_file(ComposeChoices(**{**common, **changes}))


@functools.cache
def content() -> dict[str, Any]:
    """The file of a plane with an example."""
    parsed: dict[str, Any] = yaml.safe_load(text_of(examples=(EXAMPLE,)))
    return parsed


@functools.cache
def bundle() -> dict[str, bytes]:
    return container_files(REGISTRY, "1:1")


def service(name: str) -> Service:
    container: Service = content()["services"][name]
    return container


def as_compose_sees(folder: Path, text: str, **environment: str) -> dict[str, Any]:
    """What Compose parses; skips where it cannot be had."""
    program = compose_program.program_path()
    if not program.exists():
        pytest.skip("Docker Compose is not here: run make test, or tests/support/compose_program.py")
    (folder / "compose.yaml").write_text(text, encoding="utf-8")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MODELPLANE", "PIP"))}
    command = [str(program), "-f", str(folder / "compose.yaml"), "config", "--format", "json"]
    parsed = subprocess.run(
        command, env={**clean, **environment}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (parsed.returncode, parsed.stderr) == (0, "")
    seen: dict[str, Any] = json.loads(parsed.stdout)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("choice", [*CHOICES, "on the host"])
def test_the_schema_of_compose_accepts_it(choice: str) -> None:
    text = grafana_on_host("/plane", "http://g/") if choice == "on the host" else text_of(**CHOICES[choice])
    schema = package_files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(yaml.safe_load(text))


@pytest.mark.slow
@pytest.mark.parametrize("choice", [*CHOICES, "on the host"])
def test_compose_parses_it_without_a_warning(tmp_path: Path, choice: str) -> None:
    text = grafana_on_host("/plane", "http://g/") if choice == "on the host" else text_of(**CHOICES[choice])
    seen = as_compose_sees(tmp_path, text)
    assert seen["services"].keys() == yaml.safe_load(text)["services"].keys()


def test_compose_sees_the_limits_mounts_and_order_that_are_meant(tmp_path: Path) -> None:
    seen = as_compose_sees(
        tmp_path, text_of(), MODELPLANE_PROMETHEUS_MEMORY="16g", MODELPLANE_PROMETHEUS_CPUS="2.5"
    )["services"]
    assert (int(seen["prometheus"]["mem_limit"]), seen["prometheus"]["cpus"]) == (16 << 30, 2.5)
    assert (int(seen["backend"]["mem_limit"]), seen["backend"]["cpus"]) == (2 << 30, 1)
    assert all(container["pids_limit"] > 0 for container in seen.values())
    bound = [volume for container in seen.values() for volume in container["volumes"]]
    assert bound
    assert all(volume["bind"].get("create_host_path") is not True for volume in bound)
    assert {name: condition["condition"] for name, condition in seen["grafana"]["depends_on"].items()} == {
        "prometheus": "service_healthy",
        "backend": "service_healthy",
    }


@pytest.mark.slow
def test_env_names_the_mirror_the_checkout_and_the_index(tmp_path: Path) -> None:
    """As docs/air-gap.md says: in ``.env`` beside the file."""
    (tmp_path / ".env").write_text(
        "MODELPLANE_MIRROR=m.example.org/hub\nMODELPLANE_SOURCE=/checkout\nPIP_NO_INDEX=1\n", encoding="ascii"
    )
    seen = as_compose_sees(tmp_path, text_of())["services"]
    assert seen["grafana"]["image"] == "m.example.org/hub/grafana/grafana:12.4.0"
    build = seen["backend"]["build"]
    assert (build["context"], build["dockerfile"]) == ("/checkout", "provisioning/Dockerfile")
    assert build["args"]["PYTHON_IMAGE"].startswith("m.example.org/hub/library/python:")
    assert build["args"]["PIP_NO_INDEX"] == "1"
    (tmp_path / ".env").unlink()
    build = as_compose_sees(tmp_path, text_of())["services"]["backend"]["build"]
    assert (build["context"], build["dockerfile"]) == (str(tmp_path / "image"), "Dockerfile")
    assert build["args"]["PIP_INDEX_URL"] == ""


@pytest.mark.parametrize("name", PARTS)
def test_each_container_has_only_what_it_needs(name: str) -> None:
    container = service(name)
    assert container["user"] == "1000:1000"
    assert container["read_only"] is True
    assert container["tmpfs"]
    assert container["cap_drop"] == ["ALL"]
    assert "cap_add" not in container
    assert "privileged" not in container
    assert container["security_opt"] == ["no-new-privileges:true"]
    variable = f"MODELPLANE_{name.partition('-')[0].upper()}"
    assert re.fullmatch(rf"\$\{{{variable}_MEMORY:-\d+[mg]\}}", container["mem_limit"])
    assert container["cpus"] == f"${{{variable}_CPUS:-1}}"
    assert 0 < container["pids_limit"] <= 512
    assert container["logging"]["options"].keys() == {"max-size", "max-file"}
    assert container["healthcheck"]["test"][0] == "CMD"
    assert container["restart"] == "unless-stopped"
    assert all(port.startswith("127.0.0.1:") for port in container.get("ports", ()))


@pytest.mark.parametrize("name", PARTS)
def test_each_container_writes_into_its_own_folder_alone(name: str) -> None:
    volumes = service(name).get("volumes", [])
    written = [volume["source"] for volume in volumes if not volume["read_only"]]
    assert written == ([f"./data/{name}"] if name in DATA_FOLDERS else [])
    assert all(volume["bind"] == {"create_host_path": False} for volume in volumes)
    secrets = {volume["source"] for volume in volumes if "secrets" in volume["source"]}
    assert secrets == ({f"./secrets/{name}"} if name in DATA_FOLDERS else set())


@pytest.mark.slow
def test_containers_mount_folders_and_no_file_that_is_replaced() -> None:
    """A mount of a file goes on showing the file that was there at the start."""
    files = bundle()
    for container in yaml.safe_load(files["compose.yaml"])["services"].values():
        for volume in container["volumes"]:
            assert volume["source"].removeprefix("./") not in files


def test_an_example_reaches_prometheus_and_nothing_else() -> None:
    networks = content()["networks"]
    members: dict[str, set[str]] = {name: set() for name in networks}
    for name, container in content()["services"].items():
        for network in container["networks"]:
            members[network].add(name)
    parts = {"prometheus", "alertmanager", "backend", "grafana"}
    assert members == {
        "plane": parts,
        "edge": parts,
        "scrape-example-jax-diabetes": {"prometheus", "example-jax-diabetes"},
    }
    assert {name for name, network in networks.items() if network.get("internal")} == {
        "plane",
        "scrape-example-jax-diabetes",
    }


def test_two_examples_do_not_reach_each_other() -> None:
    other = ExampleContainer("tensorflow_wine.py", 8000)
    services = yaml.safe_load(text_of(examples=(EXAMPLE, other)))["services"]
    assert not set(services[EXAMPLE.service]["networks"]) & set(services[other.service]["networks"])
    assert {*services[EXAMPLE.service]["networks"], *services[other.service]["networks"]} <= set(
        services["prometheus"]["networks"]
    )


@pytest.mark.slow
@pytest.mark.parametrize(("boards", "start"), [(0, "60s"), (9, "60s"), (1_000, "500s"), (11_000, "5500s")])
def test_grafana_gets_longer_to_start_with_more_boards(boards: int, start: str) -> None:
    grafana = yaml.safe_load(text_of(boards=boards))["services"]["grafana"]
    assert grafana["healthcheck"]["start_period"] == start


@pytest.mark.slow
def test_the_boards_of_the_bundle_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(container_bundle, "compose_file", lambda choices: str(choices.boards))
    files = container_files(REGISTRY, "1:1")
    boards = [path for path in files if path.startswith("grafana/dashboards/")]
    assert files["compose.yaml"] == str(len(boards)).encode()
    assert len(boards) > len(REGISTRY.models)


def test_grafana_opens_on_the_fleet_and_fetches_nothing() -> None:
    files = bundle()
    grafana = yaml.safe_load(files["compose.yaml"])["services"]["grafana"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    (source,) = (
        volume["source"] + home.removeprefix(volume["target"])
        for volume in grafana["volumes"]
        if home.startswith(volume["target"])
    )
    assert json.loads(files[source.removeprefix("./")])["uid"] == "mp-fleet"
    for setting in ("PREINSTALL_DISABLED", "PUBLIC_KEY_RETRIEVAL_DISABLED"):
        assert grafana["environment"][f"GF_PLUGINS_{setting}"] == "true"


def test_every_image_is_of_the_table_and_pinned_where_a_digest_is_known() -> None:
    plain, pinned = (yaml.safe_load(text_of(**CHOICES[choice])) for choice in ("Infinity", "pinned"))
    names = {image.name for image in IMAGES}
    for parsed, end in ((plain, ""), (pinned, f"@{DIGEST}")):
        for container in parsed["services"].values():
            arguments = container.get("build", {}).get("args", {})
            images = [value for name, value in arguments.items() if name.endswith("_IMAGE")]
            for reference in images or [container["image"]]:
                prefix, name = "${MODELPLANE_MIRROR:-docker.io}/", reference.removesuffix(end)
                assert reference.endswith(end)
                assert name.removeprefix(prefix) in names


@pytest.mark.slow
def test_links_of_alerts_lead_to_the_address_that_people_have() -> None:
    urls = REGISTRY.urls.model_copy(update={"prometheus": "https://prometheus.example.org"})
    files = container_files(REGISTRY.model_copy(update={"urls": urls}), "1:1")
    command = yaml.safe_load(files["compose.yaml"])["services"]["prometheus"]["command"]
    assert "--web.external-url=https://prometheus.example.org" in command
    assert "--web.external-url=http://localhost:9090" in service("prometheus")["command"]
    assert "--web.external-url=http://localhost:9093" in service("alertmanager")["command"]
