"""An exporter with a tenant per call, and its events."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.serving.responder import respond

EVENTS, FEEDBACK = "model_business_events_total", "model_feedback_total"


def exporter(registry: CollectorRegistry, **options: Any) -> ModelMetricsExporter:
    defaults: dict[str, Any] = {"tenant_id": "t", "framework": "jax", "confidence": None}
    return ModelMetricsExporter("m", "v1", registry=registry, **{**defaults, **options})


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, str], float]:
    """Values by tenant and last label."""
    text = respond(registry, "GET", "", "").body.decode()
    return {
        (sample.labels["tenant_id"], list(sample.labels.values())[-1]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }
