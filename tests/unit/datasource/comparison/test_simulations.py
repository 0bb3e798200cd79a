"""The promises of a comparison over simulated ones: false verdicts at any look and in bursts, and power.

Every simulation has a fixed seed. ``MODELPLANE_LONG_SIMULATIONS=1`` makes thirty times as many rounds.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from modelplane_datasource.comparison.slices import HistogramSlices, VersionSlices
from modelplane_datasource.comparison.verdicts import Comparison, compare
from modelplane_schema.metrics import CONFIDENCE_BUCKETS, LATENCY_BUCKETS

pytestmark = pytest.mark.slow

LEVEL = 0.05
LONGER = 30 if os.environ.get("MODELPLANE_LONG_SIMULATIONS") else 1
Draw = Callable[[np.random.Generator, tuple[int, int]], npt.NDArray[np.float64]]
NORMAL_95 = 1.6449


def lognormal(p95: float, spread: float) -> Draw:
    """Latencies with this 95th percentile."""
    return lambda random, shape: random.lognormal(np.log(p95) - NORMAL_95 * spread, spread, shape)


def two_values(usual: float, slow: float) -> Draw:
    """94 % of one value and 6 % of another, which therefore is the 95th percentile."""
    return lambda random, shape: np.where(random.random(shape) < 0.06, slow, usual)


def beta(shift: float) -> Draw:
    return lambda random, shape: np.clip(random.beta(8, 2, shape) + shift, 0, 1)


def histogram(values: npt.NDArray[np.float64], bounds: tuple[float, ...]) -> HistogramSlices:
    cumulative = np.stack([(values <= bound).sum(axis=1) for bound in bounds], axis=1).astype(float)
    return HistogramSlices(
        bounds, cumulative, np.full(len(values), float(values.shape[1])), values.sum(axis=1)
    )


def nothing(slices: int) -> HistogramSlices:
    return HistogramSlices((), np.zeros((slices, 0)), np.zeros(slices), np.zeros(slices))


def version(
    random: np.random.Generator,
    failures: npt.NDArray[np.int64],
    calls: int,
    speed: Draw | None = None,
    sureness: Draw | None = None,
) -> VersionSlices:
    """``calls`` in each slice, of which so many fail."""
    slices, shape = len(failures), (len(failures), calls)
    latency = nothing(slices) if speed is None else histogram(speed(random, shape), LATENCY_BUCKETS)
    sure = nothing(slices) if sureness is None else histogram(sureness(random, shape), CONFIDENCE_BUCKETS)
    return VersionSlices((calls - failures).astype(float), failures.astype(float), latency, sure)


def at_most(rounds: int) -> float:
    """How often something may happen in ``rounds`` that has the probability ``LEVEL``, in 99 of 100 runs."""
    return float(stats.binom(rounds, LEVEL).ppf(0.99))


def claims_a_difference(comparison: Comparison) -> bool:
    return any(indicator.verdict in ("better", "worse") for indicator in comparison.indicators)


@pytest.mark.parametrize(
    ("looks", "calls", "failing", "speed", "rounds"),
    [
        (20, (500, 500), 0.01, lognormal(0.3, 0.8), 5),
        (60, (200, 200), 0.1, None, 6),
        (60, (100, 100), 0.02, None, 6),
        (20, (5_000, 250), 0.01, lognormal(0.25, 0.8), 4),
        (20, (1_000, 50), 0.3, None, 8),
    ],
)
def test_however_often_one_looks_no_difference_is_rarely_claimed(
    looks: int, calls: tuple[int, int], failing: float, speed: Draw | None, rounds: int
) -> None:
    """Both versions behave alike, and all indicators are looked at after each slice."""
    random, claimed = np.random.default_rng(sum(calls)), 0
    for _ in range(rounds * LONGER):
        sureness = None if speed is None else beta(0)
        baseline, candidate = (
            version(random, random.binomial(n, failing, looks), n, speed, sureness) for n in calls
        )
        claimed += any(
            claims_a_difference(compare(baseline.part(slice(0, look)), candidate.part(slice(0, look))))
            for look in range(1, looks + 1)
        )
    assert claimed <= at_most(rounds * LONGER)


def bursts(
    random: np.random.Generator, correlation: float, slices: int, of_slice: int, failing: float = 0.02
) -> npt.NDArray[np.int64]:
    """Failures of bursts of 50 calls, in each of which every call fails with the burst's own probability."""
    shape = 1 / correlation - 1
    own = random.beta(failing * shape, (1 - failing) * shape, (slices, of_slice))
    failures: npt.NDArray[np.int64] = random.binomial(50, own).sum(axis=1)
    return failures


