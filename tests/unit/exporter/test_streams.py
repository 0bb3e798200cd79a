"""Generators, async generators, batches, tokens, callables, nesting."""

from __future__ import annotations

import array
import asyncio
import functools
import gc
import importlib.util
import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from modelplane_exporter import PER_CALL, ModelMetricsExporter, tenant
from modelplane_exporter.serving.responder import exposition
from modelplane_exporter.store.store import store_for

LABELS = {"model_name": "llm", "model_version": "v1", "tenant_id": "a", "framework": "pytorch"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def exporter(registry: CollectorRegistry) -> ModelMetricsExporter:
    return ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, confidence=None)


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {**LABELS, **labels})


def outcomes(registry: CollectorRegistry, **labels: str) -> list[float | None]:
    return [
        value(registry, "model_inference_requests_total", outcome=outcome, **labels)
        for outcome in ("success", "failure", "cancelled")
    ]


def test_a_generator_is_in_flight_until_exhausted(registry, exporter) -> None:
    @exporter
    def stream(count: int) -> Iterator[int]:
        """Count."""
        yield from range(count)
        return "the end"

    assert inspect.isgeneratorfunction(stream)
    assert stream.__doc__ == "Count."
    running = stream(3)
    assert value(registry, "model_active_inference_requests") == 0
    assert next(running) == 0
    assert value(registry, "model_active_inference_requests") == 1
    assert list(running) == [1, 2]
    assert value(registry, "model_active_inference_requests") == 0
    assert outcomes(registry) == [1, 0, 0]
    assert value(registry, "model_time_to_first_token_seconds_count") == 1
    assert value(registry, "model_time_per_output_token_seconds_count") == 1


def test_a_generators_sends_throws_and_return_value_pass_through(exporter) -> None:
    log = []

    @exporter
    def talk():
        try:
            log.append((yield 1))
            yield 2
        except KeyError as error:
            log.append(error)
        return "done"

    talker = talk()
    assert next(talker) == 1
    assert talker.send("hello") == 2
    problem = KeyError("x")
    with pytest.raises(StopIteration) as stopped:
        talker.throw(problem)
    assert stopped.value.value == "done"
    assert log == ["hello", problem]


@pytest.mark.parametrize("how", ["close", "forget"])
def test_an_abandoned_generator_is_cancelled(registry, exporter, how: str) -> None:
    @exporter
    def stream():
        yield from range(10)

    running = stream()
    next(running)
    if how == "close":
        running.close()
    del running
    gc.collect()
    assert outcomes(registry) == [0, 0, 1]
    assert value(registry, "model_active_inference_requests") == 0
    assert value(registry, "model_time_to_first_token_seconds_count") == 1
    assert value(registry, "model_time_per_output_token_seconds_count") is None


def test_a_generator_that_raises_fails(registry, exporter) -> None:
    @exporter
    def stream():
        yield 1
        raise RuntimeError("mid-stream")

    with pytest.raises(RuntimeError, match="mid-stream"):
        list(stream())
    assert outcomes(registry) == [0, 1, 0]


def test_async_generators_are_measured_and_closed(registry, exporter) -> None:
    closed = []

    @exporter
    async def stream(count: int):
        try:
            for number in range(count):
                await asyncio.sleep(0)
                yield number
        finally:
            closed.append(count)

    async def scenario() -> None:
        assert [item async for item in stream(4)] == [0, 1, 2, 3]
        abandoned = stream(9)
        assert await anext(abandoned) == 0
        await abandoned.aclose()

    assert inspect.isasyncgenfunction(stream)
    asyncio.run(scenario())
    assert closed == [4, 9]
    assert outcomes(registry) == [1, 0, 1]
    assert value(registry, "model_time_to_first_token_seconds_count") == 2


