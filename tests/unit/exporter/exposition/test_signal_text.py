"""Signals and baselines as text."""

from __future__ import annotations

import math

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.observed_signals import (
    EDGES,
    MIXED,
    Samples,
    baseline,
    bins,
    categorical,
    exporter,
    exposed,
    numeric,
)
from modelplane_exporter import PER_CALL


def test_every_bin_is_exposed_at_zero_once_the_baseline_is_loaded(registry: CollectorRegistry) -> None:
    _ = exporter(registry, MIXED)  # loaded as long as it is referred to
    by_name = exposed(registry)
    observations = by_name["model_signal_observations_total"]
    assert set(observations.values()) == {0.0}
    assert {key[4:6] for key in observations} == {(s.kind, s.name) for s in MIXED.signals}
    assert {key[2] for key in observations} == {"__all__"}
    assert {key[6] for key in observations} == {MIXED.fingerprint[:8]}
    assert set(bins(registry, "colour")) == {"red", "true", "7", "__other__", "__missing__"}
    assert set(bins(registry, "size")) == {"00", "01", "02", "03", "04", "__missing__"}
    # A signal without spread has no deviation.
    assert "flat" not in {key[5] for key in by_name["model_signal_deviation_square_sum_total"]}


def test_what_describes_the_baseline(registry: CollectorRegistry) -> None:
    _ = exporter(registry, MIXED)  # loaded as long as it is referred to
    by_name, label = exposed(registry), MIXED.label
    version = ("m", "v1", "jax")
    ratio = by_name["model_signal_baseline_ratio"]
    assert ratio[(*version, "input", "colour", label, "red")] == 0.5
    assert ratio[(*version, "input", "size", label, "__missing__")] == 0
    bound = by_name["model_signal_baseline_upper_bound"]
    assert [bound[(*version, "input", "size", label, f"{i:02d}")] for i in range(5)] == [*EDGES, math.inf]
    center = by_name["model_signal_baseline_center"]
    assert (*version, "input", "size", label, "04") not in center
    assert center[(*version, "input", "size", label, "00")] == -2
    for what, value in (("mean", 0), ("stddev", 1), ("observations", 1000)):
        assert by_name[f"model_signal_baseline_{what}"][(*version, "input", "size", label)] == value


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
    assert len(names) == 11
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}


def unobserved(registry: CollectorRegistry, tenant_id: str = "__all__") -> dict[str, float]:
    samples = exposed(registry)["model_signal_unobserved"]
    return {key[5]: value for key, value in samples.items() if key[2] == tenant_id}


def test_a_signal_without_any_value_is_unobserved(registry: CollectorRegistry) -> None:
    target = exporter(registry, MIXED)
    assert set(unobserved(registry).values()) == {1.0}
    with target.track() as call:
        call.features({"size": 1.0, "colour": "unheard of", "name": None})
        call.business({"basket": 3.0})
    assert {name for name, value in unobserved(registry).items() if value} == {
        "flat", "name", "prediction", "margin",  # the first two are missing in every row
    }  # fmt: skip
    with target.track() as call:
        call.prediction(0.5)
    assert unobserved(registry)["prediction"] == 0


def test_a_signal_may_be_unobserved_for_one_tenant(registry: CollectorRegistry) -> None:
    target = exporter(registry, MIXED, tenant_id=PER_CALL, signals_by_tenant=True, tenants=["a", "b"])
    with target.track("a") as call:
        call.prediction(0.5)
    assert (unobserved(registry, "a")["prediction"], unobserved(registry, "b")["prediction"]) == (0, 1)
