"""Burn rates, budgets and exhaustion: worked numbers, golden numbers, properties."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modelplane_datasource.slo.arithmetic import (
    Events,
    UncountableError,
    budget_remaining,
    burn_rate,
    error_events,
    latency_events,
)
from modelplane_schema.metrics import LATENCY_BUCKETS, PORTABLE_LATENCY_BUCKETS

NAN = math.nan


def count(good: float, total: float) -> Events:
    """Of one window."""
    return Events(np.array(good), np.array(total))


def increases(values: Mapping[str, float]) -> dict[str, NDArray[np.float64]]:
    """Of one window."""
    return {name: np.array(value) for name, value in values.items()}


OBJECTIVE = st.floats(0.5, 0.99999)
EVENTS = st.tuples(st.floats(0, 1e9), st.floats(0, 1e9)).map(lambda pair: count(pair[0], pair[0] + pair[1]))


def test_burn_rate_of_worked_examples() -> None:
    assert burn_rate(count(999, 1000), 0.999) == pytest.approx(1)
    assert burn_rate(count(0, 7), 0.999) == pytest.approx(1000)
    assert burn_rate(count(7, 7), 0.999) == 0
    assert burn_rate(count(930, 1000), 0.99) == pytest.approx(7)


def test_extrapolation_never_makes_the_burn_rate_negative() -> None:
    assert burn_rate(count(1000.4, 1000.2), 0.99) == 0
    assert budget_remaining(count(1000.4, 1000.2), 0.99) == 1


def test_no_traffic_gives_no_value() -> None:
    for value in (burn_rate(count(0, 0), 0.99), budget_remaining(count(0, 0), 0.99)):
        assert math.isnan(value)


def test_budget_remaining_of_worked_examples() -> None:
    # 1,000,000 calls at 99.9 % may hold 1,000 bad ones.
    assert budget_remaining(count(999_750, 1_000_000), 0.999) == pytest.approx(0.75)
    assert budget_remaining(count(998_500, 1_000_000), 0.999) == pytest.approx(-0.5)


@settings(max_examples=60)
@given(EVENTS, OBJECTIVE)
def test_burn_rate_stays_within_what_is_possible(events: Events, objective: float) -> None:
    burn = burn_rate(events, objective)
    if events.total == 0:
        assert math.isnan(burn)
    else:
        assert 0 <= burn <= 1 / (1 - objective) * (1 + 1e-9)
        assert budget_remaining(events, objective) == pytest.approx(1 - burn)


@pytest.mark.slow
@settings(max_examples=60)
@given(st.lists(EVENTS.filter(lambda events: events.total > 1), min_size=1, max_size=6), OBJECTIVE)
def test_a_long_window_weights_its_parts_by_traffic(parts: list[Events], objective: float) -> None:
    whole = count(math.fsum(part.good for part in parts), math.fsum(part.total for part in parts))
    burns = [burn_rate(part, objective) for part in parts]
    mean = math.fsum(b * p.total for b, p in zip(burns, parts, strict=True)) / whole.total
    assert burn_rate(whole, objective) == pytest.approx(mean, rel=1e-6, abs=1e-6)


def test_a_quiet_hour_of_failures_does_not_outweigh_a_busy_one() -> None:
    quiet, busy = count(0, 10), count(9_990, 9_990)
    assert burn_rate(count(float(quiet.good + busy.good), 10_000), 0.999) == pytest.approx(1)


def test_series_keep_their_gaps() -> None:
    good, total = np.array([99.0, NAN, 5.0, 0.0, 0.0]), np.array([100.0, 3.0, NAN, 0.0, 2.0])
    assert burn_rate(Events(good, total), 0.9) == pytest.approx([0.1, NAN, NAN, NAN, 10], nan_ok=True)
    assert budget_remaining(Events(good, total), 0.9) == pytest.approx([0.9, NAN, NAN, NAN, -9], nan_ok=True)


@settings(max_examples=60)
@given(st.lists(EVENTS, min_size=1, max_size=6), OBJECTIVE)
def test_many_points_at_once_are_each_alone(points: list[Events], objective: float) -> None:
    good, total = np.array(points).T
    together = burn_rate(Events(good, total), objective).tolist()
    for burn, point in zip(together, points, strict=True):
        if point.total == 0:
            assert math.isnan(burn)
        else:
            assert burn == max(0.0, float(1 - point.good / point.total)) / (1 - objective)


def test_series_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"good has the shape \(1,\); allowed: \(2,\)"):
        burn_rate(Events(np.array([1.0]), np.array([1.0, 2.0])), 0.9)


@pytest.mark.parametrize("objective", [0, 1, -0.1, 99.9, math.nan])
def test_objectives_that_are_refused(objective: float) -> None:
    with pytest.raises(ValueError, match=r"objective is .*; allowed: a number between 0 and 1"):
        burn_rate(count(1, 1), objective)


def test_error_events_leave_cancelled_calls_out() -> None:
    assert error_events(increases({"success": 90.0, "failure": 10.0, "cancelled": 50.0})) == count(90, 100)
    assert error_events(increases({"failure": 4.0})) == count(0, 4)
    assert [math.isnan(number) for number in error_events({})] == [True, True]


def test_events_have_gaps_where_nothing_is_known() -> None:
    first, second = np.array([[8.0, 8.0], [NAN, NAN]]), np.array([[2.0, NAN], [1.0, NAN]])
    good, total = error_events({"success": first, "failure": second})
    np.testing.assert_array_equal(good, [[8, 8], [0, NAN]])
    np.testing.assert_array_equal(total, [[10, 8], [1, NAN]])
    whole = np.array([[9.0, 8.0], [1.0, NAN]])
    good, total = latency_events({"1.0": first, "1": second, "+Inf": whole}, 1)
    np.testing.assert_array_equal(good, [[10, 8], [1, NAN]])
    np.testing.assert_array_equal(total, whole)


@pytest.mark.parametrize(
    ("bucket", "infinity", "place", "text"),
    [
        ([1.0, 1.0, NAN], [1.0, NAN, 1.0], (1,), r"le='\+Inf' is missing"),
        ([1.0, NAN, NAN], [1.0, 1.0, NAN], (1,), r"threshold_seconds is 0\.5; allowed: a bound of it"),
        ([NAN, 1.0, -1.0], [NAN, 1.0, 1.0], (2,), r"le='0\.5' holds -1\.0"),
        ([1.0, 1.0, 1.0], [math.inf, 1.0, 1.0], (0,), r"le='\+Inf' holds inf"),
    ],
)
def test_the_place_of_what_cannot_be_counted(
    bucket: list[float], infinity: list[float], place: tuple[int, ...], text: str
) -> None:
    with pytest.raises(UncountableError, match=text) as caught:
        latency_events({"0.5": np.array(bucket), "+Inf": np.array(infinity)}, 0.5)
    assert caught.value.place == place


@pytest.mark.parametrize("text", ["1.0", "1"])
def test_latency_events_read_a_bound_either_way(text: str) -> None:
    assert latency_events(increases({"0.5": 3.0, text: 8.0, "+Inf": 10.0}), 1.0) == count(8, 10)


def test_latency_events_of_two_exporters_add_up() -> None:
    assert latency_events(increases({"1": 8.0, "1.0": 4.0, "+Inf": 20.0}), 1) == count(12, 20)


@pytest.mark.parametrize("threshold", PORTABLE_LATENCY_BUCKETS)
def test_every_threshold_of_the_registry_is_found(threshold: float) -> None:
    buckets = {str(bound): bound for bound in LATENCY_BUCKETS}
    assert latency_events(increases({**buckets, "+Inf": 60.0}), threshold) == count(threshold, 60)


def test_a_threshold_that_is_no_bound_is_refused() -> None:
    with pytest.raises(ValueError, match=r"threshold_seconds is 0\.3; allowed: a bound of it: 0\.25, 0\.5"):
        latency_events(increases({"0.25": 1.0, "0.5": 1.0, "+Inf": 1.0}), 0.3)
    with pytest.raises(ValueError, match=r"le='\+Inf' is missing"):
        latency_events(increases({"0.25": 1.0}), 0.25)
