"""Which numbers of items, tokens, events and feedback count."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import value
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.measurement.observation import whole_number


@pytest.mark.parametrize("number", [0, 7, 2**53 - 1, np.int64(7), np.uint8(7), np.ones(3, bool).sum()])
def test_whole_numbers_become_ints(number: Any) -> None:
    result = whole_number(number)
    assert (type(result), result) == (int, int(number))


@pytest.mark.parametrize(
    "number",
    [-1, np.int8(-1), 2**53, True, False, np.True_, 3.0, np.float64(3), Decimal(3), "3", None, math.nan, [3]],
)
def test_others_are_none(number: object) -> None:
    assert whole_number(number) is None


def test_numbers_of_numpy_are_counted(registry: CollectorRegistry) -> None:
    exporter: Any = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    with exporter.track() as call:
        call.items(np.int64(3))
        call.tokens(input=np.int32(70), output=np.ones(5, bool).sum())
    exporter.event("click", count=np.int64(2))
    exporter.feedback(np.bool_(True), count=np.uint16(4))
    with exporter.track_batch({"a": np.int64(2)}):
        pass
    assert value(registry, "model_inference_items_total") == 3 + 2
    assert value(registry, "model_inference_tokens_total", kind="input") == 70
    assert value(registry, "model_inference_tokens_total", kind="output") == 5
    assert value(registry, "model_business_events_total", event="click") == 2
    assert value(registry, "model_feedback_total", verdict="correct") == 4


@pytest.mark.parametrize("number", [0, -1, True, 1.0, np.float64(2), None])
def test_a_batch_needs_items_of_each_tenant(registry: CollectorRegistry, number: Any) -> None:
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry)
    with pytest.raises(ValueError, match="whole numbers from 1 on"):
        exporter.track_batch({"a": number})
