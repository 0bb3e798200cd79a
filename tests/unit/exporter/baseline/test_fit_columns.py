"""Training data in every form: numbers, times, texts, frames, arrays."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from exporter_support.fitted_signals import fit_categories, fit_numbers
from modelplane_exporter.baseline import (
    Baseline,
)


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        (np.array([1, 3], np.int8), 2.0),
        (np.array([1, 3], np.uint64), 2.0),
        (np.array([1, 2], np.float16), 1.5),
        (np.array([1, 2], np.longdouble), 1.5),
        ([1, None, 2.5, Decimal("2.5")], 2.0),
        (np.array([1, 2, None], dtype=object), 1.5),
        (pd.Series([1, None, 2], dtype="Int64"), 1.5),
        (pd.Series([1, None, 2], dtype="int64[pyarrow]"), 1.5),
        (pd.Series([0.0, 3.0], dtype="Sparse[float]"), 1.5),
        (pl.Series([1, None, 2]), 1.5),
        (pl.Series([Decimal("1.5"), None]), 1.5),
        (np.array(["1970-01-02", "NaT"], "datetime64[D]"), 86400.0),
        (np.array(["9999-12-31"], "datetime64[D]"), 253402214400.0),
        (np.array([90, 30], "timedelta64[m]"), 3600.0),
        ([datetime.date(1970, 1, 2), None], 86400.0),
        ([datetime.datetime(1970, 1, 1, 1), datetime.datetime(1970, 1, 1, 1)], 3600.0),
        ([datetime.datetime(1970, 1, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1)))], 0.0),
        ([datetime.timedelta(minutes=1)], 60.0),
        (pd.to_datetime(pd.Series(["1970-01-01T00:00:01", None])), 1.0),
        (pd.Series(pd.to_datetime(["1970-01-01T01:00:01"])).dt.tz_localize("Europe/Paris"), 1.0),
        (pd.Series(pd.to_timedelta(["1s", None])), 1.0),
        (pl.Series([datetime.date(1970, 1, 2), None]), 86400.0),
        (pl.Series([datetime.datetime(1970, 1, 1, 1)]).dt.replace_time_zone("Europe/Paris"), 0.0),
        (pl.Series([datetime.timedelta(seconds=2), None]), 2.0),
    ],
    ids=lambda value: f"{type(value).__module__}-{getattr(value, 'dtype', value)}",
)
def test_numbers_and_times_are_numeric(values: Any, mean: float) -> None:
    assert fit_numbers(values).mean == mean


@pytest.mark.parametrize(
    ("values", "categories"),
    [
        ([True, False, None, True], ("true", "false")),
        (np.array([True, False, True]), ("true", "false")),
        (["b", "a", "b", None, math.nan], ("b", "a")),
        (np.array(["b", "a", "b"]), ("b", "a")),
        (np.array([b"b", b"a", b"b"]), ("b", "a")),
        ([1, "a", True, 1.0], ("1", "a", "true")),
        (pd.Series([True, None, True], dtype="boolean"), ("true",)),
        (pd.Series(["b", "a", "b", None]), ("b", "a")),
        (pd.Series([2, 1, 2], dtype="category"), ("2", "1")),
        (pl.Series(["b", "a", "b", None]), ("b", "a")),
        (pl.Series([True, None, True]), ("true",)),
        (pl.Series(["b", "a", "b", None], dtype=pl.Categorical), ("b", "a")),
        (pl.Series(["b", "a", "b", None], dtype=pl.Enum(["a", "b"])), ("b", "a")),
    ],
    ids=lambda value: f"{type(value).__module__}-{getattr(value, 'dtype', value)}",
)
def test_texts_and_truth_values_are_categorical(values: Any, categories: tuple[str, ...]) -> None:
    assert fit_categories(values).categories == categories


@pytest.mark.skipif(not hasattr(np.dtypes, "StringDType"), reason="NumPy before 2.0 has no StringDType")
def test_texts_of_any_length_are_categorical() -> None:
    texts = np.array(["b", "a", "b"], dtype=np.dtypes.StringDType())
    assert fit_categories(texts).categories == ("b", "a")


@pytest.mark.parametrize(
    "values",
    [
        [2, 1, 2, None],
        np.array([2.0, 1.0, 2.0, np.nan]),
        pd.Series([2, 1, 2, None]),
        pd.Series([2, 1, 2, None], dtype="Int64"),
        pl.Series([2, 1, 2, None]),
    ],
    ids=lambda values: type(values).__module__,
)
def test_numbers_taken_as_categories(values: Any) -> None:
    signal = fit_categories(values, categorical=["x"])
    assert (signal.categories, signal.ratios) == (("2", "1"), (0.5, 0.25, 0.0, 0.25))


def test_large_numbers_taken_as_categories_keep_their_digits() -> None:
    number = 2**60 + 1
    for values in (
        [number],
        np.array([number]),
        pd.Series([number, None], dtype="Int64"),
        pl.Series([number, None]),
    ):
        assert fit_categories(values, categorical=["x"]).categories == (str(number),)


def frames() -> Iterator[tuple[str, Any]]:
    rng = np.random.default_rng(4)
    columns: dict[str, Any] = {
        "x": np.where(rng.random(500) < 0.1, np.nan, rng.normal(size=500)),
        "n": rng.integers(0, 5, 500),
        "flag": rng.random(500) < 0.3,
        "text": rng.choice(["a", "b", "c"], 500),
        "when": np.datetime64("2024-01-01", "us") + rng.integers(0, 10**12, 500).astype("timedelta64[us]"),
    }
    pandas = pd.DataFrame(columns)
    yield "mapping", columns
    yield "lists", {name: values.tolist() for name, values in columns.items()}
    yield "pandas", pandas
    yield "pandas nullable", pandas.convert_dtypes()
    yield "pandas, other index", pandas.set_index(pandas["n"], drop=False)
    yield "polars", pl.DataFrame(columns)


def test_every_way_to_hand_data_over_gives_the_same_baseline() -> None:
    fingerprints = {kind: Baseline.fit("m", data).fingerprint for kind, data in frames()}
    assert len(set(fingerprints.values())) == 1, fingerprints


def test_arrays_and_columns_give_the_same_baseline() -> None:
    data = np.random.default_rng(5).normal(size=(300, 3))
    columns = {name: data[:, i] for i, name in enumerate("abc")}
    arrays = [data, np.asfortranarray(data), data.tolist()]
    baselines = [Baseline.fit("m", array, names=["a", "b", "c"]) for array in arrays]
    baselines += [
        Baseline.fit("m", frame) for frame in (columns, pd.DataFrame(columns), pl.DataFrame(columns))
    ]
    assert len({baseline.fingerprint for baseline in baselines}) == 1


def test_names_of_signals() -> None:
    array = [[1, 2], [3, 4]]
    baseline = Baseline.fit(
        "m", array, prediction=[0.1, 0.9], business={"price": [5.0]}, activations={"layer1.mean": [0.5, 0.7]}
    )
    assert [(signal.kind, signal.name) for signal in baseline.signals] == [
        ("input", "feature_0"), ("input", "feature_1"), ("output", "prediction"),
        ("business", "price"), ("activation", "layer1.mean"),
    ]  # fmt: skip
    several = Baseline.fit("m", prediction=np.array(array))
    assert [signal.name for signal in several.signals] == ["prediction_0", "prediction_1"]
    assert Baseline.fit("m", prediction=pd.Series([1, 2], name="y")).signals[0].name == "prediction"
    assert Baseline.fit("m", pd.DataFrame(array)).signals[0].name == "0"


def test_masked_values_are_missing() -> None:
    masked = np.ma.array(np.arange(100.0), mask=[True, False] * 50)
    both = Baseline.fit("m", {"a": masked, "b": np.ma.array(["x", "y"] * 50, mask=[True, False] * 50)})
    assert [signal.ratios[-1] for signal in both.signals] == [0.5, 0.5]
    assert Baseline.fit("m", np.ma.stack([masked, masked], axis=1)).signals[1].ratios[-1] == 0.5
