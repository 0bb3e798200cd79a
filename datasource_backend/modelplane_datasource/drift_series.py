"""Drift over time: one series for each signal, each value with its n and its noise floor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from modelplane_datasource import drift
from modelplane_datasource.bins import (
    Against,
    FloatArray,
    Live,
    SignalOf,
    deviations,
    live_counts,
    modifier_of,
    references,
)
from modelplane_datasource.drift_request import (
    CONFIDENCE_KIND,
    KIND,
    METHOD,
    MIN_OBSERVATIONS,
    REFERENCE,
    Reference,
)
from modelplane_datasource.errors import ApiError
from modelplane_datasource.grid import Grid
from modelplane_datasource.plane import Plane
from modelplane_datasource.scope import GROUP_LABELS, Scope
from modelplane_datasource.series import Answer, Series, ordered, series_name
from modelplane_schema.metrics import MISSING_BIN

_BY_BINS: dict[str, Callable[[FloatArray, Against], FloatArray]] = {
    "psi": lambda counts, against: drift.psi(counts, against.ratios, against.observations),
    "js_distance": lambda counts, against: drift.js_distance(counts, against.ratios),
    "ks": lambda counts, against: drift.ks(counts, against.ratios),
}


def compute(plane: Plane, scope: Scope, grid: Grid) -> Answer:
    """Drift of the signals of a scope. ApiError, UpstreamError."""
    method = scope.options[METHOD.name]
    lives = live_counts(plane.prometheus, scope, grid)
    against = references(plane.prometheus, scope, grid, lives)
    if method in _BY_BINS:
        # A categorical signal has no order, hence no ks.
        known = [one for one in lives if one.signal in against and (method != "ks" or one.is_numeric)]
        measured = [_by_bins(live, against[live.signal], method) for live in known]
    else:
        measured = _by_mean(plane, scope, grid, lives, against)
    least = scope.options[MIN_OBSERVATIONS.name]
    lines = [_line(one, method, scope, least) for one in measured]
    return ordered(grid, lines, ())


class Measured(NamedTuple):
    """Values of one signal with what belongs to them, each of shape (times).

    ``noise`` is what chance alone explains: of psi its noise floor, of a mean shift its standard error.
    """

    signal: SignalOf
    values: FloatArray
    n: FloatArray
    noise: FloatArray


def _by_bins(live: Live, against: Against, method: str) -> Measured:
    counts, ratios = live.counts, against.ratios
    if method == "ks":
        ranges = [index for index, name in enumerate(live.bins) if name != MISSING_BIN]
        counts, ratios = counts[..., ranges], ratios[..., ranges]
    values = _BY_BINS[method](counts, Against(ratios, against.observations))
    noise = drift.psi_noise(live.counts, against.ratios, against.observations)
    if method != "psi":
        noise = np.full_like(noise, math.nan)
    return Measured(live.signal, values, counts.sum(axis=-1), noise)


def _by_mean(
    plane: Plane, scope: Scope, grid: Grid, lives: list[Live], against: dict[SignalOf, Against]
) -> list[Measured]:
    """The shift of the mean; what is held against other live data is the difference of two shifts."""
    if CONFIDENCE_KIND in scope.options[KIND.name]:
        raise ApiError(
            422, "not_comparable", "Confidence has no mean shift; allowed methods: psi, js_distance, ks.",
            {"parameter": METHOD.name},
        )  # fmt: skip
    asked: Reference = scope.options[REFERENCE.name]
    if asked.version is not None:
        raise ApiError(
            422, "not_comparable", "A mean shift is held against the baseline or a previous time.",
            {"parameter": REFERENCE.name, "allowed": "baseline or previous:<duration>"},
        )  # fmt: skip
    sums = deviations(plane.prometheus, scope, grid, modifier_of(scope, None))
    others = {}
    if asked.previous is not None:
        others = deviations(plane.prometheus, scope, grid, modifier_of(scope, asked))
    measured = []
    for live in lives:
        if live.signal in sums and live.signal in against:
            reference = against[live.signal]
            shares = reference.ratios.sum(axis=-1) - _missing(live, reference.ratios)
            known = reference.observations * shares
            n = live.counts.sum(axis=-1) - _missing(live, live.counts)
            shift = drift.mean_shift(sums[live.signal], np.zeros_like(n), n)
            if live.signal in others:
                shift = shift - drift.mean_shift(others[live.signal], np.zeros_like(n), known)
            with np.errstate(divide="ignore", invalid="ignore"):
                error = np.sqrt(1 / n + 1 / known)
            values = shift if scope.options[METHOD.name] == "mean_shift" else shift / error
            measured.append(Measured(live.signal, values, n, error))
    return measured


def _missing(live: Live, values: FloatArray) -> FloatArray:
    """What of ``values`` of shape (..., bins) is in the bin of missing values."""
    if MISSING_BIN not in live.bins:
        return np.zeros(values.shape[:-1])
    return np.asarray(values[..., live.bins.index(MISSING_BIN)])


def _line(measured: Measured, method: str, scope: Scope, least: int) -> Series:
    labels = {**measured.signal._asdict(), "method": method}
    enough = measured.n >= least
    owner = series_name({label: labels[label] for label in GROUP_LABELS}, scope)
    return Series(
        f"{owner} {measured.signal.kind} {measured.signal.signal}",
        labels,
        _tuple(np.where(enough, measured.values, math.nan)),
        {"n": _tuple(measured.n), "noise": _tuple(np.where(enough, measured.noise, math.nan))},
    )


def _tuple(values: FloatArray) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values.tolist())
