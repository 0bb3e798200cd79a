"""What a fitted baseline says of itself, and data and options that are refused."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_exporter.baseline import (
    Baseline,
    BaselineError,
)
from modelplane_exporter.baseline.fitting import Chunk


def test_what_a_baseline_says_of_itself() -> None:
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    baseline = Baseline.fit("m", [[1.0]], model_version="v1")
    assert (baseline.model_name, baseline.model_version, baseline.salt) == ("m", "v1", "")
    assert baseline.created.endswith("Z")
    assert before <= datetime.datetime.fromisoformat(baseline.created) <= datetime.datetime.now(datetime.UTC)
    assert Baseline.from_json(baseline.to_json()) == baseline


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([], r"features must be a mapping of columns, a frame or a 2-D array of shape \(rows, signals\)"),
        ([1.0, 2.0], r"features must be .* \(got list of shape \(2,\)\)"),
        (np.zeros((2, 2, 2)), r"features must be .* \(got ndarray of shape \(2, 2, 2\)\)"),
        ([[1], [1, 2]], "features"),
        ("text", "features must be"),
        (pl.LazyFrame({"a": [1]}), r"features must be .* \(got LazyFrame"),
        ({}, "features must have at least one column"),
        (np.zeros((5, 0)), "features must have at least one column"),
        (np.zeros((0, 5)), "features must have at least one row"),
        ({"a": []}, "features must have at least one row"),
        (
            {"a": [1], "b": [1, 2]},
            r"features: all columns must have the same number of rows \(got 'a' 1, 'b' 2\)",
        ),
        ({"a": [[1], [2]]}, r"features\['a'\] must be one-dimensional \(got shape \(2, 1\)\)"),
        ({"a": 5}, r"features\['a'\] must be one-dimensional"),
        ({"": [1]}, "name must be a non-empty text"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "features: the name 'a' occurs more than once"),
        ({"a": [None, None]}, "input 'a': has no finite number in 2 rows"),
        ({"a": [math.nan, math.inf]}, "input 'a': has no finite number in 2 rows"),
        ({"a": [1j]}, r"features\['a'\] must hold numbers, dates, texts or truth values \(got complex\)"),
        ({"a": np.array([1j])}, r"features\['a'\] must hold .* \(got complex128\)"),
        ({"a": [{"b": 1}]}, r"features\['a'\] must hold .* \(got dict\)"),
        ({"a": np.array([1, 2], "timedelta64[M]")}, r"features\['a'\] must hold"),
        ({"a": ["x", datetime.date(2026, 1, 1)]}, r"features\['a'\] must hold .* \(got date\)"),
        ({"a": pl.Series([[1], [2]])}, r"features\['a'\] must hold"),
    ],
)
def test_data_no_baseline_can_be_fitted_to(data: Any, error: str) -> None:
    with pytest.raises(BaselineError, match=error):
        Baseline.fit("m", data)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"names": ["a"]}, r"names must have 2 entries, one for each column \(got 1\)"),
        ({"names": ["a", "a"]}, "features: the name 'a' occurs more than once"),
        ({"names": ["a", 5]}, "names must be non-empty texts"),
        ({"names": "ab"}, "names must be non-empty texts"),
        ({"categorical": ["q"]}, "categorical: there is no column 'q'; there are 'feature_0', 'feature_1'"),
        ({"hashed": ["q"]}, "hashed: there is no column 'q'"),
        ({"hashed": "feature_0"}, "hashed must be several names, not one text"),
        ({"hashed": ["feature_0"], "salt": "no"}, "salt must be 16 to 128 hexadecimal digits"),
        ({"hashed": ["feature_0"], "salt": ""}, "salt must be 16 to 128 hexadecimal digits"),
        ({"model_version": ""}, "model_version must be a non-empty text"),
    ],
    ids=repr,
)
def test_options_that_do_not_fit_the_data(options: dict[str, Any], error: str) -> None:
    with pytest.raises(BaselineError, match=error):
        Baseline.fit("m", [[1, 2], [3, 4]], **options)


def test_refusals_name_the_field() -> None:
    with pytest.raises(BaselineError, match="there must be at least one of features, prediction"):
        Baseline.fit("m")
    with pytest.raises(BaselineError, match="model_name must be"):
        Baseline.fit("", [[1.0]])
    with pytest.raises(BaselineError, match="names goes with an array"):
        Baseline.fit("m", {"a": [1]}, names=["a"])
    with pytest.raises(BaselineError, match="prediction must be a mapping"):
        Baseline.fit("m", prediction=np.zeros((1, 1, 1)))
    with pytest.raises(BaselineError, match="activations must have at least one column"):
        Baseline.fit("m", activations={})


def test_data_that_changes_between_the_passes_is_refused() -> None:
    once = iter([{("input", "x"): np.array([1.0, 2.0])}, {("input", "x"): np.array([1.0, 9.0, 9.0])}])
    with pytest.raises(BaselineError, match="input 'x': the data changed while it was read"):
        Baseline.fit_chunks("m", lambda: [next(once)], [("input", "x")])
    texts: Iterator[Chunk] = iter([{("input", "x"): {"a": 2}}, {("input", "x"): {"a": 1}}])
    with pytest.raises(BaselineError, match="the data changed"):
        Baseline.fit_chunks("m", lambda: [next(texts)], [("input", "x")])


def test_a_column_that_changes_its_type_is_refused() -> None:
    mixed: list[Chunk] = [{("input", "x"): np.array([1.0])}, {("input", "x"): {"a": 1}}]
    with pytest.raises(
        BaselineError, match="input 'x': holds numbers in one part of the data, texts in another"
    ):
        Baseline.fit_chunks("m", lambda: mixed, [("input", "x")])


def test_a_signal_without_rows_is_refused() -> None:
    with pytest.raises(BaselineError, match="'x' must have at least one row"):
        Baseline.fit_chunks("m", list, [("input", "x")])


@pytest.mark.slow
@given(
    st.lists(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()), min_size=1
    )
)
def test_any_mixture_of_plain_values_is_fitted_or_refused(values: list[Any]) -> None:
    try:
        (signal,) = Baseline.fit("m", {"x": values}).signals
    except BaselineError:
        return
    assert math.fsum(signal.ratios) == pytest.approx(1)
    assert signal.observations == len(values)
