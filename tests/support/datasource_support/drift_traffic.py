"""Signals of simulated traffic, hour by hour, as what is recorded of them.

Training data are ``TRAINING`` standard normal rows in ten bins of a tenth each. An hour is drawn as its
counts and moments, which for independent rows is the same as drawing its rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from modelplane_datasource.drift import formulas

Floats = npt.NDArray[np.float64]

TRAINING, BINS = 20_000, 10
EDGES = stats.norm.ppf(np.arange(1, BINS) / BINS)


class Hours(NamedTuple):
    """Recorded values of shape (signals, hours)."""

    psi: Floats
    noise: Floats
    mean_shift: Floats
    variance_ratio: Floats
    missing_shift: Floats


class Drift(NamedTuple):
    """What happens to the live rows."""

    shift: float = 0.0
    scale: float = 1.0
    missing: float = 0.0


AS_TRAINED = Drift()


def hours(
    random: np.random.Generator, shape: tuple[int, int], n: int, rows_of_a_user: int = 1,
    cycle: float = 0.0, drift: Drift = AS_TRAINED, usually_missing: float = 0.0,
) -> Hours:  # fmt: skip
    """Hours of ``n`` rows, equal in groups of ``rows_of_a_user``; the mean swings by ``cycle`` in a day."""
    users = n // rows_of_a_user
    swing = drift.shift + cycle * np.sin(2 * np.pi * np.arange(shape[1]) / 24)
    cumulative = stats.norm.cdf((EDGES - swing[:, None]) / drift.scale)
    shares = np.diff(cumulative, prepend=0.0, append=1.0)
    absent = usually_missing + drift.missing
    missing = random.binomial(n, absent, shape).astype(float)
    present = random.multinomial(users, np.broadcast_to(shares, (*shape, BINS))) * rows_of_a_user
    counts = np.concatenate([present * (1 - missing / n)[..., None], missing[..., None]], axis=-1)
    ratios = np.append(np.full(BINS, (1 - usually_missing) / BINS), usually_missing)
    return Hours(
        formulas.psi(counts, ratios, TRAINING),
        formulas.psi_noise(counts, ratios, TRAINING),
        swing + random.normal(0, drift.scale / np.sqrt(users), shape),
        drift.scale**2 * random.chisquare(users - 1, shape) / users,
        missing / n - usually_missing,
    )


def hours_of_rows(rows: Floats, edges: Floats, ratios: Floats, moments: tuple[float, float]) -> Hours:
    """Recorded values of rows of shape (signals, hours, n), none missing, against mean and stddev."""
    bins = np.searchsorted(edges, rows, side="right")
    counts = np.stack([(bins == place).sum(axis=-1) for place in range(len(ratios))], axis=-1)
    u = (rows - moments[0]) / moments[1]
    return Hours(
        formulas.psi(counts, ratios, TRAINING), formulas.psi_noise(counts, ratios, TRAINING),
        u.mean(axis=-1), u.var(axis=-1), np.zeros(rows.shape[:2]),
    )  # fmt: skip