def test_time_per_token_is_between_first_and_last(registry) -> None:
    ticks = iter([0.0, 1.0, 1.5, 2.0, 9.0])
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, confidence=None)
    exporter._lane.meter.clock = lambda: next(ticks)

    @exporter
    def stream():
        yield from "abc"

    assert list(stream()) == ["a", "b", "c"]
    exporter._lane.meter.clock = lambda: 9.0
    assert value(registry, "model_time_to_first_token_seconds_sum") == 1.0
    assert value(registry, "model_time_per_output_token_seconds_sum") == 0.5
    assert value(registry, "model_inference_latency_seconds_sum") == 9.0


def test_tokens_partition_the_total(registry, exporter) -> None:
    with exporter.track() as call:
        call.tokens(input=100, cached_input=20, output=30, reasoning=5)
        call.tokens(output=1)
    with exporter.track() as call:
        call.tokens(input=-1, output=2.5, reasoning="x")  # type: ignore[arg-type]
    kinds = ("input", "cached_input", "output", "reasoning")
    counts = [value(registry, "model_inference_tokens_total", kind=kind) for kind in kinds]
    assert counts == [100, 20, 31, 5]
    assert value(registry, "model_invalid_observations_total", reason="tokens_invalid") == 3
    assert outcomes(registry) == [2, 0, 0]


def test_items_are_given_or_as_many_as_confidences_or_one(registry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    predict = exporter(lambda confidence: {"confidence": confidence})
    predict(0.5)
    predict([0.1, 0.2, 0.3])
    with exporter.track() as call:
        call.items(32)
    with exporter.track() as call:
        call.items(-1)  # counts as invalid, and as one
    assert value(registry, "model_inference_items_total") == 1 + 3 + 32 + 1
    assert value(registry, "model_invalid_observations_total", reason="items_invalid") == 1


@pytest.mark.parametrize(
    "batch", [[0.5] * 10_001, np.full((101, 100), 0.5), [[0.5] * 101] * 100, [np.full(101, 0.5)] * 100],
    ids=["list", "array", "nested", "list of arrays"],
)  # fmt: skip
def test_a_batch_that_is_too_large_is_counted_once_as_such(registry, batch: object) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    exporter(lambda: {"confidence": batch})()
    assert value(registry, "model_prediction_confidence_count") == 0
    assert value(registry, "model_invalid_observations_total", reason="confidence_too_many") == 1


class Tensorlike:
    """Counts how often anything walks it item by item."""

    walks = 0

    def __init__(self, numbers: list[float]) -> None:
        self._numbers = numbers

    shape = (2, 2)

    def reshape(self, size: int) -> Tensorlike:
        return self

    def tolist(self) -> list[float]:
        return self._numbers

    def __iter__(self):
        type(self).walks += 1
        return iter(self._numbers)


@pytest.mark.parametrize(
    "batch",
    [
        [0.25] * 4,
        (0.25,) * 4,
        np.full((2, 2), 0.25),
        np.full(4, 0.25, dtype=np.float32),
        np.full(4, 0.25, dtype=np.float16),
        array.array("d", [0.25] * 4),
        [[0.25, 0.25], [0.25, 0.25]],
        [np.float64(0.25)] * 4,
        Tensorlike([0.25] * 4),
    ],
    ids=lambda batch: type(batch).__name__,
)
def test_batches_of_every_kind(registry, batch: object) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    exporter(lambda: {"confidence": batch})()
    assert value(registry, "model_prediction_confidence_count") == 4
    assert value(registry, "model_prediction_confidence_sum") == 1.0
    assert Tensorlike.walks == 0


TENSORS = {
    "torch": "import torch; batch = torch.full((2, 3), 0.5, requires_grad=True)",
    "tensorflow": "import tensorflow; batch = tensorflow.fill((2, 3), 0.5)",
    "jax": "import jax; batch = jax.numpy.full((2, 3), 0.5)",
}
MEASURED_TENSOR = """
from prometheus_client import CollectorRegistry
from modelplane_exporter import ModelMetricsExporter
registry = CollectorRegistry()
exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
result = {"confidence": batch}
assert exporter(lambda: result)() is result
labels = {"model_name": "llm", "model_version": "v1", "tenant_id": "a", "framework": "pytorch"}
print(int(registry.get_sample_value("model_prediction_confidence_bucket", {**labels, "le": "0.5"})))
"""


@pytest.mark.parametrize("framework", TENSORS)
def test_tensors_of_real_frameworks(framework: str) -> None:
    """In a process of its own: once imported, JAX warns of every later fork of this one."""
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    run = subprocess.run(
        [sys.executable, "-c", TENSORS[framework] + MEASURED_TENSOR],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (run.returncode, run.stdout.split()[-1:]) == (0, ["6"]), run.stderr


def test_exemplars_name_the_trace_of_the_call(registry) -> None:
    tracer = TracerProvider().get_tracer("test")
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, exemplars=True)
    predict = exporter(lambda: {"confidence": 0.5})
    predict()
    with tracer.start_as_current_span("request") as span:
        predict()
    body, _ = exposition(registry, store_for(registry), "application/openmetrics-text")
    trace_id = format(span.get_span_context().trace_id, "032x")
    assert body.decode().count(" # {") == 1
    assert f'# {{trace_id="{trace_id}"}}' in body.decode()
    assert value(registry, "model_prediction_confidence_count") == 2


def test_exemplars_name_the_trace_of_a_tracked_block(registry) -> None:
    tracer = TracerProvider().get_tracer("test")
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, exemplars=True)
    with tracer.start_as_current_span("request") as span, exporter.track() as call:
        call.confidence(0.5)
    body, _ = exposition(registry, store_for(registry), "application/openmetrics-text")
    trace_id = format(span.get_span_context().trace_id, "032x")
    assert f'# {{trace_id="{trace_id}"}}' in body.decode()


