"""A registry that a test fixture emptied does not mute exporters that are made later."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, Counter

from exporter_support.observed_signals import exposed
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.store.stores import store_for


def unregister_all(registry: CollectorRegistry) -> None:
    for collector in list(registry._collector_to_names):
        registry.unregister(collector)


def clear(registry: CollectorRegistry) -> None:
    registry._collector_to_names.clear()
    registry._names_to_collectors.clear()


def call(registry: CollectorRegistry) -> ModelMetricsExporter:
    exporter = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)
    exporter(lambda: {"confidence": 0.5})()
    return exporter


def counted(registry: CollectorRegistry) -> list[float | None]:
    """By prometheus_client, and by our own endpoint."""
    labels = {
        "model_name": "m",
        "model_version": "v1",
        "tenant_id": "t",
        "framework": "jax",
        "outcome": "success",
    }
    by_client = registry.get_sample_value("model_inference_requests_total", labels)
    ours = exposed(registry)["model_inference_requests_total"]
    return [by_client, ours.get(tuple(labels.values()))]


@pytest.mark.slow
@pytest.mark.parametrize("empty", [unregister_all, clear])
def test_the_next_test_starts_at_zero(
    registry: CollectorRegistry, empty: Callable[[CollectorRegistry], None]
) -> None:
    for _ in range(3):
        Counter("theirs", "Theirs.", registry=registry).inc()
        call(registry)
        assert counted(registry) == [1, 1]
        empty(registry)


@pytest.mark.slow
def test_exporters_that_live_on_are_shown_again_with_the_next_one(registry: CollectorRegistry) -> None:
    service = call(registry)
    unregister_all(registry)
    assert counted(registry) == [None, 1]  # our own endpoint shows them nevertheless
    other = call(registry)
    assert counted(registry) == [2, 2]
    assert (service.current_call(), other.current_call()) == (None, None)


@pytest.mark.slow
def test_an_exporter_that_was_closed_does_not_count_as_living(registry: CollectorRegistry) -> None:
    service = call(registry)
    service.close()
    unregister_all(registry)
    new = call(registry)
    assert counted(registry) == [1, 1]
    assert new is not service


def test_a_registry_that_is_not_emptied_keeps_its_store(registry: CollectorRegistry) -> None:
    store, first = store_for(registry), call(registry)
    second = call(registry)
    assert store_for(registry) is store
    assert counted(registry) == [2, 2]
    assert first is not second
