"""The e-process of errors: each factor is at most 1 on average, and it grows where versions differ."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from modelplane_datasource.comparison.evidence import most_evidence

ONE = np.ones(1)


@pytest.mark.slow
@pytest.mark.parametrize(("calls", "candidate_calls"), [(20, 20), (60, 5), (5, 60)])
@pytest.mark.parametrize("failing", [0.02, 0.3, 0.7])
def test_evidence_of_a_slice_is_at_most_1_on_average(
    calls: int, candidate_calls: int, failing: float
) -> None:
    """Over every outcome of independent calls that fail alike; ``most_evidence`` cuts it at 1 from below."""
    totals = np.zeros(2)
    for failures in range(calls + 1):
        for candidate_failures in range(candidate_calls + 1):
            weight = stats.binom.pmf(failures, calls, failing) * stats.binom.pmf(
                candidate_failures, candidate_calls, failing
            )
            evidence = most_evidence(
                (failures * ONE, calls * ONE), (candidate_failures * ONE, candidate_calls * ONE), 1.0
            )
            # P(evidence >= e) <= 1 / e for the e that matter, which is what decisions rest on.
            totals += weight * (np.exp(evidence) >= (20, 100))
    assert totals[0] <= 1 / 20
    assert totals[1] <= 1 / 100


def test_one_failure_of_each_version_proves_nothing() -> None:
    assert most_evidence((ONE, 10 * ONE), (ONE, 10 * ONE), 1.0) == (0, 0)


def test_evidence_is_a_likelihood_ratio_averaged_over_odds() -> None:
    """3 failures, all of the candidate, which has half of the calls: (2 t / (1 + t)) ** 3."""
    more, less = most_evidence((0 * ONE, 10 * ONE), (3 * ONE, 10 * ONE), 1.0)
    odds = np.exp([0.1, 0.22, 0.47, 1.1, 2.2])
    expected = np.dot([0.04, 0.06, 0.75, 0.1, 0.05], (2 * odds / (1 + odds)) ** 3)
    assert math.exp(more) == pytest.approx(expected)
    assert less == 0


def test_slices_in_which_one_version_has_no_calls_say_nothing() -> None:
    baseline = np.array([3.0, 1.0, 0.0]), np.array([90.0, 50.0, 0.0])
    candidate = np.array([0.0, 4.0, 2.0]), np.array([0.0, 50.0, 20.0])
    middle = ((1 * ONE, 50 * ONE), (4 * ONE, 50 * ONE), 1.0)
    assert most_evidence(baseline, candidate, 1.0) == pytest.approx(most_evidence(*middle))


def test_the_largest_evidence_so_far_counts() -> None:
    """A candidate that has once surely failed more stays so."""
    calls = np.full(20, 100.0)
    failures = np.repeat([10.0, 0.0], 10)
    more, _ = most_evidence((0 * calls, calls), (failures, calls), 1.0)
    first, _ = most_evidence((0 * calls[:10], calls[:10]), (failures[:10], calls[:10]), 1.0)
    assert more == first > math.log(1_000)


def test_calls_in_bursts_are_less_evidence() -> None:
    more, _ = most_evidence((0 * ONE, 100 * ONE), (10 * ONE, 100 * ONE), 1.0)
    rarer, _ = most_evidence((0 * ONE, 100 * ONE), (10 * ONE, 100 * ONE), 5.0)
    assert 0 < rarer < more / 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("looks", "calls", "failing"), [(20, (500, 500), 0.01), (60, (200, 200), 0.1), (60, (950, 50), 0.02)]
)
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_looking_after_every_slice_is_allowed(
    looks: int, calls: tuple[int, int], failing: float, alpha: float
) -> None:
    """The largest evidence so far is that of whoever looks after each slice, and stops at the best moment."""
    random, rounds = np.random.default_rng(looks), 1_000
    reached = np.zeros(2)
    for _ in range(rounds):
        baseline, candidate = (
            (random.binomial(n, failing, looks).astype(float), np.full(looks, float(n))) for n in calls
        )
        reached += np.array(most_evidence(baseline, candidate, 1.0)) >= -math.log(alpha)
    assert (reached <= alpha * rounds).all()
