"""Signals of several worker processes add up."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from exporter_support.observed_signals import NUMBERS, Samples, expected

WORKER = """
import json, os, sys
import numpy as np
from prometheus_client import CollectorRegistry
from modelplane_exporter import Baseline, ModelMetricsExporter
from modelplane_exporter.serving.responder import respond
registry = CollectorRegistry()
exporter = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry, confidence=None,
                                baseline=sys.argv[1], events=["click"])
for line in sys.stdin:
    command, seed = line.split()
    if command == "observe":
        rows = np.random.default_rng(int(seed)).normal(0, 2, (200, 3))
        with exporter.track() as call:
            call.features(rows)
            call.features(rows[0])
        exporter.event("click")
        exporter.feedback(False)
    print(json.dumps(respond(registry, "GET", "", "").body.decode()), flush=True)
"""


@pytest.fixture
def worker_directory(tmp_path: Path) -> Path:
    NUMBERS.save(tmp_path / "baseline.json")
    return tmp_path / "workers"


def start_worker(directory: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"MODELPLANE_EXPORTER_WORKERS_DIR": str(directory)}
    command = [sys.executable, "-c", WORKER, str(directory.parent / "baseline.json")]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, text=True
    )


def ask(worker: subprocess.Popen[str], command: str) -> dict[str, Samples]:
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write(command + "\n")
    worker.stdin.flush()
    by_name: dict[str, Samples] = {}
    for family in text_string_to_metric_families(json.loads(worker.stdout.readline())):
        for sample in family.samples:
            by_name.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return by_name


@pytest.mark.slow
def test_worker_processes_add_up_also_after_one_was_killed(worker_directory: Path) -> None:
    workers = [start_worker(worker_directory) for _ in range(2)]
    try:
        rows = []
        for seed, worker in enumerate(workers):
            ask(worker, f"observe {seed}")
            values = np.random.default_rng(seed).normal(0, 2, (200, 3))
            rows += [values, values[:1]]
        ask(workers[0], "publish 0")
        before = ask(workers[1], "publish 0")
        workers[0].kill()
        workers[0].wait()
        after = ask(workers[1], "publish 0")
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    observed = np.vstack(rows)
    for by_name in (before, after):
        counts = by_name["model_signal_observations_total"]
        assert {key[2] for key in counts} == {"__all__"}
        for i in range(3):
            mine = {key[-1]: value for key, value in counts.items() if key[5] == f"f{i}"}
            assert mine == expected(observed[:, i])
            u = (observed[:, i] - i) / (i + 1)
            key = ("m", "v1", "__all__", "jax", "input", f"f{i}", NUMBERS.label)
            squares = by_name["model_signal_deviation_square_sum_total"][key]
            assert squares == pytest.approx((u * u).sum(), abs=1e-8)
        assert by_name["model_business_events_total"][("m", "v1", "t", "jax", "click")] == 2
        assert by_name["model_feedback_total"][("m", "v1", "t", "jax", "incorrect")] == 2
        bounds = by_name["model_signal_baseline_upper_bound"]
        assert bounds[("m", "v1", "jax", "input", "f0", NUMBERS.label, "04")] == math.inf


@pytest.mark.slow
def test_a_signal_is_observed_once_any_worker_has_observed_it(worker_directory: Path) -> None:
    workers = [start_worker(worker_directory) for _ in range(2)]
    try:
        states = [ask(workers[1], "publish 0")]
        ask(workers[0], "observe 1")
        states.append(ask(workers[1], "publish 0"))
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()
    values = [set(by_name["model_signal_unobserved"].values()) for by_name in states]
    assert values == [{1.0}, {0.0}]
