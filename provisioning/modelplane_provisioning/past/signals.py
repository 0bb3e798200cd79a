"""Signals over a past: observations drawn from the training baseline that a live example exposes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from modelplane_provisioning.past.series import Labels, Sample, Times, Values
from modelplane_provisioning.past.stories import Change
from modelplane_schema.metrics import (
    BASELINE_CENTER,
    BASELINE_MEAN,
    BASELINE_RATIO,
    BASELINE_STDDEV,
    BASELINE_UPPER_BOUND,
    SIGNAL_DEVIATION_NEGATIVE,
    SIGNAL_DEVIATION_POSITIVE,
    SIGNAL_DEVIATION_SQUARE,
)

_PARTS = ("model_version", "kind", "signal")
SignalId = tuple[str, ...]
"""Version, kind and name of a signal."""


Counts = Mapping[str, Values]
"""Running counts by bin, and running sums by the name of their metric."""


class Baseline(NamedTuple):
    """What training data looked like: by bin the share, the centre and the upper bound (NaN: no number)."""

    bins: tuple[str, ...]
    ratios: Values
    centers: Values
    uppers: Values
    mean: float
    stddev: float


def signal_id(labels: Labels) -> SignalId:
    """Which signal of a model a series is about."""
    return tuple(labels[part] for part in _PARTS)


def read_baselines(samples: Iterable[Sample]) -> dict[SignalId, Baseline]:
    """The baseline of each signal, from an exposition."""
    by_bin: defaultdict[tuple[str, SignalId], dict[str, float]] = defaultdict(dict)
    for sample in samples:
        if sample.name.startswith("model_signal_baseline_"):
            by_bin[sample.name, signal_id(sample.labels)][sample.labels.get("bin", "")] = sample.value
    signals = [signal for name, signal in by_bin if name == BASELINE_RATIO.name]
    return {signal: _baseline(signal, by_bin) for signal in signals}


def _baseline(signal: SignalId, by_bin: defaultdict[tuple[str, SignalId], dict[str, float]]) -> Baseline:
    ratios = by_bin[BASELINE_RATIO.name, signal]
    bins = tuple(sorted(ratios))

    def column(name: str) -> Values:
        return np.array([by_bin[name, signal].get(entry, np.nan) for entry in bins])

    mean, stddev = (
        by_bin[metric.name, signal].get("", np.nan) for metric in (BASELINE_MEAN, BASELINE_STDDEV)
    )
    return Baseline(
        bins,
        column(BASELINE_RATIO.name),
        column(BASELINE_CENTER.name),
        column(BASELINE_UPPER_BOUND.name),
        mean,
        stddev,
    )


def changed_shares(baseline: Baseline, change: Change | None) -> tuple[Values, Values]:
    """Share of each bin once values arrive changed, and the deviation u by the bin that a value came from.

    All training data of a bin is taken to lie at its centre, which the change moves into another bin.
    """
    centers = baseline.centers if change is None else baseline.centers * change.times + change.plus
    shares = baseline.ratios / baseline.ratios.sum()
    deviations = (centers - baseline.mean) / baseline.stddev if baseline.stddev else np.zeros(len(centers))
    ranges = np.flatnonzero(np.isfinite(baseline.centers))
    if change is None or not ranges.size:
        return shares, np.nan_to_num(deviations)
    uppers = baseline.uppers[ranges]
    uppers[-1] = np.inf
    moved = shares.copy()
    moved[ranges] = 0
    np.add.at(moved, ranges[np.searchsorted(uppers, centers[ranges])], shares[ranges])
    return moved, np.nan_to_num(deviations)


def draw_counts(
    baseline: Baseline,
    observed: Times,
    changes: Iterable[tuple[Change | None, np.ndarray]],
    rng: np.random.Generator,
) -> Counts:
    """Running counts of each bin, and running sums of deviations by metric, of ``observed`` by step.

    ``changes`` says in which steps (a mask) values arrive changed by what.
    """
    counts = np.zeros((len(observed), len(baseline.bins)), dtype=np.int64)
    sums = {name: np.zeros(len(observed)) for name, _ in _POWERS}
    spread = _spread(baseline)
    for change, within in changes:
        shares, deviations = changed_shares(baseline, change)
        counts[within] = rng.multinomial(observed[within], shares)
        source = baseline.ratios / baseline.ratios.sum()
        for name, power in _POWERS:
            mean = float((source * power(deviations)).sum())
            if name == SIGNAL_DEVIATION_SQUARE.name:
                mean += 1 - spread  # what values differ within their bins
            sums[name][within] = observed[within] * mean
    running = dict(zip(baseline.bins, np.cumsum(counts, axis=0).T, strict=True))
    return {**running, **{name: np.cumsum(values) for name, values in sums.items()}}


def _spread(baseline: Baseline) -> float:
    """The part of the variance that lies between bins, in squared standard deviations of training."""
    shares, deviations = changed_shares(baseline, None)
    return min(1.0, float((shares * deviations**2).sum()))


_POWERS = (
    (SIGNAL_DEVIATION_POSITIVE.name, lambda u: np.maximum(u, 0)),
    (SIGNAL_DEVIATION_NEGATIVE.name, lambda u: np.maximum(-u, 0)),
    (SIGNAL_DEVIATION_SQUARE.name, np.square),
)


def changes_of(
    signal: SignalId, stretches: Iterable[tuple[tuple[Change, ...], np.ndarray]]
) -> Iterator[tuple[Change | None, np.ndarray]]:
    """Which of the changes in each stretch is the signal's."""
    _, kind, name = signal
    for changes, within in stretches:
        own = (change for change in changes if kind == "input" and change.signal == name)
        yield next(own, None), within
