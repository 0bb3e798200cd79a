"""Intervals of shares, quantiles and means that hold at every look, and of the difference of two of them.

``alpha`` is the share of comparisons in which an interval ever misses the true value, however often and
whenever it is looked at (a confidence sequence), half of it on each side. All follow from one model, in
which calls fall on one side of a bound independently of each other. Where they come in bursts they are worth
less than their number: every function takes the dispersion by which n is divided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from modelplane_datasource.comparison.dispersion import dispersion
from modelplane_datasource.comparison.slices import HistogramSlices
from modelplane_datasource.timeline.arrays import FloatArray

_PRIOR = 0.5  # of the beta distribution that is mixed over, both parameters: that of Jeffreys
_HALVINGS = 32


class Estimate(NamedTuple):
    """A value and the ends of its interval, of which ``high`` may be infinite."""

    low: float
    value: float
    high: float


class Trials(NamedTuple):
    """``events`` (columns,) of ``number`` trials, above 0, which are worth less by ``factors`` (columns,)."""

    events: FloatArray
    number: float
    factors: FloatArray


class Ends(NamedTuple):
    """Where intervals begin and end: (columns,)."""

    low: FloatArray
    high: FloatArray


def shares(several: Sequence[Trials], alpha: float) -> list[Ends]:
    """The intervals of the shares of events among trials, of each of ``several``.

    A share is in the interval while the likelihood of the data, averaged over shares by a beta distribution,
    is less than 1 / alpha times its likelihood under that share (Robbins 1970; Ville's inequality).
    """
    # All at once: the halvings of two versions take as long as those of one, half a millisecond.
    events, trials, factors = (
        np.concatenate(parts)
        for parts in (
            [of.events for of in several],
            [np.full(len(of.events), of.number) for of in several],
            [of.factors for of in several],
        )
    )
    low, high = _ends_of_shares(events, trials, factors, alpha)
    breaks = np.cumsum([len(of.events) for of in several])[:-1]
    return [Ends(*ends) for ends in zip(np.split(low, breaks), np.split(high, breaks), strict=True)]


def _ends_of_shares(events: FloatArray, trials: FloatArray, factors: FloatArray, alpha: float) -> Ends:
    from scipy import special  # it takes longer to load than all else, and only comparisons need it

    worth, hits = trials / factors, events / factors
    misses = worth - hits
    mixture = special.betaln(_PRIOR + hits, _PRIOR + misses) - special.betaln(_PRIOR, _PRIOR)
    limit, value = mixture + math.log(alpha), events / trials
    edges = np.stack([np.zeros_like(value), np.ones_like(value)])
    inside = np.stack([value, value])
    with np.errstate(divide="ignore", invalid="ignore"):  # shares of 0 and 1, whose outer ends are set below
        for _ in range(_HALVINGS):
            middle = (edges + inside) / 2
            is_in = hits * np.log(middle) + misses * np.log1p(-middle) > limit
            inside, edges = np.where(is_in, middle, inside), np.where(is_in, edges, middle)
    return Ends(np.where(hits > 0, edges[0], 0.0), np.where(misses > 0, edges[1], 1.0))


def estimated_shares(several: Sequence[Trials], alpha: float) -> list[list[Estimate]]:
    """The share of each column of ``several``, with its interval."""
    return [
        [
            Estimate(*map(float, share))
            for share in zip(ends.low, trials.events / trials.number, ends.high, strict=True)
        ]
        for trials, ends in zip(several, shares(several, alpha), strict=True)
    ]


def trials_above(histogram: HistogramSlices) -> Trials:
    """The observations above each bound."""
    above = histogram.counts[:, None] - histogram.cumulative
    return Trials(above.sum(axis=0), histogram.count, dispersion(above, histogram.counts))


def bounds_of_quantiles(
    histograms: Sequence[HistogramSlices], probability: float, alpha: float
) -> list[Estimate]:
    """The bounds between which each quantile surely lies, and its interpolation as in Prometheus.

    A quantile lies above a bound when the share of calls above that bound is more than ``1 - probability``.
    Where it lies between two bounds a histogram does not say, so neither does this. ``low`` is 0 where no
    bound is below it, and ``high`` is infinite where none is above; the value of one above the last bound is
    that bound.
    """
    ends = shares([trials_above(histogram) for histogram in histograms], alpha)
    return [_quantile(*of, probability) for of in zip(histograms, ends, strict=True)]


def _quantile(histogram: HistogramSlices, ends: Ends, probability: float) -> Estimate:
    edges = np.array([0.0, *histogram.bounds, math.inf])
    exceeds, falls_short = ends.low > 1 - probability, ends.high < 1 - probability
    return Estimate(
        float(edges[np.flatnonzero([True, *exceeds])[-1]]),
        interpolated(histogram, probability),
        float(edges[1 + np.flatnonzero([*falls_short, True])[0]]),
    )


def interpolated(histogram: HistogramSlices, probability: float) -> float:
    """The quantile as ``histogram_quantile`` of Prometheus estimates it: calls fill their bucket evenly."""
    edges = (0.0, *histogram.bounds)
    counts = [0.0, *histogram.cumulative.sum(axis=0)]
    rank = probability * histogram.count
    upper = max(1, int(np.searchsorted(counts, rank)))
    if upper == len(edges):
        return float(edges[-1])
    share = (rank - counts[upper - 1]) / (counts[upper] - counts[upper - 1])
    return float(edges[upper - 1] + share * (edges[upper] - edges[upper - 1]))


def bounded_means(histograms: Sequence[HistogramSlices], alpha: float) -> list[Estimate]:
    """The means of observations from 0 to 1, of which each histogram has at least one.

    The mean is the integral of P(X > x) over x. Between two bounds that share lies between its values at
    them; the interval there is that of whichever possible share is nearest to 1/2, which is the widest. The
    parts are added as if they always erred together. So it is wider than that of Student, but unlike that
    one it holds for the skewed data that confidence is: where 1 % of all predictions are far off, 50 times
    1.0 do not prove a mean of 1.0.
    """
    parts = [_survival(histogram) for histogram in histograms]
    shares_of = [np.clip(0.5, above[1:], above[:-1]) for _, above, _ in parts]
    ends = shares(
        [
            Trials(share * histogram.count, histogram.count, np.maximum(factors[1:], factors[:-1]))
            for histogram, share, (_, _, factors) in zip(histograms, shares_of, parts, strict=True)
        ],
        alpha,
    )
    return [_mean(*of) for of in zip(histograms, parts, shares_of, ends, strict=True)]


def _mean(histogram: HistogramSlices, survival: _Survival, share: FloatArray, ends: Ends) -> Estimate:
    """The mean, from ``share`` above each part between two bounds and the ``ends`` of its interval."""
    widths, above = np.diff(survival.edges), survival.above
    highest, lowest = float(widths @ above[:-1]), float(widths @ above[1:])
    mean = min(max(lowest, histogram.mean), highest)
    return Estimate(
        max(0.0, mean - float(widths @ (share - ends.low))),
        mean,
        min(1.0, mean + float(widths @ (ends.high - share))),
    )


class _Survival(NamedTuple):
    """Edges from 0 to 1, the share of observations above each and its dispersion; above 1 counts as 1."""

    edges: FloatArray
    above: FloatArray
    factors: FloatArray


def _survival(histogram: HistogramSlices) -> _Survival:
    inner = histogram.with_bounds({bound for bound in histogram.bounds if bound < 1})
    events, count, factors = trials_above(inner)
    return _Survival(
        np.array([0.0, *inner.bounds, 1.0]),
        np.array([1.0, *(events / count), 0.0]),
        np.array([1.0, *factors, 1.0]),
    )


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
