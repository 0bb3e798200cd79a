"""Events and feedback, during the call or later."""

from __future__ import annotations

import threading

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.event_series import EVENTS, FEEDBACK, exporter, samples
from modelplane_exporter import PER_CALL, tenant
from modelplane_exporter.measurement.event_counters import MAX_EVENTS
from modelplane_exporter.serving.responder import respond


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
    for number in range(MAX_EVENTS + 5):
        target.event(f"event {number}")
    counts = samples(registry, EVENTS)
    assert len(counts) == MAX_EVENTS + 1
    assert counts[("t", "__overflow__")] == 5
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
