"""Doubles of an exporter, its calls and a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hypothesis import strategies as st

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.frameworks.measured import Measured
from modelplane_exporter.frameworks.readings import Reading


class CallDouble:
    def __init__(self, log: list[tuple[str, Any]]) -> None:
        self.log = log

    def __enter__(self) -> CallDouble:
        self.log.append(("enter", None))
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.log.append(("exit", error))

    def stop(self) -> None:
        self.log.append(("stop", None))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return lambda value: self.log.append((name, value))


class ExporterDouble:
    """Notes what it is told, in order."""

    def __init__(self, baseline: Baseline | None = None) -> None:
        self.baseline = baseline
        self.log: list[tuple[str, Any]] = []
        self.current: CallDouble | None = None

    def track(self) -> CallDouble:
        return CallDouble(self.log)

    def current_call(self) -> CallDouble | None:
        return self.current

    def activations(self, values: Mapping[str, object]) -> None:
        self.log.append(("activations", values))

    def show_sampling_ratio(self, kind: str, ratio: float) -> None:
        self.log.append((kind, ratio))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.log]


class Model:
    """A model with what frameworks' objects have."""

    layers = ("first", "second")

    def __init__(self) -> None:
        self.bias = 1

    def __call__(self, *given: Any, fail: bool = False) -> Any:
        if fail:
            raise ValueError("refused")
        return given

    def predict(self, rows: Any, *, scale: int = 1) -> Any:
        """Predict rows."""
        return [scale] * len(rows)

    def train(self) -> Model:
        return self

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[str]:
        return iter(self.layers)

    def __getitem__(self, index: int) -> str:
        return self.layers[index]

    def __contains__(self, name: object) -> bool:
        return name in self.layers


READING = Reading(items=2, confidence=[0.5, 0.6], prediction=["a", "b"], features={"age": 3})


def measured(
    exporter: ExporterDouble, target: Any = None, reading: Reading = READING, **options: Any
) -> Measured:
    readers = {name: lambda args, kwargs, result: reading for name in ("__call__", "predict")}
    return Measured(target or Model(), exporter, readers, **options)  # type: ignore[arg-type]


def fitted(**groups: Any) -> Baseline:
    return Baseline.fit("m", **groups)


TABLE = fitted(features={"age": [1.0, 2.0, 3.0], "height": [1.0, 2.0, 3.0]})
finite = st.floats(-50, 50)
