"""Intervals against plain loops, SciPy and worked examples. That they hold at every look is simulated."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats

from modelplane_datasource.comparison.dispersion import dispersion
from modelplane_datasource.comparison.intervals import (
    Estimate,
    Trials,
    bounded_means,
    bounds_of_quantiles,
    difference,
    estimated_shares,
    interpolated,
    shares,
)
from modelplane_datasource.comparison.slices import HistogramSlices
from modelplane_datasource.prometheus.histograms import Histogram
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_schema.metrics import CONFIDENCE_BUCKETS

ALPHA = st.floats(0.001, 0.2)
ALONE = np.ones(1)


def sliced(
    bounds: tuple[float, ...], cumulative: tuple[int, ...], count: int, mean: float
) -> HistogramSlices:
    return HistogramSlices.of([Histogram(bounds, cumulative, count, mean)])


@st.composite
def histograms(draw: st.DrawFn, highest: float = 60.0) -> HistogramSlices:
    bounds = draw(st.lists(st.floats(0.001, highest), min_size=1, max_size=8, unique=True).map(sorted))
    inside = draw(st.lists(st.integers(0, 200), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    inside[draw(st.integers(0, len(bounds)))] += 1
    counts = np.cumsum(inside).tolist()
    middle = np.dot(inside, [*bounds, highest]) / counts[-1]
    return sliced(tuple(bounds), tuple(counts[:-1]), counts[-1], float(middle))


def plain_histogram_quantile(histogram: HistogramSlices, share: float) -> float:
    """The interpolation of Prometheus, bucket by bucket."""
    rank, below, start = share * histogram.count, 0, 0.0
    for bound, count in zip(histogram.bounds, histogram.cumulative[0], strict=True):
        if count >= rank:
            return float(start + (bound - start) * (rank - below) / (count - below))
        below, start = count, bound
    return histogram.bounds[-1]


def proportion(events: int, trials: int, alpha: float, factor: float = 1.0) -> Estimate:
    """The share of events in one column."""
    ((estimate,),) = estimated_shares(
        [Trials(np.array([float(events)]), float(trials), np.array([factor]))], alpha
    )
    return estimate


def plain_share(events: int, trials: int, alpha: float) -> tuple[float, float]:
    """The ends of the interval as roots of the mixture's likelihood ratio, by SciPy."""
    mixture = stats.betabinom(trials, 0.5, 0.5).logpmf(events)

    def excess(share: float) -> float:
        return float(mixture - stats.binom(trials, share).logpmf(events) + math.log(alpha))

    value, tiny = events / trials, 1e-15
    low = optimize.brentq(excess, tiny, value) if events else 0.0
    high = optimize.brentq(excess, value, 1 - tiny) if events < trials else 1.0
    return low, high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("events", "trials"), [(0, 1), (1, 1), (0, 300), (3, 300), (50, 5_000), (4_999, 5_000)]
)
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_ends_of_a_share_are_the_roots_of_its_likelihood_ratio(
    events: int, trials: int, alpha: float
) -> None:
    (((low,), (high,)),) = shares([Trials(np.array([float(events)]), trials, ALONE)], alpha)
    assert (low, high) == pytest.approx(plain_share(events, trials, alpha), abs=1e-8)


@pytest.mark.slow
@settings(max_examples=40)
@given(st.integers(1, 100_000), st.floats(0, 1), ALPHA)
def test_an_interval_for_every_look_is_wider_than_that_for_one(
    trials: int, share: float, alpha: float
) -> None:
    events = round(share * trials)
    low, value, high = proportion(events, trials, alpha)
    single = stats.binomtest(events, trials).proportion_ci(1 - alpha, "wilson")
    assert 0 <= low <= value <= high <= 1
    assert high - low > 0.75 * (single.high - single.low)


def test_calls_in_bursts_are_worth_less() -> None:
    assert proportion(40, 2_000, 0.05, 4.0) == pytest.approx(proportion(10, 500, 0.05))


@pytest.mark.slow
@settings(max_examples=40)
@given(histograms(), st.floats(0.01, 0.99), ALPHA)
def test_a_quantile_of_prometheus_lies_in_its_bounds(
    histogram: HistogramSlices, share: float, alpha: float
) -> None:
    ((low, value, high),) = bounds_of_quantiles([histogram], share, alpha)
    assert (
        value == interpolated(histogram, share) == pytest.approx(plain_histogram_quantile(histogram, share))
    )
    assert low in (0.0, *histogram.bounds)
    assert high in (*histogram.bounds, math.inf)
    assert low <= value <= high


