"""A stream is charged device time while its generator runs, not while its reader has the turn."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.journaled_calls import Clock
from exporter_support.llm_series import outcomes, value
from modelplane_exporter import PER_CALL, ModelMetricsExporter, tenant


class Streams:
    """An exporter on a clock of its own; its streams work and their readers wait."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.clock = Clock()
        self.registry = registry
        self.exporter = ModelMetricsExporter(
            "llm", "v1", PER_CALL, "pytorch", registry=registry, confidence=None
        )
        self.exporter._recorder.meter.clock = self.clock
        self.stream = self.exporter(self.work)
        self.async_stream = self.exporter(self.async_work)

    def sleep(self, seconds: float) -> None:
        self.clock.now += seconds

    def work(self, items: int) -> Generator[int, Any, str]:
        try:
            for item in range(items):
                self.sleep(2)
                yield item
            self.sleep(1)
        finally:
            self.sleep(0.5)
        return "the end"

    async def async_work(self, items: int) -> AsyncGenerator[int, None]:
        try:
            for item in range(items):
                await asyncio.sleep(0)
                self.sleep(2)
                yield item
            self.sleep(1)
        finally:
            self.sleep(0.5)

    def charged(self, who: str = "a") -> float:
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "model_inference_device_seconds_total" and sample.labels["tenant_id"] == who
        )

    def latency(self) -> float | None:
        return value(self.registry, "model_inference_latency_seconds_sum")


@pytest.fixture
def streams(registry: CollectorRegistry) -> Iterator[Streams]:
    with tenant("a"):
        yield Streams(registry)


def test_waiting_is_latency_but_no_charge(streams: Streams) -> None:
    for _ in streams.stream(3):
        streams.sleep(100)
    assert streams.charged() == 3 * 2 + 1 + 0.5
    assert streams.latency() == 300 + 7.5


def test_async_waiting_is_latency_but_no_charge(streams: Streams) -> None:
    async def read() -> None:
        async for _ in streams.async_stream(3):
            streams.sleep(100)

    asyncio.run(read())
    assert streams.charged() == 3 * 2 + 1 + 0.5
    assert streams.latency() == 300 + 7.5


def close(running: Generator[int, Any, str]) -> None:
    running.close()


def throw(running: Generator[int, Any, str]) -> None:
    with pytest.raises(KeyError):
        running.throw(KeyError("x"))


def send(running: Generator[int, Any, str]) -> None:
    assert running.send("more") == 1
    running.close()


@pytest.mark.parametrize(
    ("how", "seconds", "ends"), [(close, 2.5, [0, 0, 1]), (throw, 2.5, [0, 1, 0]), (send, 4.5, [0, 0, 1])]
)
def test_every_way_back_into_the_generator_is_work(
    streams: Streams, how: Callable[[Generator[int, Any, str]], None], seconds: float, ends: list[int]
) -> None:
    running = streams.stream(3)
    next(running)
    streams.sleep(100)
    how(running)
    assert streams.charged() == seconds
    assert outcomes(streams.registry)[: len(ends)] == ends
    assert value(streams.registry, "model_active_inference_requests") == 0


def test_an_async_stream_that_is_left_is_charged_its_own_clean_up(streams: Streams) -> None:
    async def read() -> None:
        async with aclosing(streams.async_stream(3)) as running:
            async for _ in running:
                streams.sleep(100)
                break

    asyncio.run(read())
    assert streams.charged() == 2.5
    assert value(streams.registry, "model_active_inference_requests") == 0


def test_a_stream_stays_in_flight_while_its_reader_waits(streams: Streams) -> None:
    running = streams.stream(2)
    next(running)
    for _ in range(3):
        streams.sleep(100)
        assert streams.charged() == 2
        assert value(streams.registry, "model_active_inference_requests") == 1
    running.close()


def test_other_calls_have_the_device_for_themselves_meanwhile(streams: Streams) -> None:
    running = streams.stream(1)
    with streams.exporter.track("b"):
        next(running)  # 2 s for both
        streams.sleep(10)  # for "b"
        assert list(running) == []  # 1.5 s for both
    assert (streams.charged("a"), streams.charged("b")) == (1.75, 11.75)


def test_many_items_do_not_pile_up(streams: Streams) -> None:
    meter = streams.exporter._recorder.meter
    longest = 0
    for _ in streams.stream(5_000):
        longest = max(longest, len(meter.events))
    assert longest <= meter.drain_at + 2
    assert streams.charged() == 5_000 * 2 + 1.5


def test_a_block_may_pause(streams: Streams) -> None:
    with streams.exporter.track("a") as call:
        streams.sleep(1)
        call.pause()
        call.pause()
        streams.sleep(100)
        call.resume()
        call.resume()
        streams.sleep(2)
        call.pause()
        streams.sleep(100)
    call.pause()
    call.resume()
    assert streams.charged() == 3
    assert streams.latency() == 203
    assert value(streams.registry, "model_active_inference_requests") == 0


def test_a_batch_may_pause(streams: Streams) -> None:
    with streams.exporter.track_batch({"a": 3, "b": 1}) as call:
        streams.sleep(2)
        call.pause()
        streams.sleep(100)
        assert value(streams.registry, "model_active_inference_requests") == 1
        call.resume()
        streams.sleep(2)
    assert (streams.charged("a"), streams.charged("b")) == (3, 1)


def test_nested_streams_share_the_device(streams: Streams) -> None:
    def relay() -> Iterator[int]:
        yield from streams.stream(2)

    outer = streams.exporter(relay)
    with tenant("b"):
        for _ in outer():
            streams.sleep(100)
    total = streams.charged("a") + streams.charged("b")
    assert math.isclose(total, 5.5)
