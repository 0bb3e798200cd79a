"""Which signals have moved, and how far each is beyond its own limit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import compress
from typing import Any, NamedTuple

import numpy as np

from modelplane_datasource.context import AppContext
from modelplane_datasource.drift.bin_counts import SIGNAL_LABELS, QueryAnswer, SignalKey
from modelplane_datasource.drift.calibration import (
    has_moved,
    is_warming_up,
    psi_limit,
    two_sided_distance,
    two_sided_limits,
)
from modelplane_datasource.drift.history import (
    MAX_SIGNALS,
    History,
    history_of,
    no_history,
    read_history,
)
from modelplane_datasource.drift.parameters import WINDOW
from modelplane_datasource.drift.series import compute
from modelplane_datasource.drift.visibility import of_visible_signals
from modelplane_datasource.series.model import Series
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.tenancy.notices import Notice, note
from modelplane_datasource.timeline.arrays import BoolArray, FloatArray, nullable
from modelplane_datasource.timeline.grid import Grid
from modelplane_schema.calibration import ARMS, PSI, TWO_SIDED_ARMS
from modelplane_schema.registry import PsiThresholds, Registry

_TOO_MANY = (
    f"More than {MAX_SIGNALS} signals are selected, so limits are those of the registry and not of each "
    "signal's own past: name fewer models, versions, kinds or signals."
)
CALIBRATED, WARMING_UP, UNCALIBRATED = "calibrated", "warming up", "uncalibrated"


class PsiNow(NamedTuple):
    """The psi of signals now and what chance explains of it, each of shape (signals), NaN for none."""

    signals: Sequence[SignalKey]
    values: FloatArray
    noise: FloatArray


@dataclass(frozen=True, slots=True)
class Claim:
    """What is claimed of one signal; None where there is no value.

    ``limit`` is the psi above which it alerts: its own limit, or that of ``critical`` in the registry if
    that is lower; while it warms up that of ``warning``. ``arms`` has value, low and high limit of the other
    arms by method; ``moved`` are the arms that have, by their own past alone. ``beyond`` is the largest
    distance of an arm in units of its limit.
    """

    state: str
    limit: float | None
    past_max: float | None
    past_hours: int
    moved: tuple[str, ...]
    beyond: float | None
    arms: Mapping[str, tuple[float | None, float | None, float | None]]


def claimed_series(context: AppContext, selection: Selection, grid: Grid) -> list[tuple[Series, Claim]]:
    """psi of the selected signals at one moment, with what is claimed of each. ApiError, UpstreamError."""
    prometheus = context.prometheus

    def history(part: Selection) -> list[QueryAnswer]:
        return [read_history(prometheus, part, grid.end)]

    read: tuple[Callable[[], Any], ...] = (
        partial(compute, context, selection, grid),
        partial(of_visible_signals, context, selection, history),
    )
    result, answers = prometheus.at_once(*read)
    series: tuple[Series, ...] = result.series
    signals = [SignalKey(*(line.labels[name] for name in SIGNAL_LABELS)) for line in series]
    values, noise = (
        np.array([column[0] for column in columns], np.float64)
        for columns in ([line.values for line in series], [line.extra["noise"] for line in series])
    )
    if len(signals) > MAX_SIGNALS:
        note([Notice.for_everyone(_TOO_MANY)])
        past = None
    else:
        past = history_of(signals, answers, selection.options[WINDOW.name])
    return list(zip(series, claims(PsiNow(signals, values, noise), past, context.registry), strict=True))


class Judgement(NamedTuple):
    """Of signals, each of shape (signals) or, with one row for each arm of ``ARMS``, (arms, signals).

    ``values``, ``low`` and ``high`` limits and ``distances`` are of the last window; the lowest psi is NaN.
    """

    warming_up: BoolArray
    values: FloatArray
    low: FloatArray
    high: FloatArray
    distances: FloatArray
    moved: BoolArray


def judged(psi: PsiNow, history: History, registry: Registry | None) -> Judgement:
    """Limits of each signal, and which arms have moved."""
    past = history.past[ARMS.index(PSI)]
    warming = is_warming_up(past)
    own, absolute = psi_limit(past, psi.noise), _absolute_limits(psi, warming, registry)
    limit = np.fmin(own, absolute)  # the one of both that there is
    moved = has_moved(psi.values / own, history.previous[ARMS.index(PSI)] / own)
    rows = [(psi.values, np.full_like(limit, np.nan), limit, psi.values / limit, moved)]
    for place, arm in enumerate(TWO_SIDED_ARMS, start=1):
        limits = two_sided_limits(arm, history.past[place])
        values = np.where(warming | np.isnan(psi.values), np.nan, history.live[place])
        distance, before = (
            two_sided_distance(arm, each, limits) for each in (values, history.previous[place])
        )
        rows.append((values, *limits, distance, has_moved(distance, before)))
    return Judgement(warming, *map(np.array, zip(*rows, strict=True)))


def claims(psi: PsiNow, history: History | None, registry: Registry | None) -> list[Claim]:
    """A claim of each signal, in their order; without a history only the registry's thresholds apply."""
    without_past = WARMING_UP
    if history is None:
        history, without_past = no_history(len(psi.signals)), UNCALIBRATED
    judgement = judged(psi, history, registry)
    past = history.past[ARMS.index(PSI)]
    known = ~np.isnan(past)
    values, low, high = map(nullable, (judgement.values, judgement.low, judgement.high))
    rows = zip(
        judgement.warming_up.tolist(),
        high[0],
        nullable(np.where(known, past, -np.inf).max(axis=-1)),
        known.sum(axis=-1).tolist(),
        judgement.moved.T.tolist(),
        nullable(np.fmax.reduce(judgement.distances, axis=0)),
        *(zip(values[place], low[place], high[place], strict=True) for place in range(1, len(ARMS))),
        strict=True,
    )
    return [
        Claim(
            without_past if warms_up else CALIBRATED,
            limit,
            past_max,
            past_hours,
            tuple(compress(ARMS, moved)),
            beyond,
            dict(zip((arm.method for arm in TWO_SIDED_ARMS), arms, strict=True)),
        )
        for warms_up, limit, past_max, past_hours, moved, beyond, *arms in rows
    ]


def _absolute_limits(psi: PsiNow, warming: BoolArray, registry: Registry | None) -> FloatArray:
    """The psi of the registry's thresholds: of ``warning`` while a signal warms up, else of ``critical``."""
    models = () if registry is None else registry.models
    by_model = {model.name: model.drift.psi for model in models}
    thresholds = [by_model.get(signal.model_name, PsiThresholds()) for signal in psi.signals]
    warning = np.array([threshold.warning for threshold in thresholds], np.float64)
    critical = np.array([threshold.critical for threshold in thresholds], np.float64)
    absolute: FloatArray = psi.noise + np.where(warming, warning, critical)
    return absolute
