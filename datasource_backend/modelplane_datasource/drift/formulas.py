"""How far live data is from a baseline: one function for each method, over many count vectors at once.

Shapes: ``counts`` and ``ratios`` are (..., bins), everything else and every result is (...); all broadcast.
``counts`` are live observations by bin, fractions included, because ``increase`` gives such. ``ratios`` are
the baseline's shares of the same bins. n is the sum of ``counts``; B is the number of bins that hold anything
on either side. A value that is not defined is NaN: every one with nothing on one side, and those that say so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from modelplane_datasource.timeline.arrays import BoolArray, FloatArray

# Added to each bin, so that an empty one has a logarithm (Krichevsky and Trofimov 1981).
PSEUDOCOUNT = 0.5


def psi(counts: npt.ArrayLike, ratios: npt.ArrayLike, observations: npt.ArrayLike) -> FloatArray:
    """Population stability index, in nats, from 0 up: the symmetric divergence of two smoothed histograms.

    With c = ``counts``, q = ``ratios`` and m = ``observations``, the size of the training data, it is
    sum((p - q') ln(p / q')) over the B bins, p = (c + 1/2) / (n + B/2), q' = (m q + 1/2) / (m + B/2).
    """
    live, shares, m = _floats(counts), _floats(ratios), _floats(observations)
    used = _used(live, shares)
    added = PSEUDOCOUNT * used.sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = (live + PSEUDOCOUNT) / (live.sum(axis=-1) + added)[..., None]
        q = (m[..., None] * shares + PSEUDOCOUNT) / (m + added)[..., None]
        total = ((p - q) * np.log(p / q)).sum(axis=-1, where=used)
    return _where_both(live, shares, total)


def psi_noise(counts: npt.ArrayLike, ratios: npt.ArrayLike, observations: npt.ArrayLike) -> FloatArray:
    """The psi to expect when nothing drifts, in nats: (B - 1) (1/n + 1/m), m = ``observations``.

    To first order psi / (1/n + 1/m) is chi-squared with B - 1 degrees of freedom (Yurdakul 2018).
    """
    live, shares, m = _floats(counts), _floats(ratios), _floats(observations)
    with np.errstate(divide="ignore", invalid="ignore"):
        noise = (_used(live, shares).sum(axis=-1) - 1) * (1 / live.sum(axis=-1) + 1 / m)
    return _where_both(live, shares, noise)


def js_distance(counts: npt.ArrayLike, ratios: npt.ArrayLike) -> FloatArray:
    """Jensen-Shannon distance, from 0 (equal) to 1 (no bin in common).

    The square root of sum(p log2(p/a) + q log2(q/a)) / 2 with a = (p + q) / 2, p = c / n and q = ``ratios``
    (Endres and Schindelin 2003).
    """
    live, shares = _floats(counts), _floats(ratios)
    p, q = _shares(live), _shares(shares)
    both = p + q
    # ln(p/a) = ln(1 + x) and ln(q/a) = ln(1 - x) with x = (p - q) / (p + q): their rounding errors shrink
    # with x, while those of ln(p/a) would leave 1e-8 of noise in the distance of equal histograms.
    with np.errstate(divide="ignore", invalid="ignore"):
        x = (p - q) / both
        terms = p * np.log1p(x) + q * np.log1p(-x)
    terms = np.where(np.abs(x) == 1, both * np.log(2), terms)
    divergence = terms.sum(axis=-1, where=both > 0) / (2 * np.log(2))
    return np.sqrt(_where_both(live, shares, divergence))


def ks(counts: npt.ArrayLike, ratios: npt.ArrayLike) -> FloatArray:
    """Kolmogorov-Smirnov statistic at the edges of the bins, from 0 to 1: the largest gap between the CDFs.

    For numeric signals. The bins are in ascending order and without the one for missing values, so ``ratios``
    may add up to less than 1; both sides are taken as shares of what is present.
    """
    live, shares = _floats(counts), _floats(ratios)
    gaps = np.cumsum(_shares(live), axis=-1) - np.cumsum(_shares(shares), axis=-1)
    largest: FloatArray = np.abs(gaps).max(axis=-1)
    return largest


def mean_shift(positive: npt.ArrayLike, negative: npt.ArrayLike, present: npt.ArrayLike) -> FloatArray:
    """Live mean minus the baseline's mean, in standard deviations of the baseline.

    ``positive`` and ``negative`` are the two deviation sums, the latter of absolute values; ``present`` is
    the number of live observations that are not missing. NaN when it is 0, and when a sum is NaN: pass that
    for a baseline whose standard deviation is 0, for it has no such sums.
    """
    total, n = _floats(positive) - _floats(negative), _floats(present)
    return _divide(total, n)


def mean_shift_error(present: npt.ArrayLike, observations: npt.ArrayLike) -> FloatArray:
    """The standard error of ``mean_shift``, in standard deviations of the baseline: sqrt(1/n + 1/m).

    n = ``present`` and m = ``observations`` count what is not missing, live and in training. Infinite when
    one of them is 0.
    """
    n, m = _floats(present), _floats(observations)
    with np.errstate(divide="ignore"):
        return np.sqrt(1 / n + 1 / m)


def mean_shift_z(shift: npt.ArrayLike, present: npt.ArrayLike, observations: npt.ArrayLike) -> FloatArray:
    """A shift of the mean in its own standard errors: ``shift`` / ``mean_shift_error``.

    ``shift`` is a ``mean_shift``, or the difference of two. Without drift it is standard normal. NaN where
    ``shift`` is, or when ``present`` or ``observations`` is 0.
    """
    error = mean_shift_error(present, observations)
    return np.where(np.isfinite(error), _floats(shift) / error, np.nan)


def variance_ratio(squares: npt.ArrayLike, shift: npt.ArrayLike, present: npt.ArrayLike) -> FloatArray:
    """Live variance as a share of the baseline's: the mean of u squared minus the square of the mean of u.

    ``squares`` is the sum of u squared, in variances of the baseline, ``shift`` a ``mean_shift`` and
    ``present`` the number of live observations that are not missing. Both variances are those of a
    population. Never below 0, where rounding would lead; NaN where ``shift`` or ``squares`` is, or when
    ``present`` is 0.
    """
    mean = _floats(shift)
    return np.maximum(_divide(_floats(squares), _floats(present)) - mean * mean, 0.0)


def missing_shift(missing: npt.ArrayLike, total: npt.ArrayLike, ratio: npt.ArrayLike) -> FloatArray:
    """Live share of missing values minus that of the baseline, from -1 to 1; NaN when ``total`` is 0.

    ``missing`` of ``total`` live observations are missing; ``ratio`` is the baseline's share of them.
    """
    return _divide(_floats(missing), _floats(total)) - _floats(ratio)


def missing_shift_error(
    missing: npt.ArrayLike, total: npt.ArrayLike, ratio: npt.ArrayLike, observations: npt.ArrayLike
) -> FloatArray:
    """The standard error of ``missing_shift`` when nothing drifts: sqrt(s (1 - s) (1/n + 1/m)).

    s is the share of both sides together, (``missing`` + m q) / (n + m), with n = ``total``, q = ``ratio``
    and m = ``observations``. NaN when there is nothing on one side.
    """
    n, m = _floats(total), _floats(observations)
    pooled = _divide(_floats(missing) + m * _floats(ratio), n + m)
    either = np.maximum(pooled * (1 - pooled), 0.0)
    return np.sqrt(either * (_divide(np.ones_like(n), n) + _divide(np.ones_like(m), m)))


def _floats(values: npt.ArrayLike) -> FloatArray:
    return np.asarray(values, dtype=np.float64)


def _used(counts: FloatArray, ratios: FloatArray) -> BoolArray:
    return (counts > 0) | (ratios > 0)


def _shares(values: FloatArray) -> FloatArray:
    """``values`` divided by their sum over the bins."""
    return _divide(values, values.sum(axis=-1, keepdims=True))


def _divide(numerator: FloatArray, denominator: FloatArray) -> FloatArray:
    """The quotient, NaN where ``denominator`` is not positive."""
    undefined = np.full(np.broadcast(numerator, denominator).shape, np.nan)
    quotient: FloatArray = np.divide(numerator, denominator, out=undefined, where=denominator > 0)
    return quotient


def _where_both(counts: FloatArray, ratios: FloatArray, values: FloatArray) -> FloatArray:
    return np.where((counts.sum(axis=-1) > 0) & (ratios.sum(axis=-1) > 0), values, np.nan)
