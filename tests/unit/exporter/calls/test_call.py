"""What one measured call leaves in the registry, and that it leaves the model alone."""

from __future__ import annotations

import asyncio
import enum
import inspect
import logging
import threading
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from modelplane_exporter import PER_CALL, ModelMetricsExporter, tenant

LABELS = {"model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A", "framework": "pytorch"}


@pytest.fixture
def exporter(registry: CollectorRegistry) -> ModelMetricsExporter:
    return ModelMetricsExporter("resnet50", "v1", "user-A", "pytorch", registry=registry)


def requests(registry: CollectorRegistry, outcome: str, **labels: str) -> float | None:
    return registry.get_sample_value(
        "model_inference_requests_total", {**LABELS, **labels, "outcome": outcome}
    )


def sample(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {**LABELS, **labels})


def test_success_counts_latency_outcome_and_confidence(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    @exporter
    def predict(x: float) -> dict[str, float]:
        assert sample(registry, "model_active_inference_requests") == 1
        return {"label": x, "confidence": 0.83}

    assert predict(4.0) == {"label": 4.0, "confidence": 0.83}
    assert requests(registry, "success") == 1
    assert sample(registry, "model_inference_latency_seconds_count") == 1
    assert sample(registry, "model_prediction_confidence_bucket", le="0.8") == 0
    assert sample(registry, "model_prediction_confidence_bucket", le="0.9") == 1
    assert sample(registry, "model_active_inference_requests") == 0


def test_fixed_tenant_is_exposed_at_zero_before_any_call(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    assert [requests(registry, outcome) for outcome in ("success", "failure", "cancelled")] == [0, 0, 0]
    assert sample(registry, "model_inference_latency_seconds_count") == 0


def test_exception_is_the_same_object_and_logged_without_arguments(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, caplog: pytest.LogCaptureFixture
) -> None:
    problem = ValueError("patient 4711 has no image")

    @exporter
    def predict(secret: str) -> None:
        raise problem

    with caplog.at_level(logging.WARNING), pytest.raises(ValueError, match="4711") as caught:
        predict("argument-text")
    assert caught.value is problem
    assert requests(registry, "failure") == 1
    assert requests(registry, "success") == 0
    assert sample(registry, "model_prediction_confidence_count") == 0
    assert sample(registry, "model_active_inference_requests") == 0
    assert "model_name='resnet50'" in caplog.text
    assert "tenant_id='user-A'" in caplog.text
    assert "ValueError" in caplog.text
    assert "argument-text" not in caplog.text
    assert "4711" not in caplog.text


def test_repeated_failures_are_one_log_line(
    exporter: ModelMetricsExporter, caplog: pytest.LogCaptureFixture
) -> None:
    @exporter
    def predict() -> None:
        raise RuntimeError

    for _ in range(50):
        with pytest.raises(RuntimeError):
            predict()
    assert len([r for r in caplog.records if "inference failed" in r.message]) == 1


def test_metadata_of_the_function_is_kept(exporter: ModelMetricsExporter) -> None:
    def predict(image: bytes, *, top: int = 3) -> dict[str, float]:
        """Classify one image."""
        return {"confidence": 0.5}

    measured = exporter(predict)
    assert measured.__name__ == "predict"
    assert measured.__doc__ == "Classify one image."
    assert inspect.signature(measured) == inspect.signature(predict)


def test_methods_get_their_object(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
    class Service:
        bias = 0.25

        @exporter
        def predict(self, x: float) -> dict[str, float]:
            return {"confidence": self.bias + x}

        @exporter
        async def apredict(self, x: float) -> dict[str, float]:
            return {"confidence": self.bias + x}

    assert Service().predict(0.5) == {"confidence": 0.75}
    assert asyncio.run(Service().apredict(0.5)) == {"confidence": 0.75}
    assert requests(registry, "success") == 2


def test_async_calls_overlap_and_cancellation_is_not_a_failure(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    @exporter
    async def predict(seconds: float) -> dict[str, float]:
        await asyncio.sleep(seconds)
        return {"confidence": 1.0}

    async def scenario() -> float | None:
        slow = asyncio.create_task(predict(60))
        quick = asyncio.create_task(predict(0.01))
        await asyncio.sleep(0)
        in_flight = sample(registry, "model_active_inference_requests")
        await quick
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        return in_flight

    assert inspect.iscoroutinefunction(predict)
    assert asyncio.run(scenario()) == 2
    assert [requests(registry, o) for o in ("success", "failure", "cancelled")] == [1, 0, 1]
    assert sample(registry, "model_active_inference_requests") == 0


def test_track_measures_a_block(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
    with exporter.track() as call:
        call.confidence([0.2, 0.4])
    with pytest.raises(KeyError), exporter.track():
        raise KeyError("gone")
    assert requests(registry, "success") == 1
    assert requests(registry, "failure") == 1
    assert sample(registry, "model_prediction_confidence_count") == 2
    assert sample(registry, "model_prediction_confidence_sum") == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("value", "observed", "reasons"),
    [
        (0.5, 1, {}),
        (1, 1, {}),
        (1 + 5e-7, 1, {}),
        (-5e-7, 1, {}),
        (1.01, 0, {"confidence_out_of_range": 1}),
        (float("inf"), 0, {"confidence_out_of_range": 1}),
        (float("nan"), 0, {"confidence_not_a_number": 1}),
        ("0.9", 0, {"confidence_not_a_number": 1}),
        (True, 0, {"confidence_not_a_number": 1}),
        (None, 0, {"confidence_not_a_number": 1}),
        (np.float32(0.25), 1, {}),
        (
            np.array([[0.1, 0.2], [np.nan, 7.0]]),
            2,
            {"confidence_not_a_number": 1, "confidence_out_of_range": 1},
        ),
        ([0.1, [0.2, (0.3,)]], 3, {}),
        ([], 0, {}),
    ],
)
def test_confidence_is_observed_or_counted_as_invalid(
    registry: CollectorRegistry,
    exporter: ModelMetricsExporter,
    value: object,
    observed: int,
    reasons: dict[str, int],
) -> None:
    exporter(lambda: {"confidence": value})()
    assert sample(registry, "model_prediction_confidence_count") == observed
    for reason in ("confidence_not_a_number", "confidence_out_of_range", "confidence_missing"):
        count = sample(registry, "model_invalid_observations_total", reason=reason) or 0
        assert count == reasons.get(reason, 0), reason


def test_missing_confidence_is_counted_unless_the_model_has_none(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    exporter(lambda: {"label": 3})()
    exporter(lambda: 3)()
    missing = {**LABELS, "reason": "confidence_missing"}
    assert registry.get_sample_value("model_invalid_observations_total", missing) == 2

    silent = CollectorRegistry()
    without = ModelMetricsExporter("resnet50", "v1", "user-A", "pytorch", confidence=None, registry=silent)
    without(lambda: 3)()
    assert silent.get_sample_value("model_invalid_observations_total", missing) is None
    assert requests(silent, "success") == 1


def test_hostile_result_is_returned_unchanged(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, caplog: pytest.LogCaptureFixture
) -> None:
    class Hostile(dict):  # type: ignore[type-arg]
        def __contains__(self, key: object) -> bool:
            raise RuntimeError("hostile")

    result = Hostile()
    assert exporter(lambda: result)() is result
    assert requests(registry, "success") == 1
    assert "confidence was not observed" in caplog.text


def test_tenant_per_call_by_context_argument_and_function(registry: CollectorRegistry) -> None:
    per_call = ModelMetricsExporter("resnet50", "v1", PER_CALL, "pytorch", registry=registry)
    predict = per_call(lambda: {"confidence": 0.5})
    with tenant("user-B"):
        predict()
    with per_call.track(tenant_id="user-C"):
        pass
    by_function = ModelMetricsExporter(
        "resnet50", "v1", lambda request: request["account"], "pytorch", registry=registry
    )
    by_function(lambda request: {"confidence": 0.5})({"account": "user-D"})
    for expected in ("user-B", "user-C", "user-D"):
        assert requests(registry, "success", tenant_id=expected) == 1, expected


@pytest.mark.parametrize("source", [PER_CALL, lambda: 1 / 0, lambda: "", lambda: None, lambda: "__all__"])
def test_a_tenant_that_cannot_be_told_is_unknown_and_counted(
    registry: CollectorRegistry, source: Any
) -> None:
    exporter = ModelMetricsExporter("resnet50", "v1", source, "pytorch", registry=registry)
    assert exporter(lambda: {"confidence": 0.5})() == {"confidence": 0.5}
    unknown = {"tenant_id": "__unknown__"}
    assert requests(registry, "success", **unknown) == 1
    assert sample(registry, "model_invalid_observations_total", **unknown, reason="tenant_invalid") == 1


class Account(str, enum.Enum):  # noqa: UP042 - whose str() is its name
    FIRST = "user-A"


def test_a_member_of_an_enumeration_is_its_text_and_a_lone_surrogate_is_unknown(
    registry: CollectorRegistry,
) -> None:
    exporter = ModelMetricsExporter("resnet50", "v1", PER_CALL, "pytorch", registry=registry)
    for name in (Account.FIRST, "user-A", "\ud800"):
        with exporter.track(tenant_id=name):
            pass
    assert requests(registry, "success", tenant_id="user-A") == 2
    assert requests(registry, "success", tenant_id="__unknown__") == 1
    with pytest.raises(ValueError, match="model_name must be a text without lone surrogates"):
        ModelMetricsExporter("\udfff", "v1", "t", "pytorch", registry=registry)


def test_surplus_tenants_go_to_overflow(registry: CollectorRegistry) -> None:
    exporter = ModelMetricsExporter(
        "resnet50", "v1", PER_CALL, "pytorch", tenants=("a",), max_tenants=2, registry=registry
    )
    for name in ("a", "b", "c", "d", "c", "b"):
        with exporter.track(tenant_id=name):
            pass
    assert [requests(registry, "success", tenant_id=t) for t in ("a", "b", "__overflow__")] == [1, 2, 3]
    assert requests(registry, "success", tenant_id="c") is None
    overflow = {"model_name": "resnet50", "model_version": "v1", "framework": "pytorch", "label": "tenant_id"}
    assert registry.get_sample_value("model_series_overflow_total", overflow) == 3


def test_threads_lose_nothing(registry: CollectorRegistry, exporter: ModelMetricsExporter) -> None:
    predict = exporter(lambda: {"confidence": 0.5})
    threads = [threading.Thread(target=lambda: [predict() for _ in range(500)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        generate_latest(registry)
    assert requests(registry, "success") == 4000
    assert sample(registry, "model_prediction_confidence_count") == 4000
    assert sample(registry, "model_active_inference_requests") == 0
