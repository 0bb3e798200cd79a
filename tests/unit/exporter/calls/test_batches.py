"""Items and batches of confidences, of every kind."""

from __future__ import annotations

import array
import importlib.util
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import value
from modelplane_exporter import ModelMetricsExporter
from modelplane_provisioning.processes import PATIENCE_SECONDS


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


@pytest.mark.parametrize(
    "batch", [[0.5] * 10_001, np.full((101, 100), 0.5), [[0.5] * 101] * 100, [np.full(101, 0.5)] * 100],
    ids=["list", "array", "nested", "list of arrays"],
)  # fmt: skip
def test_a_batch_that_is_too_large_is_counted_once_as_such(
    registry: CollectorRegistry, batch: object
) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    exporter(lambda: {"confidence": batch})()
    assert value(registry, "model_prediction_confidence_count") == 0
    assert value(registry, "model_invalid_observations_total", reason="confidence_too_many") == 1


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


TENSORS = {
    "torch": "import torch; batch = torch.full((2, 3), 0.5, requires_grad=True)",
    "tensorflow": "import tensorflow; batch = tensorflow.fill((2, 3), 0.5)",
    "jax": "import jax; batch = jax.numpy.full((2, 3), 0.5)",
}
MEASURED_TENSOR = """
from prometheus_client import CollectorRegistry
from modelplane_exporter import ModelMetricsExporter
registry = CollectorRegistry()
exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
result = {"confidence": batch}
assert exporter(lambda: result)() is result
labels = {"model_name": "llm", "model_version": "v1", "tenant_id": "a", "framework": "pytorch"}
print(int(registry.get_sample_value("model_prediction_confidence_bucket", {**labels, "le": "0.5"})))
"""


@pytest.mark.parametrize("framework", TENSORS)
def test_tensors_of_real_frameworks(framework: str) -> None:
    """In a process of its own: once imported, JAX warns of every later fork of this one."""
    if importlib.util.find_spec(framework) is None:
        pytest.skip(f"{framework} is not installed")
    run = subprocess.run(
        [sys.executable, "-c", TENSORS[framework] + MEASURED_TENSOR],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (run.returncode, run.stdout.split()[-1:]) == (0, ["6"]), run.stderr
