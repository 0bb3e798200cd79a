"""Events and feedback, during the call or later; a tracked block is a call that code inside it finds."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from modelplane_exporter import PER_CALL, Baseline, ModelMetricsExporter, tenant
from modelplane_exporter.measurement.event_counters import MOST_EVENTS
from modelplane_exporter.serving.responder import respond

EVENTS, FEEDBACK = "model_business_events_total", "model_feedback_total"


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def exporter(registry: CollectorRegistry, **options: object) -> ModelMetricsExporter:
    return ModelMetricsExporter(
        "m",
        "v1",
        **({"tenant_id": "t", "framework": "jax", "registry": registry, "confidence": None} | options),
    )  # type: ignore[arg-type]


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, str], float]:
    """Values by tenant and last label."""
    text = respond(registry, "GET", "", "").body.decode()
    return {
        (sample.labels["tenant_id"], list(sample.labels.values())[-1]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_events_during_a_call_and_later(registry: CollectorRegistry) -> None:
    target = exporter(registry, tenant_id=PER_CALL)
    with tenant("a"), target.track() as call:
        call.event("shown", 3)
    target.event("click", tenant_id="a")
    with tenant("b"):
        target.event("click")
    target.event("click")  # nobody said whose
    assert samples(registry, EVENTS) == {
        ("a", "shown"): 3, ("a", "click"): 1, ("b", "shown"): 0, ("b", "click"): 1,
        ("__unknown__", "shown"): 0, ("__unknown__", "click"): 1,
    }  # fmt: skip


def test_feedback_shows_both_verdicts(registry: CollectorRegistry) -> None:
    target = exporter(registry)
    target.feedback(True)
    target.feedback(correct=False, tenant_id="u", count=4)
    assert samples(registry, FEEDBACK) == {
        ("t", "correct"): 1, ("t", "incorrect"): 0, ("u", "correct"): 0, ("u", "incorrect"): 4,
    }  # fmt: skip


def test_what_is_expected_shows_at_zero_from_the_start(registry: CollectorRegistry) -> None:
    exporter(registry, tenants=["u"], events=["click"], feedback=True)
    assert samples(registry, EVENTS) == {("t", "click"): 0, ("u", "click"): 0}
    assert samples(registry, FEEDBACK) == {
        (who, verdict): 0 for who in "tu" for verdict in ("correct", "incorrect")
    }


@pytest.mark.parametrize("event", ["", "  ", None, 3, b"click"])
def test_an_event_without_a_name_is_invalid(registry: CollectorRegistry, event: object) -> None:
    target = exporter(registry)
    target.event(event)  # type: ignore[arg-type]
    assert samples(registry, EVENTS) == {}
    assert samples(registry, "model_invalid_observations_total") == {("t", "value_wrong_type"): 1}


@pytest.mark.parametrize("count", [-1, 1.5, True, "3", None, 2**60])
def test_counts_are_whole_numbers(registry: CollectorRegistry, count: object) -> None:
    target = exporter(registry)
    target.event("click", count=count)  # type: ignore[arg-type]
    target.feedback(True, count=count)  # type: ignore[arg-type]
    assert samples(registry, EVENTS) == samples(registry, FEEDBACK) == {}
    assert samples(registry, "model_invalid_observations_total") == {("t", "value_wrong_type"): 2}


@pytest.mark.parametrize("correct", ["yes", 1, None, 0.5])
def test_a_verdict_is_a_truth_value(registry: CollectorRegistry, correct: object) -> None:
    target = exporter(registry)
    target.feedback(correct)  # type: ignore[arg-type]
    assert samples(registry, FEEDBACK) == {}
    assert samples(registry, "model_invalid_observations_total") == {("t", "value_wrong_type"): 1}


def test_numpy_truth_values_are_truth_values(registry: CollectorRegistry) -> None:
    import numpy as np

    exporter(registry).feedback(np.float64(3) > 2)  # type: ignore[arg-type]
    assert samples(registry, FEEDBACK)[("t", "correct")] == 1


def test_too_many_event_names_overflow(registry: CollectorRegistry) -> None:
    target = exporter(registry)
    for number in range(MOST_EVENTS + 5):
        target.event(f"event {number}")
    found = samples(registry, EVENTS)
    assert len(found) == MOST_EVENTS + 1
    assert found[("t", "__overflow__")] == 5
    text = respond(registry, "GET", "", "").body.decode()
    assert (
        'model_series_overflow_total{model_name="m",model_version="v1",framework="jax",label="event"} 5.0'
        in text
    )


def test_an_evicted_tenant_loses_its_events(registry: CollectorRegistry) -> None:
    target = exporter(registry, tenant_id=PER_CALL, max_tenants=1, idle_ttl=0.0)
    target.event("click", tenant_id="a")
    target.event("click", tenant_id="b")
    assert samples(registry, EVENTS) == {("b", "click"): 1}


def test_threads_lose_no_event(registry: CollectorRegistry) -> None:
    target = exporter(registry)

    def work() -> None:
        for _ in range(2000):
            target.event("click")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert samples(registry, EVENTS) == {("t", "click"): 8000}


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
        return await asyncio.gather(block(), block())

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
    begun = threading.Event()
    with target.track() as call:
        call.stop()
        begun.wait(0.02)
        call.event("observed")
    text = respond(registry, "GET", "", "").body.decode()
    line = next(
        line for line in text.splitlines() if "latency_seconds_bucket" in line and 'le="0.01"' in line
    )
    assert line.endswith(" 1")
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
