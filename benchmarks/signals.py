"""What observing signals costs, beside whylogs and Evidently with the same rows.

50 numeric features and one prediction of four classes, against a baseline of 100,000 rows. Each subject does
a round of its operations in turn, so that a machine that changes speed changes it for all. CPU is that of the
thread, divided by the operations of a round, with all drains counted in; ratios are medians over the rounds.
A peer that is not installed is left out, and the JSON says so. Prints JSON.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
import statistics
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.parser import text_string_to_metric_families

from modelplane_exporter import Baseline, ModelMetricsExporter
from modelplane_exporter.exposition import signal_text
from modelplane_exporter.layout.signals import layout_of
from modelplane_exporter.layout.state import State
from modelplane_exporter.signals.row_queue import DRAIN_AT
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.stores import store_for
from modelplane_schema import metrics

FEATURES = [f"feature_{number:02d}" for number in range(50)]
CLASSES = ("cat", "dog", "fox", "owl")
BATCH, TRAINING, PEER_REFERENCE = 1_000, 100_000, 10_000
# Whole drains, so that a round pays for its own rows.
ROWS, PEER_ROWS = 4 * DRAIN_AT, 32
CALLS, PEER_CALLS = 40 * DRAIN_AT, 200
IDENTITY = ("m", "v1", "t", "sklearn")
LIMITS = {"batch_ms": 2.0, "row_us": 20.0}

Function = Callable[[], object]
Samples = set[tuple[str, frozenset[tuple[str, str]], float]]


class Subject(NamedTuple):
    """Something to measure: one round of it, and how many operations that is."""

    run: Function
    operations: float = 1


class Times(NamedTuple):
    """Seconds of one operation, one value for each round."""

    cpu: list[float]
    wall: list[float]


class Data(NamedTuple):
    """The same values in every form; ``reference`` is what the baseline was fitted to."""

    reference: NDArray[np.float64]
    batch: NDArray[np.float64]
    frame: pd.DataFrame
    rows: list[dict[str, float]]
    baseline: Baseline


def generate_data() -> Data:
    chance = np.random.default_rng(4)
    reference = chance.normal(size=(TRAINING, len(FEATURES)))
    batch = chance.normal(size=(BATCH, len(FEATURES)))
    classes = chance.choice(CLASSES, TRAINING).tolist()
    rows = [dict(zip(FEATURES, row, strict=True)) for row in batch.tolist()]
    baseline = Baseline.fit("m", reference, names=FEATURES, prediction=classes)
    return Data(reference, batch, pd.DataFrame(batch, columns=FEATURES), rows, baseline)


class Ours:
    """An exporter with the baseline, and a call of it that is observed."""

    def __init__(self, baseline: Baseline) -> None:
        registry = CollectorRegistry()
        self.exporter = ModelMetricsExporter(
            *IDENTITY, confidence=None, baseline=baseline, events=["click"], feedback=True, registry=registry
        )
        self.store: Store = store_for(registry)
        self.call = self.exporter.track()

    def observations(self) -> int:
        """How many values were counted since the start."""
        ((_, (loaded,), (snapshot,)),) = self.store.local_signals()
        return sum(snapshot.cells[: layout_of(loaded.baseline).bins])


def installed(name: str) -> str | None:
    """The version of a peer, None when it is not installed."""
    if importlib.util.find_spec(name) is None:
        return None
    return importlib.metadata.version(name)


def whylogs_track() -> Callable[[Any], None] | None:
    """Track rows in a whylogs profile with its default metrics; None when it is not installed."""
    if installed("whylogs") is None:
        return None
    vars(np)["unicode_"] = np.str_  # whylogs 1.6 uses the name that NumPy 2 dropped
    from whylogs.core import DatasetProfile

    profile = DatasetProfile()
    track: Callable[[Any], None] = profile.track
    return track


def evidently_psi(data: Data) -> Function | None:
    """Evidently's PSI of each feature, without the report around it; None when it is not installed."""
    if installed("evidently") is None:
        return None
    from evidently.legacy.calculations.stattests import psi_stat_test
    from evidently.legacy.core import ColumnType

    reference = pd.DataFrame(data.reference[:PEER_REFERENCE], columns=FEATURES)

    def psi() -> None:
        for name in FEATURES:
            psi_stat_test(reference[name], data.frame[name], ColumnType.Numerical, 0.1)

    return psi


