"""Every drift formula against an independent computation: plain loops, decimals, SciPy, worked examples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from modelplane_datasource.drift.formulas import (
    js_distance,
    ks,
    mean_shift,
    mean_shift_z,
    missing_shift,
    missing_shift_error,
    psi,
    psi_noise,
    variance_ratio,
)

COUNT = st.just(0.0) | st.floats(1e-3, 1e7) | st.integers(1, 10**6).map(float)


@st.composite
def histograms(draw: st.DrawFn) -> tuple[list[float], list[float], int]:
    """Live counts, baseline ratios, size of the training data; both sides hold something."""
    bins = draw(st.integers(2, 22))
    vectors = st.lists(COUNT, min_size=bins, max_size=bins)
    counts, training = draw(vectors), draw(vectors)
    assume(sum(counts) > 0)
    assume(sum(training) > 0)
    total = math.fsum(training)
    return counts, [value / total for value in training], draw(st.integers(1, 10**8))


def plain_psi(counts: Sequence[float], ratios: Sequence[float], m: int) -> float:
    pairs = [(c, m * q) for c, q in zip(counts, ratios, strict=True) if c > 0 or q > 0]
    n, half = math.fsum(counts), len(pairs) / 2
    terms = [((c + 0.5) / (n + half), (expected + 0.5) / (m + half)) for c, expected in pairs]
    return math.fsum((p - q) * math.log(p / q) for p, q in terms)


def decimal_js_distance(counts: Sequence[float], ratios: Sequence[float]) -> float:
    with localcontext() as context:
        context.prec = 60
        live, base = [Decimal(c) for c in counts], [Decimal(q) for q in ratios]
        n, total = sum(live), sum(base)
        divergence = Decimal(0)
        for c, r in zip(live, base, strict=True):
            p, q = c / n, r / total
            for share in (p, q):
                if share:
                    divergence += share * (2 * share / (p + q)).ln() / 2
        return float(max(divergence / Decimal(2).ln(), Decimal(0)).sqrt())


@pytest.mark.slow
@given(histograms())
def test_psi_is_the_sum_of_the_design(histogram: tuple[list[float], list[float], int]) -> None:
    assert psi(*histogram) == pytest.approx(plain_psi(*histogram), rel=1e-9, abs=1e-9)


def test_psi_of_a_worked_example() -> None:
    # n = 10, m = 100, B = 2: p = (7.5, 3.5) / 11 and q' = (50.5, 50.5) / 101 = (1/2, 1/2).
    expected = (7.5 / 11 - 0.5) * math.log(7.5 / 5.5) + (3.5 / 11 - 0.5) * math.log(3.5 / 5.5)
    assert psi([7, 3], [0.5, 0.5], 100) == pytest.approx(expected, abs=1e-15)
    assert expected == pytest.approx(0.138571, abs=1e-6)


def test_a_bin_that_is_empty_on_both_sides_changes_nothing() -> None:
    counts, ratios = [30.0, 70.0, 0.0], [0.5, 0.3, 0.2]
    wider, shares = [30.0, 0.0, 70.0, 0.0], [0.5, 0.0, 0.3, 0.2]
    assert psi([*wider, 0], [*shares, 0], 50) == pytest.approx(psi(counts, ratios, 50), abs=1e-15)
    assert psi_noise([*wider, 0], [*shares, 0], 50) == psi_noise(counts, ratios, 50) == 2 * (1 / 100 + 1 / 50)


@pytest.mark.slow
@given(histograms())
def test_js_distance_is_that_of_sixty_digits(histogram: tuple[list[float], list[float], int]) -> None:
    counts, ratios, _ = histogram
    assert js_distance(counts, ratios) == pytest.approx(decimal_js_distance(counts, ratios), abs=1e-9)


@pytest.mark.slow
@given(histograms())
def test_js_distance_is_scipys(histogram: tuple[list[float], list[float], int]) -> None:
    counts, ratios, _ = histogram
    # Near 0 SciPy's divergence is a rounded difference, sometimes a negative one: compare squares.
    with np.errstate(invalid="ignore"):
        theirs = np.nan_to_num(jensenshannon(counts, ratios, base=2))
    assert js_distance(counts, ratios) ** 2 == pytest.approx(theirs**2, abs=1e-9)


@pytest.mark.parametrize("exponent", range(1, 25))
def test_js_distance_is_exact_where_hardly_anything_is_in_common(exponent: int) -> None:
    little = 10.0**-exponent
    counts, ratios = [1.0, little], [little, 1.0]
    assert js_distance(counts, ratios) == pytest.approx(decimal_js_distance(counts, ratios), abs=1e-14)


@pytest.mark.parametrize("exponent", range(1, 16))
def test_js_distance_is_exact_where_hardly_anything_differs(exponent: int) -> None:
    counts, ratios = [1.0 + 10.0**-exponent, 1.0], [0.5, 0.5]
    assert js_distance(counts, ratios) == pytest.approx(decimal_js_distance(counts, ratios), abs=1e-15)


def test_js_distance_at_its_ends() -> None:
    assert js_distance([0, 5], [1, 0]) == 1
    assert js_distance([4, 12], [0.25, 0.75]) == 0


@pytest.mark.slow
@given(histograms())
def test_ks_is_the_largest_gap(histogram: tuple[list[float], list[float], int]) -> None:
    counts, ratios, _ = histogram
    n, total = math.fsum(counts), math.fsum(ratios)
    gaps = [
        abs(math.fsum(counts[:bins]) / n - math.fsum(ratios[:bins]) / total) for bins in range(len(counts))
    ]
    assert ks(counts, ratios) == pytest.approx(max(gaps), abs=1e-9)


def test_ks_is_scipys_on_the_binned_rows() -> None:
    live, training = [3, 0, 9, 1, 7], [5, 5, 5, 5, 5]
    rows = [np.repeat(range(5), counts) for counts in (live, training)]
    assert ks(live, np.array(training) / 25) == pytest.approx(stats.ks_2samp(*rows).statistic, abs=1e-12)


def test_ks_takes_shares_of_what_is_present() -> None:
    assert ks([5, 5], [0.3, 0.3]) == 0  # 40 % of the training data was missing
    assert ks([8, 2], [0.3, 0.3]) == pytest.approx(0.3)


@pytest.mark.slow
@given(st.lists(st.floats(-50, 50), min_size=1, max_size=50), st.integers(1, 10**6))
def test_shift_of_the_mean(deviations: list[float], observations: int) -> None:
    positive = math.fsum(u for u in deviations if u > 0)
    negative = math.fsum(-u for u in deviations if u < 0)
    n, mean = len(deviations), math.fsum(deviations) / len(deviations)
    assert mean_shift(positive, negative, n) == pytest.approx(mean, abs=1e-9)
    expected = mean / math.sqrt(1 / n + 1 / observations)
    assert mean_shift_z(mean_shift(positive, negative, n), n, observations) == pytest.approx(
        expected, rel=1e-9, abs=1e-9
    )


VALUE = st.floats(-1e6, 1e6)


@pytest.mark.slow
@given(st.lists(VALUE, min_size=1, max_size=200), st.lists(VALUE, min_size=2, max_size=50))
def test_variance_ratio_is_numpys(live: list[float], training: list[float]) -> None:
    mean, stddev = np.mean(training), np.std(training)
    assume(stddev > 1e-3)
    u = (np.array(live) - mean) / stddev
    shift = mean_shift(u[u > 0].sum(), -u[u < 0].sum(), len(u))
    ratio = variance_ratio((u * u).sum(), shift, len(u))
    # What cancels between the two terms is lost, as the last digits of the larger one.
    assert ratio == pytest.approx(np.var(live) / np.var(training), rel=1e-9, abs=1e-13 * (1 + (u * u).max()))
    assert ratio >= 0


@pytest.mark.parametrize("spread", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("shift", [0.0, -0.3, 20.0])
def test_variance_ratio_does_not_see_the_shift(spread: float, shift: float) -> None:
    u = np.random.default_rng(2).normal(shift, spread, 20_000)
    mean = mean_shift(np.maximum(u, 0).sum(), np.maximum(-u, 0).sum(), len(u))
    assert variance_ratio((u * u).sum(), mean, len(u)) == pytest.approx(np.var(u), rel=1e-8)
    assert np.var(u) == pytest.approx(spread**2, rel=0.03)


@pytest.mark.slow
def test_without_drift_the_variance_ratio_of_a_normal_signal_is_fishers() -> None:
    random = np.random.default_rng(7)
    n, m, rounds = 400, 1_000, 4_000
    training, live = random.normal(3, 2, (rounds, m)), random.normal(3, 2, (rounds, n))
    u = (live - training.mean(1)[:, None]) / training.std(1)[:, None]
    sums = (np.maximum(u, 0).sum(1), np.maximum(-u, 0).sum(1))
    ratios = variance_ratio((u * u).sum(1), mean_shift(*sums, n), n)
    unbiased = ratios * (n / (n - 1)) / (m / (m - 1))
    assert stats.kstest(unbiased, stats.f(n - 1, m - 1).cdf).pvalue > 0.01


@pytest.mark.slow
@given(st.integers(0, 500), st.integers(1, 500), st.integers(0, 400), st.integers(1, 400))
def test_missing_shift_is_a_difference_of_shares(missing: int, present: int, lost: int, known: int) -> None:
    n, m = missing + present, lost + known
    shift = missing_shift(missing, n, lost / m)
    assert shift == pytest.approx(missing / n - lost / m, abs=1e-15)
    error = missing_shift_error(missing, n, lost / m, m)
    if missing + lost:
        # Pearson's chi-squared of the two by two table is the square of the difference in standard errors.
        table = [[missing, present], [lost, known]]
        assert (shift / error) ** 2 == pytest.approx(
            stats.chi2_contingency(table, correction=False).statistic, rel=1e-7, abs=1e-9
        )
    else:
        assert error == 0


def test_without_drift_the_missing_shift_is_standard_normal() -> None:
    random = np.random.default_rng(8)
    n, m, rounds = 2_000, 20_000, 20_000
    missing, lost = random.binomial(n, 0.1, rounds), random.binomial(m, 0.1, rounds)
    z = missing_shift(missing, n, lost / m) / missing_shift_error(missing, n, lost / m, m)
    assert (z.mean(), z.std()) == (pytest.approx(0, abs=0.03), pytest.approx(1, abs=0.03))
    assert (np.abs(z) > 3).mean() < 0.005


def test_what_is_not_defined_is_nan() -> None:
    nothing, ratios = [0, 0], [0.5, 0.5]
    for value in (psi(nothing, ratios, 10), psi_noise(nothing, ratios, 10)):
        assert math.isnan(value)
    for method in (js_distance, ks):
        assert math.isnan(method(nothing, ratios))
        assert math.isnan(method([1, 2], nothing))
    assert math.isnan(psi([1, 2], nothing, 0))
    assert math.isnan(mean_shift(0, 0, 0))
    assert math.isnan(mean_shift_z(mean_shift(0, 0, 0), 0, 5))
    assert math.isnan(mean_shift_z(mean_shift(1, 0, 5), 5, 0))
    assert math.isnan(mean_shift(math.nan, math.nan, 5))  # a constant signal has no deviation sums
    assert math.isnan(variance_ratio(0, mean_shift(0, 0, 0), 0))
    assert math.isnan(variance_ratio(math.nan, math.nan, 5))
    assert math.isnan(missing_shift(0, 0, 0.1))
    assert math.isnan(missing_shift_error(0, 0, 0.1, 100))
    assert math.isnan(missing_shift_error(1, 10, 0.1, 0))


def test_many_vectors_at_once_are_each_alone() -> None:
    random = np.random.default_rng(3)
    counts = random.integers(0, 50, (4, 3, 7))
    counts[2, 1] = 0
    ratios = random.dirichlet(np.ones(7), 3)
    sizes = np.array([100, 5_000, 40])
    for method, more in ((psi, True), (psi_noise, True), (js_distance, False), (ks, False)):
        values = method(counts, ratios, *([sizes] if more else []))
        assert values.shape == (4, 3)
        for row in range(4):
            for column in range(3):
                rest = [sizes[column]] if more else []
                alone = method(counts[row, column], ratios[column], *rest)
                np.testing.assert_allclose(values[row, column], alone, atol=1e-12)
    assert mean_shift(np.ones((4, 3)), np.zeros(3), np.arange(3)).shape == (4, 3)


@pytest.mark.slow
@pytest.mark.parametrize("n", [300, 1_000, 10_000])
@pytest.mark.parametrize("m", [2_000, 100_000])
def test_without_drift_psi_is_its_noise_on_average(n: int, m: int) -> None:
    random = np.random.default_rng(n + m)
    shares = np.array([0.1] * 9 + [0.07, 0.03])
    rounds = 20_000
    training = random.multinomial(m, shares, rounds) / m
    counts = random.multinomial(n, shares, rounds)
    values, floors = psi(counts, training, m), psi_noise(counts, training, m)
    assert values.mean() == pytest.approx(floors.mean(), rel=0.03)
    # The spread is that of chi-squared with 10 degrees of freedom.
    assert values.std() == pytest.approx(math.sqrt(20) * (1 / n + 1 / m), rel=0.1)


def test_without_drift_the_shift_of_the_mean_is_standard_normal() -> None:
    random = np.random.default_rng(4)
    n, m, rounds = 400, 1_000, 20_000
    training_mean = random.normal(0, 1 / math.sqrt(m), rounds)
    deviations = n * (random.normal(0, 1 / math.sqrt(n), rounds) - training_mean)
    shift = mean_shift(np.maximum(deviations, 0), np.maximum(-deviations, 0), n)
    z = mean_shift_z(shift, n, m)
    assert stats.kstest(z, "norm").pvalue > 0.01


@pytest.mark.slow
@pytest.mark.parametrize("bins", [10, 22])
def test_without_drift_the_least_window_hardly_ever_alerts(bins: int) -> None:
    random = np.random.default_rng(3)
    n, m, rounds = 300, 20_000, 40_000
    shares = np.full(bins, 1 / bins)
    training = random.multinomial(m, shares, rounds) / m
    counts = random.multinomial(n, shares, rounds)
    above = psi(counts, training, m) - psi_noise(counts, training, m) > 0.1
    assert above.mean() < 0.001
