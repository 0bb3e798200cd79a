"""Drift of raw rows by Evidently and NannyML; each function gives None where its peer is not installed."""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

os.environ.update(NML_DISABLE_USAGE_LOGGING="1", DO_NOT_TRACK="1")  # they report their use


def evidently_report(reference: pd.DataFrame, live: pd.DataFrame) -> Callable[[], None] | None:
    """A Report of each column and method; None when it is not installed."""
    if importlib.util.find_spec("evidently") is None:
        return None
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    methods = ("psi", "jensenshannon", "ks")
    metrics = [ValueDrift(column=name, method=method) for method in methods for name in reference]
    definition = DataDefinition(numerical_columns=[*reference])

    def run() -> None:
        given = (Dataset.from_pandas(frame, data_definition=definition) for frame in (live, reference))
        values = Report(metrics).run(*given).dict()["metrics"]
        assert len(values) == len(metrics)

    return run


def evidently_tests(reference: pd.DataFrame, live: pd.DataFrame) -> Callable[[], dict[str, Array]] | None:
    """Its tests alone, without the report around them: distances in nats, and the p-value of ks."""
    if importlib.util.find_spec("evidently") is None:
        return None
    from evidently.legacy.calculations.stattests import jensenshannon_stat_test, ks_stat_test, psi_stat_test
    from evidently.legacy.core import ColumnType

    tests = {"psi": psi_stat_test, "js_distance": jensenshannon_stat_test, "ks_p_value": ks_stat_test}

    def run() -> dict[str, Array]:
        pairs = [(reference[name], live[name]) for name in reference]
        return {
            name: np.array([test(*pair, ColumnType.Numerical, 0.1).drift_score for pair in pairs])
            for name, test in tests.items()
        }

    return run


def nannyml_fit(reference: pd.DataFrame, chunk_size: int) -> Callable[[], Any] | None:
    """Fit a calculator on reference rows; None when it is not installed."""
    if importlib.util.find_spec("nannyml") is None:
        return None
    from nannyml import UnivariateDriftCalculator

    def fit() -> Any:
        with warnings.catch_warnings(action="ignore"):  # it would rather have six chunks
            return UnivariateDriftCalculator(
                column_names=[*reference],
                continuous_methods=["jensen_shannon", "kolmogorov_smirnov"],
                chunk_size=chunk_size,
            ).fit(reference)

    return fit


def nannyml_values(calculator: Any, live: pd.DataFrame) -> dict[str, Array]:
    """Its js_distance and ks of each column; it has no psi."""
    with warnings.catch_warnings(action="ignore"):
        frame = calculator.calculate(live).filter(period="analysis").to_df()
    names = {"js_distance": "jensen_shannon", "ks": "kolmogorov_smirnov"}
    return {
        ours: np.array([frame[feature, theirs, "value"].item() for feature in live])
        for ours, theirs in names.items()
    }
