"""Confidence intervals of proportions, quantiles and means, and of the difference of two of them.

All follow from one model, in which how many of n observations lie at or below a value is binomial, so that
they are exact for a single proportion and need no least size of a sample. ``alpha`` is the share of intervals
that may miss the true value, half of it on each side.

The model asks for independent observations. Observations that come in bursts (an outage, a batch, one heavy
user) are worth less than their number, and then the intervals are too narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np

from modelplane_datasource.prometheus.histograms import Histogram


class Estimate(NamedTuple):
    """A finite value and the ends of its interval, of which ``high`` may be infinite."""

    low: float
    value: float
    high: float


def proportion(events: float, trials: float, alpha: float) -> Estimate:
    """The share ``events / trials`` with its exact interval (Clopper and Pearson 1934); ``trials`` above 0.

    Score intervals (Wilson) are narrower and not used: with them one failure in 100 calls of a canary is a
    significant rise over 0.1 %, and one canary in ten that fails 0.1 % of its calls shows it.
    """
    from scipy import special  # it takes longer to load than all else, and only comparisons need it

    failures = trials - events
    low = special.betaincinv(events, failures + 1, alpha / 2) if events > 0 else 0.0
    high = special.betaincinv(events + 1, failures, 1 - alpha / 2) if failures > 0 else 1.0
    return Estimate(float(low), events / trials, float(high))


def quantile(histogram: Histogram, probability: float, alpha: float) -> Estimate:
    """A quantile of a histogram that is not empty, interpolated as ``histogram_quantile`` of Prometheus does.

    The interval is that of order statistics: the two binomial ranks, each taken through the interpolation. It
    covers the quantile which infinitely many observations would give in these buckets; where in its bucket
    the quantile of the observations themselves lies, a histogram does not tell. The value of a quantile above
    the last bound is that bound, and ``high`` is infinite.
    """
    from scipy import special  # as in ``proportion``

    count = histogram.count
    value = _value_at(histogram, probability * count, "left")
    lower, upper = np.ceil(special.bdtrik([alpha / 2, 1 - alpha / 2], count, probability)).tolist()
    # In a sample of a few, a whole rank may lie on the wrong side of the interpolated one.
    return Estimate(
        min(value, _value_at(histogram, lower, "left")),
        value,
        max(value, _value_at(histogram, upper, "right")),
    )


def _value_at(histogram: Histogram, rank: float, side: Literal["left", "right"]) -> float:
    """Where the cumulative count reaches ``rank`` (left), or where it begins to exceed it (right)."""
    edges, counts = (0.0, *histogram.bounds), (0, *histogram.cumulative)
    upper = int(np.searchsorted(counts, rank, side))
    if upper == len(edges):
        return edges[-1] if side == "left" else math.inf
    if upper == 0:
        return edges[0]
    lower = upper - 1
    share = (rank - counts[lower]) / (counts[upper] - counts[lower])
    return edges[lower] + share * (edges[upper] - edges[lower])


def bounded_mean(histogram: Histogram, alpha: float) -> Estimate:
    """The mean of observations from 0 to 1, of which there is at least one.

    The mean is the integral of P(X > x) over x. Between two bounds that share lies between its values at
    them; the interval there is the exact one of whichever possible share is nearest to 1/2, which is the
    widest. The parts are added as if they always erred together. So it is wider than that of Student, often
    twice, but unlike that one it holds for the skewed data that confidence is: where 1 % of all predictions
    are far off, 50 times 1.0 do not prove a mean of 1.0.
    """
    edges, above = _survival(histogram)
    highest, lowest = float(np.dot(np.diff(edges), above[:-1])), float(np.dot(np.diff(edges), above[1:]))
    mean = min(max(lowest, histogram.mean), highest)
    down = up = 0.0
    for width, high, low in zip(np.diff(edges), above[:-1], above[1:], strict=True):
        share = min(max(low, 0.5), high)
        part = proportion(share * histogram.count, histogram.count, alpha)
        down += width * (part.value - part.low)
        up += width * (part.high - part.value)
    return Estimate(max(0.0, mean - down), mean, min(1.0, mean + up))


def _survival(histogram: Histogram) -> tuple[Sequence[float], Sequence[float]]:
    """Edges from 0 to 1 and the share of observations above each; what lies above 1 counts as 1."""
    inner = [
        (bound, 1 - below / histogram.count)
        for bound, below in zip(histogram.bounds, histogram.cumulative, strict=True)
        if bound < 1
    ]
    points = [(0.0, 1.0), *inner, (1.0, 0.0)]
    return [edge for edge, _ in points], [share for _, share in points]


def difference(first: Estimate, second: Estimate) -> Estimate:
    """``first - second`` of two independent estimates, from their own intervals at the same level.

    The distance of each end from the value is the root of the sum of the squares of the two distances that
    move it (Newcombe 1998 for proportions, method 10; Zou and Donner 2008, "MOVER", in general).
    """
    value = first.value - second.value
    return Estimate(
        value - math.hypot(first.value - first.low, second.high - second.value),
        value,
        value + math.hypot(first.high - first.value, second.value - second.low),
    )
