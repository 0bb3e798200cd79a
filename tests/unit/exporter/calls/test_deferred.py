"""A plain function may return what is not there yet; its call ends when that does."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import outcomes, value
from modelplane_exporter import ModelMetricsExporter

ACTIVE = "model_active_inference_requests"


def retry(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that is no async function, as many are."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return call


def with_confidence(registry: CollectorRegistry) -> ModelMetricsExporter:
    return ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)


def test_a_coroutine_is_measured_to_its_end(registry: CollectorRegistry) -> None:
    @with_confidence(registry)
    @retry
    async def predict(fail: bool) -> dict[str, float]:
        await asyncio.sleep(0)
        if fail:
            raise RuntimeError("model broke")
        return {"confidence": 0.5}

    async def scenario() -> None:
        running = predict(False)
        assert inspect.iscoroutine(running)
        assert running.__qualname__.endswith("predict")
        assert value(registry, ACTIVE) == 1
        assert await running == {"confidence": 0.5}
        with pytest.raises(RuntimeError, match="model broke"):
            await predict(True)
        task = asyncio.create_task(predict(False))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(scenario())
    assert outcomes(registry) == [1, 1, 1]
    assert value(registry, ACTIVE) == 0
    assert value(registry, "model_prediction_confidence_count") == 1


@pytest.mark.slow
def test_a_coroutine_that_is_dropped_is_cancelled(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    @exporter
    @retry
    async def predict() -> None:
        raise AssertionError

    predict().close()
    assert outcomes(registry) == [0, 0, 1]
    with pytest.warns(RuntimeWarning, match="predict' was never awaited") as warned:
        predict()
    assert len(warned) == 1
    warned.clear()  # a warning holds what it is about
    gc.collect()
    assert outcomes(registry) == [0, 0, 2]
    assert value(registry, ACTIVE) == 0


@pytest.mark.slow
def test_a_generator_is_measured_to_its_end(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    log: list[object] = []

    @exporter
    @retry
    def stream() -> Generator[int, object, str]:
        try:
            log.append((yield 1))
            yield 2
        except KeyError:
            log.append("thrown")
            raise
        finally:
            log.append("closed")
        return "end"

    running = stream()
    assert [inspect.isgenerator(running)] == [True]
    assert (next(running), running.send("sent")) == (1, 2)
    assert value(registry, ACTIVE) == 1
    with pytest.raises(StopIteration) as stopped:
        next(running)
    assert stopped.value.value == "end"
    failing = stream()
    next(failing)
    with pytest.raises(KeyError):
        failing.throw(KeyError())
    left = stream()
    next(left)
    left.close()
    stream()  # not even begun
    gc.collect()
    assert log == ["sent", "closed", "thrown", "closed", "closed"]
    assert outcomes(registry) == [1, 1, 2]
    assert value(registry, ACTIVE) == 0
    assert value(registry, "model_time_to_first_token_seconds_count") == 3


def test_an_async_generator_is_measured_to_its_end(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    async def tokens() -> AsyncGenerator[str, str]:
        said = yield "a"
        yield said

    @exporter
    def plain() -> AsyncGenerator[str, str]:
        return tokens()

    @exporter
    async def awaited() -> AsyncGenerator[str, str]:
        return tokens()

    @exporter
    @retry
    async def awaited_later() -> AsyncGenerator[str, str]:
        return tokens()

    async def read(running: AsyncGenerator[str, str]) -> None:
        assert [inspect.isasyncgen(running)] == [True]
        assert value(registry, ACTIVE) == 1
        assert [await anext(running), await running.asend("b")] == ["a", "b"]
        with pytest.raises(StopAsyncIteration):
            await anext(running)

    async def scenario() -> None:
        await read(plain())
        await read(await awaited())
        await read(await awaited_later())

    asyncio.run(scenario())
    assert outcomes(registry) == [3, 0, 0]
    assert value(registry, "model_time_to_first_token_seconds_count") == 3


@pytest.mark.slow
def test_a_future_is_measured_to_its_end(registry: CollectorRegistry) -> None:
    futures: list[Future[Any]] = []

    @with_confidence(registry)
    def submit() -> Future[Any]:
        futures.append(Future())
        return futures[-1]

    assert submit() is futures[0]
    submit(), submit()
    assert value(registry, ACTIVE) == 3
    futures[0].set_result({"confidence": 0.5})
    futures[1].set_exception(KeyError())
    futures[2].cancel()
    assert outcomes(registry) == [1, 1, 1]
    submit()
    futures.clear()
    gc.collect()
    assert outcomes(registry) == [1, 1, 2]
    assert value(registry, ACTIVE) == 0
    assert value(registry, "model_prediction_confidence_count") == 1
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(dict, confidence=0.5)
        done.result()
        assert with_confidence(registry)(lambda: done)() is done
    assert outcomes(registry) == [2, 1, 2]


@pytest.mark.slow
def test_a_task_is_measured_to_its_end_and_its_error_stays_unseen(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(seconds: float) -> int:
        await asyncio.sleep(seconds)
        if not seconds:
            raise ValueError
        return 3

    @exporter
    def start(seconds: float) -> asyncio.Task[int]:
        return asyncio.create_task(work(seconds))

    async def scenario() -> None:
        assert await start(0.001) == 3
        slow = start(60)
        await asyncio.sleep(0)
        slow.cancel()
        start(0)  # nobody waits for it
        await asyncio.sleep(0.01)
        del slow
        gc.collect()

    with caplog.at_level(logging.ERROR, "asyncio"):
        asyncio.run(scenario())
    assert outcomes(registry) == [1, 1, 1]
    assert "Task exception was never retrieved" in caplog.text


def test_two_exporters_measure_the_same_coroutine(registry: CollectorRegistry) -> None:
    other = CollectorRegistry()

    async def predict() -> int:
        return 1

    both = with_confidence(registry)(with_confidence(other)(retry(predict)))
    assert asyncio.run(both()) == 1
    assert outcomes(registry) == outcomes(other) == [1, 0, 0]


def test_declared_values_of_a_coroutine_and_of_a_stream(registry: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("apiVersion: modelplane/v1\nitems: result.rows\n")
    exporter = ModelMetricsExporter(
        "llm", "v1", "a", "pytorch", registry=registry, confidence=None, declared=path
    )

    @exporter
    @retry
    async def predict(rows: int) -> dict[str, int]:
        return {"rows": rows}

    @exporter
    @retry
    def stream() -> Generator[int, None, None]:
        yield 1

    assert asyncio.run(predict(7)) == {"rows": 7}
    assert list(stream()) == [1]
    assert value(registry, "model_inference_items_total") == 7 + 1
    assert outcomes(registry) == [2, 0, 0]
    assert exporter.current_call() is None


def test_a_result_of_a_hostile_type_is_not_asked(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    class Unhashable(type):
        __hash__ = None  # type: ignore[assignment]

    class Raising(type):
        def __getattr__(cls, name: str) -> Any:
            raise RuntimeError(name)

    for kind in (Unhashable("Result", (), {}), Raising("Result", (), {})):
        assert type(exporter(lambda kind=kind: kind())()) is kind
    assert outcomes(registry) == [2, 0, 0]
