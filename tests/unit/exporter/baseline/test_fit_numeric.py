"""Numeric signals: shares, means and moments are exact, whatever the data and its order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter_support.fitted_signals import Floats, fit_numbers
from modelplane_exporter.baseline import (
    Baseline,
    BaselineError,
    NumericSignal,
)
from modelplane_exporter.baseline.fit_numeric import Moments, Sample, decile_cuts, midpoint
from modelplane_exporter.baseline.fitting import Chunk

FINITE = st.floats(-1e100, 1e100)
# Few distinct values, so that deciles fall together, and odd ones among them.
COLUMNS = st.lists(
    st.one_of(st.integers(-3, 3).map(float), FINITE, st.sampled_from([math.nan, math.inf])), min_size=1
)


def in_parts(values: Floats, cuts: Sequence[int]) -> NumericSignal:
    stops = sorted({0, len(values), *(cut % (len(values) + 1) for cut in cuts)})

    def chunks() -> Iterator[Chunk]:
        for start, stop in pairwise(stops):
            yield {("input", "x"): values[start:stop]}

    (signal,) = Baseline.fit_chunks("m", chunks, [("input", "x")]).signals
    assert isinstance(signal, NumericSignal)
    return signal


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
@given(
    st.lists(st.integers(-1000, 1000), min_size=2, max_size=300).filter(lambda steps: len(set(steps)) > 1),
    st.sampled_from([0.0, 1e3, -1e9, 1e12]),
    st.lists(st.integers(0, 300), max_size=3),
)
def test_moments_are_exact_however_far_from_zero(steps: list[int], center: float, cuts: list[int]) -> None:
    data = center + np.array(steps) / 1024
    rows = [Fraction(value) for value in data.tolist()]
    mean = sum(rows, Fraction()) / len(rows)
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


@pytest.mark.slow
@given(
    COLUMNS.filter(lambda values: any(map(math.isfinite, values))), st.lists(st.integers(0, 1000), max_size=5)
)
def test_a_fit_in_parts_is_the_fit_of_the_whole(values: list[float], cuts: list[int]) -> None:
    data = np.array(values)
    whole, parts = fit_numbers(data), in_parts(data, cuts)
    assert (parts.edges, parts.ratios, parts.observations) == (whole.edges, whole.ratios, whole.observations)
    assert parts.mean == pytest.approx(whole.mean, rel=1e-9, abs=1e-9 * whole.stddev)
    assert parts.stddev == pytest.approx(whole.stddev, rel=1e-9)
    for in_parts_center, whole_center in zip(parts.centers, whole.centers, strict=True):
        assert (in_parts_center is None) == (whole_center is None)
        assert in_parts_center is None or in_parts_center == pytest.approx(
            whole_center, rel=1e-9, abs=1e-9 * whole.stddev
        )


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


@pytest.mark.slow
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
def test_a_midpoint_parts_two_values(left: float, right: float) -> None:
    low, high = min(left, right), max(left, right)
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
