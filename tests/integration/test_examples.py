"""The example services as processes: they train, serve /metrics, refuse bad input and end quietly.

All services of a test start at once, because most of their time is importing a framework.
"""

from __future__ import annotations

import http.client
import importlib.util
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
from prometheus_client.parser import text_string_to_metric_families

from modelplane_provisioning.processes import PATIENCE_SECONDS, free_port
from modelplane_schema.metrics import (
    BASELINE_OBSERVATIONS,
    BUSINESS_EVENTS,
    CONFIDENCE,
    FEEDBACK,
    INVALID_OBSERVATIONS,
    ITEMS,
    LATENCY,
    MODEL_INFO,
    OUTCOMES,
    REQUESTS,
    SIGNAL_OBSERVATIONS,
)
from modelplane_schema.registry import Model, load_registry

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = EXAMPLES / "services"
LATENCY_SLO_SECONDS = "0.25"
LONGEST_SECONDS = 3 * PATIENCE_SECONDS  # five frameworks are imported at once

Labels = frozenset[tuple[str, str]]
Samples = dict[str, dict[Labels, float]]


@dataclass(frozen=True, slots=True)
class Case:
    script: str
    model_name: str
    requires: tuple[str, ...]
    least_accuracy: float

    @property
    def model(self) -> Model:
        models = load_registry(EXAMPLES / "modelplane.yaml").models
        return next(model for model in models if model.name == self.model_name)

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(module) for module in self.requires)


CASES = (
    Case("jax_diabetes.py", "progression-risk", ("jax", "sklearn"), 0.65),
    Case("onnxruntime_digits.py", "digit-scanner", ("onnxruntime", "skl2onnx", "sklearn"), 0.9),
    Case("pytorch_digits.py", "digit-reader", ("torch", "sklearn"), 0.9),
    Case("sklearn_breast_cancer.py", "tumour-screen", ("sklearn",), 0.9),
    Case("tensorflow_wine.py", "wine-grader", ("tensorflow", "sklearn"), 0.9),
)
WITH_FEEDBACK, WITH_REVIEWS = {"digit-reader", "tumour-screen"}, {"tumour-screen"}
INSTALLED = tuple(case for case in CASES if case.installed)
pytestmark = pytest.mark.usefixtures("all_examples_alone")
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.model_name)

# Every kind of bad input, after good input, as a running service gets it; and what was counted of it.
REFUSED_ROWS = 20
REFUSALS = """
import importlib, json, sys
import numpy as np
from prometheus_client import generate_latest
from modelplane_exporter import tenant
from replay import truncated, with_gap
workload = importlib.import_module(sys.argv[1]).build()
rng = np.random.default_rng(0)
outcomes = []
with tenant(workload.tenants[0]):
    for endpoint in workload.endpoints:
        for row in workload.rows[:int(sys.argv[2])]:
            for name, given in (
                ("good", row), ("drifted", workload.drift(row, rng)), ("truncated", truncated(row)),
                ("gap", with_gap(row, rng)),
            ):
                try:
                    outcomes.append((name, 0 < float(endpoint.predict(given, 0.0)["confidence"]) <= 1))
                except Exception as error:
                    outcomes.append((name, type(error).__name__))
print(json.dumps([outcomes, generate_latest().decode()]))
"""


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


@dataclass(frozen=True, slots=True)
class Finished:
    status: int
    output: str
    log: str


