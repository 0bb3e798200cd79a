"""Fixtures of tests of calls."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from modelplane_exporter import ModelMetricsExporter


@pytest.fixture
def exporter(registry: CollectorRegistry) -> ModelMetricsExporter:
    return ModelMetricsExporter("llm", "v1", "a", "pytorch", registry=registry, confidence=None)
