"""Values in wrong shapes, of wrong types, missing or unknown."""

from __future__ import annotations

import datetime
import decimal
import fractions
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from exporter_support.bad_signals import (
    BATCH,
    FORMS,
    MIXED,
    NUMBERS,
    UNKNOWN,
    WRONG_SHAPE,
    WRONG_TYPE,
    BadFrame,
    Model,
    RaisesOnAnyAttribute,
    RaisesOnGet,
)
from modelplane_exporter import Baseline


@pytest.mark.slow
@pytest.mark.parametrize(
    "values",
    [
        RaisesOnGet(a=1.0, b=2.0), RaisesOnGet(), BadFrame(), BadFrame(None), BadFrame(3), BadFrame("abc"),
        "a,b", b"ab", 3.0, None, [1.0], [1.0, 2.0, 3.0], [], [[1.0], [1.0, 2.0]], [[1.0, 2.0], 3.0],
        np.zeros(3), np.zeros((2, 3)), np.zeros((2, 2, 2)), np.float64(1.0), np.array(1.0), ["a", ["b"]],
        np.zeros(2, [("x", float), ("y", float)]), pd.Series([1.0, 2.0, 3.0]), pl.LazyFrame({"a": [1.0]}),
        {"a": [1.0, 2.0], "b": [1.0]}, {"a": [1.0, 2.0], "b": 1.0}, {"a": [[1.0]], "b": [1.0]},
        {"a": np.zeros((2, 2)), "b": [1.0, 2.0]}, {"a": [1.0], "b": np.zeros((1, 1, 1))},
    ],
    ids=lambda values: f"{type(values).__name__} {values if type(values) in (str, list) else ''}",
)  # fmt: skip
def test_a_wrong_shape_counts_once(values: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # polars: LazyFrame.columns is slow
        counted, invalid = Model(NUMBERS).observe(values)
    assert counted == {}
    assert invalid == {WRONG_SHAPE: 1}


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, BATCH])
@pytest.mark.parametrize(
    "form",
    [
        lambda rows: {"a": ["5.0"] * rows, "b": ["x"] * rows},
        lambda rows: {"a": np.array(["5.0"] * rows), "b": np.array(["x"] * rows, object)},
        lambda rows: {"a": pd.Series(["5.0"] * rows), "b": pl.Series(["x"] * rows)},
        lambda rows: pd.DataFrame({"a": ["5.0"] * rows, "b": ["x"] * rows}),
        lambda rows: pl.DataFrame({"a": ["5.0"] * rows, "b": ["x"] * rows}),
        lambda rows: np.array([["5.0", "x"]] * rows),
        lambda rows: np.array([["5.0", b"x"]] * rows, object),
        lambda rows: [["5.0", "x"]] * rows,
    ],
)
def test_texts_where_numbers_are_expected(form: Callable[[int], object], rows: int) -> None:
    counted, invalid = Model(NUMBERS).observe(form(rows))
    assert counted == {"a": {"00": rows}}
    assert invalid == {WRONG_TYPE: rows}


@pytest.mark.parametrize("rows", [1, BATCH])
def test_complex_numbers_have_no_place_on_a_line(rows: int) -> None:
    counted, invalid = Model(NUMBERS).observe(np.full((rows, 2), 1j))
    assert counted == {}
    assert invalid == {WRONG_TYPE: 2 * rows}


@pytest.mark.parametrize(
    ("values", "unknown", "rows"),
    [
        ({"a": 5.0, "b": 5.0, "x": 5.0, "y": "text"}, 2, 1),
        ({"a": [5.0] * 70, "b": [5.0] * 70, "x": [5.0] * 70}, 1, 70),
        (pd.DataFrame({"a": [5.0] * 7, "x": [1.0] * 7, "b": [5.0] * 7, "y": ["t"] * 7}), 2, 7),
        (pl.DataFrame({"x": [1.0] * 70, "a": [5.0] * 70, "b": [5.0] * 70}), 1, 70),
        ({3: 1.0, None: 2.0, "a": 5.0, "b": 5.0}, 2, 1),
    ],
)
def test_features_that_the_baseline_does_not_know(values: object, unknown: int, rows: int) -> None:
    counted, invalid = Model(NUMBERS).observe(values)
    assert counted == {"a": {"00": rows}, "b": {"00": rows}}
    assert invalid == {UNKNOWN: unknown}


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_frame_of_which_nothing_is_known_has_all_its_rows_missing(frame: Any) -> None:
    counted, invalid = Model(NUMBERS).observe(frame({"x": range(70), "y": range(70)}))
    assert counted == {"a": {"__missing__": 70}, "b": {"__missing__": 70}}
    assert invalid == {UNKNOWN: 2}