def test_callables_and_partials(registry, exporter) -> None:
    class Model:
        def __call__(self, x: int) -> int:
            return x + 1

    class AsyncModel:
        async def __call__(self, x: int) -> int:
            return x + 1

    class Stream:
        def __call__(self, x: int):
            yield x

    assert exporter(Model())(1) == 2
    assert asyncio.run(exporter(AsyncModel())(1)) == 2
    assert list(exporter(Stream())(1)) == [1]
    assert exporter(functools.partial(pow, 2))(3) == 8
    assert outcomes(registry) == [4, 0, 0]


def test_nested_models_are_measured_each_and_share_the_device(registry) -> None:
    inner = ModelMetricsExporter("inner", "v1", "a", "pytorch", registry=registry, confidence=None)
    outer = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, confidence=None)
    embed = inner(lambda: 1)
    outer(lambda: embed() + embed())()
    assert outcomes(registry) == [1, 0, 0]
    assert outcomes(registry, model_name="inner") == [2, 0, 0]


def test_a_batch_call_of_several_tenants(registry) -> None:
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


def test_each_device_is_shared_by_its_own_calls_only(registry) -> None:
    now = [0.0]
    devices = {
        name: ModelMetricsExporter(
            "llm", "v1", "a", "pytorch", registry=registry, confidence=None, device=name, device_type="h200"
        )
        for name in ("GPU-1", "GPU-2")
    }
    for exporter in devices.values():
        exporter._lane.meter.clock = lambda: now[0]
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


def test_the_tenant_of_a_context_is_that_of_its_thread(registry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", PER_CALL, "pytorch", registry=registry, confidence=None)
    predict = exporter(lambda: None)

    def work(name: str) -> None:
        with tenant(name):
            for _ in range(500):
                predict()

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [outcomes(registry, tenant_id=name) for name in "abcd"] == [[500, 0, 0]] * 4


def test_the_tenant_of_a_context_is_that_of_its_task(registry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", PER_CALL, "pytorch", registry=registry, confidence=None)

    @exporter
    async def predict() -> None:
        await asyncio.sleep(0.001)

    async def task(name: str) -> None:
        with tenant(name):
            for _ in range(5):
                await predict()

    async def scenario() -> None:
        await asyncio.gather(*map(task, "abcd"))

    asyncio.run(scenario())
    assert [outcomes(registry, tenant_id=name) for name in "abcd"] == [[5, 0, 0]] * 4
