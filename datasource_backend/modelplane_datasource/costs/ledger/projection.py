"""What coming days add up to, with an interval, from past days.

The model is that of a local level with a slope (Harvey 1989, chapters 2 and 4; Durbin and Koopman 2012,
chapters 2 and 3): a day is a level plus noise, the level takes a random step each day, and has a slope of
which nothing is known but that it is about 0. How large steps and slope are, relative to the noise, the days
say as far as they can: the answer is a mixture over several of both, weighted by restricted likelihood. For
one of them it is generalized least squares, and the sum of the coming days is Student's t.

A mean with the interval of independent days would do where they are. Made for 80 of 100 sums of 2 to 24 days,
it holds 54 to 65 where each day is half the one before, and 0 to 75 where use grows by 1 % a day; this holds
87 to 99 and 83 to 98. Of those that grow by 2 % a day for 52 days it holds 68, and more where they are fewer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from modelplane_datasource.timeline.arrays import BoolArray, FloatArray, IntArray

# Of 100 intervals so many hold the sum. They are made for more, because days are not just what the model
# says; tests/unit/datasource/costs/ledger/test_projection.py simulates what they hold.
COVERAGE = 0.8
_MODEL_COVERAGE = 0.9
DAYS_OF_WEEK = 7
# From so many days on the week has a shape of its own; before, a weekend is noise.
_DAYS_FOR_A_WEEKLY_SHAPE = 2 * DAYS_OF_WEEK
# Days that were alike do not prove that the next is: besides what is seen, one day is taken to have been
# 25 % away from the mean.
_PRIOR_DAYS, _PRIOR_SPREAD = 1, 0.25


# The variances of the level's daily step and of its slope, by that of the noise of a day: (levels,).
_STEPS, _SLOPES = (
    column.ravel() for column in np.meshgrid((0.0, 0.004, 0.016, 0.064, 0.256, 1.0), (0.0, 0.001, 0.01))
)


class Projection(NamedTuple):
    """A sum of coming days: what is expected, and the ends of its interval; none is negative."""

    low: float
    expected: float
    high: float


class _Mixture(NamedTuple):
    """Student's t distributions (levels,), all with the same degrees of freedom, and how likely each is."""

    freedom: int
    location: FloatArray
    scale: FloatArray
    likelihood: FloatArray

    def quantile(self, probability: float) -> float:
        """By bisection."""
        from scipy import special  # it takes longer to load than all else, and a start must not wait for it

        reach = self.scale * abs(special.stdtrit(self.freedom, probability))
        low, high = float((self.location - reach).min()), float((self.location + reach).max())
        for _ in range(30):
            middle = (low + high) / 2
            below = special.stdtr(self.freedom, (middle - self.location) / self.scale)
            low, high = (middle, high) if self.likelihood @ below < probability else (low, middle)
        return (low + high) / 2


def projected(values: FloatArray, positions: IntArray, weights: FloatArray) -> Projection:
    """The sum of coming days, each times its weight, from the ``values`` of past days.

    ``positions`` are the places of the values, ascending and below 0, where -1 is the day before the first
    coming one; days without data are left out. ValueError without any day.
    """
    if not len(values):
        raise ValueError("values must hold at least one day")
    if not np.any(values) or not np.any(weights):
        return Projection(0.0, 0.0, 0.0)
    sums = _sums(values, positions, weights)
    expected = float(sums.likelihood @ sums.location)
    low, high = (sums.quantile((1 + sign * _MODEL_COVERAGE) / 2) for sign in (-1, 1))
    return Projection(max(low, 0.0), max(expected, 0.0), max(high, 0.0))


def _sums(values: FloatArray, positions: IntArray, weights: FloatArray) -> _Mixture:
    """The weighted sum of the coming days, by level; arrays are (levels, ...)."""
    weekdays = np.unique(positions % DAYS_OF_WEEK)
    is_weekly = len(values) >= _DAYS_FOR_A_WEEKLY_SHAPE and len(weekdays) == DAYS_OF_WEEK
    coming = np.arange(len(weights))
    shape, shape_of_sum = _shape(positions, is_weekly), weights @ _shape(coming, is_weekly)
    past, coming = positions - positions[0], coming - positions[0]
    of_days = np.eye(len(values)) + _covariance(past, past)
    of_both = _covariance(past, coming) @ weights
    of_sum = weights @ weights + _covariance(coming, coming) @ weights @ weights
    inverse: FloatArray = np.linalg.inv(of_days).astype(np.float64)
    of_shape = shape.T @ inverse
    information = of_shape @ shape
    effects = _solved(information, of_shape @ values)
    residuals = values - effects @ shape.T
    freedom = len(values) - shape.shape[1] + _PRIOR_DAYS
    prior = _PRIOR_DAYS * (_PRIOR_SPREAD * values.mean()) ** 2
    squares = _product(residuals, inverse, residuals) + prior
    missed = shape_of_sum - np.einsum("lpd,ld->lp", of_shape, of_both)
    location = effects @ shape_of_sum + _product(of_both, inverse, residuals)
    variance = of_sum - _product(of_both, inverse, of_both) + (missed * _solved(information, missed)).sum(-1)
    log_determinants = np.linalg.slogdet(of_days)[1] + np.linalg.slogdet(information)[1]
    log_likelihood = -(log_determinants + freedom * np.log(squares)) / 2
    likelihood = np.exp(log_likelihood - log_likelihood.max())
    return _Mixture(freedom, location, np.sqrt(squares / freedom * variance), likelihood / likelihood.sum())


def _covariance(first: IntArray, second: IntArray) -> FloatArray:
    """Of the level at so many days after some day: (levels, first, second)."""
    steps: FloatArray = np.multiply.outer(_STEPS, np.minimum.outer(first, second))
    slopes: FloatArray = np.multiply.outer(_SLOPES, np.multiply.outer(first, second))
    return steps + slopes


def _product(left: FloatArray, matrices: FloatArray, right: FloatArray) -> FloatArray:
    """``left``' ``matrices`` ``right`` of each level."""
    products: FloatArray = left[:, None, :] @ matrices @ right[..., None]
    return products[:, 0, 0]


def _solved(matrices: FloatArray, vectors: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.solve(matrices, vectors[..., None])[..., 0], np.float64)


def _shape(positions: IntArray, is_weekly: bool) -> FloatArray:
    """What the mean of a day depends on: on its day of the week, or on nothing."""
    if not is_weekly:
        return np.ones((len(positions), 1))
    is_of_weekday: BoolArray = positions[:, None] % DAYS_OF_WEEK == np.arange(DAYS_OF_WEEK)
    return is_of_weekday.astype(np.float64)
