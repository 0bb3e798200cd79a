"""How much more events vary from slice to slice than independent calls would make them."""

from __future__ import annotations

import numpy as np

from modelplane_datasource.timeline.arrays import FloatArray

_BLOCKS, _MIN_BLOCKS = (2, 4, 8), 8
_DETECTED = 3.0  # standard errors


def dispersion(events: FloatArray, trials: FloatArray) -> FloatArray:
    """By which factor the variance of ``events``, (slices, columns), exceeds that of independent trials.

    ``trials`` has the shape (slices,); the result is one number from 1 up for each column, and n trials are
    worth n divided by it (the variance inflation of quasi-likelihood, McCullagh and Nelder 1989, 4.5).
    A burst may be longer than a slice, so neighbours are put together to blocks of 2, 4 and 8 slices where
    there are enough blocks, and the largest factor counts. One that chance explains counts as 1.
    """
    active = trials > 0
    events, trials = events[active], trials[active]
    factors = [_factor(events, trials)]
    for size in _BLOCKS:
        whole = len(trials) // size * size
        if whole // size >= _MIN_BLOCKS:
            blocks = events[:whole].reshape(-1, size, events.shape[1]).sum(axis=1)
            factors.append(_factor(blocks, trials[:whole].reshape(-1, size).sum(axis=1)))
    largest: FloatArray = np.stack(factors).max(axis=0)
    return largest


def _factor(events: FloatArray, trials: FloatArray) -> FloatArray:
    """Pearson's statistic of the slices over its degrees of freedom."""
    slices = len(trials)
    if slices < 2:
        return np.ones(events.shape[1])
    total = trials.sum()
    shares = events.sum(axis=0) / total
    expected = shares * (1 - shares) * total
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = ((events - trials[:, None] * shares) ** 2).sum(axis=0) / expected * (slices / (slices - 1))
        error = np.sqrt((2 + slices / expected) / slices)
        return np.where((expected > 0) & (factor > 1 + _DETECTED * error), factor, 1.0)
