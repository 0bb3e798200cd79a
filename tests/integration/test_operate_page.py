"""docs/operate.md is walked through from its first command to its last, in a folder of its own.

Containers and packages are doubles: programs that do nothing. All else is run as it
stands there, but that what has no plane to reload is a dry run. Doctor asks a plane of
processes, and PostgreSQL's tools a server of their own.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner, Result

from datasource_support.two_tenants import notification
from model_process import service_process, write_registry
from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.store import AlertFilter, AlertStore
from modelplane_provisioning.bundle.files import registry_targets
from modelplane_provisioning.bundle.site import DEMO_TIMES
from modelplane_provisioning.cli import cli
from modelplane_provisioning.clients.plane import Plane
from modelplane_provisioning.local.stack import Stack
from modelplane_provisioning.processes import PATIENCE_SECONDS, free_port, wait_until
from modelplane_schema.registry import load_registry
from postgresql_server import PostgreSQL

PAGE = Path(__file__).parents[2] / "docs" / "operate.md"
ALERTS_PAGE = PAGE.with_name("alerts.md")
DOUBLE = "#!/bin/sh\n"
COMPOSE_COMMANDS = {"up", "stop", "start", "down"}
DATA = ("prometheus/wal", "alertmanager/silences", "grafana/grafana.db")


def commands(section: str, page: Path = PAGE, level: str = "##") -> list[str]:
    """The commands at a prompt below a heading."""
    text = page.read_text(encoding="utf-8").partition(f"\n{level} {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^\$ (.+)$", text, re.MULTILINE)


SECTIONS = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)


class Machine:
    """A folder with a registry, and a shell whose ``docker`` and ``pip`` are doubles."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        for name in ("docker", "pip"):
            (programs / name).write_text(DOUBLE, encoding="ascii")
            (programs / name).chmod(0o755)
        path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
        self._environment = {**os.environ, "PATH": path}

    def run(self, command: str) -> str:
        """What a command prints; modelplane itself runs in this process, which has imported it."""
        words = shlex.split(command)
        if words[0] == "modelplane":
            result = self.modelplane(words[1:])
            assert result.exit_code == 0, f"{command}\n{result.output}"
            return result.output
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self._environment, capture_output=True, text=True,
            check=False, timeout=PATIENCE_SECONDS,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def modelplane(self, arguments: list[str]) -> Result:
        """A run of modelplane in the folder."""
        with contextlib.chdir(self.folder):
            return CliRunner().invoke(cli, arguments)

    def walk(self, section: str) -> None:
        """Run all commands of a section."""
        assert commands(section), section
        for command in commands(section):
            self.run(tried(command))


def tried(command: str) -> str:
    """A command as the test runs it: without a plane to reload it is a dry run, of this folder's registry."""
    if not command.startswith("modelplane apply") or "--dry-run" in command:
        return command
    return f"{command.replace('/etc/modelplane', '.').removesuffix(' --watch')} --dry-run"


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    write_registry(machine.folder, free_port())
    return machine


@pytest.fixture
def plane(machine: Machine, customary_ports_taken: None) -> Iterator[Plane]:
    """A plane of processes in the machine's folder, as `modelplane up` runs one, and its model."""
    registry = load_registry(machine.folder / "modelplane.yaml")
    targets = registry_targets(registry)
    port = int(targets["resnet50"][0].partition(":")[2])
    stack = Stack(registry, machine.folder, machine.folder / ".plane", DEMO_TIMES, targets)
    try:
        with service_process(machine.folder, port):
            stack.start(lambda text: None)
            yield stack.plane
    finally:
        stack.stop()


def test_from_the_first_command_to_the_last(machine: Machine) -> None:
    build, restored = machine.folder / "build", machine.folder / "restored"
    machine.walk("Install")
    fill(build)
    (build / "prometheus/rules/site.yml").write_text("groups: []\n", encoding="ascii")
    tokens = (build / "secrets/backend/tokens.json").read_bytes()
    for section in ("Change the registry", "Upgrade", "Back up", "Restore"):
        machine.walk(section)
    assert (restored / "secrets/backend/tokens.json").read_bytes() == tokens
    with sqlite3.connect(restored / "data/backend/modelplane.db") as database:
        assert database.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)
    assert all((restored / "data" / path).is_file() for path in DATA)
    assert machine.run("modelplane bundle --registry modelplane.yaml --out restored").startswith("restored: ")
    machine.walk("Remove")
    left = [path.relative_to(build).as_posix() for path in build.rglob("*") if path.is_file()]
    assert left == ["prometheus/rules/site.yml"]


