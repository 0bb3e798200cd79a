"""Exceptions that the model team expects: such a call is rejected, and no failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.journaled_calls import JournaledStore
from exporter_support.llm_series import outcomes, value
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.calls.expected import is_expected
from modelplane_exporter.frameworks.measured import Measured
from modelplane_exporter.frameworks.readings import Reading
from modelplane_exporter.layout.calls import ITEMS, LATENCY, REQUESTS
from modelplane_exporter.measurement.identity_state import REJECTED, WAS_REJECTED
from modelplane_schema.metrics import COMPLETED_OUTCOMES, OUTCOMES


class BadInputError(Exception):
    status = 422


class WorseInputError(BadInputError):
    """Expected too, as one of BadInputError's kind."""


class BrokenError(Exception):
    status = 500


def make(registry: CollectorRegistry, expected: Any) -> ModelMetricsExporter:
    return ModelMetricsExporter(
        "llm", "v1", "a", "pytorch", registry=registry, confidence=None, expected=expected
    )


def rejected(registry: CollectorRegistry) -> float | None:
    return value(registry, "model_inference_requests_total", outcome="rejected")


def fail(error: BaseException) -> None:
    raise error


async def afail(error: BaseException) -> None:
    raise error


def stream(error: BaseException) -> Iterator[int]:
    yield 1
    raise error


async def astream(error: BaseException) -> AsyncIterator[int]:
    yield 1
    raise error


async def consumed(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


def tracked(exporter: ModelMetricsExporter, error: BaseException) -> None:
    with exporter.track() as call:
        call.items(3)
        raise error


def framework(exporter: ModelMetricsExporter, error: BaseException) -> None:
    Measured(fail, exporter, {"__call__": lambda args, kwargs, result: Reading()})(error)


WAYS: dict[str, Callable[[ModelMetricsExporter, BaseException], object]] = {
    "function": lambda exporter, error: exporter(fail)(error),
    "async function": lambda exporter, error: asyncio.run(exporter(afail)(error)),
    "generator": lambda exporter, error: list(exporter(stream)(error)),
    "async generator": lambda exporter, error: asyncio.run(consumed(exporter(astream)(error))),
    "returned coroutine": lambda exporter, error: asyncio.run(exporter(lambda: afail(error))()),
    "block": tracked,
    "framework": framework,
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "expected",
    [
        BadInputError, (BadInputError,), [KeyError, BadInputError], {BadInputError},
        lambda error: getattr(error, "status", 500) < 500,
    ],
    ids=["type", "tuple", "list", "set", "function"],
)  # fmt: skip
def test_an_expected_exception_passes_and_its_call_is_rejected(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, way: str, expected: object
) -> None:
    exporter = make(registry, expected)
    for error in (BadInputError("no image"), WorseInputError("no image")):
        with pytest.raises(BadInputError) as raised:
            WAYS[way](exporter, error)
        assert raised.value is error
    assert outcomes(registry) == [0, 0, 0]
    assert rejected(registry) == 2
    assert value(registry, "model_active_inference_requests") == 0
    assert value(registry, "model_inference_latency_seconds_count") == 2
    assert caplog.records == []
    with pytest.raises(BrokenError):
        WAYS[way](exporter, BrokenError())
    assert outcomes(registry) == [0, 1, 0]
    assert rejected(registry) == 2
    assert ["inference failed: BrokenError" in record.message for record in caplog.records] == [True]


def test_without_expected_exceptions_all_are_failures(registry: CollectorRegistry) -> None:
    exporter = make(registry, ())
    with pytest.raises(BadInputError):
        exporter(fail)(BadInputError())
    assert outcomes(registry) == [0, 1, 0]
    assert rejected(registry) == 0


def test_what_is_no_exception_of_a_model_stays_cancelled(registry: CollectorRegistry) -> None:
    exporter = make(registry, lambda error: True)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(exporter(afail)(asyncio.CancelledError()))
    with pytest.raises(KeyboardInterrupt):
        exporter(fail)(KeyboardInterrupt())
    assert outcomes(registry) == [0, 0, 2]
    assert rejected(registry) == 0


def test_a_function_that_raises_itself_leaves_the_exception_and_a_failure(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = make(registry, lambda error: error.status < 500)
    for _ in range(3):
        with pytest.raises(KeyError):
            exporter(fail)(KeyError("image"))
    assert outcomes(registry) == [0, 3, 0]
    lines = [record.message for record in caplog.records]
    assert lines.count("the function `expected` failed: AttributeError") == 1


@pytest.mark.parametrize(
    "expected", [7, "BadInputError", int, (int,), (KeyboardInterrupt,), (BadInputError(),)]
)
def test_what_cannot_be_expected_is_refused(registry: CollectorRegistry, expected: object) -> None:
    with pytest.raises(ValueError, match="expected must"):
        make(registry, expected)


def test_nothing_is_expected_of_an_empty_tuple() -> None:
    assert is_expected(()) is None


def test_a_batch_that_is_rejected_is_so_for_each_tenant(registry: CollectorRegistry) -> None:
    exporter = make(registry, BadInputError)
    with pytest.raises(BadInputError), exporter.track_batch({"a": 3, "b": 1}):
        raise BadInputError
    for tenant_id in "ab":
        labels = {"tenant_id": tenant_id, "outcome": "rejected"}
        assert value(registry, "model_inference_requests_total", **labels) == 1
        assert value(registry, "model_inference_items_total", tenant_id=tenant_id) == 0


def test_a_rejected_call_of_a_killed_worker_is_in_its_journal(tmp_path: Path) -> None:
    calls = JournaledStore(tmp_path)
    calls.call("a", None)
    for _ in range(3):
        calls.call("a", WAS_REJECTED)
    cells = calls.killed()["a"]
    assert cells[REQUESTS.start : REQUESTS.stop] == (1, 0, 0, 3)
    assert cells[ITEMS.start] == 1
    assert sum(cells[LATENCY.start : LATENCY.sum_cell]) == 4
    calls.close()


def test_a_rejected_call_says_nothing_about_the_model() -> None:
    assert OUTCOMES.index("rejected") == REJECTED
    assert "rejected" not in COMPLETED_OUTCOMES
