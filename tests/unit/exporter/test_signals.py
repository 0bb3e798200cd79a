"""Signals: rows of every form are counted into the bins of the baseline, exactly, for the right tenant."""

from __future__ import annotations

import datetime
import json
import math
import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from modelplane_exporter import PER_CALL, Baseline, BaselineError, ModelMetricsExporter, tenant
from modelplane_exporter.baseline import CategoricalSignal, NumericSignal
from modelplane_exporter.baseline.values import digest
from modelplane_exporter.identity import Identity
from modelplane_exporter.layout.signals import SignalKey, layout_of
from modelplane_exporter.serving.responder import respond
from modelplane_exporter.signals.row_queue import FOLD_AT, SignalSeries
from modelplane_exporter.signals.store import BUDGET_VARIABLE

EDGES = (-1.0, 0.0, 0.5, 2.0)
SALT = "ab" * 16
Samples = dict[tuple[str, ...], float]


def numeric(name: str, kind: str = "input", mean: float = 0.0, stddev: float = 1.0) -> NumericSignal:
    return NumericSignal(
        kind, name, EDGES, (-2.0, -0.5, 0.25, 1.0, None), (0.2, 0.3, 0.3, 0.2, 0.0, 0.0), mean, stddev, 1000
    )


def categorical(name: str, kind: str = "input", hashed: bool = False) -> CategoricalSignal:
    names = tuple(digest(text, SALT) if hashed else text for text in ("red", "true", "7"))
    return CategoricalSignal(kind, name, names, (0.5, 0.2, 0.1, 0.2, 0.0), 1000, hashed)


def baseline(*signals: NumericSignal | CategoricalSignal, **more: Any) -> Baseline:
    return Baseline(**({"model_name": "m", "model_version": None, "signals": signals,
                        "created": "2026-11-22T00:00:00Z", "salt": SALT} | more))  # fmt: skip


NUMBERS = baseline(*(numeric(f"f{i}", mean=i, stddev=i + 1.0) for i in range(3)))
MIXED = baseline(
    numeric("size"), categorical("colour"), numeric("flat", stddev=0.0), categorical("name", hashed=True),
    numeric("prediction", "output"), numeric("basket", "business"), numeric("margin", "business"),
)  # fmt: skip


def exporter(registry: CollectorRegistry, given: Baseline, **options: Any) -> ModelMetricsExporter:
    return ModelMetricsExporter(
        "m", "v1", options.pop("tenant_id", "t"), "jax", registry=registry, baseline=given, confidence=None,
        **options,
    )  # fmt: skip


def exposed(registry: CollectorRegistry, accept: str = "") -> dict[str, Samples]:
    """Samples of each name by the values of their labels."""
    text = respond(registry, "GET", accept, "").body.decode()
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


def bins(registry: CollectorRegistry, signal: str, tenant_id: str = "__all__") -> dict[str, float]:
    samples = exposed(registry)["model_signal_observations_total"]
    return {key[-1]: value for key, value in samples.items() if (key[2], key[5]) == (tenant_id, signal)}


def invalid(registry: CollectorRegistry, tenant_id: str = "t") -> dict[str, float]:
    samples = exposed(registry).get("model_invalid_observations_total", {})
    return {key[-1]: value for key, value in samples.items() if key[2] == tenant_id}


def expected(values: NDArray[np.float64]) -> dict[str, float]:
    finite = values[np.isfinite(values)]
    counts = np.histogram(finite, [-np.inf, *EDGES, np.inf])[0]
    return {**{f"{i:02d}": count for i, count in enumerate(counts)}, "__missing__": len(values) - len(finite)}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_every_bin_is_exposed_at_zero_once_the_baseline_is_loaded(registry: CollectorRegistry) -> None:
    exporter(registry, MIXED)
    found = exposed(registry)
    observations = found["model_signal_observations_total"]
    assert set(observations.values()) == {0.0}
    assert {key[4:6] for key in observations} == {(s.kind, s.name) for s in MIXED.signals}
    assert {key[2] for key in observations} == {"__all__"}
    assert {key[6] for key in observations} == {MIXED.fingerprint[:8]}
    assert set(bins(registry, "colour")) == {"red", "true", "7", "__other__", "__missing__"}
    assert set(bins(registry, "size")) == {"00", "01", "02", "03", "04", "__missing__"}
    # A signal without spread has no deviation.
    assert "flat" not in {key[5] for key in found["model_signal_deviation_square_sum_total"]}


