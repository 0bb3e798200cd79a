"""Async generators are two-way: what a consumer sends, throws or closes reaches the body."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import outcomes, value
from modelplane_exporter import ModelMetricsExporter


async def chat() -> AsyncGenerator[str, str | None]:
    message: str | None = None
    while message != "bye":
        message = yield f"got {message}"


def test_what_is_sent_arrives(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
    async def talk() -> list[str]:
        chatter = exporter(chat)()
        answers = [await chatter.asend(None), await chatter.asend("a"), await anext(chatter)]
        with pytest.raises(StopAsyncIteration):
            await chatter.asend("bye")
        return answers

    assert asyncio.run(talk()) == ["got None", "got a", "got None"]
    assert outcomes(registry) == [1, 0, 0]
    assert value(registry, "model_time_per_output_token_seconds_count") == 1


@pytest.mark.parametrize(
    ("problem", "recovers", "wanted"),
    [
        (ValueError("x"), True, [1, 0, 0]),
        (ValueError("x"), False, [0, 1, 0]),
        (asyncio.CancelledError(), False, [0, 0, 1]),
    ],
)
def test_an_error_of_the_body_rolls_back(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, problem: BaseException, recovers: bool,
    wanted: list[int],
) -> None:  # fmt: skip
    log: list[object] = []

    @asynccontextmanager
    @exporter
    async def session() -> AsyncIterator[int]:
        try:
            yield 1
        except type(problem) as error:
            await asyncio.sleep(0)
            log.append(error)
            if not recovers:
                raise
        finally:
            log.append("closed")

    async def use() -> None:
        async with session() as number:
            log.append(number)
            raise problem

    try:
        asyncio.run(use())
    except type(problem) as error:
        log.append(("escaped", error is problem))
    assert log == [1, problem, "closed", *([] if recovers else [("escaped", True)])]
    assert outcomes(registry) == wanted


def steps_of(make: Callable[[], AsyncGenerator[Any, Any]]) -> list[str]:
    """What a consumer sees of odd uses of a generator."""
    seen: list[str] = []

    async def note(step: Callable[[], Any]) -> None:
        try:
            seen.append(repr(await step()))
        except BaseException as error:  # noqa: BLE001 - noted
            causes = (error.__cause__, error.__context__)
            seen.append(f"{type(error).__name__}: {error} {[type(cause).__name__ for cause in causes]}")

    async def consume() -> None:
        for problem in (StopAsyncIteration(), StopIteration(), GeneratorExit(), KeyError("k")):
            running = make()
            await note(lambda running=running: anext(running))  # type: ignore[misc]
            await note(lambda running=running, problem=problem: running.athrow(problem))  # type: ignore[misc]
            await note(lambda running=running: anext(running))  # type: ignore[misc]
            await note(lambda running=running: running.aclose())  # type: ignore[misc]
        unstarted = make()
        await note(lambda: unstarted.asend(3))
        await note(unstarted.aclose)
        await note(lambda: anext(unstarted))

    asyncio.run(consume())
    return seen


async def stubborn() -> AsyncGenerator[int, object]:
    try:
        yield 1
    except (KeyError, GeneratorExit):
        yield 2


async def plain() -> AsyncGenerator[int, object]:
    yield 1
    yield 2


async def replaces() -> AsyncGenerator[int, object]:
    try:
        yield 1
    except BaseException as error:
        raise LookupError("replaced") from error


@pytest.mark.parametrize("function", [stubborn, plain, replaces])
def test_a_consumer_sees_the_same_as_of_the_bare_one(
    exporter: ModelMetricsExporter, function: Callable[[], AsyncGenerator[Any, Any]]
) -> None:
    assert steps_of(exporter(function)) == steps_of(function)


def test_a_loop_that_ends_closes_each_stream_once(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, caplog: pytest.LogCaptureFixture
) -> None:
    log: list[str] = []

    @exporter
    async def stream() -> AsyncGenerator[int, None]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            log.append("closed")

    streams = []

    async def leave() -> None:
        streams.append(stream())
        await anext(streams[0])

    with caplog.at_level(logging.ERROR):
        asyncio.run(leave())
    assert log == ["closed"]
    assert caplog.records == []
    assert outcomes(registry) == [0, 0, 1]


def test_a_block_may_be_entered_with_async_with(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    async def infer() -> None:
        async with exporter.track() as call:
            assert exporter.current_call() is call
            call.items(3)
        with pytest.raises(KeyError):
            async with exporter.track():
                raise KeyError
        with pytest.raises(asyncio.TimeoutError):
            async with asyncio.timeout(0), exporter.track(tenant_id="a"):
                await asyncio.sleep(1)

    asyncio.run(infer())
    assert outcomes(registry) == [1, 1, 1]
    assert value(registry, "model_inference_items_total") == 3


def test_a_block_may_be_used_again(registry: CollectorRegistry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    call = exporter.track()
    for count in (2, 3):
        with call:
            call.items(count)
            call.confidence(0.5)
    call.confidence(0.5)
    with call:
        pass
    assert outcomes(registry) == [3, 0, 0]
    assert value(registry, "model_inference_items_total") == 2 + 3 + 1
    assert value(registry, "model_prediction_confidence_count") == 2
