"""Under a plane that runs, registries are applied and applies are killed: nothing that stays is ever lost.

``MODELPLANE_APPLY_TIMES`` and ``MODELPLANE_APPLY_KILLS`` make it longer; ``make apply-storm`` does.
"""

from __future__ import annotations

import json
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
import yaml
from click.testing import CliRunner

from generations import INSTALLED, find_servers
from modelplane_provisioning.bundle.credentials import ALERTMANAGER, HOLDERS
from modelplane_provisioning.bundle.site import PRODUCTION_TIMES
from modelplane_provisioning.cli import cli
from modelplane_provisioning.local.stack import Stack
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until
from modelplane_schema.owned_files import MANIFEST
from modelplane_schema.registry import load_registry

APPLIES = int(os.environ.get("MODELPLANE_APPLY_TIMES", "6"))
KILLS = int(os.environ.get("MODELPLANE_APPLY_KILLS", "4"))
SEED = 20
PAUSE_SECONDS = 1
STAYING = "always"
FOREIGN = {
    "grafana/dashboards/boards/mp-marketing.json": '{"uid": "mp-marketing"}',
    "grafana/dashboards/theirs/theirs.json": '{"uid": "theirs"}',
    "prometheus/rules/site-rules.yml": "groups: [{name: site, rules: [{record: site, expr: '1'}]}]\n",
    "prometheus/targets/site.json": '[{"targets": ["site.example:1"]}]',
    "notes.txt": "theirs",
}
# Imports all, so that only the work of the command has moments to be killed at.
_MORTAL = """
import sys
from mortal import arm
import modelplane_provisioning.apply.run, modelplane_provisioning.apply.connections
from modelplane_provisioning.cli import cli
arm(int(sys.argv[1]), sys.argv[2] == "after")
cli(sys.argv[3:])
"""
logger = logging.getLogger(__name__)


def write_registry(path: Path, chance: random.Random, number: int) -> set[str]:
    """A registry that differs from the last one; the addresses of its models' targets."""
    tenants = chance.sample("abcdef", chance.randrange(1, 4))
    models = [STAYING, f"new-{number}", *chance.sample(["m", "n", "o", "p"], chance.randrange(1, 4))]
    addresses = {name: f"{name}.example:{9000 + chance.randrange(2)}" for name in models}
    addresses[STAYING] = "always.example:9000"
    declared = [
        {
            "name": name, "framework": "jax", "owner": "o", "tenants": [STAYING, chance.choice(tenants)],
            "versions": [{"version": f"v{chance.randrange(3)}"}], "targets": [addresses[name]],
        }
        for name in models
    ]  # fmt: skip
    people = [{"id": STAYING}, *({"id": tenant, "name": f"T {tenant} {number}"} for tenant in tenants)]
    content = {"apiVersion": "modelplane/v1", "tenants": people, "models": declared}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return set(addresses.values())


