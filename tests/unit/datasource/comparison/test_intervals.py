"""Intervals against SciPy, plain loops and worked examples. Their coverage is in the simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from modelplane_datasource.comparison.intervals import (
    Estimate,
    bounded_mean,
    difference,
    proportion,
    quantile,
)
from modelplane_datasource.prometheus.histograms import Histogram
from modelplane_schema.metrics import CONFIDENCE_BUCKETS

ALPHA = st.floats(0.001, 0.2)


@st.composite
def histograms(draw: st.DrawFn, highest: float = 60.0) -> Histogram:
    bounds = draw(st.lists(st.floats(0.001, highest), min_size=1, max_size=8, unique=True).map(sorted))
    inside = draw(st.lists(st.integers(0, 200), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    inside[draw(st.integers(0, len(bounds)))] += 1
    counts = np.cumsum(inside).tolist()
    middle = np.dot(inside, [*bounds, highest]) / counts[-1]
    return Histogram(tuple(bounds), tuple(counts[:-1]), counts[-1], float(middle))


def plain_histogram_quantile(histogram: Histogram, share: float) -> float:
    """The interpolation of Prometheus, bucket by bucket."""
    rank, below, start = share * histogram.count, 0, 0.0
    for bound, count in zip(histogram.bounds, histogram.cumulative, strict=True):
        if count >= rank:
            return start + (bound - start) * (rank - below) / (count - below)
        below, start = count, bound
    return histogram.bounds[-1]


@settings(max_examples=60)
@given(st.integers(1, 100_000), st.floats(0, 1), ALPHA)
def test_proportion_is_scipys_exact_interval(trials: int, share: float, alpha: float) -> None:
    events = round(share * trials)
    theirs = stats.binomtest(events, trials).proportion_ci(1 - alpha, "exact")
    assert proportion(events, trials, alpha) == pytest.approx((theirs.low, events / trials, theirs.high))


def test_no_failure_in_n_calls_leaves_about_three_in_n() -> None:
    # (1 - high) ** 300 = 0.05 for one side, so that high is near 3 / 300.
    low, value, high = proportion(0, 300, 0.10)
    assert (low, value) == (0.0, 0.0)
    assert high == pytest.approx(1 - 0.05 ** (1 / 300))
    assert high == pytest.approx(0.00994, abs=1e-5)


@settings(max_examples=100)
@given(histograms(), st.floats(0.01, 0.99), ALPHA)
def test_quantile_is_that_of_prometheus_inside_its_interval(
    histogram: Histogram, share: float, alpha: float
) -> None:
    low, value, high = quantile(histogram, share, alpha)
    assert value == pytest.approx(plain_histogram_quantile(histogram, share))
    assert 0 <= low <= value <= high


def test_quantile_takes_binomial_ranks_through_the_interpolation() -> None:
    # 100 calls below 1 s spread evenly: rank r lies at r / 100 s.
    ranks = stats.binom(100, 0.5).ppf([0.025, 0.975])
    assert tuple(ranks) == (40, 60)
    assert quantile(Histogram((1.0,), (100,), 100, 0.5), 0.5, 0.05) == pytest.approx((0.4, 0.5, 0.6))


@pytest.mark.parametrize("n", [1, 2, 7, 30, 500, 10**6, 10**9])
@pytest.mark.parametrize("share", [0.5, 0.95, 0.999])
def test_ranks_are_scipys_and_never_beyond_the_value(n: int, share: float) -> None:
    low, _, high = quantile(Histogram((1.0,), (n,), n, 0.5), share, 0.02)
    ranks = stats.binom(n, share).ppf([0.01, 0.99])
    assert low == pytest.approx(min(ranks[0] / n, share), abs=1e-12)
    assert high == (pytest.approx(ranks[1] / n) if ranks[1] < n else math.inf)


def test_an_end_in_an_empty_bucket_goes_to_its_far_side() -> None:
    # 50 calls below 1 s and 50 between 2 s and 3 s: the median is not known between 1 s and 2 s.
    histogram = Histogram((1.0, 2.0, 3.0), (50, 50, 100), 100, 1.5)
    low, value, high = quantile(histogram, 0.5, 0.05)
    assert (low, value, high) == pytest.approx((0.8, 1.0, 2.2))
    # The 95 % ranks of 5 calls are 0 to 5 and so all there is: from nothing to no end.
    assert quantile(Histogram((1.0,), (5,), 5, 0.5), 0.5, 0.05) == (0.0, 0.5, math.inf)


def test_a_quantile_above_the_last_bound_is_that_bound_without_an_end() -> None:
    assert quantile(Histogram((1.0, 60.0), (0, 0), 500, 90.0), 0.95, 0.05) == (60.0, 60.0, math.inf)


@settings(max_examples=100)
@given(histograms(highest=1.0), ALPHA)
def test_bounded_mean_lies_in_its_interval(histogram: Histogram, alpha: float) -> None:
    low, value, high = bounded_mean(histogram, alpha)
    assert 0 <= low <= value <= high <= 1


@settings(max_examples=40)
@given(st.integers(1, 500), st.floats(0, 1), ALPHA)
def test_the_mean_of_zeros_and_ones_is_a_proportion(count: int, share: float, alpha: float) -> None:
    ones = round(share * count)
    # With narrow outer buckets: a zero stands in the lowest, a one in the highest.
    histogram = Histogram((1e-9, 1 - 1e-9, 1.0), (count - ones, count - ones, count), count, ones / count)
    assert bounded_mean(histogram, alpha) == pytest.approx(proportion(ones, count, alpha), abs=1e-6)


def test_bounded_mean_of_a_worked_example() -> None:
    # 4 of 10 above 0.5: below it at worst 1/2 of all are above any x, above it at worst 4 of 10.
    histogram = Histogram((0.5, 1.0), (6, 10), 10, 0.45)
    lower, upper = proportion(6, 10, 0.05), proportion(4, 10, 0.05)
    assert upper.low == pytest.approx(0.1216, abs=1e-4)  # tables of Clopper and Pearson
    assert upper.high == pytest.approx(0.7376, abs=1e-4)
    middle = proportion(5, 10, 0.05)
    low, value, high = bounded_mean(histogram, 0.05)
    assert value == 0.45
    assert low == pytest.approx(max(0, 0.45 - 0.5 * (0.5 - middle.low) - 0.5 * (0.4 - upper.low)))
    assert high == pytest.approx(0.45 + 0.5 * (middle.high - 0.5) + 0.5 * (upper.high - 0.4))
    assert lower.low == pytest.approx(1 - upper.high)


def test_a_mean_that_the_buckets_exclude_is_moved_to_them() -> None:
    assert bounded_mean(Histogram((0.5, 1.0), (0, 10), 10, 0.1), 0.05).value == 0.5
    assert bounded_mean(Histogram((0.5, 1.0), (10, 10), 10, 0.9), 0.05).value == 0.5


def test_predictions_above_one_count_as_one() -> None:
    percent = Histogram(CONFIDENCE_BUCKETS, (0,) * len(CONFIDENCE_BUCKETS), 50, 90.0)
    assert bounded_mean(percent, 0.05).value == 1.0


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
