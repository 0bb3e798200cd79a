"""What one version did, slice of time by slice of time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from modelplane_datasource.prometheus.histograms import (
    NO_OBSERVATIONS,
    Histogram,
    check_bounds,
    parse_bound,
)
from modelplane_datasource.timeline.arrays import BoolArray, FloatArray


@dataclass(frozen=True, slots=True)
class VersionCounts:
    """What one version did in all."""

    successes: int
    failures: int
    latency: Histogram
    confidence: Histogram = NO_OBSERVATIONS


@dataclass(frozen=True, slots=True, eq=False)
class HistogramSlices:
    """A histogram of each slice: ``cumulative`` has the shape (slices, bounds), the others (slices,).

    ``cumulative`` says how many observations lie at or below each of ``bounds``, which ascend and are above
    0; ``sums`` are the sums of all observations.
    """

    bounds: tuple[float, ...]
    cumulative: FloatArray
    counts: FloatArray
    sums: FloatArray

    def __post_init__(self) -> None:
        check_bounds(self.bounds, has_observations=bool(self.count))

    @classmethod
    def of(cls, histograms: Sequence[Histogram]) -> HistogramSlices:
        """Histograms of successive slices; ValueError unless those with observations have the same bounds."""
        bounds = {histogram.bounds for histogram in histograms if histogram.count}
        if len(bounds) > 1:
            raise ValueError(f"bounds are {sorted(bounds)}; allowed: the same in every slice")
        shared = bounds.pop() if bounds else ()
        return cls(
            shared,
            np.array(
                [histogram.cumulative if histogram.count else (0,) * len(shared) for histogram in histograms],
                float,
            ).reshape(len(histograms), len(shared)),
            np.array([histogram.count for histogram in histograms], float),
            np.array([histogram.count * histogram.mean for histogram in histograms], float),
        )

    @classmethod
    def from_increases(cls, buckets: Mapping[str, FloatArray], sums: FloatArray) -> HistogramSlices:
        """From the increases of ``_bucket`` by ``le`` and of ``_sum``, each of the shape (slices,).

        Series whose ``le`` reads differently are added up. Where extrapolation makes a count smaller than
        that of a lower bound, the larger one holds. No buckets at all, as of series that do not exist, hold
        nothing. ValueError: a ``le`` is no number, an increase is negative or not finite, ``+Inf`` is
        missing, or a slice with observations has no finite sum.
        """
        if not buckets:
            return cls((), np.zeros((len(sums), 0)), np.zeros(len(sums)), np.zeros(len(sums)))
        totals: dict[float, FloatArray] = {}
        for text, increases in buckets.items():
            check_increases(f"the bucket le={text!r}", increases)
            bound = parse_bound(text)
            totals[bound] = totals[bound] + increases if bound in totals else increases
        if math.inf not in totals:
            raise ValueError("the bucket le='+Inf' is missing; allowed: a histogram with all of its buckets")
        bounds = sorted(totals)
        cumulative = np.maximum.accumulate(np.column_stack([totals[bound] for bound in bounds]), axis=1)
        observed = np.where(cumulative[:, -1] > 0, sums, 0.0)
        if not np.isfinite(observed).all():
            raise ValueError("the sum is missing or not finite; allowed: a finite number beside every count")
        return cls(tuple(bounds[:-1]), cumulative[:, :-1], cumulative[:, -1], observed)

    @property
    def count(self) -> float:
        """All observations."""
        return float(self.counts.sum())

    @property
    def mean(self) -> float:
        """The arithmetic mean, 0 when there is no observation."""
        return float(self.sums.sum()) / self.count if self.count else 0.0

    @property
    def total(self) -> Histogram:
        """All slices as one histogram of whole numbers."""
        counts = np.rint([*self.cumulative.sum(axis=0), self.count]).astype(int).tolist()
        return Histogram(self.bounds, tuple(counts[:-1]), counts[-1], self.mean)

    def with_bounds(self, bounds: set[float]) -> HistogramSlices:
        """The same observations seen through fewer ``bounds``."""
        places = [place for place, bound in enumerate(self.bounds) if bound in bounds]
        return replace(
            self,
            bounds=tuple(self.bounds[place] for place in places),
            cumulative=self.cumulative[:, places],
        )

    def part(self, which: slice | BoolArray) -> HistogramSlices:
        """Some of the slices."""
        return replace(
            self, cumulative=self.cumulative[which], counts=self.counts[which], sums=self.sums[which]
        )


@dataclass(frozen=True, slots=True, eq=False)
class VersionSlices:
    """What one version did in each of successive slices; ``successes`` and ``failures``: (slices,)."""

    successes: FloatArray
    failures: FloatArray
    latency: HistogramSlices
    confidence: HistogramSlices

    @classmethod
    def of(cls, *slices: VersionCounts) -> VersionSlices:
        """Counts of successive slices."""
        return cls(
            np.array([counts.successes for counts in slices], float),
            np.array([counts.failures for counts in slices], float),
            HistogramSlices.of([counts.latency for counts in slices]),
            HistogramSlices.of([counts.confidence for counts in slices]),
        )

    def __len__(self) -> int:
        return len(self.successes)

    @property
    def calls(self) -> FloatArray:
        """Calls that succeeded or failed; one that was cancelled or rejected did neither."""
        return self.successes + self.failures

    @property
    def total(self) -> VersionCounts:
        """All slices together, as whole numbers."""
        return VersionCounts(
            round(float(self.successes.sum())),
            round(float(self.failures.sum())),
            self.latency.total,
            self.confidence.total,
        )

    def part(self, which: slice | BoolArray) -> VersionSlices:
        """Some of the slices."""
        return VersionSlices(
            self.successes[which], self.failures[which], self.latency.part(which), self.confidence.part(which)
        )


def check_increases(name: str, increases: FloatArray) -> None:
    """ValueError unless each is a finite number from 0 up."""
    for increase in increases[~((increases >= 0) & (increases < math.inf))]:
        raise ValueError(f"{name} has {float(increase)!r}; allowed: a finite number from 0 up")


def on_common_bounds(
    baseline: VersionSlices, candidate: VersionSlices
) -> tuple[VersionSlices, VersionSlices]:
    """Both versions with the bounds that both of their histograms have, for what else to hold against what.

    ValueError: two histograms have no bound in common.
    """
    latencies = _shared(baseline.latency, candidate.latency)
    confidences = _shared(baseline.confidence, candidate.confidence)
    first, second = (
        replace(version, latency=latency, confidence=confidence)
        for version, latency, confidence in zip((baseline, candidate), latencies, confidences, strict=True)
    )
    return first, second


def _shared(first: HistogramSlices, second: HistogramSlices) -> tuple[HistogramSlices, HistogramSlices]:
    if not (first.count and second.count) or first.bounds == second.bounds:
        return first, second
    common = set(first.bounds) & set(second.bounds)
    if not common:
        raise ValueError(f"bounds are {first.bounds} and {second.bounds}; allowed: one in common at least")
    return first.with_bounds(common), second.with_bounds(common)


def at_the_same_time(
    baseline: VersionSlices, candidate: VersionSlices
) -> tuple[VersionSlices, VersionSlices]:
    """The part of both in which both served calls, where that is most of what the candidate did.

    A baseline that has run for a day is compared by the hour that the candidate ran too, because hours
    differ. Versions of which one replaced the other have no such part; each then gives the slices in which
    it had calls, the first beside the first.
    """
    shared = (baseline.calls > 0) & (candidate.calls > 0)
    places = np.flatnonzero(shared)
    if len(places) and 2 * candidate.calls[shared].sum() >= candidate.calls.sum():
        both = slice(int(places[0]), int(places[-1]) + 1)
        return baseline.part(both), candidate.part(both)
    return baseline.part(baseline.calls > 0), candidate.part(candidate.calls > 0)
