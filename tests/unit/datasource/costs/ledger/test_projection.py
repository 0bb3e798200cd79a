"""What intervals of coming days hold, in simulations; without noise, the days themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from modelplane_datasource.costs.ledger.projection import COVERAGE, Projection, projected
from modelplane_datasource.timeline.arrays import FloatArray

Traffic = Callable[[np.random.Generator, int], FloatArray]

MONTHS = 60
# Of 60 intervals that hold what they promise fewer than this hold it once in 100 (binomial).
LEAST = 0.68


def steady(rng: np.random.Generator, days: int) -> FloatArray:
    return np.asarray(rng.gamma(1 / 0.09, 0.09, days))


def heavy_tailed(rng: np.random.Generator, days: int) -> FloatArray:
    return np.asarray(rng.lognormal(0, 1, days))


def weekly(rng: np.random.Generator, days: int) -> FloatArray:
    is_workday = (np.arange(days) + rng.integers(7)) % 7 < 5
    return np.asarray(np.where(is_workday, 1, 0.2) * rng.gamma(25, 1 / 25, days))


def dependent(rng: np.random.Generator, days: int) -> FloatArray:
    """Each day is half the one before."""
    noise = rng.normal(0, 0.22, days + 30)
    state = np.zeros(days + 30)
    for day in range(1, days + 30):
        state[day] = state[day - 1] / 2 + noise[day]
    return np.asarray(np.maximum(0, 1 + state[30:]))


def growing(rng: np.random.Generator, days: int) -> FloatArray:
    return np.asarray(np.exp(0.01 * np.arange(days)) * rng.gamma(25, 1 / 25, days))


def shrinking(rng: np.random.Generator, days: int) -> FloatArray:
    return np.asarray(np.exp(-0.02 * np.arange(days)) * rng.gamma(25, 1 / 25, days))


def wandering(rng: np.random.Generator, days: int) -> FloatArray:
    return np.asarray(np.exp(np.cumsum(rng.normal(0, 0.05, days))) * rng.gamma(25, 1 / 25, days))


def rare(rng: np.random.Generator, days: int) -> FloatArray:
    """Use on three days of ten."""
    return np.asarray((rng.random(days) < 0.3) * rng.gamma(2, 0.5, days))


@pytest.mark.slow
@pytest.mark.parametrize(
    "traffic", [steady, heavy_tailed, weekly, dependent, growing, shrinking, wandering, rare]
)
@pytest.mark.parametrize(("past", "coming"), [(7, 24), (14, 7), (28, 24)])
def test_intervals_hold_what_they_promise(traffic: Traffic, past: int, coming: int) -> None:
    hits = 0
    for seed in range(MONTHS):
        days = traffic(np.random.default_rng([seed, past, coming]), past + coming)
        projection = projected(days[:past], np.arange(-past, 0), np.ones(coming))
        hits += projection.low <= days[past:].sum() <= projection.high
    assert COVERAGE == 0.8
    assert hits / MONTHS >= LEAST


def test_days_that_are_alike_go_on_and_are_still_no_certainty() -> None:
    low, expected, high = projected(np.full(28, 2.0), np.arange(-28, 0), np.ones(10))
    assert expected == pytest.approx(20)
    assert 18 < low < 20 < high < 22


def test_a_weekly_shape_is_found_from_two_weeks_on() -> None:
    """Monday to Sunday, and the month ends with a weekend."""
    week = np.array([5.0, 5, 5, 5, 5, 1, 1])
    past = np.tile(week, 4)[:-2]
    weekend = projected(past, np.arange(-26, 0), np.ones(2))
    assert weekend.expected == pytest.approx(2, rel=0.02)
    assert weekend.high < 4
    assert projected(np.tile(week, 2)[:12], np.arange(-12, 0), np.ones(2)).expected > 4


def test_days_without_data_are_not_days_without_use() -> None:
    every = np.arange(-20, 0)
    kept = np.delete(every, [3, 4, 5, 11])
    assert projected(np.full(16, 3.0), kept, np.ones(5)).expected == pytest.approx(15)


def test_weights_are_prices_and_parts_of_days() -> None:
    values, positions = np.full(10, 2.0), np.arange(-10, 0)
    one, three = (projected(values, positions, np.full(6, weight)) for weight in (1.0, 3.0))
    assert three == pytest.approx(tuple(3 * value for value in one), rel=1e-6)
    assert projected(values, positions, np.array([1.0, 0.5])).expected == pytest.approx(3)


def test_the_interval_is_wider_the_farther_it_looks_and_the_less_it_knows() -> None:
    rng = np.random.default_rng(4)
    values = rng.gamma(9, 1 / 9, 28)

    def width(past: int, coming: int) -> float:
        projection = projected(values[-past:], np.arange(-past, 0), np.ones(coming))
        return projection.high - projection.low

    assert width(28, 20) > width(28, 5) > width(28, 1)
    assert projected(values[:1], np.array([-1]), np.ones(3)).expected == pytest.approx(3 * values[0])


@pytest.mark.parametrize(
    ("values", "weights"), [(np.zeros(5), np.ones(3)), (np.ones(5), np.zeros(3)), (np.ones(5), np.zeros(0))]
)
def test_nothing_stays_nothing(values: FloatArray, weights: FloatArray) -> None:
    assert projected(values, np.arange(-5, 0), weights) == Projection(0, 0, 0)


def test_there_must_be_a_day() -> None:
    with pytest.raises(ValueError, match="values must hold at least one day"):
        projected(np.zeros(0), np.arange(0), np.ones(3))
