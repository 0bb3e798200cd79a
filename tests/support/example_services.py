"""The example services as processes of tests, and what they expose."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.registry import Model, load_registry

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = EXAMPLES / "services"
REGISTRY = load_registry(EXAMPLES / "modelplane.yaml")
LONGEST_SECONDS = 3 * PATIENCE_SECONDS  # five frameworks are imported at once

Labels = frozenset[tuple[str, str]]
Samples = dict[str, dict[Labels, float]]


@dataclass(frozen=True, slots=True)
class Case:
    script: str
    model_name: str
    requires: tuple[str, ...]
    least_accuracy: float | None

    @property
    def model(self) -> Model:
        return next(model for model in REGISTRY.models if model.name == self.model_name)

    @property
    def installed(self) -> bool:
        return all(importlib.util.find_spec(module) for module in self.requires)


CASES = (
    Case("jax_diabetes.py", "progression-risk", ("jax", "sklearn"), 0.65),
    Case("letter_writer.py", "letter-writer", ("numpy",), None),
    Case("onnxruntime_digits.py", "digit-scanner", ("onnxruntime", "skl2onnx", "sklearn"), 0.9),
    Case("pytorch_digits.py", "digit-reader", ("torch", "sklearn"), 0.7),
    Case("sklearn_breast_cancer.py", "tumour-screen", ("sklearn",), 0.9),
    Case("tensorflow_wine.py", "wine-grader", ("tensorflow", "sklearn"), 0.9),
)
INSTALLED = tuple(case for case in CASES if case.installed)
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.model_name)


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
        "PYTHONPATH": os.pathsep.join(filter(None, [str(SCRIPTS), os.environ.get("PYTHONPATH")])),
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


def skip_unless_installed(case: Case) -> None:
    if not case.installed:
        pytest.skip(f"needs {', '.join(case.requires)}")
