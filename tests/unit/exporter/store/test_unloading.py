"""Versions come and go: what closing, or the end of the last exporter, takes away and what stays."""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from exporter_support.observed_signals import NUMBERS, baseline, bins, exporter, exposed, numeric
from modelplane_exporter import Baseline, ModelMetricsExporter
from modelplane_exporter.exposition import signal_text
from modelplane_exporter.layout import signals as signals_layout
from modelplane_exporter.settings import SIGNAL_SERIES
from modelplane_exporter.store.stores import store_for

REQUESTS = "model_inference_requests_total"
OTHERS = baseline(*(numeric(f"g{i}") for i in range(3)))


def refitted(number: int, signals: int = 50) -> Baseline:
    return baseline(*(numeric(f"f{i}", mean=float(number)) for i in range(signals)))


def answer() -> dict[str, float]:
    return {}


def versions(registry: CollectorRegistry) -> list[str]:
    """Of ``model_info``."""
    return [key[1] for key in exposed(registry).get("model_info", {})]


def successes(registry: CollectorRegistry, version: str) -> float | None:
    labels = {"model_name": "m", "model_version": version, "tenant_id": "t", "framework": "jax"}
    return registry.get_sample_value(REQUESTS, {**labels, "outcome": "success"})


def signal_families(registry: CollectorRegistry) -> set[str]:
    return {name for name in exposed(registry) if "signal" in name or "sampling" in name}


def made(registry: CollectorRegistry, version: str, **options: Any) -> ModelMetricsExporter:
    return ModelMetricsExporter(
        "m", version, options.pop("tenant_id", "t"), "jax", registry=registry, **options
    )


def left(registry: CollectorRegistry) -> int:
    """How many series of signals there is room for."""
    return store_for(registry).signals._budget.left


def test_close_takes_what_is_loaded_away_and_leaves_the_counters(registry: CollectorRegistry) -> None:
    room = left(registry)
    target = exporter(registry, NUMBERS)
    predict = target(answer)
    predict()
    assert versions(registry) == ["v1"]
    assert left(registry) < room
    target.close()
    target.close()
    assert versions(registry) == []
    assert signal_families(registry) == set()
    assert successes(registry, "v1") == 1
    assert left(registry) == room
    predict()
    with target.track() as call:
        call.features([0.25, 0.25, 0.25])
    target.event("click")
    assert successes(registry, "v1") == 3
    assert signal_families(registry) == set()


@pytest.mark.slow
def test_the_end_of_the_last_exporter_closes_it(registry: CollectorRegistry) -> None:
    target = exporter(registry, NUMBERS)
    with target.track() as call:
        call.features([0.25, 0.25, 0.25])
    del target, call
    gc.collect()
    assert bins(registry, "f0")["02"] == 1  # shown once more, for the sake of its last counts
    assert versions(registry) == []
    assert signal_families(registry) == set()


@pytest.mark.slow
def test_a_decorated_function_keeps_its_version_loaded(registry: CollectorRegistry) -> None:
    predict = exporter(registry, NUMBERS)(answer)
    gc.collect()
    assert versions(registry) == versions(registry) == ["v1"]
    predict()
    assert successes(registry, "v1") == 1


def test_two_exporters_share_what_they_have_loaded(registry: CollectorRegistry) -> None:
    first, second = exporter(registry, NUMBERS), exporter(registry, NUMBERS)
    for target in (first, second):
        with target.track() as call:
            call.features([0.25, 0.25, 0.25])
    first.close()
    assert bins(registry, "f0")["02"] == 2
    assert versions(registry) == ["v1"]
    second.close()
    assert versions(registry) == []
    assert signal_families(registry) == set()


