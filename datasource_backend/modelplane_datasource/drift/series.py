"""Drift over time: one series for each signal, each value with its n and its noise floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from modelplane_datasource.context import Plane
from modelplane_datasource.drift import formulas
from modelplane_datasource.drift.bin_counts import NAMES, Block, FloatArray, SignalOf, Table, table_of
from modelplane_datasource.drift.parameters import (
    CONFIDENCE_KIND,
    KIND,
    METHOD,
    MIN_OBSERVATIONS,
    REFERENCE,
    Reference,
)
from modelplane_datasource.drift.queries import deviations, kept_blocks, range_of
from modelplane_datasource.errors import ApiError
from modelplane_datasource.series.model import Answer, Series, ordered, series_name
from modelplane_datasource.series.selection import GROUP_LABELS, Scope
from modelplane_datasource.timeline.grid import Grid

_LABELS = (*NAMES, METHOD.name)
_OWNER = attrgetter(*GROUP_LABELS)


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
    if method in _BY_BINS:
        # A categorical signal has no order, hence no ks.
        measured = [
            _BY_BINS[method](block)
            for block in _known(plane, scope, grid)
            if method != "ks" or block.live.is_numeric
        ]
    else:
        measured = _by_mean(plane, scope, grid)
    return ordered(grid, _told_apart([line for one in measured for line in _lines(one, scope)]), ())


def _known(plane: Plane, scope: Scope, grid: Grid) -> list[Block]:
    """The signals that are held against something."""
    found = kept_blocks(plane, scope, grid)
    return [block.take(block.against.known) for block in found if block.against.known.any()]


def _told_apart(lines: Sequence[Series]) -> list[Series]:
    """A signal with several baselines has several lines: each with its baseline in its name."""
    uses = Counter(line.name for line in lines)
    return [
        line if uses[line.name] == 1 else replace(line, name=f"{line.name} {line.labels['baseline']}")
        for line in lines
    ]


def _psi(block: Block) -> Measured:
    live, against = block
    given = (live.counts, against.ratios, against.observations)
    return Measured(live.signals, formulas.psi(*given), live.counts.sum(axis=-1), formulas.psi_noise(*given))


def _js_distance(block: Block) -> Measured:
    live, against = block
    values, n = formulas.js_distance(live.counts, against.ratios), live.counts.sum(axis=-1)
    return Measured(live.signals, values, n, np.full_like(n, np.nan))


def _ks(block: Block) -> Measured:
    live, against = block
    counts = live.present(live.counts)
    values, n = formulas.ks(counts, live.present(against.ratios)), counts.sum(axis=-1)
    return Measured(live.signals, values, n, np.full_like(n, np.nan))


_BY_BINS: dict[str, Callable[[Block], Measured]] = {
    "psi": _psi,
    "js_distance": _js_distance,
    "ks": _ks,
}


def _by_mean(plane: Plane, scope: Scope, grid: Grid) -> list[Measured]:
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
    known = _known(plane, scope, grid)
    references = (None,) if asked.previous is None else (None, asked)
    asking = (
        partial(deviations, plane.prometheus, scope, grid, range_of(scope, reference))
        for reference in references
    )
    sums = [table_of(found, NAMES) for found in plane.prometheus.at_once(*asking)]
    measured = []
    for block in known:
        deviating = np.all([table.has(block.live.signals) for table in sums], axis=0)
        if deviating.any():
            shifted = _mean_shift(block.take(deviating), sums)
            measured.append(shifted if scope.options[METHOD.name] == "mean_shift" else _in_errors(shifted))
    return measured


def _mean_shift(block: Block, sums: list[Table]) -> Measured:
    """The shift of the mean with its standard error; ``sums`` are live and, if any, of the time before."""
    live, against = block
    n = live.present(live.counts).sum(axis=-1)
    known = against.observations * live.present(against.ratios).sum(axis=-1)
    shifts = [
        formulas.mean_shift(table.of_signals(live.signals), 0.0, present)
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
    owners = {
        owner: series_name(dict(zip(GROUP_LABELS, owner, strict=True)), scope)
        for owner in set(map(_OWNER, measured.signals))
    }
    for signal, y, n, floor in zip(measured.signals, values, _columns(measured.n), noise, strict=True):
        labels = dict(zip(_LABELS, (*signal, method), strict=True))
        name = f"{owners[_OWNER(signal)]} {signal.kind} {signal.signal}"
        yield Series(name, labels, y, {"n": n, "noise": floor})


def _columns(values: FloatArray) -> list[tuple[float | None, ...]]:
    """The values of each signal, None for one that is not finite.

    Many signals at one moment are the common question, for which tuples are quicker than columns of texts.
    """
    if np.isfinite(values).all():
        return list(map(tuple, values.tolist()))
    objects = values.astype(object)
    objects[~np.isfinite(values)] = None
    return list(map(tuple, objects.tolist()))
