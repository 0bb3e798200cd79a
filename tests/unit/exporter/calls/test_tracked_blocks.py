"""A tracked block: its current call, its end, and calls inside of it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.event_series import EVENTS, exporter, samples
from modelplane_exporter import Baseline
from modelplane_exporter.serving.responder import respond


def test_code_inside_a_block_finds_its_call(registry: CollectorRegistry) -> None:
    target, other = exporter(registry), exporter(registry, tenant_id="u")
    assert target.current_call() is None
    with target.track() as outer:
        assert target.current_call() is outer
        assert other.current_call() is None
        with other.track() as inner:
            assert (target.current_call(), other.current_call()) == (outer, inner)
            with target.track() as innermost:
                assert target.current_call() is innermost
        assert target.current_call() is outer
    assert target.current_call() is None
    assert outer.in_flight is False


def test_a_block_of_one_thread_or_task_is_not_that_of_another(registry: CollectorRegistry) -> None:
    target = exporter(registry)
    seen = []
    with target.track():
        thread = threading.Thread(target=lambda: seen.append(target.current_call()))
        thread.start()
        thread.join()
    assert seen == [None]

    async def block() -> bool:
        with target.track() as call:
            await asyncio.sleep(0)
            return target.current_call() is call

    async def both() -> list[bool]:
        return list(await asyncio.gather(block(), block()))

    assert asyncio.run(both()) == [True, True]


def test_a_block_may_be_left_in_another_context(registry: CollectorRegistry) -> None:
    target = exporter(registry)

    async def stream() -> AsyncIterator[int]:
        with target.track():
            yield 1
            yield 2

    async def leave() -> None:
        running = stream()
        await asyncio.create_task(anext(running))  # type: ignore[arg-type]
        await asyncio.create_task(running.aclose())  # type: ignore[attr-defined]

    asyncio.run(leave())
    assert samples(registry, "model_inference_requests_total")[("t", "cancelled")] == 1
    assert target.current_call() is None


def test_stop_ends_the_latency_but_not_the_block(registry: CollectorRegistry) -> None:
    target = exporter(registry)
    begun = time.perf_counter()
    with target.track() as call:
        call.stop()
        stopped = time.perf_counter()
        time.sleep(0.01)
        call.event("observed")
    (latency,) = samples(registry, "model_inference_latency_seconds_sum").values()
    assert 0 < latency <= stopped - begun
    assert samples(registry, EVENTS) == {("t", "observed"): 1}


def test_a_reason_outside_of_the_closed_set_is_not_counted(registry: CollectorRegistry) -> None:
    with exporter(registry).track() as call:
        call.invalid("value_missing")
        call.invalid("anything")
    assert samples(registry, "model_invalid_observations_total") == {("t", "value_missing"): 1}


def test_a_refused_exporter_leaves_nothing_behind(registry: CollectorRegistry) -> None:
    baseline = Baseline.fit("other", {"a": [1.0, 2.0]})
    for options in ({"baseline": baseline}, {"signals_every": 0}, {"events": [""]}):
        with pytest.raises(ValueError, match=r"baseline is of model|signals_every|events"):
            exporter(registry, **options)
    assert "model_info" not in respond(registry, "GET", "", "").body.decode()


def test_a_wrapped_model_joins_the_declared_function_around_it(
    registry: CollectorRegistry, tmp_path: Path
) -> None:
    path = tmp_path / "values.yaml"
    path.write_text("apiVersion: modelplane/v1\nevents: [{name: shown, when: result}]\n")
    target = exporter(registry, declared=path)
    seen = []

    @target
    def predict() -> str:
        seen.append(target.current_call() is not None)
        return "cat"

    predict()
    assert seen == [True]
    assert samples(registry, EVENTS) == {("t", "shown"): 1}
