"""Drift over time: one series for each signal, each value with its n and its noise floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from modelplane_datasource import drift
from modelplane_datasource.bins import (
    Against,
    FloatArray,
    Live,
    SignalOf,
    Table,
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

Column = tuple[float | None, ...]


class Measured(NamedTuple):
    """Values of several signals with what belongs to them, each of shape (signals, times).

    ``noise`` is what chance alone explains: of psi its noise floor, of a mean shift its standard error.
    """

    signals: tuple[SignalOf, ...]
    values: FloatArray
    n: FloatArray
    noise: FloatArray


def compute(plane: Plane, scope: Scope, grid: Grid) -> Answer:
    """Drift of the signals of a scope. ApiError, UpstreamError."""
    method = scope.options[METHOD.name]
    lives = live_counts(plane.prometheus, scope, grid)
    against = references(plane.prometheus, scope, grid, lives)
    pairs = [
        (live.take(other.known), other.take(other.known))
        for live, other in zip(lives, against, strict=True)
        if other.known.any()
    ]
    if method in _BY_BINS:
        # A categorical signal has no order, hence no ks.
        measured = [_BY_BINS[method](*pair) for pair in pairs if method != "ks" or pair[0].is_numeric]
    else:
        measured = _by_mean(plane, scope, grid, pairs)
    return ordered(grid, _told_apart([line for one in measured for line in _lines(one, scope)]), ())


def _told_apart(lines: Sequence[Series]) -> list[Series]:
    """A signal with several baselines has several lines: each with its baseline in its name."""
    uses = Counter(line.name for line in lines)
    return [
        line if uses[line.name] == 1 else replace(line, name=f"{line.name} {line.labels['baseline']}")
        for line in lines
    ]


def _psi(live: Live, against: Against) -> Measured:
    given = (live.counts, against.ratios, against.observations)
    return Measured(live.signals, drift.psi(*given), live.counts.sum(axis=-1), drift.psi_noise(*given))


def _js_distance(live: Live, against: Against) -> Measured:
    values, n = drift.js_distance(live.counts, against.ratios), live.counts.sum(axis=-1)
    return Measured(live.signals, values, n, np.full_like(n, np.nan))


def _ks(live: Live, against: Against) -> Measured:
    counts = live.present(live.counts)
    n = counts.sum(axis=-1)
    return Measured(live.signals, drift.ks(counts, live.present(against.ratios)), n, np.full_like(n, np.nan))


_BY_BINS: dict[str, Callable[[Live, Against], Measured]] = {
    "psi": _psi,
    "js_distance": _js_distance,
    "ks": _ks,
}


def _by_mean(plane: Plane, scope: Scope, grid: Grid, pairs: list[tuple[Live, Against]]) -> list[Measured]:
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
    sums = [deviations(plane.prometheus, scope, grid, modifier_of(scope, None))]
    if asked.previous is not None:
        sums.append(deviations(plane.prometheus, scope, grid, modifier_of(scope, asked)))
    measured = []
    for live, against in pairs:
        deviating = np.all([one.has(live.signals) for one in sums], axis=0)
        if deviating.any():
            shifted = _mean_shift(live.take(deviating), against.take(deviating), sums)
            measured.append(shifted if scope.options[METHOD.name] == "mean_shift" else _in_errors(shifted))
    return measured


def _mean_shift(live: Live, against: Against, sums: list[Table]) -> Measured:
    """The shift of the mean with its standard error; ``sums`` are live and, if any, of the time before."""
    n = live.present(live.counts).sum(axis=-1)
    known = against.observations * live.present(against.ratios).sum(axis=-1)
    no_bins = [("",)] * len(live.signals)
    shifts = [
        drift.mean_shift(table.pick(live.signals, no_bins)[..., 0], 0.0, present)
        for table, present in zip(sums, (n, known), strict=False)
    ]
    with np.errstate(divide="ignore"):
        error = np.sqrt(1 / n + 1 / known)
    return Measured(live.signals, shifts[0] - sum(shifts[1:]), n, error)


def _in_errors(shifted: Measured) -> Measured:
    """The shift in its own standard errors."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return shifted._replace(values=shifted.values / shifted.noise)


def _lines(measured: Measured, scope: Scope) -> Iterator[Series]:
    method, least = scope.options[METHOD.name], scope.options[MIN_OBSERVATIONS.name]
    enough = measured.n >= least
    values = _columns(np.where(enough, measured.values, np.nan))
    noise = _columns(np.where(enough, measured.noise, np.nan))
    for signal, y, n, floor in zip(measured.signals, values, _columns(measured.n), noise, strict=True):
        labels = {**signal._asdict(), "method": method}
        owner = series_name({label: labels[label] for label in GROUP_LABELS}, scope)
        yield Series(f"{owner} {signal.kind} {signal.signal}", labels, y, {"n": n, "noise": floor})


def _columns(values: FloatArray) -> list[Column]:
    """The values of each signal, None for one that is not finite."""
    objects = values.astype(object)
    objects[~np.isfinite(values)] = None
    return [tuple(row) for row in objects.tolist()]
