"""What a real Prometheus holds of the signals of several processes is what NumPy says of the raw rows."""

from __future__ import annotations

import math
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from generations import Servers, newest_available
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until
from modelplane_schema import metrics
from modelplane_schema.metrics import MISSING_BIN
from signal_plane import (
    DRIFTING,
    MIXED,
    NUMBERS,
    OBSERVATIONS,
    Bins,
    Columns,
    Plane,
    Prometheus,
    expected_bins,
    finite,
)


@pytest.fixture(scope="session")
def servers() -> Servers:
    """One generation: it stores the exporter's counts, and test_signal_psi computes with both."""
    return newest_available()


def exposed(port: int) -> Bins:
    """Counts that one port shows."""
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200, answer.text
    return {
        (sample.labels["model_name"], sample.labels["signal"], sample.labels["bin"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == OBSERVATIONS and sample.labels["model_name"] != DRIFTING
    }


def added(*parts: Bins) -> Bins:
    assert all(part.keys() == parts[0].keys() for part in parts)
    return {key: sum(part[key] for part in parts) for key in parts[0]}


def test_bins_of_two_replicas_equal_numpy_histogram(plane: Plane, tmp_path: Path) -> None:
    first, second = plane.ports["exact"]
    sizes = [1, 63, 64, 65, 7, 256, 300, 2, 1000, 3] * 2
    with ExitStack() as stack:
        alone = plane.start(stack, first)
        workers = [plane.start(stack, second, tmp_path) for _ in range(2)]
        services = [alone, *workers]
        sent: dict[str, list[dict[str, Columns]]] = {MIXED: [], NUMBERS: []}
        for seed, (chunks, threads) in enumerate([(sizes, 1), (sizes[::-1], 4), ([5] * 400, 8)]):
            for model in sent:
                sent[model] += plane.send(services, model, seed, chunks, threads)
        for service in services:
            for _ in range(6):
                service.answer()
        expected = expected_bins(plane.baselines, sent)
        assert min(expected.values()) >= 0
        everything = sum(expected.values())
        assert wait_until(lambda: sum(sum(exposed(port).values()) for port in (first, second)) >= everything)
        plane.prometheus.await_scrape("exact", 2)
        assert added(exposed(first), exposed(second)) == expected
        assert plane.prometheus.bins("exact") == expected
        workers[0].kill()
        assert wait_until(lambda: is_exposed(second)), "the other worker did not take the port over"
        assert added(exposed(first), exposed(second)) == expected


def is_exposed(port: int) -> bool:
    try:
        return bool(exposed(port))
    except requests.RequestException:
        return False


class Sums(NamedTuple):
    """What replicas exposed of a signal: observations that are not missing, and the sums of deviations."""

    n: float
    positive: float
    negative: float
    square: float


def sums(prometheus: Prometheus, job: str) -> dict[tuple[str, str, str], Sums]:
    """Raw samples by instance, model and signal."""
    present = f'{OBSERVATIONS}{{job="{job}",bin!="{MISSING_BIN}"}}'
    parts = [prometheus.raw(f"sum by (instance, model_name, signal) ({present})")]
    for metric in (
        metrics.SIGNAL_DEVIATION_POSITIVE,
        metrics.SIGNAL_DEVIATION_NEGATIVE,
        metrics.SIGNAL_DEVIATION_SQUARE,
    ):
        parts.append(prometheus.raw(f'{metric.name}{{job="{job}"}}'))
    return {key: Sums(*(part[key] for part in parts)) for key in parts[-1]}


def test_mean_and_standard_deviation_across_replicas_and_a_restart(plane: Plane) -> None:
    first, second = plane.ports["restart"]
    prometheus = plane.prometheus
    parts: list[dict[str, Columns]] = []
    with ExitStack() as stack:
        services = [plane.start(stack, first), plane.start(stack, second)]
        parts += plane.send(services, NUMBERS, 7, [1, 70, 3, 500, 64, 5, 1000, 2, 9, 8] * 3, threads=3)
        for service in services:
            service.answer()
        prometheus.await_scrape("restart", 2)
        before = sums(prometheus, "restart")
        services[0].stop()
        services[0] = plane.start(stack, first)
        parts += plane.send(services, NUMBERS, 8, [3] * 300)
        for service in services:
            service.answer()
        prometheus.await_scrape("restart", 2)
        after = sums(prometheus, "restart")
        means, stddevs = (
            prometheus.raw(f'max by (model_name, signal) ({metric.name}{{job="restart"}})')
            for metric in (metrics.BASELINE_MEAN, metrics.BASELINE_STDDEV)
        )
    restarted = f"127.0.0.1:{first}"
    assert {key[2] for key in after if key[1] == NUMBERS} == {"age", "far"}
    for signal in ("age", "far"):
        values = finite([value for part in parts for value in part["input"][signal]])
        seen = [after[f"127.0.0.1:{port}", NUMBERS, signal] for port in (first, second)]
        assert seen[0].n < before[restarted, NUMBERS, signal].n, "the counters start at 0 again"
        total = Sums(*np.sum([before[restarted, NUMBERS, signal], *seen], axis=0))
        assert total.n == len(values)
        m, s = means["", NUMBERS, signal], stddevs["", NUMBERS, signal]
        shift = (total.positive - total.negative) / total.n
        mean, stddev = m + s * shift, s * math.sqrt(total.square / total.n - shift**2)
        assert abs(m) / s > 9e5 or signal == "age"
        assert abs(mean - np.mean(values, dtype=np.longdouble)) <= 1e-9 * np.std(values)
        assert stddev == pytest.approx(np.std(values), rel=1e-9)
