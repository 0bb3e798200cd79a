"""Callables and models that call each other, and the device that they share."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import outcomes, value
from modelplane_exporter import PER_CALL, ModelMetricsExporter


def test_callables_and_partials(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
    class Model:
        def __call__(self, x: int) -> int:
            return x + 1

    class AsyncModel:
        async def __call__(self, x: int) -> int:
            return x + 1

    class Stream:
        def __call__(self, x: int) -> Iterator[int]:
            yield x

    assert exporter(Model())(1) == 2
    assert asyncio.run(exporter(AsyncModel())(1)) == 2
    assert list(exporter(Stream())(1)) == [1]
    assert exporter(functools.partial(pow, 2))(3) == 8
    assert outcomes(registry) == [4, 0, 0]


def test_nested_models_are_measured_each_and_share_the_device(registry: CollectorRegistry) -> None:
    inner = ModelMetricsExporter("inner", "v1", "a", "pytorch", registry=registry, confidence=None)
    outer = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, confidence=None)
    embed = inner(lambda: 1)
    outer(lambda: embed() + embed())()
    assert outcomes(registry) == [1, 0, 0]
    assert outcomes(registry, model_name="inner") == [2, 0, 0]


def test_a_batch_call_of_several_tenants(registry: CollectorRegistry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", PER_CALL, "pytorch", registry=registry)
    with exporter.track_batch({"a": 3, "b": 1}) as call:
        running = [value(registry, "model_active_inference_requests", tenant_id=t) for t in "ab"]
        call.confidence([0.5, 0.6, 0.7, 0.8])
    assert running == [1, 1]
    assert [value(registry, "model_active_inference_requests", tenant_id=t) for t in "ab"] == [0, 0]
    assert [value(registry, "model_inference_items_total", tenant_id=t) for t in "ab"] == [3, 1]
    assert outcomes(registry, tenant_id="a") == outcomes(registry, tenant_id="b") == [1, 0, 0]
    with pytest.raises(ValueError, match="items must be whole numbers from 1 on"):
        exporter.track_batch({"a": 0})
    with pytest.raises(ValueError, match="items must map at least one tenant"):
        exporter.track_batch({})


def test_each_device_is_shared_by_its_own_calls_only(registry: CollectorRegistry) -> None:
    now = [0.0]
    devices = {
        name: ModelMetricsExporter(
            "llm", "v1", "a", "pytorch", registry=registry, confidence=None, device=name, device_type="h200"
        )
        for name in ("GPU-1", "GPU-2")
    }
    for exporter in devices.values():
        exporter._recorder.meter.clock = lambda: now[0]
    with devices["GPU-1"].track(), devices["GPU-2"].track():
        now[0] = 4.0
        with devices["GPU-2"].track():
            now[0] = 6.0
    charged = {
        name: value(registry, "model_inference_device_seconds_total", device=name, device_type="h200")
        for name in devices
    }
    assert charged == {"GPU-1": 6.0, "GPU-2": 6.0}
    assert outcomes(registry) == [3, 0, 0]


def test_a_device_needs_its_type() -> None:
    with pytest.raises(ValueError, match="device and device_type go together"):
        ModelMetricsExporter("llm", "v1", "a", "pytorch", device="GPU-1", registry=CollectorRegistry())
