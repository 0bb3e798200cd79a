"""How often the alerts of drift are wrong, and what they find: 200 simulated signals over four days.

Rows come in slots of five minutes, so that windows overlap as those of the rules do. A signal alerts here as
soon as it has moved, two minutes sooner than the alert. test_drift_detector.py proves the detector equal to
the rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy import stats
from scipy.signal import lfilter

from drift_detector import Bools, Floats, Values, detect
from modelplane_datasource.drift import formulas
from modelplane_schema.calibration import ARMS, PAST_HOURS
from modelplane_schema.registry import Drift

pytestmark = pytest.mark.slow

PER_HOUR, HOURS, SIGNALS, TRAINING = 12, 96, 200, 20_000
# When the first limit of a window of an hour is there, and when drifts begin.
CALIBRATED = (PAST_HOURS + 2) * PER_HOUR
RATIOS = np.append(np.full(10, 0.1), 0.0)
EDGES = stats.norm.ppf(np.arange(1, 10) / 10)


class Slots(NamedTuple):
    """Counts by bin, (signals, slots, bins), and sums of deviations and of their squares."""

    counts: Floats
    sums: Floats
    squares: Floats

    def values(self, window_hours: int = 1) -> Values:
        """What is recorded over a window that ends with each slot; NaN before the first whole one."""
        counts, sums, squares = (rolled(each, window_hours * PER_HOUR) for each in self)
        n, present = counts.sum(axis=-1), counts[..., :-1].sum(axis=-1)
        enough = n >= Drift().min_observations
        known, mean = np.nan_to_num(counts), sums / present
        return Values(
            *(
                np.where(enough, value, np.nan)
                for value in (
                    formulas.psi(known, RATIOS, TRAINING),
                    formulas.psi_noise(known, RATIOS, TRAINING),
                    mean,
                    squares / present - mean**2,
                    counts[..., -1] / n,
                )
            )
        )


def rolled(values: Floats, width: int) -> Floats:
    first = np.full((len(values), width - 1, *values.shape[2:]), np.nan)
    sums: Floats = sliding_window_view(values, width, axis=1).sum(axis=-1)
    return np.concatenate([first, sums], axis=1)


def drawn(
    random: np.random.Generator, n: int, signals: int = SIGNALS, hours: int = HOURS, rows_of_a_user: int = 1,
    cycle: float = 0.0, shift: float = 0.0, scale: float = 1.0, missing: float = 0.0,
) -> Slots:  # fmt: skip
    """Normal rows, about ``n`` an hour, as their counts and moments; the drift begins at ``CALIBRATED``."""
    shape = (signals, hours * PER_HOUR)
    users = math.ceil(n / PER_HOUR / rows_of_a_user)
    is_drifted = np.arange(shape[1]) >= CALIBRATED
    mean = cycle * np.sin(2 * np.pi * np.arange(shape[1]) / 24 / PER_HOUR) + shift * is_drifted
    stddev = np.where(is_drifted, scale, 1.0)
    shares = np.diff(stats.norm.cdf((EDGES - mean[:, None]) / stddev[:, None]), prepend=0.0, append=1.0)
    absent = random.binomial(users, np.broadcast_to(missing * is_drifted, shape))
    present = users - absent
    bins = random.multinomial(present, np.broadcast_to(shares, (*shape, 10)))
    mean_of_users = mean + stddev * random.normal(size=shape) / np.sqrt(present)
    around = np.where(present > 1, random.chisquare(np.maximum(present - 1, 1)), 0.0)
    squares = stddev**2 * around + present * mean_of_users**2
    counts = np.concatenate([bins, absent[..., None]], axis=-1)
    return Slots(*(rows_of_a_user * each for each in (counts, present * mean_of_users, squares)))


def of_rows(rows: Floats, edges: Floats, moments: tuple[float, float]) -> Slots:
    """Rows of shape (signals, slots, rows), none missing; mean and stddev of training."""
    places = np.searchsorted(edges, rows, side="right")
    counts = np.stack([(places == place).sum(axis=-1) for place in range(11)], axis=-1)
    deviations = (rows - moments[0]) / moments[1]
    return Slots(counts, deviations.sum(axis=-1), (deviations**2).sum(axis=-1))


def alerts(slots: Slots, window_hours: int = 1, since: int = CALIBRATED, every: int = 1) -> Bools:
    """Which of ``ARMS`` alerts, of shape (arms, signals, evaluations) from ``since`` on, a slot apart."""
    detector = detect(slots.values(window_hours), PER_HOUR, window_hours, since, every)
    assert not detector.warming_up.any()
    return detector.moved


def begun(firing: Bools) -> int:
    """How many alerts begin, of any arm of a signal."""
    of_signals: Bools = np.asarray(firing.any(axis=0))
    return int(of_signals[:, 0].sum() + (of_signals[:, 1:] & ~of_signals[:, :-1]).sum())


def false_rate(slots: Slots, window_hours: int = 1) -> float:
    """False alerts for 1,000 signals and day, from evaluations every quarter of an hour."""
    firing = alerts(slots, window_hours, (PAST_HOURS + 2 * window_hours) * PER_HOUR, PER_HOUR // 4)
    _, signals, evaluations = firing.shape
    return float(begun(firing) * 1000 * 24 * 4 / (signals * evaluations))


TRAFFIC: Mapping[str, dict[str, Any]] = {
    "independent rows": {},
    "20 rows of a user": {"rows_of_a_user": 20},
    "a daily cycle": {"cycle": 0.3},
}


@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize(("n", "most"), [(2_000, 1), (400, 5)])
def test_alerts_are_hardly_ever_false(traffic: str, n: int, most: float) -> None:
    assert false_rate(drawn(np.random.default_rng(n), n, **TRAFFIC[traffic])) <= most


def test_alerts_about_rows_that_follow_each_other() -> None:
    random, n, signals = np.random.default_rng(9), 408, SIGNALS // 2
    noise = random.normal(0, np.sqrt(1 - 0.81), (signals, HOURS * n + 200))
    rows = lfilter([1], [1, -0.9], noise, axis=1)[:, 200:].reshape(signals, HOURS * PER_HOUR, -1)
    assert false_rate(of_rows(rows, EDGES, (0.0, 1.0))) <= 10


@pytest.mark.parametrize(("traffic", "most"), [*zip(TRAFFIC, (5, 30, 5), strict=True)])
def test_alerts_over_six_hours_of_few_calls(traffic: str, most: float) -> None:
    """240 an hour are too few for a window of an hour."""
    slots = drawn(np.random.default_rng(6), 240, SIGNALS // 2, HOURS + 12, **TRAFFIC[traffic])
    assert false_rate(slots, 6) <= most


DRIFTS = {
    "a mean 0.2 stddevs higher": ({"shift": 0.2}, 0.05),
    "a variance 1.5 times as large": ({"scale": np.sqrt(1.5)}, 0.5),
    "two in a hundred missing": ({"missing": 0.02}, 0.8),
}


def share_that_alerts(slots: Slots) -> float:
    """Within two hours of the start of a drift; a slot less, for the two minutes of the alert."""
    firing = alerts(slots)[..., : 2 * PER_HOUR - 1]
    return float(firing.any(axis=(0, 2)).mean())


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_moves_alerts_within_two_hours(drift: str) -> None:
    changes, of_few = DRIFTS[drift]
    hours = CALIBRATED // PER_HOUR + 3
    assert share_that_alerts(drawn(np.random.default_rng(11), 2_000, hours=hours, **changes)) == 1
    assert share_that_alerts(drawn(np.random.default_rng(11), 400, hours=hours, **changes)) >= of_few


@pytest.mark.parametrize("n", [400, 2_000])
def test_a_unit_that_is_a_thousand_times_smaller_alerts(n: int) -> None:
    """One row in a hundred; psi does not see it, the mean and the variance do."""
    random, signals, slots = np.random.default_rng(13), 10, CALIBRATED + 3 * PER_HOUR
    training = random.lognormal(0, 0.5, TRAINING)
    edges = np.quantile(training, np.arange(1, 10) / 10)
    rows = random.lognormal(0, 0.5, (signals, slots, n // PER_HOUR))
    drifted = rows[:, CALIBRATED:]
    drifted *= np.where(random.random(drifted.shape) < 0.01, 1000, 1)
    firing = alerts(of_rows(rows, edges, (training.mean(), training.std())))[..., : 2 * PER_HOUR - 1]
    by_arm = dict(zip(ARMS, firing.any(axis=2).mean(axis=1).tolist(), strict=True))
    assert by_arm["mean_shift"] == by_arm["variance_ratio"] == 1
    assert by_arm["psi"] < 0.2
