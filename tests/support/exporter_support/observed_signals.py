"""Baselines to observe against, and what is exposed of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from modelplane_exporter import Baseline, ModelMetricsExporter
from modelplane_exporter.baseline import CategoricalSignal, NumericSignal
from modelplane_exporter.baseline.values import digest
from modelplane_exporter.serving.responder import respond

EDGES = (-1.0, 0.0, 0.5, 2.0)
SALT = "ab" * 16
Samples = dict[tuple[str, ...], float]


def numeric(name: str, kind: str = "input", mean: float = 0.0, stddev: float = 1.0) -> NumericSignal:
    return NumericSignal(
        kind, name, EDGES, (-2.0, -0.5, 0.25, 1.0, None), (0.2, 0.3, 0.3, 0.2, 0.0, 0.0), mean, stddev, 1000
    )


def categorical(name: str, kind: str = "input", hashed: bool = False) -> CategoricalSignal:
    names = tuple(digest(text, SALT) if hashed else text for text in ("red", "true", "7"))
    return CategoricalSignal(kind, name, names, (0.5, 0.2, 0.1, 0.2, 0.0), 1000, hashed)


def baseline(*signals: NumericSignal | CategoricalSignal, **more: Any) -> Baseline:
    return Baseline(**({"model_name": "m", "model_version": None, "signals": signals,
                        "created": "2026-11-22T00:00:00Z", "salt": SALT} | more))  # fmt: skip


NUMBERS = baseline(*(numeric(f"f{i}", mean=i, stddev=i + 1.0) for i in range(3)))
MIXED = baseline(
    numeric("size"), categorical("colour"), numeric("flat", stddev=0.0), categorical("name", hashed=True),
    numeric("prediction", "output"), numeric("basket", "business"), numeric("margin", "business"),
)  # fmt: skip


def exporter(registry: CollectorRegistry, given: Baseline, **options: Any) -> ModelMetricsExporter:
    return ModelMetricsExporter(
        "m", "v1", options.pop("tenant_id", "t"), "jax", registry=registry, baseline=given, confidence=None,
        **options,
    )  # fmt: skip


def exposed(registry: CollectorRegistry, accept: str = "") -> dict[str, Samples]:
    """Samples of each name by the values of their labels."""
    text = respond(registry, "GET", accept, "").body.decode()
    by_name: dict[str, Samples] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            by_name.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return by_name


def bins(registry: CollectorRegistry, signal: str, tenant_id: str = "__all__") -> dict[str, float]:
    samples = exposed(registry)["model_signal_observations_total"]
    return {key[-1]: value for key, value in samples.items() if (key[2], key[5]) == (tenant_id, signal)}


def invalid(registry: CollectorRegistry, tenant_id: str = "t") -> dict[str, float]:
    samples = exposed(registry).get("model_invalid_observations_total", {})
    return {key[-1]: value for key, value in samples.items() if key[2] == tenant_id}


def expected(values: NDArray[np.float64]) -> dict[str, float]:
    finite = values[np.isfinite(values)]
    counts = np.histogram(finite, [-np.inf, *EDGES, np.inf])[0]
    return {**{f"{i:02d}": count for i, count in enumerate(counts)}, "__missing__": len(values) - len(finite)}


ROWS = np.array([[0.1, -3.0, 0.5], [2.0, 1.9, -1.0], [np.nan, np.inf, -np.inf], [0.0, 1e300, 5.0]])