@pytest.mark.parametrize("correlation", [0.02, 0.1, 0.5])
@pytest.mark.parametrize(("slices", "of_slices"), [(100, (1, 1)), (20, (5, 5)), (50, (10, 1))])
def test_failures_in_bursts_are_rarely_taken_for_a_difference(
    correlation: float, slices: int, of_slices: tuple[int, int]
) -> None:
    random, rounds, claimed = np.random.default_rng(5), 40 * LONGER, 0
    for _ in range(rounds):
        baseline, candidate = (
            version(random, bursts(random, correlation, slices, of_slice), 50 * of_slice)
            for of_slice in of_slices
        )
        claimed += claims_a_difference(compare(baseline, candidate))
    assert claimed <= at_most(rounds)


def test_bursts_may_be_looked_at_often_too() -> None:
    random, rounds, claimed = np.random.default_rng(6), 8 * LONGER, 0
    for _ in range(rounds):
        baseline, candidate = (version(random, bursts(random, 0.1, 100, 1), 50) for _ in range(2))
        claimed += any(
            claims_a_difference(compare(baseline.part(slice(0, look)), candidate.part(slice(0, look))))
            for look in range(5, 101, 5)
        )
    assert claimed <= at_most(rounds)


@pytest.mark.parametrize("slices", [20, 100])
def test_twice_as_many_errors_are_worse_in_nine_of_ten_comparisons(slices: int) -> None:
    """1 % against 2 % on 5,000 calls of each, among the other indicators."""
    random, rounds, worse = np.random.default_rng(8), 200 * LONGER, 0
    calls = 5_000 // slices
    for _ in range(rounds):
        baseline, candidate = (
            version(random, random.binomial(calls, failing, slices), calls) for failing in (0.01, 0.02)
        )
        worse += compare(baseline, candidate).indicators[0].verdict == "worse"
    assert worse >= 0.9 * rounds


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (two_values(0.02, 0.24), two_values(0.02, 0.11)),
        (two_values(0.02, 0.11), two_values(0.02, 0.24)),
        (two_values(0.09, 0.24), two_values(0.09, 0.11)),
        (lognormal(0.24, 0.3), lognormal(0.11, 0.3)),
        (lognormal(0.2, 0.3), lognormal(0.2, 1.2)),
        (lognormal(0.2, 1.2), lognormal(0.2, 0.3)),
        (lognormal(0.249, 0.3), lognormal(0.249, 1.2)),
        (lambda random, shape: np.full(shape, 0.07), lambda random, shape: np.full(shape, 0.0999)),
    ],
)
def test_quantiles_inside_one_bucket_are_never_better_or_worse(before: Draw, after: Draw) -> None:
    random = np.random.default_rng(9)
    for _ in range(4 * LONGER):
        baseline, candidate = (version(random, np.zeros(60, int), 83, speed) for speed in (before, after))
        latency = compare(baseline, candidate).indicators[1]
        assert latency.verdict == "not_enough_data"
        assert "between" in latency.reason


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (lognormal(0.2, 0.5), lognormal(0.4, 0.5), "worse"),
        (lognormal(2.0, 0.5), lognormal(0.4, 0.5), "better"),
        (lognormal(0.17, 0.1), lognormal(0.17, 0.1), "no_difference_found"),
    ],
)
def test_a_bound_between_two_quantiles_shows_which_is_longer(before: Draw, after: Draw, verdict: str) -> None:
    random = np.random.default_rng(10)
    baseline, candidate = (version(random, np.zeros(60, int), 83, speed) for speed in (before, after))
    assert compare(baseline, candidate).indicators[1].verdict == verdict


@pytest.mark.parametrize(
    ("shift", "verdict"), [(-0.05, "worse"), (0.05, "better"), (0.0, "no_difference_found")]
)
def test_confidence_that_moved_is_seen(shift: float, verdict: str) -> None:
    random = np.random.default_rng(11)
    baseline, candidate = (
        version(random, np.zeros(60, int), 83, None, sureness) for sureness in (beta(0), beta(shift))
    )
    assert compare(baseline, candidate).indicators[-1].verdict == verdict


def test_more_slow_calls_are_seen_inside_of_a_bucket() -> None:
    """Half again as slow moves no quantile over a bound, but doubles the calls above one."""
    random = np.random.default_rng(12)
    baseline, candidate = (
        version(random, np.zeros(60, int), 83, lognormal(p95, 0.8)) for p95 in (0.298, 0.447)
    )
    comparison = compare(baseline, candidate, above=(0.25,))
    assert [indicator.verdict for indicator in comparison.indicators] == ["same", "not_enough_data", "worse"]
