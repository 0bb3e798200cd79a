"""Items and batches of confidences, of every kind."""

from __future__ import annotations

import array
from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import value
from modelplane_exporter import ModelMetricsExporter


def test_items_are_given_or_as_many_as_confidences_or_one(registry: CollectorRegistry) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "batch", [[0.5] * 20_001, np.full((101, 200), 0.5), [[0.5] * 101] * 200, [np.full(101, 0.5)] * 200,
              [np.float32(0.5)] * 20_001, [0.5] * 10_000 + [[0.5] * 10_000, 0.5]],
    ids=["list", "array", "nested", "list of arrays", "list of scalars", "mixed"],
)  # fmt: skip
def test_a_large_batch_is_counted_in_parts(registry: CollectorRegistry, batch: object) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    exporter(lambda: {"confidence": batch})()
    size = 20_001 if isinstance(batch, list) and len(batch) != 200 else 20_200
    assert value(registry, "model_prediction_confidence_count") == size
    assert value(registry, "model_prediction_confidence_bucket", le="0.4") == 0
    assert value(registry, "model_prediction_confidence_bucket", le="0.5") == size
    assert value(registry, "model_prediction_confidence_sum") == size / 2
    assert value(registry, "model_inference_items_total") == size
    assert value(registry, "model_invalid_observations_total") is None


def test_what_is_invalid_in_a_large_batch_is_counted(registry: CollectorRegistry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    batch = np.linspace(0, 1, 30_000)
    batch[::3] = np.nan
    batch[1::3] = 7
    exporter(lambda: {"confidence": batch})()
    assert value(registry, "model_prediction_confidence_count") == 10_000
    for reason in ("confidence_not_a_number", "confidence_out_of_range"):
        assert value(registry, "model_invalid_observations_total", reason=reason) == 10_000
    counts = [
        value(registry, "model_prediction_confidence_bucket", le=bound) for bound in ("0.1", "0.9", "1.0")
    ]
    accepted = batch[2::3]
    assert counts == [(accepted <= bound).sum() for bound in (0.1, 0.9, 1.0)]


def test_many_batches_of_one_call_add_up(registry: CollectorRegistry) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, confidence=None)
    with exporter.track() as call:
        for _ in range(7):
            call.confidence([0.25] * 4_000)
        call.result({"confidence": 0.5})
    with exporter.track_batch({"a": 1, "b": 1}) as call:
        call.confidence([0.75] * 12_000)
    assert value(registry, "model_prediction_confidence_count") == 40_000
    assert value(registry, "model_inference_items_total") == 28_001


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

    def __iter__(self) -> Iterator[float]:
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
def test_batches_of_every_kind(registry: CollectorRegistry, batch: object) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    exporter(lambda: {"confidence": batch})()
    assert value(registry, "model_prediction_confidence_count") == 4
    assert value(registry, "model_prediction_confidence_sum") == 1.0
    assert Tensorlike.walks == 0
