"""What the scripts of this folder share. Each is run by itself, because frameworks do not mix with pytest."""

from __future__ import annotations

import gc
import re
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.baseline import Baseline, NumericSignal, Signal

MODEL, VERSION, TENANT = "watched", "v1", "user-A"


class Series:
    """An exporter of its own registry, and what it exposes."""

    def __init__(self, **options: Any) -> None:
        self.registry = CollectorRegistry()
        self.options = {
            "model_name": MODEL, "model_version": VERSION, "tenant_id": TENANT, "registry": self.registry,
            **options,
        }  # fmt: skip

    def exporter(self, framework: str, confidence: str | None = None) -> ModelMetricsExporter:
        return ModelMetricsExporter(framework=framework, confidence=confidence, **self.options)

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples ``name`` that carry ``labels``."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def labels(self, name: str) -> dict[str, str]:
        """The labels of the first sample ``name``."""
        return next(
            sample.labels
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name
        )

    def requests(self, outcome: str = "success") -> float:
        return self.value("model_inference_requests_total", outcome=outcome)

    def items(self) -> float:
        return self.value("model_inference_items_total")

    def confidences(self) -> tuple[float, float]:
        """Their number and sum."""
        name = "model_prediction_confidence"
        return self.value(f"{name}_count"), self.value(f"{name}_sum")

    def invalid(self) -> dict[str, float]:
        """How many values were invalid, by reason."""
        name = "model_invalid_observations_total"
        return {
            sample.labels["reason"]: sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name and sample.value
        }

    def observed(self, kind: str, signal: str, category: str | None = None) -> float:
        """The observations of a signal, of one bin if it is named."""
        labels = {"kind": kind, "signal": signal} | ({} if category is None else {"bin": category})
        return self.value("model_signal_observations_total", **labels)

    def histogram(self, kind: str, signal: str) -> list[float]:
        """The observations of a numeric signal in each of its ten bins."""
        return [self.observed(kind, signal, f"{index:02d}") for index in range(10)]


def baseline(**groups: Any) -> Baseline:
    """A baseline of the checks' model."""
    return Baseline.fit(MODEL, **groups)


def edges(signal: Signal) -> tuple[float, ...]:
    """The edges of a numeric signal's bins."""
    assert isinstance(signal, NumericSignal)
    return signal.edges


def table(columns: int) -> dict[str, np.ndarray]:
    """Training data of ``columns`` features, f0 and so on."""
    rows = np.random.default_rng(0).normal(size=(200, columns))
    return {f"f{index}": rows[:, index] for index in range(columns)}


def close(got: tuple[float, ...], wanted: tuple[float, ...], tolerance: float = 1e-5) -> None:
    assert len(got) == len(wanted), (got, wanted)
    assert all(abs(a - b) <= tolerance for a, b in zip(got, wanted, strict=True)), (got, wanted)


def raises(kind: type[BaseException], text: str, function: Callable[[], object]) -> None:
    with pytest.raises(kind, match=re.escape(text) or None):
        function()


def main(names: dict[str, Any]) -> None:
    """Run each function ``check_...`` of a script; the exit status tells whether one failed.

    Warnings of our own modules are errors. TensorFlow warns of itself.
    """
    of_script = {
        name: check for name, check in names.items() if getattr(check, "__module__", "") == "__main__"
    }
    checks = {name: check for name, check in of_script.items() if name.startswith("check_")}
    failed = 0
    gc.disable()  # a wrapped model that a check lets go would be unloaded before its series are read
    warnings.filterwarnings("error", module="modelplane_exporter")
    for check in checks.values():
        try:
            check()
        except Exception:  # noqa: BLE001 - the next check runs all the same
            failed += 1
            traceback.print_exc()
    sys.stdout.write(f"{len(checks) - failed} of {len(checks)} checks passed\n")
    sys.exit(1 if failed or not checks else 0)
