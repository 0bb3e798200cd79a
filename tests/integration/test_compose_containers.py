"""The containers of compose.yaml run as it says, without an engine: rights, mounts, health, order, reload.

Grafana's program is not here, so its container is not run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from containers import CannotRunError, Container, Network, network
from generations import newest_available
from modelplane_provisioning.cli import cli
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until

EXAMPLE = Path(__file__).parents[2] / "examples" / "modelplane.yaml"
ENTRYPOINTS = {
    "prometheus": ("prometheus",),
    "alertmanager": ("alertmanager",),
    "backend": ("python", "-m", "modelplane_datasource"),
}
GET = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[2], method=sys.argv[1])
if sys.argv[3:]:
    request.add_header("Authorization", "Bearer " + sys.argv[3])
sys.stdout.write(urllib.request.urlopen(request, timeout=10).read().decode())
"""


@dataclass(frozen=True, slots=True)
class Plane:
    bundle: Path
    registry: Path
    containers: dict[str, Container]
    network: Network

    def ask(self, method: str, url: str, token: str = "") -> str:
        answer = self.network.run("python3", "-c", GET, method, url, *([token] if token else []))
        assert answer.returncode == 0, answer.stderr
        return answer.stdout

    def get(self, url: str) -> Any:
        return json.loads(self.ask("GET", url))["data"]


def write_bundle(registry: Path, out: Path) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["bundle", "--registry", str(registry), "--out", str(out)])
    assert result.exit_code == 0, result.output
    services: dict[str, Any] = yaml.safe_load((out / "compose.yaml").read_text(encoding="utf-8"))["services"]
    return services


def has_settled(container: Container) -> bool:
    return container.healthy or not container.process.alive


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """Started in the order that the file says, each once those before it are healthy."""
    if os.geteuid() != 0:
        pytest.skip("only root can make mount and network namespaces")
    folder, servers = tmp_path_factory.mktemp("containers"), newest_available()
    registry, out, programs = folder / "modelplane.yaml", folder / "bundle", folder / "programs"
    registry.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    programs.mkdir(mode=0o755)
    for name in ("prometheus", "promtool", "alertmanager", "amtool"):
        shutil.copy(getattr(servers, name), programs / name)
    services = write_bundle(registry, out)
    containers: dict[str, Container] = {}
    try:
        with network([*services, "localhost"]) as space:
            for name, entrypoint in ENTRYPOINTS.items():
                assert services[name].get("depends_on", {}).keys() <= containers.keys()
                container = Container(name, services[name], entrypoint, out, programs, space)
                containers[name] = container
                container.process.start()
                wait_until(partial(has_settled, container), PATIENCE_SECONDS, 0.5)
                assert container.healthy, container.process.log_excerpt()
            yield Plane(out, registry, containers, space)
    except CannotRunError as error:
        pytest.skip(f"no namespaces here: {error}")
    finally:
        for container in reversed(containers.values()):
            container.process.stop()


def test_no_part_has_a_right_that_it_does_not_need(plane: Plane) -> None:
    for name, container in plane.containers.items():
        status = Path(f"/proc/{container.process.pid}/status").read_text(encoding="ascii")
        rights = dict(re.findall(r"^(\w+):\s+(.*)$", status, re.MULTILINE))
        assert set(rights["Uid"].split()) == {"65534"}, name
        assert {rights[f"Cap{which}"] for which in ("Eff", "Prm", "Bnd", "Inh", "Amb")} == {"0" * 16}, name
        assert rights["NoNewPrivs"] == "1", name


@pytest.mark.parametrize(
    ("name", "data", "configuration"),
    [
        ("prometheus", "/prometheus", "/etc/prometheus"),
        ("alertmanager", "/alertmanager", "/etc/alertmanager"),
        ("backend", "/data", "/etc/modelplane"),
    ],
)
def test_a_part_writes_into_its_data_alone_and_reads_its_own_secrets(
    plane: Plane, name: str, data: str, configuration: str
) -> None:
    container = plane.containers[name]
    for folder in (data, "/tmp"):
        assert container.run("touch", f"{folder}/probe").returncode == 0, folder
        assert container.run("rm", f"{folder}/probe").returncode == 0
    for folder in ("/", "/etc", configuration, "/run/secrets"):
        assert "Read-only" in container.run("touch", f"{folder}/probe").stderr, folder
    secrets = container.run("find", "/run/secrets", "-type", "f", "-printf", "%P\n").stdout.split()
    assert secrets == ["tokens.json" if name == "backend" else f"{name}-token"]


def test_parts_find_each_other_and_their_tokens_work(plane: Plane) -> None:
    jobs = {"prometheus", "alertmanager", "modelplane-backend"}

    def healthy() -> set[str]:
        targets = plane.get("http://127.0.0.1:9090/api/v1/targets")["activeTargets"]
        return {target["labels"]["job"] for target in targets if target["health"] == "up"}

    wait_until(lambda: jobs <= healthy(), PATIENCE_SECONDS, 2)
    assert healthy() == jobs
    operator = (plane.bundle / "secrets" / "operator" / "operator-token").read_text(encoding="ascii")

    def last_watchdog() -> Any:
        answer = plane.ask("GET", "http://127.0.0.1:8090/api/v1/watchdog", operator)
        return json.loads(answer)["last_seen_at"]

    wait_until(lambda: last_watchdog() is not None, PATIENCE_SECONDS, 3)
    assert last_watchdog() is not None, "Prometheus, Alertmanager and the backend each pass it on"


def test_addresses_are_those_of_people_and_no_port_waits_for_a_cluster(plane: Plane) -> None:
    flags = plane.get("http://127.0.0.1:9090/api/v1/status/flags")
    assert flags["web.external-url"] == "http://localhost:9090"
    sockets = plane.network.run("cat", "/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6")
    ports = {int(port, 16) for port in re.findall(r":([0-9A-F]{4}) [0-9A-F:]+ 0A", sockets.stdout)}
    assert ports == {9090, 9093, 8090}
    assert ":2386 " not in sockets.stdout, "9094, Alertmanager's gossip"


def test_a_bundle_that_is_written_anew_is_seen_through_the_mounts(plane: Plane) -> None:
    content = yaml.safe_load(plane.registry.read_text(encoding="utf-8"))
    content["models"][0]["targets"] = ["prometheus:9999"]
    content["models"][0]["slos"] = []
    plane.registry.write_text(yaml.safe_dump(content), encoding="utf-8")
    before = plane.ask("GET", "http://127.0.0.1:9090/api/v1/rules")
    write_bundle(plane.registry, plane.bundle)
    plane.ask("POST", "http://127.0.0.1:9090/-/reload")
    plane.ask("POST", "http://127.0.0.1:9093/-/reload")
    assert plane.ask("GET", "http://127.0.0.1:9090/api/v1/rules") != before

    def targets() -> str:
        return json.dumps(plane.get("http://127.0.0.1:9090/api/v1/targets"))

    wait_until(lambda: "prometheus:9999" in targets(), PATIENCE_SECONDS, 1)
    assert "prometheus:9999" in targets()
    seen = plane.containers["backend"].run("cat", "/etc/modelplane/modelplane.yaml").stdout
    assert seen == (plane.bundle / "backend" / "modelplane.yaml").read_text(encoding="utf-8")
    assert "prometheus:9999" in seen