def test_what_describes_the_baseline(registry: CollectorRegistry) -> None:
    exporter(registry, MIXED)
    found, label = exposed(registry), MIXED.label
    version = ("m", "v1", "jax")
    ratio = found["model_signal_baseline_ratio"]
    assert ratio[(*version, "input", "colour", label, "red")] == 0.5
    assert ratio[(*version, "input", "size", label, "__missing__")] == 0
    bound = found["model_signal_baseline_upper_bound"]
    assert [bound[(*version, "input", "size", label, f"{i:02d}")] for i in range(5)] == [*EDGES, math.inf]
    center = found["model_signal_baseline_center"]
    assert (*version, "input", "size", label, "04") not in center
    assert center[(*version, "input", "size", label, "00")] == -2
    for what, value in (("mean", 0), ("stddev", 1), ("observations", 1000)):
        assert found[f"model_signal_baseline_{what}"][(*version, "input", "size", label)] == value


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text"])
def test_the_quick_text_says_what_prometheus_clients_own_collection_says(
    registry: CollectorRegistry, accept: str
) -> None:
    hostile = baseline(categorical('a"b\\c\n%d{}'), numeric("%s"), model_name="m")
    target = exporter(registry, hostile)
    with target.track() as call:
        call.features({'a"b\\c\n%d{}': "red", "%s": 0.7})
    ours = exposed(registry, accept)
    theirs: dict[str, Samples] = {}
    for family in registry.collect():
        for sample in family.samples:
            theirs.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    names = [name for name in theirs if name.startswith("model_signal")]
    assert len(names) == 10
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}


