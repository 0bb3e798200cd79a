"""Rows of every form are counted into the bins of the baseline."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from exporter_support.observed_signals import (
    MIXED,
    NUMBERS,
    ROWS,
    SALT,
    baseline,
    bins,
    expected,
    exporter,
    exposed,
    invalid,
    numeric,
)
from modelplane_exporter.baseline import NumericSignal
from modelplane_exporter.baseline.values import digest
from modelplane_exporter.layout.signals import SignalKey, layout_of
from modelplane_exporter.signals.row_queue import DRAIN_AT, SignalState
from modelplane_schema.identity import Identity

FORMS: dict[str, Callable[[Any], Any]] = {
    "array": lambda rows: rows,
    "float32": lambda rows: np.where(rows == 1e300, 1e30, rows).astype(np.float32),
    "fortran": np.asfortranarray,
    "lists": lambda rows: rows.tolist(),
    "columns": lambda rows: {f"f{i}": rows[:, i] for i in range(3)},
    "list columns": lambda rows: {f"f{i}": rows[:, i].tolist() for i in range(3)},
    "pandas": lambda rows: pd.DataFrame(rows, columns=["f0", "f1", "f2"]),
    "pandas, other order": lambda rows: pd.DataFrame(rows, columns=["f0", "f1", "f2"])[["f2", "f0", "f1"]],
    "pandas objects": lambda rows: pd.DataFrame(rows, columns=["f0", "f1", "f2"]).astype(object),
    "polars": lambda rows: pl.DataFrame(rows, schema=["f0", "f1", "f2"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("times", [1, 100])
def test_a_batch_in_every_form_equals_numpy_histogram(
    registry: CollectorRegistry, form: str, times: int
) -> None:
    target = exporter(registry, NUMBERS)
    rows = np.tile(ROWS, (times, 1))
    with target.track() as call:
        call.features(FORMS[form](rows))
    for i in range(3):
        assert bins(registry, f"f{i}") == expected(rows[:, i])
    assert invalid(registry) == {}


ROW_FORMS: dict[str, Callable[[Any], Any]] = {
    "mapping": lambda row: dict(zip(("f0", "f1", "f2"), row.tolist(), strict=True)),
    "numpy scalars": lambda row: dict(zip(("f0", "f1", "f2"), row, strict=True)),
    "list": lambda row: row.tolist(),
    "1-D": lambda row: row,
    "one row": lambda row: row[None],
    "0-d arrays": lambda row: {f"f{i}": np.array(value) for i, value in enumerate(row)},
}


@pytest.mark.slow
@pytest.mark.parametrize("form", ROW_FORMS)
@pytest.mark.parametrize("times", [1, DRAIN_AT])
def test_single_rows_in_every_form_equal_numpy_histogram(
    registry: CollectorRegistry, form: str, times: int
) -> None:
    target = exporter(registry, NUMBERS)
    for row in np.tile(ROWS, (times, 1)):
        with target.track() as call:
            given = ROW_FORMS[form](row)
            call.features(given)
            if isinstance(given, np.ndarray):
                given[:] = 77  # what is waiting is a copy
    for i in range(3):
        assert bins(registry, f"f{i}") == expected(np.tile(ROWS[:, i], times))


floats = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.slow
@settings(max_examples=50)
@given(st.lists(st.tuples(floats, floats, floats), min_size=1, max_size=300), st.data())
def test_any_rows_in_any_chunks_equal_numpy_histogram(
    rows: list[tuple[float, float, float]], data: st.DataObject
) -> None:
    registry = CollectorRegistry()
    target = exporter(registry, NUMBERS)
    start = 0
    while start < len(rows):
        size = data.draw(st.integers(1, 100))
        with target.track() as call:
            call.features(np.array(rows[start : start + size]))
        start += size
    for i in range(3):
        assert bins(registry, f"f{i}") == expected(np.array(rows)[:, i])


def test_deviation_sums(registry: CollectorRegistry) -> None:
    target = exporter(registry, NUMBERS)
    values = np.random.default_rng(0).normal(3, 2, (500, 3))
    with target.track() as call:
        call.features(values)
        call.features(values[0])
    values = np.vstack([values, values[:1]])
    by_name = exposed(registry)
    for i in range(3):
        u = (values[:, i] - i) / (i + 1)
        parts = {"positive": u[u > 0].sum(), "negative": -u[u < 0].sum(), "square": (u * u).sum()}
        for part, value in parts.items():
            samples = by_name[f"model_signal_deviation_{part}_sum_total"]
            assert samples[("m", "v1", "__all__", "jax", "input", f"f{i}", NUMBERS.label)] == pytest.approx(
                value, abs=2e-9
            )


def test_a_deviation_counts_as_a_million_standard_deviations_at_most(registry: CollectorRegistry) -> None:
    target = exporter(registry, baseline(numeric("size")))
    with target.track() as call:
        call.features(np.array([[1e300], [-1.7e308], [2.0], [np.inf]]))
    by_name = exposed(registry)
    values = [next(iter(by_name[f"model_signal_deviation_{part}_sum_total"].values()))
              for part in ("positive", "negative", "square")]  # fmt: skip
    assert values == pytest.approx([1e6 + 2, 1e6, 2e12 + 4], rel=1e-12)


def test_categories(registry: CollectorRegistry) -> None:
    target = exporter(registry, MIXED)
    colours: list[Any] = [
        "red",
        "red",
        True,
        7,
        7.0,
        np.int64(7),
        "7",
        None,
        math.nan,
        "blue",
        1,
        "__missing__",
    ]
    for colour in colours:
        with target.track() as call:
            call.features({"size": 1, "colour": colour, "flat": 0, "name": "red"})
    assert bins(registry, "colour") == {"red": 2, "true": 1, "7": 4, "__other__": 2, "__missing__": 3}
    assert bins(registry, "name")[digest("red", SALT)] == len(colours)
    assert "red" not in bins(registry, "name")


def test_dates_are_seconds(registry: CollectorRegistry) -> None:
    noon = datetime.datetime(1970, 1, 1, 12, tzinfo=datetime.UTC)
    signal = NumericSignal("input", "at", (43200.0,), (0.0, 1.0), (0.5, 0.5, 0.0), 0.0, 1.0, 10)
    target = exporter(registry, baseline(signal))
    early = noon - datetime.timedelta(seconds=1)
    for value in (noon, early, early.replace(tzinfo=None), datetime.date(1970, 1, 1), np.datetime64("NaT")):
        with target.track() as call:
            call.features({"at": value})
    with target.track() as call:
        call.features(pd.DataFrame({"at": [pd.Timestamp(noon), pd.NaT]}))
        call.features(pl.DataFrame({"at": [noon, early]}))
    assert bins(registry, "at") == {"00": 4, "01": 3, "__missing__": 2}


def test_a_feature_that_is_not_given_is_missing_other_kinds_are_not_observed(
    registry: CollectorRegistry,
) -> None:
    target = exporter(registry, MIXED)
    with target.track() as call:
        call.features({"size": 1.0})
        call.features(pd.DataFrame({"size": [1.0, 2.0], "colour": ["red", "red"]}))
        call.business({"basket": 1.0})
        call.prediction(0.3)
        call.prediction(np.array([0.3, 5.0]))
    assert bins(registry, "colour") == {"red": 2, "true": 0, "7": 0, "__other__": 0, "__missing__": 1}
    assert bins(registry, "flat")["__missing__"] == 3
    assert sum(bins(registry, "basket").values()) == 1
    assert sum(bins(registry, "margin").values()) == 0
    assert bins(registry, "prediction") == expected(np.array([0.3, 0.3, 5.0]))
    assert invalid(registry) == {}


def test_the_sum_of_a_series_holds_more_than_64_bits() -> None:
    series = SignalState(SignalKey(Identity("m", "v", "t", "jax"), NUMBERS.fingerprint), layout_of(NUMBERS))
    more = np.full((3, 3), 1e12)
    for _ in range(40):
        series.add(np.zeros(layout_of(NUMBERS).bins, np.int64), more)
    sums = list(layout_of(NUMBERS).sums(series.snapshot().cells))
    assert sums == [[4e13] * 3] * 3