def start(*arguments: str, log: Path, port: int | str = "off", **environ: str) -> subprocess.Popen[str]:
    """Python with ``arguments``; its output and log go to files, so that no pipe fills up."""
    environment = os.environ | environ | {
        "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
        "MODELPLANE_EXPORTER_PORT": str(port),
        "PYTHONPATH": str(SCRIPTS),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    with log.open("w") as errors, log.with_suffix(".out").open("w") as output:
        return subprocess.Popen(
            [sys.executable, *arguments], stdout=output, stderr=errors, env=environment, text=True
        )


def finish(process: subprocess.Popen[str], log: Path) -> Finished:
    try:
        status = process.wait(LONGEST_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        pytest.fail(f"still running after {LONGEST_SECONDS} s: {log.read_text()}")
    return Finished(status, log.with_suffix(".out").read_text(), log.read_text())


def accuracies(log: str) -> list[float]:
    return [float(number) for number in re.findall(r"held-out accuracy ([0-9.]+)", log)]


def run_all(commands: Mapping[str, tuple[str, ...]], folder: Path) -> dict[str, Finished]:
    """Run Python with each of ``commands`` at the same time, to the end."""
    logs = {name: folder / f"{name}.log" for name in commands}
    processes = {name: start(*command, log=logs[name]) for name, command in commands.items()}
    try:
        return {name: finish(process, logs[name]) for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    commands = {case.model_name: (str(SCRIPTS / case.script), "--once") for case in INSTALLED}
    return run_all(commands, tmp_path_factory.mktemp("once"))


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finished]:
    commands = {
        case.model_name: ("-c", REFUSALS, case.script.removesuffix(".py"), str(REFUSED_ROWS))
        for case in INSTALLED
    }
    return run_all(commands, tmp_path_factory.mktemp("refusals"))


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
                str(SCRIPTS / case.script), log=log, port=port, MODELPLANE_REPLAY_PHASE_SECONDS="1"
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


def parsed(exposition: str) -> Samples:
    samples: Samples = defaultdict(dict)
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            samples[sample.name][frozenset(sample.labels.items())] = sample.value
    return samples


def sums(samples: Samples, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    """Values of a metric summed by ``labels``."""
    totals: dict[tuple[str, ...], float] = defaultdict(float)
    for label_set, number in samples[name].items():
        known = dict(label_set)
        totals[tuple(known[label] for label in labels)] += number
    return totals


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get(name, {}).get(frozenset(labels.items()))


def missing(samples: Samples, model: Model) -> list[str]:
    """What the metrics of a whole cycle must show and do not show yet."""
    absent = []
    for identity in identities(model):
        calls = {outcome: value(samples, REQUESTS.name, **identity, outcome=outcome) for outcome in OUTCOMES}
        finished = value(samples, f"{LATENCY.name}_count", **identity) or 0
        fast = value(samples, f"{LATENCY.name}_bucket", **identity, le=LATENCY_SLO_SECONDS) or 0
        shown = {
            "success": bool(calls["success"]),
            "failure": bool(calls["failure"]),
            "cancelled": calls["cancelled"] == 0,
            "slow": finished > fast > 0,
            "confidence": bool(value(samples, f"{CONFIDENCE.name}_count", **identity)),
        }
        if model.name in WITH_FEEDBACK:
            shown["feedback"] = bool(value(samples, FEEDBACK.name, **identity, verdict="correct"))
        if model.name in WITH_REVIEWS:
            shown["reviews"] = bool(value(samples, BUSINESS_EVENTS.name, **identity, event="reviewed"))
        absent += [f"{identity}: {what}" for what, is_shown in shown.items() if not is_shown]
    return absent


def skip_unless_installed(case: Case) -> None:
    if not case.installed:
        pytest.skip(f"needs {', '.join(case.requires)}")


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
    assert len(reached) == len(case.model.versions)
    assert min(reached) > case.least_accuracy
    assert re.findall(r"phase: (.+)", done.log) == ["normal", "normal", "drift", "bad input", "slow"]
    assert "Traceback" not in done.log


@each_case
def test_framework_refuses_every_bad_input(case: Case, refusals: dict[str, Finished]) -> None:
    skip_unless_installed(case)
    done = refusals[case.model_name]
    assert done.status == 0, done.log
    outcomes: dict[str, set[str | bool]] = defaultdict(set)
    for name, outcome in json.loads(done.output)[0]:
        outcomes[name].add(outcome)
    assert outcomes["good"] == outcomes["drifted"] == {True}
    for name in ("truncated", "gap"):
        assert len(outcomes[name]) == 1
        assert isinstance(outcomes[name].pop(), str)


@each_case
def test_each_call_is_counted_once_and_its_signals_only_if_it_succeeded(
    case: Case, refusals: dict[str, Finished]
) -> None:
    skip_unless_installed(case)
    samples = parsed(json.loads(refusals[case.model_name].output)[1])
    versions = [version.version for version in case.model.versions]
    finished = 2 * REFUSED_ROWS  # of each version
    assert sums(samples, REQUESTS.name, "model_version", "outcome") == {
        (version, outcome): finished if outcome in ("success", "failure") else 0
        for version in versions
        for outcome in OUTCOMES
    }
    for name in (f"{CONFIDENCE.name}_count", ITEMS.name):
        assert sums(samples, name, "model_version") == {(version,): finished for version in versions}
    observed = sums(samples, SIGNAL_OBSERVATIONS.name, "model_version", "kind", "signal")
    assert (
        observed.keys() == sums(samples, BASELINE_OBSERVATIONS.name, "model_version", "kind", "signal").keys()
    )
    assert {version for version, _, _ in observed} == set(versions)
    assert set(observed.values()) == {finished}
    assert set(samples[INVALID_OBSERVATIONS.name].values()) <= {0.0}


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


@each_case
def test_missing_framework_is_explained(case: Case) -> None:
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