def fill(build: Path) -> None:
    """What the containers write."""
    for path in DATA:
        (build / "data" / path).parent.mkdir(parents=True, exist_ok=True)
        (build / "data" / path).write_text("data", encoding="ascii")
    AlertStore(f"sqlite:///{build}/data/backend/modelplane.db", max_raw_bodies=10).close()


def test_every_command_of_containers_and_packages_has_its_form() -> None:
    for section in SECTIONS:
        for command in commands(section):
            words = shlex.split(command)
            if words[0] == "docker":
                assert words[1:3] == ["compose", "-f"]
                assert words[3] in ("build/compose.yaml", "restored/compose.yaml")
                assert words[4] in COMPOSE_COMMANDS
            if words[0] == "pip":
                form = r"(install( --upgrade)?|uninstall --yes) modelplane(\[plane\])?"
                assert re.fullmatch(form, " ".join(words[1:]))


def test_doctor_finds_nothing_wrong_with_a_plane_that_runs(machine: Machine, plane: Plane) -> None:
    (command,) = commands("Grow")
    words = [of_plane(plane, word) for word in shlex.split(command)]
    assert {plane.prometheus_url, plane.alertmanager_url, plane.backend_url} <= {*words}

    def finds_nothing() -> bool:
        return machine.modelplane(words[1:]).exit_code == 0

    wait_until(finds_nothing, PATIENCE_SECONDS, 1)
    result = machine.modelplane(words[1:])
    assert result.exit_code == 0, result.output
    for check in ("targets are up", "rules are healthy", "the backend answers and stores"):
        assert re.search(f"ok .*{check}", result.output), result.output


def of_plane(plane: Plane, word: str) -> str:
    """A word of a command for containers as the page says that it reads for a plane of processes."""
    addresses = {
        "http://localhost:9090": plane.prometheus_url,
        "http://localhost:9093": plane.alertmanager_url,
        "http://localhost:8090": plane.backend_url,
    }
    return addresses.get(word, re.sub(r"^build\b", ".plane/bundle", word))


def test_postgresql_is_backed_up_and_restored_by_its_own_tools(
    machine: Machine, postgresql: PostgreSQL
) -> None:
    assert "[a PostgreSQL](alerts.md#backup-and-restore) by its own tools" in PAGE.read_text(encoding="utf-8")
    dump, restore = (
        command
        for command in commands("Backup and restore", ALERTS_PAGE, "###")
        if not command.startswith("modelplane")
    )
    store, restored = postgresql.new_database(), postgresql.new_database()
    body = orjson.dumps(notification("user-A", "resnet50", "ModelDown"))
    with contextlib.closing(AlertStore(store, max_raw_bodies=10)) as opened:
        opened.record(body, parse_payload(body), 1_577_836_800_000)
        before = opened.alerts(AlertFilter())
    assert len(before) == 1
    machine.run(of_server(dump, "modelplane", store))
    machine.run(of_server(restore, "restored", restored))
    with contextlib.closing(AlertStore(restored, max_raw_bodies=10)) as opened:
        assert opened.alerts(AlertFilter()) == before


def of_server(command: str, database: str, url: str) -> str:
    """A command of the page with the address of a database that is there."""
    address = f"postgresql://modelplane@db.example.org/{database}"
    assert command.count(address) == 1
    return command.replace(address, shlex.quote(url.replace("+psycopg", "")))


def test_every_section_with_commands_is_walked_through() -> None:
    walked = {"Install", "Change the registry", "Upgrade", "Back up", "Restore", "Grow", "Remove"}
    assert {section for section in SECTIONS if commands(section)} == walked
