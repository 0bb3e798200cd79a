"""Arithmetic of service level objectives on good and total events.

Events are increases over a window and are kept apart, so that a long window weights its parts by their
traffic. Without traffic there is no value: None. An objective is the share of events that should be good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from modelplane_datasource.histograms import sum_by_bound
from modelplane_datasource.times import parse_duration

Response = Literal["page", "ticket"]


class Events(NamedTuple):
    """Increases of good and of all events over one window; extrapolation may make them fractions."""

    good: float
    total: float


@dataclass(frozen=True, slots=True)
class BurnRateAlert:
    """Fires while the burn rate is above ``factor`` over both windows, which are durations such as ``1h``."""

    response: Response
    factor: float
    long: str
    short: str

    @property
    def lowest_objective(self) -> float:
        """At or below this objective even a total outage does not burn fast enough to fire."""
        return max(0.0, 1 - 1 / self.factor)

    def budget_spent(self, window: str) -> float:
        """Share of the budget of an SLO over ``window`` that is gone when the alert first fires."""
        return self.factor * parse_duration(self.long) / parse_duration(window)

    def seconds_to_fire(self, objective: float, error_ratio: float) -> float | None:
        """Seconds from the start of errors at ``error_ratio``, after none, until the long window is above.

        None when it never is. ValueError: the objective or the ratio is out of range.
        """
        if not 0 <= error_ratio <= 1:
            raise ValueError(f"error_ratio is {error_ratio!r}; allowed: a number from 0 to 1")
        needed = self.factor * _budget(objective)
        if error_ratio <= needed:
            return None
        return needed / error_ratio * parse_duration(self.long) / 1000


# For an SLO over 30 days, after chapter 5 of "The Site Reliability Workbook" (Google, 2018).
BURN_RATE_ALERTS = (
    BurnRateAlert("page", 14.4, "1h", "5m"),
    BurnRateAlert("page", 6.0, "6h", "30m"),
    BurnRateAlert("ticket", 3.0, "1d", "2h"),
    BurnRateAlert("ticket", 1.0, "3d", "6h"),
)


def error_events(outcomes: Mapping[str, float]) -> Events:
    """Events of an ``errors`` indicator from increases by ``outcome``; a cancelled call is no event."""
    good = outcomes.get("success", 0.0)
    return Events(good, good + outcomes.get("failure", 0.0))


def latency_events(buckets: Mapping[str, float], threshold_seconds: float) -> Events:
    """Events of a ``latency`` indicator from increases by ``le``: good at or below the threshold.

    ValueError: the threshold is not a bound of the histogram, or as ``sum_by_bound``.
    """
    increases = sum_by_bound(buckets)
    *bounds, infinity = increases
    if threshold_seconds not in bounds:
        allowed = ", ".join(f"{bound:g}" for bound in bounds)
        raise ValueError(f"threshold_seconds is {threshold_seconds!r}; allowed: a bound of it: {allowed}")
    return Events(increases[threshold_seconds], increases[infinity])


def burn_rate(events: Events, objective: float) -> float | None:
    """How many times faster than allowed the budget goes: (1 - good / total) / (1 - objective).

    1 spends exactly the budget of a window in that window. It is never below 0: extrapolation may make good
    larger than total. ValueError: the objective is not between 0 and 1.
    """
    budget = _budget(objective)
    if not events.total > 0:
        return None
    return max(0.0, 1 - events.good / events.total) / budget


def budget_remaining(events: Events, objective: float) -> float | None:
    """Share of the error budget that is left, from the events of the SLO's whole window.

    1 when nothing is spent, 0 when all is, negative when the objective is missed.
    """
    spent = burn_rate(events, objective)
    return None if spent is None else 1 - spent


def burn_rates(
    good: Sequence[float | None], total: Sequence[float | None], objective: float
) -> tuple[float | None, ...]:
    """``burn_rate`` at each point of two series on one grid; None where one of them has no value."""
    return tuple(
        None if has_good is None or of_all is None else burn_rate(Events(has_good, of_all), objective)
        for has_good, of_all in zip(good, total, strict=True)
    )


def budgets_remaining(
    good: Sequence[float | None], total: Sequence[float | None], objective: float
) -> tuple[float | None, ...]:
    """``budget_remaining`` at each point of two series on one grid; None where one of them has no value."""
    return tuple(None if spent is None else 1 - spent for spent in burn_rates(good, total, objective))


def exhausted_at(remaining: float | None, burn: float | None, window: int, now: int) -> int | None:
    """When the budget is spent if it goes on burning at ``burn``; milliseconds, as ``window`` and ``now``.

    ``now`` when it is spent already, None when it never will be or a value is missing. It is the earliest
    such time: bad events that leave the rolling window on the way would give budget back. After one whole
    window all of them have left, so a rate that does not spend the budget by then never does.
    """
    if remaining is None or burn is None:
        return None
    if remaining <= 0:
        return now
    if remaining > burn:
        return None
    return now + round(remaining / burn * window)


def _budget(objective: float) -> float:
    if not 0 < objective < 1:
        raise ValueError(f"objective is {objective!r}; allowed: a number between 0 and 1, both excluded")
    return 1 - objective
