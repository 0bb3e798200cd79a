"""Baselines of one signal."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from modelplane_exporter.baseline import (
    Baseline,
    CategoricalSignal,
    NumericSignal,
)

Floats = NDArray[np.float64]


def fit_numbers(values: Any, **options: Any) -> NumericSignal:
    (signal,) = Baseline.fit("m", {"x": values}, **options).signals
    assert isinstance(signal, NumericSignal)
    return signal


def fit_categories(values: Any, **options: Any) -> CategoricalSignal:
    (signal,) = Baseline.fit("m", {"x": values}, **options).signals
    assert isinstance(signal, CategoricalSignal)
    return signal
