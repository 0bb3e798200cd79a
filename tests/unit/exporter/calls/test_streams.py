"""Generators, async generators and tokens."""

from __future__ import annotations

import asyncio
import gc
import inspect
import types
from collections.abc import AsyncGenerator, Generator, Iterator

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import outcomes, value
from modelplane_exporter import ModelMetricsExporter


def test_a_generator_is_in_flight_until_exhausted(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    @exporter
    def stream(count: int) -> Generator[int, None, str]:
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


def test_a_generators_sends_throws_and_return_value_pass_through(exporter: ModelMetricsExporter) -> None:
    log: list[object] = []

    @exporter
    def talk() -> Generator[int, object, str]:
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


def test_a_generator_that_is_awaited(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
    @exporter
    @types.coroutine
    def nap() -> Generator[None, None, int]:
        yield
        return 3

    async def scenario() -> int:
        return await nap()

    assert asyncio.run(scenario()) == 3
    assert outcomes(registry) == [1, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["close", "forget"])
def test_an_abandoned_generator_is_cancelled(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, how: str
) -> None:
    @exporter
    def stream() -> Generator[int, None, None]:
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


def test_a_generator_that_raises_fails(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
    @exporter
    def stream() -> Generator[int, None, None]:
        yield 1
        raise RuntimeError("mid-stream")

    with pytest.raises(RuntimeError, match="mid-stream"):
        list(stream())
    assert outcomes(registry) == [0, 1, 0]


def test_async_generators_are_measured_and_closed(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    closed = []

    @exporter
    async def stream(count: int) -> AsyncGenerator[int, None]:
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


def test_time_per_token_is_between_first_and_last(registry: CollectorRegistry) -> None:
    # The start, an item and its reader's wish for the next one in turn, and the end.
    ticks = iter([0.0, 1.0, 1.2, 1.5, 1.7, 2.0, 8.0, 8.0, 9.0])
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, confidence=None)
    exporter._recorder.meter.clock = lambda: next(ticks)

    @exporter
    def stream() -> Iterator[str]:
        yield from "abc"

    assert list(stream()) == ["a", "b", "c"]
    exporter._recorder.meter.clock = lambda: 9.0
    assert value(registry, "model_time_to_first_token_seconds_sum") == 1.0
    assert value(registry, "model_time_per_output_token_seconds_sum") == 0.5
    assert value(registry, "model_inference_latency_seconds_sum") == 9.0


def test_tokens_partition_the_total(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
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
