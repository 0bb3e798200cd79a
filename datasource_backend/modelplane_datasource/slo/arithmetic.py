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
from modelplane_datasource.timeline.times import HOUR, MAX_INSTANT


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
_ROUNDING = 1e-12  # the share of events that 1 - objective may be wrong by, in floats
NO_EVENTS = Events(_NO_DATA, _NO_DATA)


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


def exhausted_at(window: Events, hour: Events, objective: float, now: int) -> int | None:
    """When the budget is spent if each hour brings the events of the last one; milliseconds, as ``now``.

    ``window`` are the events of the SLO's window and ``hour`` those of the last hour, each of one owner. It
    is now + left / net hours: left is what may still be bad, (1 - objective) x total - bad of the window, and
    net is what the hour spends beyond what its own calls allow, bad - (1 - objective) x total of the hour.
    These are counts, because a burn rate does not say how many calls there are, and traffic rises and falls.

    ``now`` when the budget is spent, None when net is not above 0 or there are no events. Bad events that
    leave the window on the way would give budget back, so it is the earliest such time. ValueError: the
    objective is not between 0 and 1.
    """
    left, net = _unspent(window, objective), -_unspent(hour, objective)
    if window.total > 0 and left <= _ROUNDING * window.total:
        return now
    if not (
        net > _ROUNDING * hour.total and left / net <= (MAX_INSTANT - now) / HOUR
    ):  # NaN is no event, and is neither
        return None
    return now + round(left / net * HOUR)


def _unspent(events: Events, objective: float) -> float:
    """How many more events may be bad; negative when more are than may be."""
    bad = np.maximum(0.0, events.total - events.good)  # extrapolation may make good larger than total
    return float(_budget(objective) * events.total - bad)


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