ROWS = np.array([[0.1, -3.0, 0.5], [2.0, 1.9, -1.0], [np.nan, np.inf, -np.inf], [0.0, 1e300, 5.0]])
FORMS = {
    "array": lambda rows: rows,
    "float32": lambda rows: np.where(rows == 1e300, 1e30, rows).astype(np.float32),
    "fortran": np.asfortranarray,
    "lists": lambda rows: rows.tolist(),
    "columns": lambda rows: {f"f{i}": rows[:, i] for i in range(3)},
    "list columns": lambda rows: {f"f{i}": rows[:, i].tolist() for i in range(3)},
    "pandas": lambda rows: pd.DataFrame(rows, columns=["f0", "f1", "f2"]),
    "pandas, other order": lambda rows: pd.DataFrame(rows, columns=["f0", "f1", "f2"])[["f2", "f0", "f1"]],
    "pandas objects": lambda rows: pd.DataFrame(rows, columns=["f0", "f1", "f2"]).astype(object),
    "polars": lambda rows: pl.DataFrame(rows, schema=["f0", "f1", "f2"]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("times", [1, 100])
def test_a_batch_in_every_form_equals_numpy_histogram(
    registry: CollectorRegistry, form: str, times: int
) -> None:
    target = exporter(registry, NUMBERS)
    rows = np.tile(ROWS, (times, 1))
    with target.track() as call:
        call.features(FORMS[form](rows))
    for i in range(3):
        assert bins(registry, f"f{i}") == expected(rows[:, i])
    assert invalid(registry) == {}


ROW_FORMS = {
    "mapping": lambda row: dict(zip(("f0", "f1", "f2"), row.tolist(), strict=True)),
    "numpy scalars": lambda row: dict(zip(("f0", "f1", "f2"), row, strict=True)),
    "list": lambda row: row.tolist(),
    "1-D": lambda row: row,
    "one row": lambda row: row[None],
    "0-d arrays": lambda row: {f"f{i}": np.array(value) for i, value in enumerate(row)},
}


@pytest.mark.parametrize("form", ROW_FORMS)
@pytest.mark.parametrize("times", [1, FOLD_AT])
def test_single_rows_in_every_form_equal_numpy_histogram(
    registry: CollectorRegistry, form: str, times: int
) -> None:
    target = exporter(registry, NUMBERS)
    for row in np.tile(ROWS, (times, 1)):
        with target.track() as call:
            given = ROW_FORMS[form](row)
            call.features(given)
            if isinstance(given, np.ndarray):
                given[:] = 77  # what is waiting is a copy
    for i in range(3):
        assert bins(registry, f"f{i}") == expected(np.tile(ROWS[:, i], times))


floats = st.floats(allow_nan=True, allow_infinity=True)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(floats, floats, floats), min_size=1, max_size=300), st.data())
def test_any_rows_in_any_chunks_equal_numpy_histogram(
    rows: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    registry = CollectorRegistry()
    target = exporter(registry, NUMBERS)
    start = 0
    while start < len(rows):
        size = data.draw(st.integers(1, 100))
        with target.track() as call:
            call.features(np.array(rows[start : start + size]))
        start += size
    for i in range(3):
        assert bins(registry, f"f{i}") == expected(np.array(rows)[:, i])


def test_deviation_sums(registry: CollectorRegistry) -> None:
    target = exporter(registry, NUMBERS)
    values = np.random.default_rng(0).normal(3, 2, (500, 3))
    with target.track() as call:
        call.features(values)
        call.features(values[0])
    values = np.vstack([values, values[:1]])
    found = exposed(registry)
    for i in range(3):
        u = (values[:, i] - i) / (i + 1)
        parts = {"positive": u[u > 0].sum(), "negative": -u[u < 0].sum(), "square": (u * u).sum()}
        for part, value in parts.items():
            samples = found[f"model_signal_deviation_{part}_sum_total"]
            assert samples[("m", "v1", "__all__", "jax", "input", f"f{i}", NUMBERS.label)] == pytest.approx(
                value, abs=2e-9
            )


def test_a_deviation_counts_as_a_million_standard_deviations_at_most(registry: CollectorRegistry) -> None:
    target = exporter(registry, baseline(numeric("size")))
    with target.track() as call:
        call.features(np.array([[1e300], [-1.7e308], [2.0], [np.inf]]))
    found = exposed(registry)
    values = [next(iter(found[f"model_signal_deviation_{part}_sum_total"].values()))
              for part in ("positive", "negative", "square")]  # fmt: skip
    assert values == pytest.approx([1e6 + 2, 1e6, 2e12 + 4], rel=1e-12)


def test_categories(registry: CollectorRegistry) -> None:
    target = exporter(registry, MIXED)
    colours: list[Any] = [
        "red",
        "red",
        True,
        7,
        7.0,
        np.int64(7),
        "7",
        None,
        math.nan,
        "blue",
        1,
        "__missing__",
    ]
    for colour in colours:
        with target.track() as call:
            call.features({"size": 1, "colour": colour, "flat": 0, "name": "red"})
    assert bins(registry, "colour") == {"red": 2, "true": 1, "7": 4, "__other__": 2, "__missing__": 3}
    assert bins(registry, "name")[digest("red", SALT)] == len(colours)
    assert "red" not in bins(registry, "name")


def test_dates_are_seconds(registry: CollectorRegistry) -> None:
    noon = datetime.datetime(1970, 1, 1, 12, tzinfo=datetime.UTC)
    signal = NumericSignal("input", "at", (43200.0,), (0.0, 1.0), (0.5, 0.5, 0.0), 0.0, 1.0, 10)
    target = exporter(registry, baseline(signal))
    early = noon - datetime.timedelta(seconds=1)
    for value in (noon, early, early.replace(tzinfo=None), datetime.date(1970, 1, 1), np.datetime64("NaT")):
        with target.track() as call:
            call.features({"at": value})
    with target.track() as call:
        call.features(pd.DataFrame({"at": [pd.Timestamp(noon), pd.NaT]}))
        call.features(pl.DataFrame({"at": [noon, early]}))
    assert bins(registry, "at") == {"00": 4, "01": 3, "__missing__": 2}


def test_a_feature_that_is_not_given_is_missing_other_kinds_are_not_observed(
    registry: CollectorRegistry,
) -> None:
    target = exporter(registry, MIXED)
    with target.track() as call:
        call.features({"size": 1.0})
        call.features(pd.DataFrame({"size": [1.0, 2.0], "colour": ["red", "red"]}))
        call.business({"basket": 1.0})
        call.prediction(0.3)
        call.prediction(np.array([0.3, 5.0]))
    assert bins(registry, "colour") == {"red": 2, "true": 0, "7": 0, "__other__": 0, "__missing__": 1}
    assert bins(registry, "flat")["__missing__"] == 3
    assert sum(bins(registry, "basket").values()) == 1
    assert sum(bins(registry, "margin").values()) == 0
    assert bins(registry, "prediction") == expected(np.array([0.3, 0.3, 5.0]))
    assert invalid(registry) == {}


@pytest.mark.parametrize("by_tenant", [False, True])
@pytest.mark.parametrize("rows", [1, 300])
def test_tenants(registry: CollectorRegistry, by_tenant: bool, rows: int) -> None:
    target = exporter(registry, NUMBERS, tenant_id=PER_CALL, signals_by_tenant=by_tenant, tenants=["a", "b"])
    observed: Counter[str] = Counter()
    for number in range(300 if rows == 1 else 3):
        who = "abc"[number % 3]
        with tenant(who), target.track() as call:
            call.features(np.full((rows, 3), 0.25))
            observed[who] += rows
    if not by_tenant:
        assert bins(registry, "f0")["02"] == sum(observed.values())
        assert bins(registry, "f0", "a") == {}
    else:
        assert {who: bins(registry, "f0", who)["02"] for who in "abc"} == observed
        assert bins(registry, "f0") == {}


def test_tenants_known_at_start_have_their_signals_at_zero(registry: CollectorRegistry) -> None:
    exporter(registry, NUMBERS, tenant_id="a", signals_by_tenant=True, tenants=["b"])
    for who in "ab":
        assert bins(registry, "f0", who) == expected(np.array([]))


def test_the_budget_of_series(registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    each = layout_of(NUMBERS).series
    probe = CollectorRegistry()
    exporter(probe, NUMBERS)
    described = sum(len(v) for k, v in exposed(probe).items() if k.startswith("model_signal_baseline"))
    monkeypatch.setenv(BUDGET_VARIABLE, str(described + 3 * each))
    target = exporter(registry, NUMBERS, tenant_id=PER_CALL, signals_by_tenant=True)
    for who in ("a", "b", "c", "d", "a"):
        with tenant(who), target.track() as call:
            call.features([0.25, 0.25, 0.25])
    assert [bins(registry, "f0", who).get("02") for who in ("a", "b", "c", "__overflow__")] == [2, 1, None, 2]
    found = exposed(registry)
    assert found["model_series_overflow_total"] == {("m", "v1", "jax", "tenant_id"): 2}
    assert sum(len(v) for k, v in found.items() if k.startswith("model_signal")) == described + 3 * each


def test_a_baseline_beyond_the_budget_is_refused(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BUDGET_VARIABLE, "10")
    with pytest.raises(ValueError, match="only 10 of 10 are left; fit it to fewer signals"):
        exporter(registry, NUMBERS)
    monkeypatch.setenv(BUDGET_VARIABLE, "many")
    with pytest.raises(ValueError, match="must be a whole number"):
        exporter(CollectorRegistry(), NUMBERS)


def test_an_evicted_tenant_makes_room_in_the_budget(registry: CollectorRegistry) -> None:
    target = exporter(
        registry, NUMBERS, tenant_id=PER_CALL, signals_by_tenant=True, max_tenants=1, idle_ttl=0.0
    )
    for who in ("a", "b"):
        with tenant(who), target.track() as call:
            call.features([0.25, 0.25, 0.25])
    assert bins(registry, "f0", "a") == {}
    assert bins(registry, "f0", "b")["02"] == 1


def test_bad_values_count_by_reason_for_the_tenant_of_the_call(registry: CollectorRegistry) -> None:
    target = exporter(registry, MIXED, tenant_id=PER_CALL)
    row = {"size": 1.0, "colour": "red", "flat": 0.0, "name": "x"}
    with tenant("a"), target.track() as call:
        call.features({**row, "size": "large"})
        call.features({**row, "surprise": 1, "other": 2})
        call.features(np.zeros((2, 3)))
        call.features(np.zeros((2, 2, 2)))
        call.features({"size": [1, 2], "colour": ["red"]})
        call.features({**row, "colour": {"a": "dict"}})
        call.activations({"conv1": 1.0})
        call.prediction(3.0, name="unknown")
    found = invalid(registry, "a")
    assert found == {"value_wrong_type": 2, "signal_unknown": 4, "signal_wrong_shape": 3}
    assert bins(registry, "size") == expected(np.array([1.0, 1.0]))
    assert bins(registry, "colour")["red"] == 2


def test_texts_that_read_like_numbers_are_no_numbers(registry: CollectorRegistry) -> None:
    target = exporter(registry, NUMBERS)
    with target.track() as call:
        call.features({"f0": "1.5", "f1": 1.5, "f2": 1.5})
        call.features({"f0": ["1.5"] * 70, "f1": [1.5] * 70, "f2": np.array(["1.5"] * 70)})
        call.features([["1.5", 1.5, 1.5]])
        call.features(pd.DataFrame({"f0": ["1.5"], "f1": [1.5], "f2": [1.5]}))
    assert invalid(registry) == {"value_wrong_type": 1 + 140 + 1 + 1}
    assert sum(bins(registry, "f0").values()) == 0
    assert sum(bins(registry, "f1").values()) == 73


def test_without_a_baseline_signals_are_unknown(registry: CollectorRegistry) -> None:
    target = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry, confidence=None)
    with target.track() as call:
        call.features([1.0])
    assert invalid(registry) == {"signal_unknown": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_name": "other"}, "baseline is of model 'other', not of 'm': name the file"),
        ({"model_version": "v2"}, "baseline is of version 'v2' of 'm', not of 'v1': name the file"),
    ],
)
def test_the_baseline_of_another_model_is_refused(
    registry: CollectorRegistry, change: dict[str, str], message: str
) -> None:
    with pytest.raises(BaselineError, match=message):
        exporter(registry, baseline(numeric("size"), **change))


