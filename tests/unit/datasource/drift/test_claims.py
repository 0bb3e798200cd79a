"""Is it true that a signal has moved? Rates of false claims, and what is found, on simulated traffic.

docs/signals.md has the rates of more signals: ``SIGNALS`` is what the time of tests allows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.signal import lfilter

from datasource_support.drift_traffic import AS_TRAINED, Drift, Hours, hours, hours_of_rows
from modelplane_datasource.drift.bin_counts import SignalKey
from modelplane_datasource.drift.claims import PsiNow, judged
from modelplane_datasource.drift.history import History
from modelplane_datasource.timeline.arrays import BoolArray
from modelplane_schema.calibration import ARMS, PAST_HOURS

SIGNALS = 400
DAYS = 2
KEY = SignalKey("m", "v1", "__all__", "input", "age", "a1b2")
TRAFFIC: Mapping[str, dict[str, Any]] = {
    "independent rows": {},
    "20 rows of a user": {"rows_of_a_user": 20},
    "a daily cycle": {"cycle": 0.3},
    "a tenth missing": {"usually_missing": 0.1},
    "hardly any missing": {"usually_missing": 0.001},
}


def moved(recorded: Hours) -> BoolArray:
    """Which arms moved, of shape (arms, rows): a row is the past, the previous window, and the live one."""
    values = np.stack([getattr(recorded, arm) for arm in ARMS])
    history = History(values[..., :PAST_HOURS], values[..., -2], values[..., -1])
    psi = PsiNow([KEY] * len(recorded.psi), recorded.psi[:, -1], recorded.noise[:, -1])
    judgement = judged(psi, history, None)
    assert not judgement.warming_up.any()
    return judgement.moved


def false_claims(recorded: Hours) -> dict[str, float]:
    """False claims of each arm, and of any, for 1,000 signals and day."""
    width = PAST_HOURS + 2
    rows = (sliding_window_view(each, width, axis=1).reshape(-1, width) for each in recorded)
    claimed = moved(Hours(*rows))
    rates = 24_000 * claimed.mean(axis=1)
    return {**dict(zip(ARMS, rates.tolist(), strict=True)), "any": 24_000 * claimed.any(axis=0).mean()}


@pytest.mark.slow
@pytest.mark.parametrize("traffic", TRAFFIC)
@pytest.mark.parametrize(("n", "most"), [(2_000, 1.3), (400, 5.0)])
def test_claims_are_hardly_ever_false(traffic: str, n: int, most: float) -> None:
    """At 2,000 rows one for 1,000 signals and day, which is one in the 800 signal days here."""
    random = np.random.default_rng(n)
    rates = false_claims(hours(random, (SIGNALS, PAST_HOURS + 1 + 24 * DAYS), n, **TRAFFIC[traffic]))
    assert rates["any"] <= most


@pytest.mark.slow
def test_claims_about_rows_that_follow_each_other() -> None:
    random, n = np.random.default_rng(9), 400
    signals = SIGNALS // 4
    noise = random.normal(0, np.sqrt(1 - 0.81), (signals, (PAST_HOURS + 1 + 24 * DAYS) * n + 200))
    rows = lfilter([1], [1, -0.9], noise, axis=1)[:, 200:].reshape(signals, -1, n)
    training = np.quantile(random.normal(size=20_000), np.arange(1, 10) / 10)
    rates = false_claims(hours_of_rows(rows, training, np.full(10, 0.1), (0.0, 1.0)))
    assert rates["any"] <= 20


DRIFTS = {
    "a mean 0.2 stddevs higher": Drift(shift=0.2),
    "a variance 1.5 times as large": Drift(scale=np.sqrt(1.5)),
    "two in a hundred missing": Drift(missing=0.02),
}


def found(n: int, drift: Drift) -> tuple[float, dict[str, float]]:
    """Which share of signals has moved within two hours of the start of a drift, and by which arm."""
    random = np.random.default_rng(11)
    past = hours(random, (SIGNALS, PAST_HOURS + 1), n, drift=AS_TRAINED)
    live = hours(random, (SIGNALS, 2), n, drift=drift)
    both = [np.concatenate(pair, axis=1) for pair in zip(past, live, strict=True)]
    claimed = moved(Hours(*(each[:, :-1] for each in both))) | moved(Hours(*(each[:, 1:] for each in both)))
    return claimed.any(axis=0).mean(), dict(zip(ARMS, claimed.mean(axis=1).tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("drift", DRIFTS)
def test_what_moves_is_found_within_two_hours(drift: str) -> None:
    share, _ = found(2_000, DRIFTS[drift])
    assert share == 1
    few, _ = found(400, DRIFTS[drift])
    assert few >= 0.1


@pytest.mark.slow
def test_a_value_that_runs_away_inside_the_last_bin_is_found() -> None:
    """One row in a hundred comes in another unit, a thousand times as large."""
    random, signals = np.random.default_rng(13), 40
    training = random.lognormal(0, 0.5, 20_000)
    edges = np.quantile(training, np.arange(1, 10) / 10)
    moments = (training.mean(), training.std())
    for n in (400, 2_000):
        rows = random.lognormal(0, 0.5, (signals, PAST_HOURS + 2, n))
        rows[:, -1] *= np.where(random.random((signals, n)) < 0.01, 1000, 1)
        claimed = moved(hours_of_rows(rows, edges, np.full(10, 0.1), moments))
        by_arm = dict(zip(ARMS, claimed.mean(axis=1).tolist(), strict=True))
        assert by_arm["mean_shift"] == by_arm["variance_ratio"] == 1
        assert by_arm["psi"] < 0.1
