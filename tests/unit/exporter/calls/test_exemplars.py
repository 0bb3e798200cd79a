"""Exemplars name the trace of a call."""

from __future__ import annotations

import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import CollectorRegistry

from exporter_support.llm_series import outcomes, value
from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.serving.responder import exposition
from modelplane_exporter.store.stores import store_for


def test_exemplars_name_the_trace_of_the_call(registry: CollectorRegistry) -> None:
    tracer = TracerProvider().get_tracer("test")
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, exemplars=True)
    predict = exporter(lambda: {"confidence": 0.5})
    predict()
    with tracer.start_as_current_span("request") as span:
        predict()
    body, _ = exposition(registry, store_for(registry), "application/openmetrics-text")
    trace_id = format(span.get_span_context().trace_id, "032x")
    assert body.decode().count(" # {") == 1
    assert f'# {{trace_id="{trace_id}"}}' in body.decode()
    assert value(registry, "model_prediction_confidence_count") == 2


def test_exemplars_name_the_trace_of_a_tracked_block(registry: CollectorRegistry) -> None:
    tracer = TracerProvider().get_tracer("test")
    exporter = ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, exemplars=True)
    with tracer.start_as_current_span("request") as span, exporter.track() as call:
        call.confidence(0.5)
    body, _ = exposition(registry, store_for(registry), "application/openmetrics-text")
    trace_id = format(span.get_span_context().trace_id, "032x")
    assert f'# {{trace_id="{trace_id}"}}' in body.decode()


def test_exemplars_without_opentelemetry_are_logged_once(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    exporter = ModelMetricsExporter(
        "llm", "v1", "a", "pytorch", registry=registry, exemplars=True, confidence=None
    )
    for _ in range(3):
        exporter(lambda: 1)()
    assert outcomes(registry) == [3, 0, 0]
    assert [record.message for record in caplog.records] == [
        "no exemplars are kept: pip install opentelemetry-api, or leave out exemplars=True"
    ]