def test_a_baseline_may_be_a_file_of_this_format(registry: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "baseline.json"
    NUMBERS.save(path)
    assert exporter(registry, path).baseline == NUMBERS  # type: ignore[arg-type]
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": "modelplane-baseline/9"}))
    with pytest.raises(BaselineError, match="format must be 'modelplane-baseline/1'"):
        exporter(CollectorRegistry(), path)  # type: ignore[arg-type]


def test_signals_are_sampled_call_by_call(registry: CollectorRegistry) -> None:
    target = exporter(registry, MIXED, signals_every=4)
    for _ in range(400):
        with target.track() as call:
            call.features({"size": 0.1, "colour": "red", "flat": 0.0, "name": "x"})
            call.prediction(0.1)
    assert sum(bins(registry, "size").values()) == sum(bins(registry, "prediction").values()) == 100
    ratios = exposed(registry)["modelplane_exporter_sampling_ratio"]
    assert ratios == {("m", "v1", "jax", kind): 0.25 for kind in ("input", "output", "business")}


def test_threads_lose_nothing(registry: CollectorRegistry) -> None:
    target = exporter(registry, NUMBERS)

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for size in rng.integers(1, 90, 60):
            with target.track() as call:
                call.features(np.full((size, 3), 0.25) if size > 1 else [0.25, 0.25, 0.25])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = sum(int(np.random.default_rng(seed).integers(1, 90, 60).sum()) for seed in range(8))
    assert [bins(registry, f"f{i}")["02"] for i in range(3)] == [total] * 3


def test_a_forked_child_starts_at_zero(registry: CollectorRegistry) -> None:
    target = exporter(registry, NUMBERS)
    with target.track() as call:
        call.features([0.25, 0.25, 0.25])
        call.features(np.full((100, 3), 0.25))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        with target.track() as call:
            call.features([3.0, 3.0, 3.0])
        os.write(writing, json.dumps(bins(registry, "f0")).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        found = json.load(answer)
    os.waitpid(child, 0)
    assert found == expected(np.array([3.0]))
    assert bins(registry, "f0") == expected(np.full(101, 0.25))


def test_the_sum_of_a_series_holds_more_than_64_bits() -> None:
    series = SignalSeries(SignalKey(Identity("m", "v", "t", "jax"), NUMBERS.fingerprint), layout_of(NUMBERS))
    more = np.full((3, 3), 1e12)
    for _ in range(40):
        series.add(np.zeros(layout_of(NUMBERS).bins, np.int64), more)
    sums = list(layout_of(NUMBERS).sums(series.snapshot().cells))
    assert sums == [[4e13] * 3] * 3


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
    found: dict[str, Samples] = {}
    for family in text_string_to_metric_families(json.loads(worker.stdout.readline())):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


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
    for found in (before, after):
        counts = found["model_signal_observations_total"]
        assert {key[2] for key in counts} == {"__all__"}
        for i in range(3):
            mine = {key[-1]: value for key, value in counts.items() if key[5] == f"f{i}"}
            assert mine == expected(observed[:, i])
            u = (observed[:, i] - i) / (i + 1)
            key = ("m", "v1", "__all__", "jax", "input", f"f{i}", NUMBERS.label)
            squares = found["model_signal_deviation_square_sum_total"][key]
            assert squares == pytest.approx((u * u).sum(), abs=1e-8)
        assert found["model_business_events_total"][("m", "v1", "t", "jax", "click")] == 2
        assert found["model_feedback_total"][("m", "v1", "t", "jax", "incorrect")] == 2
        bounds = found["model_signal_baseline_upper_bound"]
        assert bounds[("m", "v1", "jax", "input", "f0", NUMBERS.label, "04")] == math.inf
