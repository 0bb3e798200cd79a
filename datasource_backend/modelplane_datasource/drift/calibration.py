"""Has a signal moved? Its values against limits from its own past, for many signals at once.

A past has shape (..., hours), one value an hour, NaN for none; everything else and every result is (...).
The limits are those of ``modelplane_schema.calibration``. What is not defined is NaN.
"""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from modelplane_datasource.timeline.arrays import BoolArray, FloatArray
from modelplane_schema.calibration import (
    CERTAIN,
    LEAST_AGE_HOURS,
    LEAST_RATIO,
    LEAST_VALUES,
    PSI_FACTOR,
    PSI_MARGIN,
    SPREAD,
    TwoSidedArm,
)


class Limits(NamedTuple):
    """Values between ``low`` and ``high`` are as before."""

    low: FloatArray
    high: FloatArray

    def beyond(self, values: FloatArray) -> FloatArray:
        """How far values are from the middle of the limits, 1 at either."""
        middle, half = (self.high + self.low) / 2, (self.high - self.low) / 2
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.abs(values - middle) / half


def is_warming_up(past: FloatArray) -> BoolArray:
    """Whether a past, the oldest hour first, is too short to tell what is usual."""
    known = ~np.isnan(past)
    old_enough = known[..., : known.shape[-1] - LEAST_AGE_HOURS + 1].any(axis=-1)
    warming: BoolArray = ~(old_enough & (known.sum(axis=-1) >= LEAST_VALUES))
    return warming


def psi_limit(past: FloatArray, noise: FloatArray) -> FloatArray:
    """The psi up to which a signal is as before; ``noise`` is the psi that chance explains now."""
    _, _, largest = _moments(past)
    limit = np.maximum(PSI_FACTOR * largest, noise + PSI_MARGIN)
    return np.where(is_warming_up(past), np.nan, limit)


def two_sided_limits(arm: TwoSidedArm, past: FloatArray) -> Limits:
    """The limits of an arm that may move up or down; NaN while it warms up."""
    scaled = np.log(np.maximum(past, LEAST_RATIO)) if arm.is_ratio else past
    margin = np.log(arm.margin) if arm.is_ratio else arm.margin
    mean, least, largest = _moments(scaled)
    half = np.maximum(SPREAD * np.maximum(largest - mean, mean - least), margin)
    half = np.where(is_warming_up(past), np.nan, half)
    low, high = mean - half, mean + half
    return Limits(np.exp(low), np.exp(high)) if arm.is_ratio else Limits(low, high)


def two_sided_distance(arm: TwoSidedArm, values: FloatArray, limits: Limits) -> FloatArray:
    """How far values are from the mean of their past, in units of the limits' distance from it."""
    if not arm.is_ratio:
        return limits.beyond(values)
    logarithms = (np.log(np.maximum(side, LEAST_RATIO)) for side in limits)
    return Limits(*logarithms).beyond(np.log(np.maximum(values, LEAST_RATIO)))


def has_moved(live: FloatArray, previous: FloatArray) -> BoolArray:
    """Whether distances in units of a limit, in the last window and in the one before, say so."""
    moved: BoolArray = (live > CERTAIN) | ((live > 1) & (previous > 1))
    return moved


def _moments(past: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Mean, least and largest value."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no value at all gives NaN
        return np.nanmean(past, axis=-1), np.nanmin(past, axis=-1), np.nanmax(past, axis=-1)
