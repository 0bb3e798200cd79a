"""When a budget is spent: worked numbers, properties, and raw events under rising and falling traffic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelplane_datasource.slo.arithmetic import NO_EVENTS, Events, budget_remaining, burn_rate, exhausted_at
from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.times import HOUR, MAX_INSTANT

NOW = 1_698_397_200_000
WINDOW_HOURS = 72
COUNTS = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).map(lambda pair: count(*pair))


def count(bad: float, good: float) -> Events:
    """Of one owner."""
    return Events(np.array(float(good)), np.array(float(good + bad)))


def test_exhaustion_of_worked_examples() -> None:
    # 10,000 calls at 99 % may hold 100 bad ones and hold 40. The last hour had 20 of 100, where 1 is allowed.
    assert exhausted_at(count(40, 9_960), count(20, 80), 0.99, NOW) == NOW + round(60 / 19 * HOUR)
    # Of ten times as many calls in that hour 10 are allowed.
    assert exhausted_at(count(40, 9_960), count(20, 980), 0.99, NOW) == NOW + 6 * HOUR


@pytest.mark.parametrize("hour", [count(0, 5), count(5, 0), NO_EVENTS])
def test_exhaustion_is_now_when_the_budget_is_spent(hour: Events) -> None:
    assert exhausted_at(count(100, 9_900), hour, 0.99, NOW) == NOW
    assert exhausted_at(count(500, 9_500), hour, 0.99, NOW) == NOW


@pytest.mark.parametrize(
    ("window", "hour"),
    [
        (count(40, 9_960), count(0, 100)), (count(40, 9_960), count(1, 99)), (count(40, 9_960), count(0, 0)),
        (count(40, 9_960), NO_EVENTS), (NO_EVENTS, count(5, 5)), (NO_EVENTS, NO_EVENTS),
        (count(0, 0), count(0, 0)), (Events(np.array(5.0), np.array(NAN := math.nan)), count(5, NAN)),
    ],
)  # fmt: skip
def test_exhaustion_is_never_when_the_hour_spends_nothing_or_is_unknown(window: Events, hour: Events) -> None:
    assert exhausted_at(window, hour, 0.99, NOW) is None


def test_extrapolated_counts_do_not_spend() -> None:
    assert exhausted_at(count(0, 100), Events(np.array(100.4), np.array(100.2)), 0.99, NOW) is None
    # What rounding leaves of net is no time before the year 10000.
    assert exhausted_at(count(0, 1e9), count(1 + 1e-12, 99), 0.99, NOW) is None


@settings(max_examples=60)
@given(COUNTS, COUNTS, st.floats(0.5, 0.99999))
@example(count(0, 2), count(519_429, 0), 0.5)
def test_exhaustion_is_where_the_counts_meet(window: Events, hour: Events, objective: float) -> None:
    instant = exhausted_at(window, hour, objective, NOW)
    remaining, rate = budget_remaining(window, objective), burn_rate(hour, objective)
    if instant is None:
        assert not remaining < -1e-9
        assert not (remaining > 1e-9 and rate > 1 + 1e-6)
    elif instant > NOW + 1:
        assert instant <= MAX_INSTANT
        hours = (instant - NOW) / HOUR
        bad, total = (window.total - window.good), window.total
        bad, total = bad + hours * (hour.total - hour.good), total + hours * hour.total
        of_a_millisecond = float(hour.total / HOUR)  # which an instant is rounded to
        assert bad == pytest.approx(float((1 - objective) * total), rel=1e-3, abs=1e-2 + of_a_millisecond)


def spent_after(bad: IntArray, total: IntArray, now: int) -> int:
    """The first hour from ``now`` on after which the budget of the window is spent, by counting events."""
    for end in range(now, len(total)):
        if bad[end - WINDOW_HOURS : end].sum() > 0.01 * total[end - WINDOW_HOURS : end].sum():
            return end - now
    raise AssertionError("the budget is never spent")


@pytest.mark.parametrize("now_calls", [2_000_000, 200_000, 20_000], ids=["rising", "even", "falling"])
def test_raw_events_are_spent_when_it_says(now_calls: int) -> None:
    """Three days at 200,000 calls an hour of which 0.2 % fail; then 4 % of ten, one or 0.1 times that."""
    rng = np.random.default_rng(16)
    calls, ratio = (np.repeat(pair, [WINDOW_HOURS, 200]) for pair in ([200_000, now_calls], [0.002, 0.04]))
    total = np.asarray(rng.poisson(calls))
    bad = np.asarray(rng.binomial(total, ratio))
    now = WINDOW_HOURS + 1
    window, hour = (count(bad[start:now].sum(), (total - bad)[start:now].sum()) for start in (1, now - 1))
    instant = exhausted_at(window, hour, 0.99, NOW)
    assert instant is not None
    # It counts as if no call left the window until then. They do, evenly here, which makes it sooner.
    hours = (instant - NOW) / HOUR
    sooner = 1 / (1 / hours + 1 / WINDOW_HOURS)
    true = spent_after(bad, total, now)
    assert sooner == pytest.approx(true, rel=0.1, abs=1)
    assert true <= hours + 1