class Onlooker(threading.Thread):
    """Asks the parts, and reads the boards as Grafana scans them, until it is stopped."""

    def __init__(self, stack: Stack, bundle: Path) -> None:
        super().__init__(daemon=True)
        self.losses: list[str] = []
        self.looks = 0
        self._plane = stack.plane
        self._bundle = bundle
        self.tokens = {holder: stack.plane.token(holder.secret) for holder in HOLDERS}
        self._rules = self._loaded_rules()
        self._ended = threading.Event()

    def run(self) -> None:
        while not self._ended.is_set():
            try:
                self._look()
            except Exception as error:  # noqa: BLE001 - the thread that joins raises it
                self.losses.append(repr(error))
            self.looks += 1
            self._ended.wait(PAUSE_SECONDS)

    def end(self) -> list[str]:
        """What was lost."""
        self._ended.set()
        self.join()
        return self.losses

    def targets(self) -> set[str]:
        """The addresses that Prometheus scrapes."""
        answer = self._get(f"{self._plane.prometheus_url}/api/v1/targets?state=active").json()
        return {target["discoveredLabels"]["__address__"] for target in answer["data"]["activeTargets"]}

    def _look(self) -> None:
        staying = {"always.example:9000", "site.example:1", self._plane.backend_url.removeprefix("http://")}
        self._expect(staying <= self.targets(), "a target")
        self._expect(self._rules <= self._loaded_rules(), "a rule")
        boards = [json.loads(path.read_text()) for path in self._bundle.glob("grafana/dashboards/*/*.json")]
        uids = [board["uid"] for board in boards]
        wanted = {"mp-fleet", f"mp-model-{STAYING}", f"mp-tenant-{STAYING}", "mp-marketing"}
        self._expect(wanted <= set(uids) and len(uids) == len(set(uids)), "a board")
        for holder, token in self.tokens.items():
            answer = self._get(f"{self._plane.backend_url}/api/v1/identity", token)
            allowed = 403 if holder == ALERTMANAGER else 200  # it may only deliver
            self._expect(answer.status_code == allowed, f"the token of {holder.name}: {answer.text}")

    def _loaded_rules(self) -> set[tuple[str, str]]:
        """Names of rules, with the model of those about one: only what stays."""
        groups = self._get(f"{self._plane.prometheus_url}/api/v1/rules").json()["data"]["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        named = {(rule["name"], rule.get("labels", {}).get("model_name", "")) for rule in rules}
        return {(name, model) for name, model in named if model in ("", STAYING)}

    def _get(self, url: str, token: str = "") -> requests.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.get(url, headers=headers, timeout=PATIENCE_SECONDS)

    def _expect(self, holds: bool, what: str) -> None:
        if not holds:
            self.losses.append(f"look {self.looks}: lost {what}")


@pytest.fixture
def stack(tmp_path: Path, customary_ports_taken: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setenv("PATH", find_servers(INSTALLED).search_path)
    registry = tmp_path / "modelplane.yaml"
    write_registry(registry, random.Random(SEED), 0)
    content = load_registry(registry)
    for path, text in FOREIGN.items():
        (tmp_path / "data/bundle" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/bundle" / path).write_text(text, encoding="utf-8")
    hosts = {model.name: model.scrape.hosts for model in content.models}
    stack = Stack(content, tmp_path, tmp_path / "data", PRODUCTION_TIMES, hosts)
    try:
        stack.start(lambda text: None)
        yield stack
    finally:
        stack.stop()


def applied(folder: Path) -> str:
    arguments = ["apply", "--registry", str(folder), "--data", str(folder / "data")]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def killed(folder: Path, moment: int, side: str) -> bool:
    """Whether the command was killed at a moment, rather than having ended before."""
    command = [sys.executable, "-c", _MORTAL, str(moment), side]
    command += ["apply", "--registry", str(folder), "--data", str(folder / "data"), "--timeout", "1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert ended.returncode in (0, 1, -signal.SIGKILL), ended.stdout + ended.stderr
    return ended.returncode == -signal.SIGKILL


def test_nothing_that_stays_is_lost(stack: Stack, tmp_path: Path) -> None:
    chance, bundle = random.Random(SEED), tmp_path / "data" / "bundle"
    plan = ["apply"] * APPLIES + ["kill"] * KILLS
    chance.shuffle(plan)
    onlooker = Onlooker(stack, bundle)
    assert wait_until(lambda: "always.example:9000" in onlooker.targets())
    onlooker.start()
    kills = 0
    try:
        for number, act in enumerate([*plan, "apply"], start=1):
            addresses = write_registry(tmp_path / "modelplane.yaml", chance, number)
            if act == "kill":
                kills += killed(tmp_path, chance.randrange(1, 20), chance.choice(["before", "after"]))
                continue
            output = applied(tmp_path)
            assert [line for line in output.splitlines() if line.endswith("has taken it")] == [
                f"{part}: has taken it" for part in ("prometheus", "alertmanager", "backend")
            ]
            models = {address for address in onlooker.targets() if ".example" in address}
            assert models == addresses | {"site.example:1"}
    finally:
        losses = onlooker.end()
    logger.info("%d applies, %d kills, %d looks, %d losses", APPLIES + 1, kills, onlooker.looks, len(losses))
    assert losses == []
    assert kills == KILLS
    assert onlooker.looks > APPLIES
    assert {path: (bundle / path).read_text(encoding="utf-8") for path in FOREIGN} == FOREIGN
    named = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))["files"]
    targets = {path.name for path in (bundle / "prometheus/targets").iterdir()}
    assert {Path(path).name for path in named if "/targets/" in path} | {"site.json"} == targets
    assert {holder: stack.plane.token(holder.secret) for holder in HOLDERS} == onlooker.tokens
