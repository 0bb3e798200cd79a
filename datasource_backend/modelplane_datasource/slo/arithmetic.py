"""Arithmetic of service level objectives on good and total events.

Events are increases over a window and are kept apart, so that a long window weights its parts by their
traffic. All of it works on arrays of any one shape, such as (owners, times). Where there is no traffic, or no
data, there is no value: NaN. An objective is the share of events that should be good.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from modelplane_datasource.prometheus.histograms import parse_bound, sum_by_bound
from modelplane_datasource.timeline.times import parse_duration

FloatArray = npt.NDArray[np.float64]
Response = Literal["page", "ticket"]


class Events(NamedTuple):
    """Increases of good and of all events over one window; extrapolation may make them fractions."""

    good: FloatArray
    total: FloatArray


class UncountableError(ValueError):
    """Increases that are no events; ``place`` is the first of them in the arrays."""

    def __init__(self, message: str, place: tuple[int, ...]) -> None:
        super().__init__(message)
        self.place = place


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


_NO_DATA = np.array(np.nan)

# For an SLO over 30 days, after chapter 5 of "The Site Reliability Workbook" (Google, 2018).
BURN_RATE_ALERTS = (
    BurnRateAlert("page", 14.4, "1h", "5m"),
    BurnRateAlert("page", 6.0, "6h", "30m"),
    BurnRateAlert("ticket", 3.0, "1d", "2h"),
    BurnRateAlert("ticket", 1.0, "3d", "6h"),
)


def error_events(outcomes: Mapping[str, FloatArray]) -> Events:
    """Events of an ``errors`` indicator from increases by ``outcome``; a cancelled call is no event.

    Where only one outcome has data, the other did not happen.
    """
    good = outcomes.get("success", _NO_DATA)
    total = _sum([good, outcomes.get("failure", _NO_DATA)])
    return Events(np.where(np.isnan(total), np.nan, np.nan_to_num(good)), total)


def latency_events(buckets: Mapping[str, FloatArray], threshold_seconds: float) -> Events:
    """Events of a ``latency`` indicator from increases by ``le``: good at or below the threshold.

    UncountableError: at a place with data the threshold is not a bound of the histogram, or as
    ``sum_by_bound``.
    """
    by_bound = [(parse_bound(text), increases) for text, increases in buckets.items()]
    good, total = (
        _sum([increases for bound, increases in by_bound if bound == wanted])
        for wanted in (threshold_seconds, math.inf)
    )
    increases = np.array(list(buckets.values()))
    unknown = np.isnan(increases)
    usable = unknown | ((increases >= 0) & (increases < np.inf))
    whole = unknown.all(axis=0) | ~(np.isnan(good) | np.isnan(total))
    wrong = np.argwhere(~(usable.all(axis=0) & whole))
    if len(wrong):
        place = tuple(wrong[0].tolist())
        at_place = {text: float(column[place]) for text, column in zip(buckets, increases, strict=True)}
        raise UncountableError(_what_is_wrong(at_place, threshold_seconds), place)
    return Events(good, total)


def burn_rate(events: Events, objective: float) -> FloatArray:
    """How many times faster than allowed the budget goes: (1 - good / total) / (1 - objective).

    1 spends exactly the budget of a window in that window. It is never below 0: extrapolation may make good
    larger than total. ValueError: the objective is not between 0 and 1, or there are not as many good as
    total.
    """
    budget = _budget(objective)
    good, total = np.asarray(events.good), np.asarray(events.total)
    if good.shape != total.shape:
        raise ValueError(f"good has the shape {good.shape}; allowed: {total.shape}, as total")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        burn = np.maximum(0.0, 1 - good / total) / budget
    return np.where(total > 0, burn, np.nan)


def budget_remaining(events: Events, objective: float) -> FloatArray:
    """Share of the error budget that is left, from the events of the SLO's whole window.

    1 when nothing is spent, 0 when all is, negative when the objective is missed. ValueError: as
    ``burn_rate``.
    """
    return 1 - burn_rate(events, objective)


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


def _sum(parts: Sequence[FloatArray]) -> FloatArray:
    """What is known of the parts together, NaN where none is known."""
    unknown = np.isnan(parts).all(axis=0)
    return np.where(unknown, np.nan, np.nansum(parts, axis=0))


def _what_is_wrong(buckets: Mapping[str, float], threshold_seconds: float) -> str:
    """Why the increases of one place, NaN without data, are not the events of a ``latency`` indicator."""
    try:
        *bounds, _ = sum_by_bound({text: value for text, value in buckets.items() if not math.isnan(value)})
    except ValueError as error:
        return str(error)
    allowed = ", ".join(f"{bound:g}" for bound in bounds)
    return f"threshold_seconds is {threshold_seconds!r}; allowed: a bound of it: {allowed}"


def _budget(objective: float) -> float:
    if not 0 < objective < 1:
        raise ValueError(f"objective is {objective!r}; allowed: a number between 0 and 1, both excluded")
    return 1 - objective