def test_bounds_of_a_quantile_close_in_on_its_bucket() -> None:
    # 6 % of the calls take longer than 0.1 s, and 4 % longer than 0.25 s.
    histograms = [
        sliced((0.05, 0.1, 0.25, 0.5), (n // 2, 94 * n // 100, 96 * n // 100, n), n, 0.07)
        for n in (100, 5_000, 50_000)
    ]
    ends = bounds_of_quantiles(histograms, 0.95, 0.05)
    assert [(end.low, end.high) for end in ends] == [(0.05, math.inf), (0.05, 0.5), (0.1, 0.25)]


def test_a_quantile_above_the_last_bound_has_no_upper_bound() -> None:
    histogram = sliced((1.0, 60.0), (0, 0), 500, 90.0)
    assert bounds_of_quantiles([histogram], 0.95, 0.05) == [(60.0, 60.0, math.inf)]


@pytest.mark.slow
@settings(max_examples=40)
@given(histograms(highest=1.0), ALPHA)
def test_bounded_mean_lies_in_its_interval(histogram: HistogramSlices, alpha: float) -> None:
    ((low, value, high),) = bounded_means([histogram], alpha)
    assert 0 <= low <= value <= high <= 1


@settings(max_examples=40)
@given(st.integers(1, 500), st.floats(0, 1), ALPHA)
def test_the_mean_of_zeros_and_ones_is_a_proportion(count: int, share: float, alpha: float) -> None:
    ones = round(share * count)
    # With narrow outer buckets: a zero stands in the lowest, a one in the highest.
    histogram = sliced((1e-9, 1 - 1e-9, 1.0), (count - ones, count - ones, count), count, ones / count)
    expected = proportion(ones, count, alpha)
    assert bounded_means([histogram], alpha)[0] == pytest.approx(expected, abs=1e-6)


def test_a_mean_that_the_buckets_exclude_is_moved_to_them() -> None:
    histograms = sliced((0.5, 1.0), (0, 10), 10, 0.1), sliced((0.5, 1.0), (10, 10), 10, 0.9)
    assert [mean.value for mean in bounded_means(histograms, 0.05)] == [0.5, 0.5]


def test_one_bucket_up_to_one_holds_no_mean_but_that_of_the_sum() -> None:
    """Its only bound is the end of the scale."""
    ((low, value, high),) = bounded_means([sliced((1.0,), (10,), 10, 0.9)], 0.05)
    assert 0 <= low < value == 0.9 < high <= 1


def test_predictions_above_one_count_as_one() -> None:
    percent = sliced(CONFIDENCE_BUCKETS, (0,) * len(CONFIDENCE_BUCKETS), 50, 90.0)
    assert [mean.value for mean in bounded_means([percent], 0.05)] == [1.0]


def test_difference_is_newcombes_published_example() -> None:
    # Newcombe 1998, table II: 56/70 against 48/80 by method 10, from Wilson intervals.
    wilson = []
    for events, trials in ((56, 70), (48, 80)):
        interval = stats.binomtest(events, trials).proportion_ci(0.95, "wilson")
        wilson.append(Estimate(interval.low, events / trials, interval.high))
    assert difference(*wilson) == pytest.approx((0.0524, 0.2, 0.3339), abs=5e-5)


def test_difference_of_symmetric_intervals_is_the_root_of_squares() -> None:
    assert difference(Estimate(2, 5, 8), Estimate(-3, 1, 5)) == pytest.approx((-1, 4, 9))
    assert difference(Estimate(2, 5, math.inf), Estimate(1, 1, 1)) == (1, 4, math.inf)


def columns(*events: npt.NDArray[Any]) -> FloatArray:
    return np.column_stack(events).astype(float)


def test_dispersion_is_that_of_the_bursts() -> None:
    """Beta-binomial bursts of 50 calls have 1 + 49 times their correlation as variance inflation."""
    random, slices = np.random.default_rng(3), 4_000
    calm = random.binomial(50, 0.02, slices)
    bursts = [
        random.binomial(50, random.beta(0.02 * a, 0.98 * a, slices)) for a in (1 / 0.1 - 1, 1 / 0.5 - 1)
    ]
    factors = dispersion(columns(calm, *bursts), np.full(slices, 50.0))
    assert factors[0] == 1
    assert factors[1:] == pytest.approx([5.9, 25.5], rel=0.2)


def test_dispersion_sees_a_burst_that_is_longer_than_a_slice() -> None:
    """Each outage of 8 slices fails a call in each: no slice has more than its share."""
    outages = np.repeat(np.arange(64) % 8 == 0, 8).astype(float)
    assert dispersion(outages[:, None], np.full(512, 10.0))[0] > 5
    shuffled = np.random.default_rng(1).permutation(outages)
    assert dispersion(shuffled[:, None], np.full(512, 10.0))[0] == 1


def test_what_cannot_vary_is_not_dispersed() -> None:
    trials = np.array([10.0, 20.0, 0.0, 30.0])
    assert dispersion(columns(0 * trials, trials), trials).tolist() == [1, 1]
    assert dispersion(np.array([[5.0]]), np.array([10.0])).tolist() == [1]
    assert dispersion(np.zeros((2, 1)), np.zeros(2)).tolist() == [1]
