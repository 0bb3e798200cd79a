"""A model whose signals are observed, and objects that raise."""

from __future__ import annotations

import array
import collections
import decimal
import unittest.mock
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from modelplane_exporter import Baseline, ModelMetricsExporter

NUMBERS = Baseline.fit("m", {"a": np.arange(100.0), "b": np.arange(100.0)}, prediction=np.arange(100.0))
MIXED = Baseline.fit("m", {"a": np.arange(100.0), "b": np.arange(100.0), "c": ["x", "y"] * 50})
WRONG_TYPE, WRONG_SHAPE, UNKNOWN = "value_wrong_type", "signal_wrong_shape", "signal_unknown"
BATCH = 64  # from this many rows on a batch takes a way of its own
Bins = dict[str, dict[str, int]]


class Model:
    """A model with signals; ``observe`` runs a call and gives what was counted and what was invalid."""

    def __init__(self, baseline: Baseline) -> None:
        self._registry = CollectorRegistry()
        self.exporter = ModelMetricsExporter(
            "m", "v1", "t", "jax", registry=self._registry, confidence=None, baseline=baseline
        )

    def observe(self, values: object, times: int = 1) -> tuple[Bins, dict[str, int]]:
        """Hand over the values as features ``times`` times."""
        with self.exporter.track() as call:
            for _ in range(times):
                call.features(values)
        return self.counted(), self.invalid()

    def counted(self) -> Bins:
        """Counts that are not 0 by signal and bin."""
        bins: Bins = {}
        for labels, value in self._samples("model_signal_observations_total"):
            bins.setdefault(labels["signal"], {})[labels["bin"]] = value
        return bins

    def invalid(self) -> dict[str, int]:
        """Counts that are not 0 by reason."""
        return {
            labels["reason"]: value for labels, value in self._samples("model_invalid_observations_total")
        }

    def _samples(self, name: str) -> Iterator[tuple[dict[str, str], int]]:
        for family in self._registry.collect():
            for sample in family.samples:
                if sample.name == name and sample.value:
                    yield sample.labels, int(sample.value)


def total(counted: Bins) -> dict[str, int]:
    return {signal: sum(bins.values()) for signal, bins in counted.items()}


class RaisesOnAnyAttribute:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("hostile")


class RaisesOnAnyMethod:
    def _raise(self, *_: object, **__: object) -> Any:
        raise KeyError("hostile")

    __eq__ = __ne__ = __hash__ = __len__ = __iter__ = __getitem__ = __array__ = __float__ = _raise
    __int__ = __index__ = __bool__ = __str__ = __repr__ = item = tolist = detach = to_numpy = _raise
    keys = get = __contains__ = _raise


class RaisesOnConversion:
    def __array__(self, *_: object, **__: object) -> Any:
        raise KeyError("hostile")


class RaisesAsItsClass:
    @property  # type: ignore[misc]  # object's can be set
    def __class__(self) -> Any:
        raise RuntimeError("hostile")


class RaisesOnGet(dict[str, Any]):
    def __contains__(self, key: object) -> bool:
        raise RuntimeError("hostile")

    __getitem__ = get = __iter__ = __len__ = __contains__  # type: ignore[assignment]


class RaisingNumber(float):
    def __float__(self) -> float:
        raise RuntimeError("hostile")

    __ne__ = __eq__ = __hash__ = __str__ = __float__  # type: ignore[assignment]


class RaisingText(str):
    def __str__(self) -> str:
        raise RuntimeError("hostile")

    __ne__ = __eq__ = __hash__ = __float__ = __str__  # type: ignore[assignment]


class BadFrame:
    def __init__(self, columns: object = ("a", "b")) -> None:
        self.columns = columns


HOSTILE: dict[str, Callable[[], object]] = {
    "attributes raise": RaisesOnAnyAttribute,
    "methods raise": RaisesOnAnyMethod,
    "conversion raises": RaisesOnConversion,
    "class raises": RaisesAsItsClass,
    "mock": unittest.mock.Mock,
    "magic mock": unittest.mock.MagicMock,
    "huge range": lambda: range(2**60),
    "deque": lambda: collections.deque([1.0, 2.0]),
    "generator": lambda: (x for x in (1, 2)),
    "function": lambda: print,
    "set": lambda: {1},
    "dictionary": dict,
    "object": object,
    "complex": lambda: 1j,
    "array.array": lambda: array.array("d", [1.0, 2.0]),
    "signalling NaN": lambda: decimal.Decimal("sNaN"),
    "structure": lambda: np.zeros((), [("x", float)])[()],
}
# As a value of a row they look like a column, and so the row has no shape.
LIKE_COLUMNS = ("methods raise", "mock", "magic mock")
FORMS: dict[str, Callable[[object], object]] = {
    "mapping": lambda bad: {"a": bad, "b": 5.0},
    "mapping with a category": lambda bad: {"a": 5.0, "b": 5.0, "c": bad},
    "list": lambda bad: [bad, 5.0],
    "tuple": lambda bad: (bad, 5.0),
    "rows": lambda bad: [(bad, 5.0)],
    "columns": lambda bad: {"a": [bad], "b": [5.0]},
}
