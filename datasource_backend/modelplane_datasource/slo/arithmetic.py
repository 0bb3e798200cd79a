"""Arithmetic of service level objectives on good and total events.

Events are increases over a window and are counted apart, so that a long window weights its parts by their
traffic. All of it works on arrays of any one shape, such as (owners, times). Where there is no traffic, or no
data, there is no value: NaN. An objective is the share of events that should be good.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from modelplane_datasource.prometheus.histograms import parse_bound, sum_by_bound
from modelplane_datasource.timeline.arrays import FloatArray


class Events(NamedTuple):
    """Increases of good and of all events over one window; extrapolation may make them fractions."""

    good: FloatArray
    total: FloatArray


class UncountableError(ValueError):
    """Increases that are no events; ``place`` is the first of them in the arrays."""

    def __init__(self, message: str, place: tuple[int, ...]) -> None:
        super().__init__(message)
        self.place = place


_NO_DATA = np.array(np.nan)


def error_events(outcomes: Mapping[str, FloatArray]) -> Events:
    """Events of an ``errors`` indicator from increases by ``outcome``; only successes and failures count.

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
    is_missing = np.isnan(increases)
    usable = is_missing | ((increases >= 0) & (increases < np.inf))
    complete = is_missing.all(axis=0) | ~(np.isnan(good) | np.isnan(total))
    wrong = np.argwhere(~(usable.all(axis=0) & complete))
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
    """The sum of the parts that have data, NaN where none has."""
    is_missing = np.isnan(parts).all(axis=0)
    return np.where(is_missing, np.nan, np.nansum(parts, axis=0))


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