def test_the_newest_exporter_says_whose_version_it_is(registry: CollectorRegistry) -> None:
    first, second = made(registry, "v1", owner="a"), made(registry, "v1", owner="b", stage="canary")
    assert list(exposed(registry)["model_info"]) == [("m", "v1", "jax", "b", "canary", "")]
    second.close()
    assert list(exposed(registry)["model_info"]) == [("m", "v1", "jax", "a", "", "")]
    first.close()
    assert "model_info" not in exposed(registry)


def test_a_later_baseline_replaces_the_one_before_and_says_so(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    old = exporter(registry, NUMBERS)
    with old.track() as call:
        call.features([0.25, 0.25, 0.25])
    with caplog.at_level(logging.WARNING):
        new = exporter(registry, OTHERS)
    assert f"baseline {NUMBERS.label} of m v1 is replaced by {OTHERS.label}" in caplog.text
    for target, features in ((old, [0.25] * 3), (new, [0.25] * 3)):
        with target.track() as call:
            call.features(features)
    assert bins(registry, "f0") == {}
    assert bins(registry, "g0")["02"] == 1
    new.close()  # the old one is still there, and starts at 0
    assert bins(registry, "g0") == {}
    with old.track() as call:
        call.features([0.25, 0.25, 0.25])
    assert bins(registry, "f0")["02"] == 1


def test_each_replaced_baseline_is_told_once(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    held = [made(registry, "v1", baseline=refitted(number, signals=1)) for number in range(5)]
    replaced = [record.args for record in caplog.records]
    labels = [target.baseline.label for target in held if target.baseline is not None]
    assert replaced == [(old, "m", "v1", new) for old, new in pairwise(labels)]


@pytest.mark.slow
def test_a_baseline_whose_exporter_is_gone_is_replaced_without_a_word(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    exporter(registry, NUMBERS)
    gc.collect()
    new = exporter(registry, OTHERS)
    assert caplog.text == ""
    assert set(bins(registry, "g0").values()) == {0}
    assert new.baseline is OTHERS


@pytest.fixture
def only_new_objects_are_collected() -> Iterator[None]:
    """A full budget has garbage collected, which takes 25 ms with what a whole run of tests has loaded."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.slow
@pytest.mark.usefixtures("only_new_objects_are_collected")
@pytest.mark.parametrize("how", ["close", "collect", "same version"])
def test_loading_a_thousand_baselines_one_after_the_other(
    registry: CollectorRegistry, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIGNAL_SERIES.name, "2000")
    room, layouts = left(registry), len(signals_layout._layouts)
    described: set[int] = set()
    seen: list[weakref.ref[Baseline]] = []
    target: ModelMetricsExporter | None = None
    for number in range(1000):
        before, fitted = target, refitted(number, signals=5)
        seen.append(weakref.ref(fitted))
        version = "v1" if how == "same version" else f"v{number}"
        target = made(registry, version, baseline=fitted, idle_ttl=0.0)
        with target.track() as call:
            call.features(np.full((2, 5), 0.25))
        if how == "close" and before is not None:
            before.close()
        if number % 250 == 249:
            described.add(sum(len(v) for k, v in exposed(registry).items() if k.startswith("model_signal")))
        del before, fitted, call
    gc.collect()
    exposed(registry)
    names = exposed(registry)
    assert versions(registry) == [f"v{0 if how == 'same version' else 999}".replace("v0", "v1")]
    assert bins(registry, "f0")["02"] == 2
    assert len(described) == 1 or how == "collect"  # what was collected is shown once more
    assert len(names["model_signal_baseline_mean"]) == 5
    assert sum(reference() is not None for reference in seen) == 1
    assert len(list(signals_layout._layouts.values())) <= layouts + 2
    assert len(signal_text._texts) <= 2
    assert target is not None
    target.close()
    assert left(registry) == room


def test_counters_of_an_unloaded_version_stay_until_they_were_idle(registry: CollectorRegistry) -> None:
    store = store_for(registry)
    old = made(registry, "v1", idle_ttl=0.0, events=["click"], values=["revenue"], confidence=None)
    predict = old(answer)
    predict()
    old.score("x", 0.5)
    new = made(registry, "v2", confidence=None)
    assert successes(registry, "v1") == 1
    old.close()
    exposed(registry)
    for name, samples in exposed(registry).items():
        assert all("v1" not in key for key in samples), name
    assert new.current_call() is None
    assert store.events._known.keys() | store.values._known.keys() <= {("m", "v2", "jax")}
    assert store.signals.scores.exposed() == []
    predict()  # who still has the function is counted, from where it was
    assert successes(registry, "v1") == 2


@pytest.mark.slow
def test_counters_stay_while_idle_ttl_has_not_passed(registry: CollectorRegistry) -> None:
    old = made(registry, "v1", confidence=None)
    old(answer)()
    old.close()
    del old
    gc.collect()
    for _ in range(3):
        assert successes(registry, "v1") == 1


@pytest.mark.slow
def test_unloaded_versions_leave_nothing_behind(registry: CollectorRegistry) -> None:
    store = store_for(registry)
    for number in range(200):
        target = made(registry, f"v{number}", idle_ttl=0.0, events=["click"], values=["x"], confidence=None)
        target(answer)()
        target.close()
        exposed(registry)
    del target
    gc.collect()
    exposed(registry)
    states = store._states
    assert [len(states._states), len(states._retired), len(states._tenants)] == [0, 0, 0]
    assert [len(guard.tenants) for guard in states._guards.values()] == [0]
    assert store._versions.unloaded() == {}
    for table in (store.events._known, store.events._counts, store.values._known, store.values._sums):
        assert len(table) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("only_new_objects_are_collected")
def test_a_full_budget_is_freed_of_exporters_that_nobody_has(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SIGNAL_SERIES.name, "2000")
    for number in range(20):
        target = made(registry, f"v{number}", baseline=refitted(number))
        target.__dict__["cycle"] = target  # only the collector can free it
        del target
    loaded = [made(registry, "v100", baseline=refitted(100))]
    with pytest.raises(ValueError, match=r"close\(\) exporters of versions that are served no longer"):
        loaded.append(made(registry, "v101", baseline=refitted(101)))
    assert versions(registry) == ["v100"]
    loaded[0].close()
    assert made(registry, "v101", baseline=refitted(101)).baseline == refitted(101)


def test_a_cell_that_is_run_twice(registry: CollectorRegistry) -> None:
    """As in a notebook: the names are bound again, and what was made before may still be referred to."""
    cells: list[dict[str, Any]] = [
        {},
        {},
        {"baseline": NUMBERS},
        {"baseline": OTHERS},
        {"confidence": "score"},
        {"confidence": None},
        {"tenant_id": "u"},
        {"declared": None, "stage": "test"},
    ]
    outputs = []
    for options in cells:
        target = made(registry, "v1", **options)
        predict = target(lambda: {"confidence": 0.5, "score": 0.25})
        predict()
        outputs.append((target, predict))
    assert successes(registry, "v1") == 7
    samples = exposed(registry)
    assert samples["model_prediction_confidence_sum"][("m", "v1", "t", "jax")] == 5 * 0.5 + 0.25
    assert samples[REQUESTS][("m", "v1", "u", "jax", "success")] == 1
    assert list(samples["model_info"]) == [("m", "v1", "jax", "", "test", "")]
    assert {key[5] for key in samples["model_signal_observations_total"]} == {"g0", "g1", "g2"}


def test_a_tenant_that_no_exporter_has_any_more_may_make_room(registry: CollectorRegistry) -> None:
    loaded = made(registry, "v1", tenant_id="b", max_tenants=2, idle_ttl=0.0)
    old = made(registry, "v1", tenant_id="a", max_tenants=2, idle_ttl=0.0)
    old.close()
    exposed(registry)
    loaded.event("click", tenant_id="c")
    tenants = {key[2] for key in exposed(registry)[REQUESTS]}
    assert tenants == {"b", "c"}
