"""The example services as processes: they train, serve /metrics and end quietly.

All services of a test start at once, because most of their time is importing a framework.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from stories import STORIES, Effect

from example_services import (
    CASES,
    INSTALLED,
    LONGEST_SECONDS,
    SCRIPTS,
    Case,
    Finished,
    Samples,
    each_case,
    finish,
    parsed,
    run_all,
    skip_unless_installed,
    start,
)
from modelplane_provisioning.processes import PATIENCE_SECONDS, free_port
from modelplane_schema.metrics import (
    BUSINESS_EVENTS,
    CONFIDENCE,
    FEEDBACK,
    LATENCY,
    MODEL_INFO,
    OUTCOMES,
    REQUESTS,
    TIME_TO_FIRST_TOKEN,
    TOKENS,
)
from modelplane_schema.registry import Model

# Calls a second of all tenants and versions differ by a hundred times.
SPEED = {case.model_name: 50.0 if case.model_name == "progression-risk" else 4.0 for case in CASES}
LATENCY_SLO_SECONDS = "0.25"
WITH_FEEDBACK, WITH_REVIEWS = {"digit-reader", "tumour-screen"}, {"tumour-screen"}
pytestmark = pytest.mark.usefixtures("all_examples_alone")

# Run a script as if a package were not installed.
WITHOUT = """
import runpy, sys
absent, script = sys.argv[1:]
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == absent:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
runpy.run_path(script, run_name="__main__")
"""


def accuracies(log: str) -> list[float]:
    return [float(number) for number in re.findall(r"held-out accuracy ([0-9.]+)", log)]


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    commands = {case.model_name: (str(SCRIPTS / case.script), "--once") for case in INSTALLED}
    return run_all(commands, tmp_path_factory.mktemp("once"))


@dataclass(frozen=True, slots=True)
class Running:
    process: subprocess.Popen[str]
    port: int
    log: Path

    def scrape(self) -> Samples:
        """Samples by name and labels; empty while the service does not answer yet."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.port}/metrics", timeout=PATIENCE_SECONDS
            ) as answer:
                return parsed(answer.read().decode())
        except (OSError, http.client.HTTPException):
            return defaultdict(dict)

    def wait_until_complete(self, model: Model) -> Samples:
        """Samples once they show what a whole cycle must show; fails when the service ends before."""
        deadline = time.monotonic() + LONGEST_SECONDS
        while absent := missing(samples := self.scrape(), model):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{absent}\n{self.log.read_text()}"
            time.sleep(0.5)
        return samples


@pytest.fixture
def service(case: Case, running: dict[str, Running]) -> Running:
    skip_unless_installed(case)
    return running[case.model_name]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    folder = tmp_path_factory.mktemp("running")
    services: dict[str, Running] = {}
    with ExitStack() as stack:
        for case in INSTALLED:
            log, port = folder / f"{case.model_name}.log", free_port()
            process = start(
                str(SCRIPTS / case.script),
                "--speed",
                str(SPEED[case.model_name]),
                log=log,
                port=port,
                MODELPLANE_REPLAY_CHAPTER_SECONDS="1",
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            services[case.model_name] = Running(process, port, log)
        yield services


def identities(model: Model) -> list[dict[str, str]]:
    return [
        {
            "model_name": model.name,
            "model_version": version.version,
            "tenant_id": tenant_id,
            "framework": model.framework,
        }
        for version in model.versions
        for tenant_id in model.tenants
    ]


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get(name, {}).get(frozenset(labels.items()))


def missing(samples: Samples, model: Model) -> list[str]:
    """What the metrics of all chapters must show and do not show yet."""
    absent = []
    for identity in identities(model):
        calls = {outcome: value(samples, REQUESTS.name, **identity, outcome=outcome) for outcome in OUTCOMES}
        finished = value(samples, f"{LATENCY.name}_count", **identity) or 0
        fast = value(samples, f"{LATENCY.name}_bucket", **identity, le=LATENCY_SLO_SECONDS) or 0
        befalling = effects(model, identity)
        shown = {
            "success": bool(calls["success"]),
            "failure": bool(calls["failure"]) or not any(effect.bad_share for effect in befalling),
            "cancelled": calls["cancelled"] == 0,
            "slow": finished > fast or not any(effect.slow_share for effect in befalling),
            "confidence": bool(value(samples, f"{CONFIDENCE.name}_count", **identity)),
        }
        if model.name in WITH_FEEDBACK:
            shown["feedback"] = bool(value(samples, FEEDBACK.name, **identity, verdict="correct"))
        if model.name in WITH_REVIEWS:
            shown["reviews"] = bool(value(samples, BUSINESS_EVENTS.name, **identity, event="reviewed"))
        if STORIES[model.name].stream:
            shown["tokens"] = bool(value(samples, TOKENS.name, **identity, kind="output"))
            shown["first token"] = bool(value(samples, f"{TIME_TO_FIRST_TOKEN.name}_count", **identity))
        absent += [f"{identity}: {what}" for what, is_shown in shown.items() if not is_shown]
    return absent


def effects(model: Model, identity: Mapping[str, str]) -> list[Effect]:
    """What befalls calls of a version for a tenant in any chapter."""
    return [
        effect
        for chapter in STORIES[model.name].chapters
        for effect in chapter.effects
        if effect.befalls(identity["tenant_id"], identity["model_version"])
    ]


def test_cases_are_the_catalogue() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "catalogue.py"), "--json"], capture_output=True, text=True, check=True
    )
    listed = {(entry["script"], entry["model_name"], *entry["requires"]) for entry in json.loads(done.stdout)}
    assert listed == {(case.script, case.model_name, *case.requires) for case in CASES}


@each_case
def test_once_trains_a_sensible_model_and_exits(case: Case, once: dict[str, Finished]) -> None:
    skip_unless_installed(case)
    done = once[case.model_name]
    assert done.status == 0, done.log
    assert done.output == ""
    reached = accuracies(done.log)
    if case.least_accuracy is not None:
        assert len(reached) == len(case.model.versions)
        assert min(reached) > case.least_accuracy
    chapters = STORIES[case.model_name].chapters
    assert re.findall(r"chapter: (.+)", done.log) == [chapter.name for chapter in chapters]
    assert "Traceback" not in done.log


@each_case
def test_running_service_shows_every_tenant_and_version(case: Case, service: Running) -> None:
    samples = service.wait_until_complete(case.model)
    loaded = [dict(labels) for labels in samples[MODEL_INFO.name]]
    assert {(info["model_version"], info["stage"], info["owner"]) for info in loaded} == {
        (version.version, version.stage, case.model.owner) for version in case.model.versions
    }
    assert all(info["framework_version"] for info in loaded)
    tenants = {dict(labels)["tenant_id"] for labels in samples[REQUESTS.name]}
    assert tenants == set(case.model.tenants)


@each_case
def test_running_service_ends_quietly(case: Case, service: Running) -> None:
    service.wait_until_complete(case.model)
    service.process.send_signal(signal.SIGINT if case is CASES[0] else signal.SIGTERM)
    done = finish(service.process, service.log)
    assert done.status == 0, done.log
    assert "Traceback" not in done.log


@pytest.mark.parametrize("case", [case for case in CASES if case.requires != ("numpy",)], ids=str)
def test_missing_framework_is_explained(case: Case) -> None:
    """Of those that have one: all need NumPy, which comes with modelplane."""
    script = SCRIPTS / case.script
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, case.requires[0], str(script)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
    )
    assert done.returncode == 3
    assert re.fullmatch(
        rf"{script.stem}: [\w -]+ is not installed; add it with: pip install [\w-]+\n", done.stderr
    )
