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
    REFERENCE,
    Reference,
)
from modelplane_datasource.drift.queries import cached_blocks, deviations, lookback_of
from modelplane_datasource.errors import ApiError
from modelplane_datasource.series.model import Series, SeriesResult, ordered, series_name
from modelplane_datasource.series.selection import GROUP_LABELS, Selection
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid

_LABELS = (*SIGNAL_LABELS, METHOD.name)
_OWNER = attrgetter(*GROUP_LABELS)


class Measured(NamedTuple):
    """Values of several signals with what belongs to them, each of shape (signals, times).

    ``noise`` is what chance alone explains: of psi its noise floor, of a mean shift its standard error.
    """

    signals: tuple[SignalKey, ...]
    values: FloatArray
    n: FloatArray
    noise: FloatArray


def compute(context: AppContext, selection: Selection, grid: Grid) -> SeriesResult:
    """Drift of the selected signals. ApiError, UpstreamError."""
    method = selection.options[METHOD.name]
    if method in _BY_BINS:
        # A categorical signal has no order, hence no ks.
        measured = [
            _BY_BINS[method](block)
            for block in _blocks_with_reference(context, selection, grid)
            if method != "ks" or block.live.is_numeric
        ]
    else:
        measured = _by_mean(context, selection, grid)
    series = [series for signals in measured for series in _series(signals, selection)]
    return ordered(grid, _with_distinct_names(series))


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


_BY_BINS: dict[str, Callable[[Block], Measured]] = {
    "psi": _psi,
    "js_distance": _js_distance,
    "ks": _ks,
}


def _by_mean(context: AppContext, selection: Selection, grid: Grid) -> list[Measured]:
    """The shift of the mean; compared with a time before it is the difference of two shifts."""
    if CONFIDENCE_KIND in selection.options[KIND.name]:
        raise ApiError(
            422, "not_comparable", "Confidence has no mean shift; allowed methods: psi, js_distance, ks.",
            {"parameter": METHOD.name},
        )  # fmt: skip
    reference: Reference = selection.options[REFERENCE.name]
    if reference.version is not None:
        raise ApiError(
            422, "not_comparable", "A mean shift is compared with the baseline or a previous time.",
            {"parameter": REFERENCE.name, "allowed": "baseline or previous:<duration>"},
        )  # fmt: skip
    signals = _blocks_with_reference(context, selection, grid)
    lookbacks = [lookback_of(selection, None)]
    if reference.previous is not None:
        lookbacks.append(lookback_of(selection, reference))
    answers = context.prometheus.at_once(
        *(partial(deviations, context.prometheus, selection, grid, lookback) for lookback in lookbacks)
    )
    sums = [bin_table(answer, SIGNAL_LABELS) for answer in answers]
    measured = []
    for block in signals:
        has_deviations = np.all([table.has(block.live.signals) for table in sums], axis=0)
        if has_deviations.any():
            measured.append(_mean_shift(block.take(has_deviations), sums, selection.options[METHOD.name]))
    return measured


def _mean_shift(block: Block, sums: list[BinTable], method: str) -> Measured:
    """The shift of the mean, or its z; ``sums`` are live and, if any, of the time before."""
    live, reference = block
    n = live.present(live.counts).sum(axis=-1)
    observations = reference.observations * live.present(reference.ratios).sum(axis=-1)
    shifts = [
        formulas.mean_shift(table.of_signals(live.signals), 0.0, present)
        for table, present in zip(sums, (n, observations), strict=False)
    ]
    shift = shifts[0] - sum(shifts[1:])
    values = shift if method == "mean_shift" else formulas.mean_shift_z(shift, n, observations)
    return Measured(live.signals, values, n, formulas.mean_shift_error(n, observations))


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
    if np.isfinite(values).all():
        return list(map(tuple, values.tolist()))
    objects = values.astype(object)
    objects[~np.isfinite(values)] = None
    return list(map(tuple, objects.tolist()))
