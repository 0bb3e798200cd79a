"""The promises of a comparison, kept over thousands of simulated ones: level, coverage, power, and a limit.

Every simulation has a fixed seed. Calls are drawn from populations of atoms, so that the counts of a window
are one multinomial draw.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from modelplane_datasource.comparison.intervals import (
    Estimate,
    bounded_mean,
    difference,
    proportion,
    quantile,
)
from modelplane_datasource.comparison.verdicts import Margins, VersionCounts, compare
from modelplane_datasource.prometheus.histograms import NO_OBSERVATIONS, Histogram
from modelplane_schema.metrics import CONFIDENCE_BUCKETS, LATENCY_BUCKETS

pytestmark = pytest.mark.slow

LEVEL = 0.05
ATOMS = (np.arange(400) + 0.5) / 400


@dataclass(frozen=True, slots=True)
class Population:
    """Equally likely values, ascending, seen through the buckets ``bounds``."""

    atoms: npt.NDArray[np.float64]
    bounds: tuple[float, ...]

    def draw(self, random: np.random.Generator, count: int) -> Histogram:
        counts = random.multinomial(count, np.full(len(self.atoms), 1 / len(self.atoms)))
        below = np.concatenate([[0], np.cumsum(counts)])
        cumulative = below[np.searchsorted(self.atoms, self.bounds, "right")].tolist()
        return Histogram(self.bounds, tuple(cumulative), count, float(counts @ self.atoms) / count)

    def all(self) -> Histogram:
        """A billion observations without noise."""
        shares = [int(1e9 * (self.atoms <= bound).mean()) for bound in self.bounds]
        return Histogram(self.bounds, tuple(shares), 10**9, float(self.atoms.mean()))


def latency(median: float, spread: float) -> Population:
    return Population(stats.lognorm(spread, scale=median).ppf(ATOMS), LATENCY_BUCKETS)


def confidence(values: npt.NDArray[np.float64]) -> Population:
    return Population(values, CONFIDENCE_BUCKETS)


LATENCIES = {
    "inside one bucket": latency(0.17, 0.1),
    "p95 near a bound": latency(0.11, 0.5),
    "wide": latency(0.05, 1.5),
    "above the last bound": latency(50.0, 0.5),
    "two peaks": Population(
        np.concatenate([latency(0.01, 0.3).atoms[:372], latency(2.0, 0.3).atoms[:28]]), LATENCY_BUCKETS
    ),
}
CONFIDENCES = {
    "near one": confidence(stats.beta(20, 1).ppf(ATOMS)),
    "middling": confidence(stats.beta(2, 2).ppf(ATOMS)),
    "rarely zero": confidence(np.where(ATOMS < 0.01, 0.0, 1.0)),
    "ends of one bucket": confidence(np.where(ATOMS < 0.5, 0.51, 0.59)),
}


def versions(
    random: np.random.Generator, calls: int, failing: float, speed: Population, sureness: Population
) -> Iterator[VersionCounts]:
    """What window after window holds of one version."""
    while True:
        failures = int(random.binomial(calls, failing))
        slowness, certainty = speed.draw(random, calls), sureness.draw(random, calls)
        yield VersionCounts(calls - failures, failures, slowness, certainty)


@pytest.mark.parametrize(
    ("calls", "failing", "speed", "sureness"),
    [
        ((20, 20), 0.3, "wide", "rarely zero"),
        ((200, 200), 0.05, "p95 near a bound", "ends of one bucket"),
        ((2_000, 2_000), 0.01, "two peaks", "middling"),
        ((10_000, 100), 0.001, "inside one bucket", "rarely zero"),
        ((10_000, 100), 0.3, "wide", "near one"),
        ((100_000, 1_000), 0.001, "above the last bound", "middling"),
    ],
)
def test_without_a_difference_false_verdicts_stay_at_the_level(
    calls: tuple[int, int], failing: float, speed: str, sureness: str
) -> None:
    random = np.random.default_rng(sum(calls))
    sides = [versions(random, n, failing, LATENCIES[speed], CONFIDENCES[sureness]) for n in calls]
    rounds, false = 2_000, 0
    for _ in range(rounds):
        result = compare(next(sides[0]), next(sides[1]), level=LEVEL).indicators
        false += any(indicator.verdict in ("better", "worse") for indicator in result)
    assert false / rounds <= LEVEL


def exact_misses(
    interval: Callable[[int, int], Estimate], calls: tuple[int, int], failing: tuple[float, float]
) -> float:
    """The probability that the interval of the difference misses it, over all outcomes that matter."""
    sides = []
    for n, share in zip(calls, failing, strict=True):
        outcomes = stats.binom(n, share)
        events = range(int(outcomes.ppf(1e-6)), int(outcomes.ppf(1 - 1e-6)) + 1)
        sides.append([(float(outcomes.pmf(x)), interval(x, n)) for x in events])
    truth, missed = failing[1] - failing[0], 0.0
    for weight, before in sides[0]:
        for other, after in sides[1]:
            low, _, high = difference(after, before)
            missed += weight * other * (not low <= truth <= high)
    return missed


@pytest.mark.parametrize("calls", [(10, 10), (100, 100), (5_000, 100), (100, 5_000), (10_000, 1_000)])
@pytest.mark.parametrize("failing", [(0.001, 0.001), (0.001, 0.01), (0.03, 0.02), (0.3, 0.5)])
def test_the_interval_of_a_difference_of_proportions_covers_it(
    calls: tuple[int, int], failing: tuple[float, float]
) -> None:
    assert exact_misses(lambda x, n: proportion(x, n, LEVEL), calls, failing) <= LEVEL


def test_score_intervals_would_blame_small_canaries() -> None:
    alpha = LEVEL / 3

    def wilson(events: int, trials: int) -> Estimate:
        interval = stats.binomtest(events, trials).proportion_ci(1 - alpha, "wilson")
        return Estimate(interval.low, events / trials, interval.high)

    rare = ((10_000, 100), (0.001, 0.001))
    assert exact_misses(wilson, *rare) > 4 * alpha
    assert exact_misses(lambda x, n: proportion(x, n, alpha), *rare) < alpha


@pytest.mark.parametrize("name", LATENCIES)
@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("count", [10, 100, 3_000])
def test_the_interval_of_a_quantile_covers_it(name: str, share: float, count: int) -> None:
    random, population = np.random.default_rng(count), LATENCIES[name]
    truth, rounds, covered = quantile(population.all(), share, LEVEL).value, 1_000, 0
    for _ in range(rounds):
        low, _, high = quantile(population.draw(random, count), share, LEVEL)
        covered += low <= truth * (1 + 1e-6) and truth * (1 - 1e-6) <= high
    assert covered >= stats.binom(rounds, 1 - LEVEL).ppf(0.001)


@pytest.mark.parametrize(
    ("before", "after"),
    [("p95 near a bound", "wide"), ("inside one bucket", "p95 near a bound"), ("wide", "two peaks")],
)
@pytest.mark.parametrize("calls", [(100, 100), (5_000, 200)])
def test_the_interval_of_a_ratio_of_quantiles_covers_it(
    before: str, after: str, calls: tuple[int, int]
) -> None:
    random, sides = np.random.default_rng(1), (LATENCIES[before], LATENCIES[after])
    old, new = (quantile(population.all(), 0.95, LEVEL).value for population in sides)
    rounds, covered = 1_000, 0
    for _ in range(rounds):
        baseline, candidate = (
            VersionCounts(n, 0, population.draw(random, n))
            for population, n in zip(sides, calls, strict=True)
        )
        result = compare(baseline, candidate, level=2 * LEVEL).indicators[1]
        assert result.confidence_level == 1 - LEVEL
        assert result.low is not None
        covered += result.low <= new / old - 1 <= (math.inf if result.high is None else result.high)
    assert covered >= stats.binom(rounds, 1 - LEVEL).ppf(0.001)


@pytest.mark.parametrize("name", CONFIDENCES)
@pytest.mark.parametrize("count", [5, 50, 2_000])
def test_the_interval_of_a_mean_covers_it(name: str, count: int) -> None:
    random, population = np.random.default_rng(count), CONFIDENCES[name]
    truth, rounds, covered = float(population.atoms.mean()), 1_000, 0
    for _ in range(rounds):
        low, _, high = bounded_mean(population.draw(random, count), LEVEL)
        covered += low <= truth <= high
    assert covered / rounds >= 1 - LEVEL


def test_welch_would_praise_small_canaries() -> None:
    random, population, rounds, false = np.random.default_rng(2), CONFIDENCES["rarely zero"], 500, 0
    for _ in range(rounds):
        before, after = (random.choice(population.atoms, n) for n in (5_000, 100))
        # A hundred times 1.0 have no variance, so that whatever they are compared with differs.
        spread = math.hypot(before.std() / math.sqrt(5_000), after.std() / 10)
        false += abs(after.mean() - before.mean()) > stats.norm.isf(LEVEL / 2) * spread
    assert false / rounds > 4 * LEVEL


def verdicts_by_calls(
    calls: int,
    changed: tuple[float, Population, Population],
    rounds: int = 300,
    baseline_calls: int = 20_000,
) -> dict[str, Counter[str]]:
    random = np.random.default_rng(calls)
    before = versions(random, baseline_calls, 0.01, LATENCIES["p95 near a bound"], CONFIDENCES["middling"])
    after = versions(random, calls, *changed)
    result: dict[str, Counter[str]] = {}
    for _ in range(rounds):
        for indicator in compare(next(before), next(after)).indicators:
            result.setdefault(indicator.name, Counter())[indicator.verdict] += 1
    return result


def test_power_grows_with_calls_and_points_the_right_way() -> None:
    less_sure = confidence(CONFIDENCES["middling"].atoms * 0.9)
    slower = latency(0.125, 0.5)
    rates: dict[str, list[float]] = {"errors": [], "latency_p95": [], "confidence": []}
    for calls in (100, 400, 1_600, 6_400):
        for name, result in verdicts_by_calls(calls, (0.03, slower, less_sure)).items():
            assert result["better"] == 0
            rates[name].append(result["worse"] / 300)
    for grown in rates.values():
        assert grown == sorted(grown)
        assert grown[0] < 0.5
        assert grown[-1] > 0.95


def test_equal_versions_are_called_the_same_once_there_are_enough_calls() -> None:
    equal = (0.01, LATENCIES["p95 near a bound"], CONFIDENCES["middling"])
    for name, result in verdicts_by_calls(40_000, equal, 200, baseline_calls=40_000).items():
        assert result["same"] / 200 > 0.9, name
    for name, result in verdicts_by_calls(100, equal, rounds=200).items():
        assert result["not_enough_data"] / 200 > 0.9, name


def test_a_difference_as_large_as_the_margin_is_hardly_ever_called_the_same() -> None:
    random, margin, rounds, same = np.random.default_rng(9), 0.005, 2_000, 0
    for _ in range(rounds):
        before, after = (int(random.binomial(20_000, share)) for share in (0.01, 0.01 + margin))
        baseline, candidate = (
            VersionCounts(20_000 - failures, failures, NO_OBSERVATIONS) for failures in (before, after)
        )
        same += compare(baseline, candidate, margins=Margins(errors=margin)).indicators[0].verdict == "same"
    assert same / rounds <= LEVEL / 4


def test_limit_failures_in_bursts_are_taken_for_a_difference() -> None:
    # 2 % of calls fail in both versions, but each window has its own rate. That multiplies the variance of
    # the failures by about 10, and calls are no longer independent as the level supposes.
    random, calls, rounds, false = np.random.default_rng(5), 2_000, 1_000, 0
    for _ in range(rounds):
        shares = random.beta(4.4, 4.4 * 49, 2)
        failures = [int(value) for value in random.binomial(calls, shares)]
        baseline, candidate = (VersionCounts(calls - failed, failed, NO_OBSERVATIONS) for failed in failures)
        false += compare(baseline, candidate).indicators[0].verdict in ("better", "worse")
    assert false / rounds > 4 * LEVEL
