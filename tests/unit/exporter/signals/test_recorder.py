"""Observing signals of an exporter: bad values, baselines, sampling, threads, forks."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from prometheus_client import CollectorRegistry

from exporter_support.observed_signals import (
    MIXED,
    NUMBERS,
    baseline,
    bins,
    expected,
    exporter,
    exposed,
    invalid,
    numeric,
)
from modelplane_exporter import PER_CALL, BaselineError, ModelMetricsExporter, tenant


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
    reasons = invalid(registry, "a")
    assert reasons == {"value_wrong_type": 2, "signal_unknown": 4, "signal_wrong_shape": 3}
    assert bins(registry, "size") == expected(np.array([1.0, 1.0]))
    assert bins(registry, "colour")["red"] == 2


def test_texts_that_read_like_numbers_are_numbers(registry: CollectorRegistry) -> None:
    target = exporter(registry, NUMBERS)
    with target.track() as call:
        call.features({"f0": "1.5", "f1": 1.5, "f2": 1.5})
        call.features({"f0": ["1.5"] * 70, "f1": [1.5] * 70, "f2": np.array(["1.5"] * 70)})
        call.features([["1.5", 1.5, 1.5]])
        call.features(pd.DataFrame({"f0": ["1.5"], "f1": [1.5], "f2": [1.5]}))
    assert invalid(registry) == {}
    assert bins(registry, "f0") == bins(registry, "f1") == bins(registry, "f2") == expected(np.full(73, 1.5))


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
        in_child = json.load(answer)
    os.waitpid(child, 0)
    assert in_child == expected(np.array([3.0]))
    assert bins(registry, "f0") == expected(np.full(101, 0.25))
