"""Drift over time: one series for each signal, each value with its n and its noise floor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from modelplane_datasource.context import AppContext
from modelplane_datasource.drift import formulas
from modelplane_datasource.drift.bin_counts import SIGNAL_LABELS, BinTable, Block, SignalKey, bin_table
from modelplane_datasource.drift.parameters import (
    CONFIDENCE_KIND,
    KIND,
    METHOD,
    MIN_OBSERVATIONS,
    OF_CONFIDENCE,
    REFERENCE,
    Reference,
)
from modelplane_datasource.drift.queries import (
    cached_blocks,
    deviations,
    lookback_of,
    squared_deviations,
)
from modelplane_datasource.drift.visibility import of_visible_signals
from modelplane_datasource.errors import ApiError
from modelplane_datasource.series.model import Series, SeriesResult, ordered, series_name
from modelplane_datasource.series.selection import GROUP_LABELS, Selection
from modelplane_datasource.timeline.arrays import FloatArray, nullable
from modelplane_datasource.timeline.grid import Grid

_LABELS = (*SIGNAL_LABELS, METHOD.name)
_OWNER = attrgetter(*GROUP_LABELS)


class Measured(NamedTuple):
    """Values of several signals with what belongs to them, each of shape (signals, times).

    ``noise`` is what chance alone explains: of psi its noise floor, of a shift its standard error.
    """

    signals: tuple[SignalKey, ...]
    values: FloatArray
    n: FloatArray
    noise: FloatArray


def compute(context: AppContext, selection: Selection, grid: Grid) -> SeriesResult:
    """Drift of the selected signals. ApiError, UpstreamError."""
    measured = of_visible_signals(context, selection, lambda part: _measured(context, part, grid))
    series = [series for signals in measured for series in _series(signals, selection)]
    return ordered(grid, _with_distinct_names(series))


def _measured(context: AppContext, selection: Selection, grid: Grid) -> list[Measured]:
    method = selection.options[METHOD.name]
    _refuse_confidence(selection, method)
    if method in _BY_MOMENTS:
        return _by_moments(context, selection, grid)
    return [
        _BY_BINS[method](block)
        for block in _blocks_with_reference(context, selection, grid)
        if _has_method(block, method)
    ]


def _blocks_with_reference(context: AppContext, selection: Selection, grid: Grid) -> list[Block]:
    return [
        block.take(block.reference.exists)
        for block in cached_blocks(context, selection, grid)
        if block.reference.exists.any()
    ]


def _with_distinct_names(series: Sequence[Series]) -> list[Series]:
    """A signal with several baselines has several series: each with its baseline in its name."""
    uses = Counter(line.name for line in series)
    return [
        line if uses[line.name] == 1 else replace(line, name=f"{line.name} {line.labels['baseline']}")
        for line in series
    ]


def _psi(block: Block) -> Measured:
    live, reference = block
    arguments = (live.counts, reference.ratios, reference.observations)
    return Measured(
        live.signals, formulas.psi(*arguments), live.counts.sum(axis=-1), formulas.psi_noise(*arguments)
    )


def _js_distance(block: Block) -> Measured:
    live, reference = block
    values, n = formulas.js_distance(live.counts, reference.ratios), live.counts.sum(axis=-1)
    return Measured(live.signals, values, n, np.full_like(n, np.nan))


def _ks(block: Block) -> Measured:
    live, reference = block
    counts = live.present(live.counts)
    values, n = formulas.ks(counts, live.present(reference.ratios)), counts.sum(axis=-1)
    return Measured(live.signals, values, n, np.full_like(n, np.nan))


def _missing_shift(block: Block) -> Measured:
    live, reference = block
    missing, ratio = live.counts[..., -1], reference.ratios[..., -1]
    n = live.counts.sum(axis=-1)
    return Measured(
        live.signals,
        formulas.missing_shift(missing, n, ratio),
        n,
        formulas.missing_shift_error(missing, n, ratio, reference.observations),
    )


_BY_BINS: dict[str, Callable[[Block], Measured]] = {
    "psi": _psi,
    "js_distance": _js_distance,
    "ks": _ks,
    "missing_shift": _missing_shift,
}


def _has_method(block: Block, method: str) -> bool:
    """Whether signals have a method of bins: a category has no order, hence no ks."""
    if method == "ks":
        return block.live.is_numeric
    return method != "missing_shift" or block.live.counts_missing


def _refuse_confidence(selection: Selection, method: str) -> None:
    """ApiError 422 when a method needs what confidence does not have."""
    if CONFIDENCE_KIND in selection.options[KIND.name] and method not in OF_CONFIDENCE:
        raise ApiError(
            422,
            "not_comparable",
            f"Confidence has no {method}; allowed methods: {', '.join(OF_CONFIDENCE)}.",
            {"parameter": METHOD.name, "allowed": list(OF_CONFIDENCE)},
        )


def _by_moments(context: AppContext, selection: Selection, grid: Grid) -> list[Measured]:
    """The shift of the mean, or the ratio of variances; a time before has such numbers of its own."""
    reference: Reference = selection.options[REFERENCE.name]
    if reference.version is not None:
        raise ApiError(
            422, "not_comparable", "Moments are compared with those of the baseline or of a previous time.",
            {"parameter": REFERENCE.name, "allowed": "baseline or previous:<duration>"},
        )  # fmt: skip
    signals = _blocks_with_reference(context, selection, grid)
    lookbacks = [lookback_of(selection, None)]
    if reference.previous is not None:
        lookbacks.append(lookback_of(selection, reference))
    method = selection.options[METHOD.name]
    sums = [deviations, squared_deviations] if method == "variance_ratio" else [deviations]
    answers = context.prometheus.at_once(
        *(
            partial(query, context.prometheus, selection, grid, lookback)
            for lookback in lookbacks
            for query in sums
        )
    )
    tables = [bin_table(answer, SIGNAL_LABELS) for answer in answers]
    measured = []
    for block in signals:
        has_deviations = np.all([table.has(block.live.signals) for table in tables], axis=0)
        if has_deviations.any():
            measured.append(_BY_MOMENTS[method](block.take(has_deviations), tables))
    return measured


def _shifts(block: Block, sums: Sequence[BinTable]) -> tuple[list[FloatArray], FloatArray, FloatArray]:
    """Shifts of the mean, live and of the time before if any; observations live and of the reference."""
    live, reference = block
    n = live.present(live.counts).sum(axis=-1)
    observations = reference.observations * live.present(reference.ratios).sum(axis=-1)
    shifts = [
        formulas.mean_shift(table.of_signals(live.signals), 0.0, present)
        for table, present in zip(sums, (n, observations), strict=False)
    ]
    return shifts, n, observations


def _mean_shift(block: Block, tables: Sequence[BinTable]) -> Measured:
    """``tables`` have the sums of deviations, live and, if any, of the time before."""
    shifts, n, observations = _shifts(block, tables)
    shift = shifts[0] - sum(shifts[1:])
    return Measured(block.live.signals, shift, n, formulas.mean_shift_error(n, observations))


def _mean_shift_z(block: Block, tables: Sequence[BinTable]) -> Measured:
    shift = _mean_shift(block, tables)
    _, n, observations = _shifts(block, tables)
    return shift._replace(values=formulas.mean_shift_z(shift.values, n, observations))


def _variance_ratio(block: Block, tables: Sequence[BinTable]) -> Measured:
    """``tables`` have sums of deviations and of their squares, live and, if any, of the time before.

    What chance explains depends on the tails of the data, which two moments do not tell.
    """
    shifts, n, observations = _shifts(block, tables[::2])
    ratio, *before = (
        formulas.variance_ratio(table.of_signals(block.live.signals), shift, present)
        for table, shift, present in zip(tables[1::2], shifts, (n, observations), strict=False)
    )
    for variance in before:
        ratio = np.divide(ratio, variance, out=np.full_like(ratio, np.nan), where=variance > 0)
    return Measured(block.live.signals, ratio, n, np.full_like(n, np.nan))


_BY_MOMENTS: dict[str, Callable[[Block, Sequence[BinTable]], Measured]] = {
    "mean_shift": _mean_shift,
    "mean_shift_z": _mean_shift_z,
    "variance_ratio": _variance_ratio,
}


def _series(measured: Measured, selection: Selection) -> Iterator[Series]:
    method, min_observations = selection.options[METHOD.name], selection.options[MIN_OBSERVATIONS.name]
    enough = measured.n >= min_observations
    values = _columns(np.where(enough, measured.values, np.nan))
    noise = _columns(np.where(enough, measured.noise, np.nan))
    owners = {
        owner: series_name(dict(zip(GROUP_LABELS, owner, strict=True)), selection)
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
    return list(map(tuple, nullable(values)))
