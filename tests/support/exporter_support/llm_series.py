"""What is exposed of a language model."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

LABELS = {"model_name": "llm", "model_version": "v1", "tenant_id": "a", "framework": "pytorch"}


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {**LABELS, **labels})


def outcomes(registry: CollectorRegistry, **labels: str) -> list[float | None]:
    return [
        value(registry, "model_inference_requests_total", outcome=outcome, **labels)
        for outcome in ("success", "failure", "cancelled")
    ]