def measured(subjects: dict[str, Subject], rounds: int) -> dict[str, Times]:
    """Each subject in turn, ``rounds`` times; what it does for the first time is not counted."""
    times = {name: Times([], []) for name in subjects}
    for number in range(rounds + 1):
        for name, (run, operations) in subjects.items():
            cpu, wall = time.thread_time(), time.perf_counter()
            run()
            cpu, wall = time.thread_time() - cpu, time.perf_counter() - wall
            if number:
                times[name].cpu.append(cpu / operations)
                times[name].wall.append(wall / operations)
    return times


def report(times: dict[str, Times], scale: float) -> dict[str, Any]:
    """Medians and least values, and how many times each peer takes what each of ours takes."""
    ours = [name for name in times if name.startswith("modelplane")]
    peers = [name for name in times if name not in ours]
    return {
        "took": {
            name: {"cpu": spread(seconds.cpu, scale), "wall": spread(seconds.wall, scale)}
            for name, seconds in times.items()
        },
        "times_faster": {
            subject: {peer: ratio(times[peer].cpu, times[subject].cpu) for peer in peers} for subject in ours
        },
    }


def spread(seconds: list[float], scale: float) -> dict[str, float]:
    return {
        "median": round(statistics.median(seconds) * scale, 3),
        "least": round(min(seconds) * scale, 3),
    }


def ratio(theirs: list[float], ours: list[float]) -> float:
    return float(f"{statistics.median(a / b for a, b in zip(theirs, ours, strict=True)):.3g}")


def several(function: Callable[[Any], object], values: list[Any], count: int) -> Subject:
    """``count`` calls with one value after the other."""
    given = list(islice(cycle(values), count))

    def run() -> None:
        for value in given:
            function(value)

    return Subject(run, count)


def batches(data: Data, rounds: int = 15) -> dict[str, Any]:
    ours, whylogs, psi = Ours(data.baseline), whylogs_track(), evidently_psi(data)
    subjects = {
        "modelplane_array": Subject(lambda: ours.call.features(data.batch)),
        "modelplane_frame": Subject(lambda: ours.call.features(data.frame)),
    }
    if whylogs is not None:
        subjects["whylogs_frame"] = Subject(lambda: whylogs(data.frame))
    if psi is not None:
        subjects["evidently_psi"] = Subject(psi)
    times = measured(subjects, rounds)
    assert ours.observations() == 2 * (rounds + 1) * BATCH * len(FEATURES), "not every value was counted"
    return {"unit": "ms per batch", "limit": LIMITS["batch_ms"], **report(times, 1e3)}


def single_rows(data: Data, rounds: int = 15) -> dict[str, Any]:
    ours, whylogs, arrays = Ours(data.baseline), whylogs_track(), list(data.batch)
    subjects = {
        "modelplane_mapping": several(ours.call.features, data.rows, ROWS),
        "modelplane_array": several(ours.call.features, arrays, ROWS),
    }
    if whylogs is not None:
        subjects["whylogs_mapping"] = several(whylogs, data.rows, PEER_ROWS)
    times = measured(subjects, rounds)
    assert ours.observations() == 2 * (rounds + 1) * ROWS * len(FEATURES), "not every value was counted"
    callers = {"mapping": caller(ours, data.rows), "array": caller(ours, arrays)}
    return {"unit": "us per row", "limit": LIMITS["row_us"], **report(times, 1e6), "caller_wall": callers}


def caller(ours: Ours, values: list[Any], rounds: int = 9) -> dict[str, float]:
    """Quantiles of the wall time of a call in microseconds, medians over the rounds.

    One call in ``DRAIN_AT``, 0.4 %, finds the queue full and drains it; the last quantile is of those.
    """
    sorted_times = [sorted(call_times(ours, values, 10 * DRAIN_AT)) for _ in range(rounds)]
    return {
        f"p{100 * q:g}": round(
            statistics.median(times[int(q * len(times))] for times in sorted_times) * 1e6, 2
        )
        for q in (0.5, 0.99, 0.999)
    }


def call_times(ours: Ours, values: list[Any], count: int) -> list[float]:
    clock, features, seconds = time.perf_counter, ours.call.features, []
    for value in islice(cycle(values), count):
        start = clock()
        features(value)
        seconds.append(clock() - start)
    return seconds


def small_calls(data: Data, rounds: int = 9) -> dict[str, Any]:
    """One prediction, event or feedback, each beside a peer."""
    ours, whylogs = Ours(data.baseline), whylogs_track()
    counter = Counter("plain", "plain", (*metrics.IDENTITY, "value"), registry=CollectorRegistry())

    def count(value: str) -> None:
        counter.labels(*IDENTITY, value).inc()

    subjects = {
        "prediction": {"modelplane": several(ours.call.prediction, list(CLASSES), CALLS)},
        "event": {
            "modelplane": several(ours.exporter.event, ["click"], CALLS),
            "prometheus_client": several(count, ["click"], CALLS),
        },
        "feedback": {
            "modelplane": several(ours.exporter.feedback, [True, False], CALLS),
            "prometheus_client": several(count, ["correct", "incorrect"], CALLS),
        },
    }
    if whylogs is not None:
        rows = [{"prediction": name} for name in CLASSES]
        subjects["prediction"]["whylogs"] = several(whylogs, rows, PEER_CALLS)
    return {
        "unit": "us per call",
        **{name: report(measured(some, rounds), 1e6) for name, some in subjects.items()},
    }


def scrape(data: Data, rounds: int = 25) -> dict[str, Any]:
    """Rendering all series of the signals; before it, taking their state with a drain of rows that wait."""
    ours = Ours(data.baseline)
    ours.call.features(data.batch)
    state = ours.store.state()
    registry = client_registry(state)

    def render() -> bytes:
        return b"".join(signal_text.chunks(state.signals, state.baselines, openmetrics=False))

    assert samples(render()) == samples(generate_latest(registry)), "the two expositions differ"
    subjects = {"modelplane": Subject(render), "generate_latest": Subject(lambda: generate_latest(registry))}
    text = render()
    return {
        "unit": "ms per scrape",
        "lines": text.count(b"\n"),
        "bytes": len(text),
        **report(measured(subjects, rounds), 1e3),
        "state_before": {
            str(rows): spread([collected(ours, data.rows[:rows]) for _ in range(rounds)], 1e3)
            for rows in (0, DRAIN_AT - 1)
        },
    }


def collected(ours: Ours, waiting: list[dict[str, float]]) -> float:
    """CPU seconds to take the state of the signals when these rows wait for a drain."""
    ours.store.local_signals()
    for row in waiting:
        ours.call.features(row)
    start = time.thread_time()
    ours.store.local_signals()
    return time.thread_time() - start


def client_registry(state: State) -> CollectorRegistry:
    """prometheus_client's own metrics with all samples of the signals."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry, families = CollectorRegistry(), {}
    (snapshot,), (loaded,) = state.signals, state.baselines
    live = signal_text.samples_of(layout_of(loaded.baseline), snapshot)
    fitted = signal_text.baseline_samples(loaded.baseline)
    owned_samples = [(snapshot.key.identity, sample) for sample in live] + [
        (loaded.version, sample) for sample in fitted
    ]
    for owner, (metric, labels, value) in owned_samples:
        if metric.name not in families:
            kind = Counter if metric.type == "counter" else Gauge
            families[metric.name] = kind(metric.name, metric.help, metric.labels, registry=registry)
        families[metric.name].labels(*owner, *labels).inc(value)
    return registry


def samples(text: bytes) -> Samples:
    """All samples of an exposition, in no order."""
    families = text_string_to_metric_families(text.decode())
    return {(s.name, frozenset(s.labels.items()), s.value) for family in families for s in family.samples}


def fit(data: Data, rounds: int = 3) -> dict[str, Any]:
    """Fitting a baseline; whylogs makes its profile of a tenth of the rows, and is charged tenfold."""
    whylogs = whylogs_track()
    subjects = {"modelplane_array": Subject(lambda: Baseline.fit("m", data.reference, names=FEATURES))}
    if whylogs is not None:
        frame = pd.DataFrame(data.reference[:PEER_REFERENCE], columns=FEATURES)
        subjects["whylogs_frame"] = Subject(lambda: whylogs(frame), PEER_REFERENCE / TRAINING)
    return {"unit": f"s per {TRAINING:,} rows", **report(measured(subjects, rounds), 1.0)}


def main() -> None:
    data = generate_data()
    peers = {name: installed(name) or "not installed" for name in ("whylogs", "evidently")}
    printed = {
        "benchmark": "signals",
        "method": "interleaved rounds after one that is not counted; thread CPU time and wall time; medians",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "pandas": pd.__version__,
        "peers": peers,
        "batch": batches(data),
        "row": single_rows(data),
        "calls": small_calls(data),
        "scrape": scrape(data),
        "fit": fit(data),
    }
    print(json.dumps(printed, indent=2))


if __name__ == "__main__":
    main()