@pytest.mark.parametrize(
    "missing",
    [None, float("nan"), float("inf"), -np.inf, pd.NA, pd.NaT, np.float32("nan"), np.datetime64("NaT"),
     10**400, decimal.Decimal("NaN"), np.longdouble("1e4000"), np.array(np.nan), np.ma.masked],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("form", ["mapping", "list", "rows", "columns"])
def test_missing_values_are_missing_and_not_invalid(missing: object, form: str) -> None:
    counted, invalid = Model(NUMBERS).observe(FORMS[form](missing))
    assert counted == {"a": {"__missing__": 1}, "b": {"00": 1}}
    assert invalid == {}


@pytest.mark.parametrize("rows", [2, BATCH])
def test_masked_values_are_missing(rows: int) -> None:
    masked = np.ma.array(np.full((rows, 2), 5.0), mask=[[True, False]] * rows)
    counted, invalid = Model(NUMBERS).observe(masked)
    assert counted == {"a": {"__missing__": rows}, "b": {"00": rows}}
    model = Model(NUMBERS)
    assert model.observe({"a": masked[:, 0], "b": masked[:, 1]}) == (counted, invalid)
    assert invalid == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    "number",
    [5, True, np.uint8(5), np.float16(5), np.longdouble(5), decimal.Decimal(5), fractions.Fraction(11, 2),
     np.array(5), np.ma.array(5.0), datetime.timedelta(seconds=5), np.timedelta64(5_000_000_000, "ns"),
     np.datetime64("1970-01-01T00:00:05"), datetime.datetime(1970, 1, 1, 0, 0, 5), datetime.date(1970, 1, 1),
     pd.Timestamp("1970-01-01 01:00:05+01:00"), pd.Timedelta("5s"), pd.Timestamp("1970-01-01 00:00:05")],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("form", ["mapping", "list", "rows", "columns"])
def test_numbers_and_times_of_every_type(number: object, form: str) -> None:
    counted, invalid = Model(NUMBERS).observe(FORMS[form](number))
    assert counted == {"a": {"00": 1}, "b": {"00": 1}}
    assert invalid == {}


@pytest.mark.slow
@pytest.mark.parametrize("rows", [1, BATCH])
@pytest.mark.parametrize("unit", ["Y", "D", "s", "us", "ns"])
def test_times_of_every_unit_and_beyond_the_range_of_nanoseconds(unit: str, rows: int) -> None:
    years = ["1901", "2020", "2262" if unit == "ns" else "9000"]
    times = np.array(years, "M8[Y]").astype(f"M8[{unit}]")
    seconds = times.astype("M8[s]").astype(float)
    baseline = Baseline.fit("m", {"a": (seconds[:2].sum() / 2, *seconds, seconds[1:].sum() / 2)})
    expected = Model(baseline).observe({"a": np.repeat(seconds, rows)})
    assert Model(baseline).observe({"a": np.repeat(times, rows)}) == expected
    assert Model(baseline).observe({"a": list(np.repeat(times, rows))}) == expected
    assert len(expected[0]["a"]) == 3


@pytest.mark.parametrize("rows", [1, BATCH])
def test_months_have_no_length_in_seconds(rows: int) -> None:
    months = np.full(rows, 5, "m8[M]")
    for values in ({"a": months, "b": [5.0] * rows}, {"a": list(months), "b": [5.0] * rows}):
        counted, invalid = Model(NUMBERS).observe(values)
        assert counted == {"b": {"00": rows}}
        assert invalid == {WRONG_TYPE: rows}


@pytest.mark.parametrize("rows", [1, BATCH])
def test_a_polars_frame_of_dates_beside_numbers(rows: int) -> None:
    days = [datetime.date(1970, 1, 1), datetime.date(2026, 1, 1)]
    baseline = Baseline.fit("m", {"a": days, "b": [1.0, 2.0]})
    counted, invalid = Model(baseline).observe(pl.DataFrame({"a": days * rows, "b": [1.0, 2.0] * rows}))
    assert counted == {"a": {"01": rows, "02": rows}, "b": {"01": rows, "02": rows}}
    assert invalid == {}


@pytest.mark.parametrize("rows", [1, BATCH])
def test_a_time_of_day_is_a_category_and_no_number(rows: int) -> None:
    noon = [datetime.time(12)] * rows
    counted, invalid = Model(MIXED).observe({"a": noon, "b": [5.0] * rows, "c": noon})
    assert counted == {"b": {"00": rows}, "c": {"__other__": rows}}
    assert invalid == {WRONG_TYPE: rows}


def test_values_that_change_after_the_call_were_observed_as_they_were() -> None:
    row, column, scalar, matrix = [5.0, 5.0], [5.0] * 3, np.array(5.0), np.full((3, 2), 5.0)
    model = Model(NUMBERS)
    with model.exporter.track() as call:
        call.features(row)
        call.features([row, row])
        call.features({"a": column, "b": column})
        call.features({"a": scalar, "b": 5.0})
        call.features(matrix)
    row[:], column[:] = [99.0, 99.0], [99.0] * 3
    scalar[()], matrix[:] = 99.0, 99.0
    assert model.counted() == {"a": {"00": 10}, "b": {"00": 10}}


def test_predictions_activations_and_business_values_go_the_same_way() -> None:
    model = Model(NUMBERS)
    with model.exporter.track() as call:
        call.prediction(RaisesOnAnyAttribute())
        call.prediction("text")
        call.prediction([5.0, "text", RaisesOnAnyAttribute()])
        call.prediction(np.zeros((2, 2)))
        call.prediction(5.0, name="score")
        call.business({"margin": 5.0})  # no signal, but counted and added up
        call.activations({"layer": 5.0})
    assert model.counted() == {"prediction": {"00": 1}}
    assert model.invalid() == {WRONG_TYPE: 4, WRONG_SHAPE: 1, UNKNOWN: 2}
