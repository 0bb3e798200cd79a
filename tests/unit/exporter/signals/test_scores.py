"""Named scores from 0 to 1."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from exporter_support.observed_signals import NUMBERS, bins, exposed, invalid
from modelplane_exporter import PER_CALL, ModelMetricsExporter
from modelplane_exporter.identity import Version
from modelplane_exporter.layout.signals import layout_of
from modelplane_exporter.settings import SIGNAL_SERIES
from modelplane_exporter.signals.budget import SeriesBudget
from modelplane_exporter.signals.scores import MAX_SCORES, ScoreStore, fixed_bins
from modelplane_schema.identity import Identity

ALL = Identity("m", "v1", "__all__", "jax")
SUMS = ("positive_sum", "negative_sum", "square_sum")


def exporter(registry: CollectorRegistry, **options: Any) -> ModelMetricsExporter:
    return ModelMetricsExporter(
        "m", options.pop("version", "v1"), options.pop("tenant_id", "t"), "jax", registry=registry,
        confidence=None, **options,
    )  # fmt: skip


def sums(registry: CollectorRegistry, signal: str) -> list[float]:
    samples = exposed(registry)
    return [
        value
        for name in SUMS
        for key, value in samples[f"model_signal_deviation_{name}_total"].items()
        if key[5] == signal
    ]


def test_scores_during_a_call_and_later(registry: CollectorRegistry) -> None:
    judge = exporter(registry)
    with judge.track() as call:
        call.score("groundedness", 0.82)
        call.score("groundedness", [0.1, 1.0, 0.0])
    judge.score("groundedness", 0.8)
    counts = {"00": 1, "01": 1, "08": 2, "09": 1}
    assert (
        bins(registry, "groundedness")
        == dict.fromkeys((*(f"{index:02d}" for index in range(10)), "__missing__"), 0) | counts
    )
    total, squares = 0.82 + 0.1 + 1 + 0.8, 0.82**2 + 0.1**2 + 1 + 0.8**2
    assert sums(registry, "groundedness") == pytest.approx([total, 0, squares], abs=1e-12)
    assert invalid(registry) == {}


@pytest.mark.slow
@given(st.lists(st.floats(0, 1), max_size=50))
def test_bins_are_those_of_tenths(values: list[float]) -> None:
    scores = ScoreStore(SeriesBudget(1000))
    scores.observe(ALL, "x", values)
    counts = np.histogram(values, [-np.inf, *(index / 10 for index in range(1, 10)), np.inf])[0]
    for (exposed_scores,) in [scores.exposed()] if values else []:
        (snapshot,) = exposed_scores.snapshots
        assert list(snapshot.cells[:11]) == [*counts, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "bin_name", "reason"),
    [
        (None, "__missing__", None), (float("nan"), "__missing__", None), (pd.NA, "__missing__", None),
        (np.float32(0.25), "02", None), (1 + 1e-7, "09", None), (-1e-7, "00", None), (0, "00", None),
        ("0.5", None, "value_wrong_type"), (True, None, "value_wrong_type"),
        (object(), None, "value_wrong_type"), (4, None, "value_out_of_range"),
        (1.1, None, "value_out_of_range"), (-0.5, None, "value_out_of_range"),
    ],
)  # fmt: skip
def test_values(registry: CollectorRegistry, value: object, bin_name: str | None, reason: str | None) -> None:
    exporter(registry).score("x", value)
    assert {name for name, count in bins(registry, "x").items() if count} == (
        {bin_name} if bin_name else set()
    )
    assert invalid(registry) == ({reason: 1} if reason else {})


@pytest.mark.parametrize("name", ["", "x" * 101, "__x", "a\tb", " x", None, 4])
def test_names(registry: CollectorRegistry, name: Any) -> None:
    judge = exporter(registry)
    judge.score("fine/name: 1", 0.5)
    judge.score(name, 0.5)
    assert {key[5] for key in exposed(registry)["model_signal_observations_total"]} == {"fine/name: 1"}
    assert invalid(registry) == {"value_wrong_type": 1}


@pytest.mark.slow
def test_too_many_names_overflow(registry: CollectorRegistry) -> None:
    judge = exporter(registry)
    for number in range(MAX_SCORES + 5):
        judge.score(f"score {number}", 0.5)
    assert sum(bins(registry, "__overflow__").values()) == 5
    names = {key[5] for key in exposed(registry)["model_signal_observations_total"]}
    assert len(names) == MAX_SCORES + 1
    assert exposed(registry)["model_series_overflow_total"] == {("m", "v1", "jax", "signal"): 5}


def test_scores_are_within_the_budget_of_series(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = layout_of(fixed_bins("x")).series
    monkeypatch.setenv(SIGNAL_SERIES.name, str(2 * each))
    judge = exporter(registry)
    for name in ("a", "b", "c", "a"):
        judge.score(name, 0.5)
    assert [sum(bins(registry, name).values()) for name in "abc"] == [2, 1, 0]
    samples = exposed(registry)
    assert sum(len(v) for k, v in samples.items() if k.startswith("model_signal")) == 2 * each
    assert samples["model_series_overflow_total"] == {("m", "v1", "jax", "signal"): 1}


def test_the_same_score_has_the_same_bins_in_every_version(registry: CollectorRegistry) -> None:
    for version in ("v1", "v2"):
        exporter(registry, version=version).score("x", 0.5)
    labels = {key[6] for key in exposed(registry)["model_signal_observations_total"]}
    assert labels == {fixed_bins("x").label}


def test_nothing_describes_training_data_that_there_is_not(registry: CollectorRegistry) -> None:
    judge = exporter(registry, baseline=NUMBERS)
    judge.score("x", 0.5)
    described = {
        sample.labels["signal"]
        for family in registry.collect()
        for sample in family.samples
        if "signal_baseline" in sample.name
    }
    assert described == {"f0", "f1", "f2"}
    text = {key[4] for name, keys in exposed(registry).items() if "signal_baseline" in name for key in keys}
    assert text == described


def test_scores_by_tenant(registry: CollectorRegistry) -> None:
    judge = exporter(registry, tenant_id=PER_CALL, signals_by_tenant=True)
    judge.score("x", 0.5, tenant_id="a")
    judge.score("x", 0.5, tenant_id="b")
    assert [sum(bins(registry, "x", who).values()) for who in ("a", "b", "__all__")] == [1, 1, 0]


def test_scores_need_no_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = ScoreStore(SeriesBudget(1000))
    monkeypatch.setitem(sys.modules, "numpy", None)
    assert scores.observe(ALL, "groundedness", 0.82) == ({}, True)
    ((load, (loaded,), (snapshot,)),) = scores.exposed()
    assert (load, loaded.version, loaded.is_fixed) == (0, Version("m", "v1", "jax"), True)
    assert snapshot.cells[8] == 1
