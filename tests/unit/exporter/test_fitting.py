"""Fitting: shares, means and moments are exact, whatever the data is and however it is handed over."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelplane_exporter.baseline import (
    Baseline,
    BaselineError,
    CategoricalSignal,
    NumericSignal,
    fit_categorical,
)
from modelplane_exporter.baseline.fit_numeric import Moments, Sample, decile_cuts, midpoint
from modelplane_exporter.baseline.fitting import Chunk
from modelplane_exporter.baseline.values import digest

Floats = NDArray[np.float64]

FINITE = st.floats(-1e100, 1e100)
# Few distinct values, so that deciles fall together, and odd ones among them.
COLUMNS = st.lists(
    st.one_of(st.integers(-3, 3).map(float), FINITE, st.sampled_from([math.nan, math.inf])), min_size=1
)


def fit_numbers(values: Any, **options: Any) -> NumericSignal:
    (signal,) = Baseline.fit("m", {"x": values}, **options).signals
    assert isinstance(signal, NumericSignal)
    return signal


def fit_categories(values: Any, **options: Any) -> CategoricalSignal:
    (signal,) = Baseline.fit("m", {"x": values}, **options).signals
    assert isinstance(signal, CategoricalSignal)
    return signal


def in_parts(values: Floats, cuts: Sequence[int]) -> NumericSignal:
    stops = sorted({0, len(values), *(cut % (len(values) + 1) for cut in cuts)})

    def chunks() -> Iterator[Chunk]:
        for start, stop in pairwise(stops):
            yield {("input", "x"): values[start:stop]}

    (signal,) = Baseline.fit_chunks("m", chunks, [("input", "x")]).signals
    assert isinstance(signal, NumericSignal)
    return signal


# Numbers


@given(COLUMNS)
def test_shares_and_means_of_bins_are_numpys(values: list[float]) -> None:
    data = np.array(values)
    finite = data[np.isfinite(data)]
    if not len(finite):
        with pytest.raises(BaselineError, match="input 'x': has no finite number"):
            fit_numbers(data)
        return
    signal = fit_numbers(data)
    counts, _ = np.histogram(finite, [-np.inf, *signal.edges, np.inf])
    assert signal.ratios == (*(counts / len(data)), (len(data) - len(finite)) / len(data))
    assert signal.observations == len(data)
    bins = np.searchsorted(signal.edges, finite, side="right")
    for index, center in enumerate(signal.centers):
        inside = finite[bins == index]
        if not len(inside):
            assert center is None
            continue
        exact = math.fsum(inside.tolist()) / len(inside)
        assert center == pytest.approx(exact, rel=1e-9, abs=1e-9 * signal.stddev)
        assert inside.min() <= center <= inside.max()


@given(COLUMNS)
def test_edges_are_midpoints_of_training_values_or_guards(values: list[float]) -> None:
    data = np.array(values)
    distinct = np.unique(data[np.isfinite(data)])
    if not len(distinct):
        return
    signal = fit_numbers(data)
    midpoints = {midpoint(low, high) for low, high in pairwise(distinct.tolist())}
    inner = [edge for edge in signal.edges if distinct[0] < edge <= distinct[-1]]
    assert set(inner) <= midpoints
    guards = sorted(set(signal.edges) - set(inner))
    assert len(guards) <= 2
    for guard in guards:
        nearest = distinct[0] if guard <= distinct[0] else distinct[-1]
        assert abs(guard - nearest) <= max(1.01e-6 * abs(nearest), 1e-12)
    assert (
        min(ratio for ratio, center in zip(signal.ratios, signal.centers, strict=False) if center is not None)
        > 0
    )


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_each_decile_is_cut_where_the_share_below_is_nearest(values: list[int]) -> None:
    distinct = sorted(set(values))
    below = {high: sum(value < high for value in values) for high in distinct[1:]}
    expected = {
        min(below, key=lambda high, decile=decile: (abs(10 * below[high] - decile * len(values)), high))  # type: ignore[misc]
        for decile in range(1, 10)
        if below
    }
    assert decile_cuts(np.sort(np.array(values, float))).tolist() == sorted(expected)


def test_continuous_data_has_ten_bins_of_a_tenth_each() -> None:
    data = np.random.default_rng(0).normal(size=10_000)
    signal = fit_numbers(data)
    assert signal.ratios == (*[0.1] * 10, 0.0)
    assert np.allclose(signal.edges, np.quantile(data, np.arange(1, 10) / 10), atol=1e-3)


@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=300).filter(lambda steps: len(set(steps)) > 1),
    st.sampled_from([0.0, 1e3, -1e9, 1e12]),
    st.lists(st.integers(0, 300), max_size=3),
)
def test_moments_are_exact_however_far_from_zero(steps: list[int], center: float, cuts: list[int]) -> None:
    data = center + np.array(steps) / 1024
    rows = [Fraction(value) for value in data.tolist()]
    mean = sum(rows) / len(rows)
    stddev = math.sqrt(sum((row - mean) ** 2 for row in rows) / len(rows))
    for signal in (fit_numbers(data), in_parts(data, cuts)):
        # The nearest float to the mean may be further away than 1e-9 standard deviations.
        assert abs(Fraction(signal.mean) - mean) <= max(1e-9 * stddev, math.ulp(float(mean)))
        assert signal.stddev == pytest.approx(stddev, rel=1e-9)


def test_a_mean_a_million_standard_deviations_from_zero() -> None:
    data = np.random.default_rng(1).normal(1e6, 1.0, 300_000)
    rows = (data - 1e6).tolist()  # exact: the values are near each other
    mean = math.fsum(rows) / len(rows)
    stddev = math.sqrt(math.fsum((row - mean) ** 2 for row in rows) / len(rows))
    for signal in (fit_numbers(data), in_parts(data, [1, 7, 70_000, 250_000])):
        assert abs(signal.mean - 1e6 - mean) < 1e-9 * stddev
        assert abs(signal.stddev / stddev - 1) < 1e-9


@given(
    COLUMNS.filter(lambda values: any(map(math.isfinite, values))), st.lists(st.integers(0, 1000), max_size=5)
)
def test_a_fit_in_parts_is_the_fit_of_the_whole(values: list[float], cuts: list[int]) -> None:
    data = np.array(values)
    whole, parts = fit_numbers(data), in_parts(data, cuts)
    assert (parts.edges, parts.ratios, parts.observations) == (whole.edges, whole.ratios, whole.observations)
    assert parts.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9 * whole.stddev)
    assert parts.stddev == pytest.approx(whole.stddev, rel=1e-9)
    for one, other in zip(parts.centers, whole.centers, strict=True):
        assert (one is None) == (other is None)
        assert one is None or one == pytest.approx(other, rel=1e-9, abs=1e-9 * whole.stddev)


def test_more_values_than_the_sample_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    # The least sample: 1,000 values.
    monkeypatch.setattr("modelplane_exporter.baseline.fitting._SAMPLE_BYTES", 0)
    data = np.random.default_rng(2).lognormal(size=50_000)
    data[::10] = np.nan
    whole = fit_numbers(data)
    assert in_parts(data, [3, 1111, 30_000]).edges == whole.edges
    counts, _ = np.histogram(data[~np.isnan(data)], [-np.inf, *whole.edges, np.inf])
    assert whole.ratios == (*(counts / 50_000), 0.1)
    assert all(abs(ratio - 0.09) < 0.04 for ratio in whole.ratios[:-1])
    # Midpoints of neighbouring values of all data, not of the sample.
    ascending = np.unique(data[~np.isnan(data)])
    assert set(whole.edges) <= {midpoint(low, high) for low, high in pairwise(ascending.tolist())}


@given(st.integers(1, 50), st.lists(st.integers(0, 120), max_size=4))
def test_a_sample_does_not_depend_on_chunks(size: int, cuts: list[int]) -> None:
    data = np.arange(120.0)
    samples = []
    for stops in ([0, 120], sorted([0, 120, *cuts])):
        sample = Sample(size)
        for start, stop in pairwise(stops):
            sample.add(data[start:stop])
        samples.append(sample.sorted().tolist())
    assert samples[0] == samples[1]
    assert len(samples[0]) == (size if 2 * size < 120 else 120)


def test_a_sample_is_uniform() -> None:
    sample = Sample(2_000)
    for start in range(0, 100_000, 1000):
        sample.add(np.arange(start, start + 1000.0))
    counts, _ = np.histogram(sample.sorted(), 10, (0, 100_000))
    assert counts.sum() == 2_000
    assert counts.min() > 140  # 200 expected, standard deviation 13


@given(FINITE, FINITE)
def test_a_midpoint_parts_two_values(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    if low < high:
        assert low < midpoint(low, high) <= high


@pytest.mark.parametrize("low", [0.0, 5e-324, 1.0, -1.0, 1e100, -1e-310])
def test_a_midpoint_of_neighbouring_floats(low: float) -> None:
    high = math.nextafter(low, math.inf)
    assert low < midpoint(low, high) <= high


def test_a_value_served_in_32_bits_falls_in_the_bin_of_its_twin() -> None:
    data = np.random.default_rng(3).normal(size=2_000)
    data[:500] = 0.1
    signal = fit_numbers(data)
    twin = data.astype(np.float32).astype(np.float64)
    assert np.array_equal(np.histogram(twin, [-np.inf, *signal.edges, np.inf])[0] / 2_000, signal.ratios[:-1])


@pytest.mark.parametrize("value", [3.25, 0.1, -7.0, 1e-12, -1e12, 5e-324])
def test_a_constant_column_shows_what_is_below_and_above(value: float) -> None:
    signal = fit_numbers([value] * 7)
    low, high = signal.edges
    assert low <= value < high
    assert (signal.ratios, signal.centers) == ((0.0, 1.0, 0.0, 0.0), (None, value, None))
    assert (signal.mean, signal.stddev, signal.has_deviation) == (value, 0.0, False)
    if abs(value) > 1e-30:
        assert low <= float(np.float32(value)) < high


def test_a_constant_zero() -> None:
    assert fit_numbers([0.0, -0.0]).edges == (-1e-12, 1e-12)


def test_few_distinct_values_have_a_bin_each_and_guards() -> None:
    signal = fit_numbers([0, 0, 1, 2, None])
    assert signal.edges == (-1e-12, 0.5, 1.5, 2.000002)
    assert signal.ratios == (0.0, 0.4, 0.2, 0.2, 0.0, 0.2)
    assert signal.centers == (None, 0.0, 1.0, 2.0, None)


def test_guards_only_where_there_is_room_and_a_single_value() -> None:
    assert len(fit_numbers(np.arange(10)).edges) == 9
    nine = fit_numbers(np.arange(9))
    assert (len(nine.edges), nine.ratios[0]) == (9, 0.0)
    assert fit_numbers([*[0] * 50, *range(1, 51)]).ratios[0] == 0.0
    many = fit_numbers(np.repeat([0.0, 0.1, 5.0, 5.1], [1, 9, 9, 1]))
    assert (many.ratios[0], many.ratios[-2]) == (0.0, 0.0)


def test_infinities_and_nan_are_missing() -> None:
    signal = fit_numbers([1.0, math.inf, -math.inf, math.nan, 2.0])
    assert (signal.ratios[-1], signal.mean, signal.stddev) == (0.6, 1.5, 0.5)


def test_values_too_large_to_square_are_refused() -> None:
    assert fit_numbers([1e140, -1e140]).stddev == pytest.approx(1e140)
    with pytest.raises(
        BaselineError, match=r"input 'x': values must be between -1e\+140 and 1e\+140 \(got 1e\+200\)"
    ):
        fit_numbers([1.0, 1e200])


def test_a_number_too_large_for_a_float_is_missing() -> None:
    assert fit_numbers([10**400, 1.5]).ratios[-1] == 0.5


def test_moments_of_one_value() -> None:
    moments = Moments()
    moments.add(np.array([0.1]))
    assert (moments.mean, moments.stddev, moments.count) == (0.1, 0.0, 1)


# Types


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
        (pd.Series(pd.to_datetime(["1970-01-01T00:00:01", None])), 1.0),
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
        (np.array(["b", "a", "b"], dtype=np.dtypes.StringDType()), ("b", "a")),
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


def test_what_a_baseline_says_of_itself() -> None:
    before = datetime.datetime.now(datetime.UTC).replace(microsecond=0)
    baseline = Baseline.fit("m", [[1.0]], model_version="v1")
    assert (baseline.model_name, baseline.model_version, baseline.salt) == ("m", "v1", "")
    assert baseline.created.endswith("Z")
    assert before <= datetime.datetime.fromisoformat(baseline.created) <= datetime.datetime.now(datetime.UTC)
    assert Baseline.from_json(baseline.to_json()) == baseline


# Categories


def test_the_twenty_most_frequent_ties_by_text() -> None:
    values = [text for rank, text in enumerate("zyxwvutsrqponmlkjihgfe") for _ in range(1 + (rank < 3))]
    signal = fit_categories(values)
    assert signal.categories == ("x", "y", "z", *"efghijklmnopqrstu")
    assert signal.ratios == (*[2 / 25] * 3, *[1 / 25] * 17, 2 / 25, 0.0)


def test_ten_thousand_categories_are_exact() -> None:
    counts = np.arange(1, 10_001) % 37 + 1
    values = np.repeat([f"c{i:05d}" for i in range(10_000)], counts)
    np.random.default_rng(6).shuffle(values)
    signal = fit_categories(values)
    order = sorted(zip(-counts, (f"c{i:05d}" for i in range(10_000)), strict=True))[:20]
    assert signal.categories == tuple(text for _, text in order)
    top = [-int(count) for count, _ in order]
    assert signal.ratios == (
        *(count / len(values) for count in top),
        (len(values) - sum(top)) / len(values),
        0.0,
    )


def test_more_categories_than_are_counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fit_categorical, "MOST_COUNTED", 100)
    rare = [{f"id{i}": 1 for i in range(start, start + 150)} for start in range(0, 6000, 150)]
    frequent = {f"f{i}": 8 for i in range(20)}

    def chunks() -> Iterator[Chunk]:
        for part in rare:
            yield {("input", "x"): {**part, **frequent, None: 5}}

    (signal,) = Baseline.fit_chunks("m", chunks, [("input", "x")]).signals
    rows = 40 * (150 + 160 + 5)
    assert isinstance(signal, CategoricalSignal)
    assert set(signal.categories) == set(frequent)
    assert signal.ratios == (*[320 / rows] * 20, 6000 / rows, 200 / rows)


def test_memory_for_categories_is_bounded() -> None:
    fit = fit_categorical.CategoricalFit("input", "id", "")
    for start in range(0, 10 * fit_categorical.MOST_COUNTED, 60_000):
        fit.survey({f"id{i}": 1 for i in range(start, start + 60_000)})
        assert len(fit._candidates) <= fit_categorical.MOST_COUNTED


def test_reserved_names_in_training_data_count_to_those_bins() -> None:
    signal = fit_categories(["a", "__other__", "__missing__", None])
    assert (signal.categories, signal.ratios) == (("a",), (0.25, 0.25, 0.5))


def test_a_categorical_column_may_be_all_missing() -> None:
    signal = fit_categories([None, None], categorical=["x"])
    assert (signal.categories, signal.ratios) == ((), (0.0, 1.0))


def test_hashed_categories_do_not_show_their_texts() -> None:
    baseline = Baseline.fit("m", {"mail": ["a@b.c", "a@b.c", "d@e.f"], "n": [1, 2, 3]}, hashed=["mail"])
    mail, number = baseline.signals
    assert isinstance(mail, CategoricalSignal)
    assert mail.hashed
    assert len(baseline.salt) == 32
    assert mail.categories == (digest("a@b.c", baseline.salt), digest("d@e.f", baseline.salt))
    assert "@" not in baseline.to_json()
    assert isinstance(number, NumericSignal)
    again = Baseline.fit(
        "m", {"mail": ["a@b.c", "a@b.c", "d@e.f"], "n": [1, 2, 3]}, hashed=["mail"], salt=baseline.salt
    )
    assert again.fingerprint == baseline.fingerprint
    assert Baseline.fit("m", {"mail": ["a@b.c"]}, hashed=["mail"]).salt != baseline.salt


def test_hashed_numbers_are_categories() -> None:
    signal = fit_categories([17, 17.0], hashed=["x"], salt="ab" * 8)
    assert signal.categories == (digest("17", "ab" * 8),)


# Refusals


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


def test_masked_values_are_missing() -> None:
    masked = np.ma.array(np.arange(100.0), mask=[True, False] * 50)
    both = Baseline.fit("m", {"a": masked, "b": np.ma.array(["x", "y"] * 50, mask=[True, False] * 50)})
    assert [signal.ratios[-1] for signal in both.signals] == [0.5, 0.5]
    assert Baseline.fit("m", np.ma.stack([masked, masked], axis=1)).signals[1].ratios[-1] == 0.5
