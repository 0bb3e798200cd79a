"""What is compared: the share of failures, each latency quantile, and mean confidence."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from modelplane_datasource.comparison.dispersion import dispersion
from modelplane_datasource.comparison.evidence import most_evidence
from modelplane_datasource.comparison.intervals import (
    Estimate,
    Trials,
    bounded_means,
    bounds_of_quantiles,
    difference,
    estimated_shares,
    trials_above,
)
from modelplane_datasource.comparison.slices import HistogramSlices, VersionSlices
from modelplane_datasource.timeline.arrays import FloatArray

Verdict = Literal["better", "worse", "same", "no_difference_found", "not_enough_data", "no_traffic"]
Unit = Literal["ratio", "seconds"]
Observations = Literal["calls", "predictions"]

MIN_SLICES = 4
_WORSE_PART = 0.75  # of the level of errors: a canary that fails more must not be missed
_NOISE = 4.0  # standard errors of a mean


class Judgement(NamedTuple):
    """``change`` is candidate minus baseline, or their ratio minus 1, whose value may be unknown (NaN)."""

    verdict: Verdict
    reason: str
    baseline: Estimate | None = None
    candidate: Estimate | None = None
    change: Estimate | None = None
    hidden_shift: bool = False


class Sides(NamedTuple):
    """Baseline and candidate."""

    baseline: VersionSlices
    candidate: VersionSlices


class Events(NamedTuple):
    """Calls of one version, by slice, and those of them that count: (slices,)."""

    counted: FloatArray
    calls: FloatArray


@dataclass(frozen=True, slots=True)
class Errors:
    """The share of calls that failed."""

    margin: float
    weight: float = 8.0  # of the level: failures are rare, and take the most calls to decide
    name: str = "errors"
    unit: Unit = "ratio"
    observations: Observations = "calls"
    relative: bool = False
    method: str = "e-process of failures by slice, intervals by beta mixtures combined as Newcombe's"

    def count(self, version: VersionSlices) -> float:
        """Calls that have ended."""
        return float(version.calls.sum())

    def judge(self, sides: Sides, alpha: float) -> Judgement:
        """The verdict at the level ``alpha`` of versions that both have calls."""
        before, after = (Events(version.failures, version.calls) for version in sides)
        return _judge_shares(before, after, self.margin, alpha)


@dataclass(frozen=True, slots=True)
class SlowCalls:
    """The share of calls that took longer than ``bound``, in seconds."""

    bound: float
    margin: float
    weight: float = 1.0
    unit: Unit = "ratio"
    observations: Observations = "calls"
    relative: bool = False
    method: str = "e-process of slow calls by slice, intervals by beta mixtures combined as Newcombe's"

    @property
    def name(self) -> str:
        """Such as ``latency_above_0.25s``."""
        return f"latency_above_{self.bound:g}s"

    def count(self, version: VersionSlices) -> float:
        """Calls that were timed."""
        return version.latency.count

    def judge(self, sides: Sides, alpha: float) -> Judgement:
        """The verdict at the level ``alpha`` of versions that both have calls."""
        bounds = sides.baseline.latency.bounds
        if self.bound not in bounds:
            texts = ", ".join(f"{bound:g}" for bound in bounds)
            return Judgement(
                "not_enough_data", f"{self.bound:g} s is no bound of the buckets, which are {texts}"
            )
        place = bounds.index(self.bound)
        before, after = (
            Events(version.latency.counts - version.latency.cumulative[:, place], version.latency.counts)
            for version in sides
        )
        return _judge_shares(before, after, self.margin, alpha)


def _judge_shares(before: Events, after: Events, margin: float, alpha: float) -> Judgement:
    """The verdict on two shares of which the lower is better."""
    factors = [dispersion(counted[:, None], calls) for counted, calls in (before, after)]
    trials = [
        Trials(np.array([counted.sum()]), float(calls.sum()), factor)
        for (counted, calls), factor in zip((before, after), factors, strict=True)
    ]
    (first,), (second,) = estimated_shares(trials, alpha)
    factor = float(np.max(factors))
    worse, better = _decided(before, after, factor, alpha)
    low, value, high = difference(second, first)
    change = Estimate(max(low, 0.0) if worse else low, value, min(high, 0.0) if better else high)
    verdict, reason = _by_margin(change, margin, worse=worse, better=better)
    if factor > 1 and verdict == "not_enough_data":
        reason = f"{reason}; they come in bursts, so that {factor:.3g} calls count as one"
    return Judgement(verdict, reason, first, second, change)


def _decided(before: Events, after: Events, factor: float, alpha: float) -> tuple[bool, bool]:
    """Whether the candidate's share is surely higher, and whether it is surely lower."""
    length = min(len(before.calls), len(after.calls))
    first, second = (Events(counted[:length], calls[:length]) for counted, calls in (before, after))
    counted, calls = (float((one + other).sum()) for one, other in zip(first, second, strict=True))
    if 2 * counted > calls:  # evidence grows with the rarer outcome
        first, second = (Events(calls - counted, calls) for counted, calls in (first, second))
        lower, higher = most_evidence(first, second, factor)
    else:
        higher, lower = most_evidence(first, second, factor)
    worse = higher >= -math.log(_WORSE_PART * alpha)
    return worse, lower >= -math.log((1 - _WORSE_PART) * alpha) and not worse


@dataclass(frozen=True, slots=True)
class Latency:
    """A quantile of the wall time of calls."""

    probability: float
    margin: float
    weight: float = 1.0
    unit: Unit = "seconds"
    observations: Observations = "calls"
    relative: bool = True
    method: str = "shares of calls above the bounds of the buckets, intervals by beta mixtures"

    @property
    def name(self) -> str:
        """Such as ``latency_p95``."""
        return f"latency_p{100 * self.probability:.12g}"

    def count(self, version: VersionSlices) -> float:
        """Calls that were timed."""
        return version.latency.count

    def judge(self, sides: Sides, alpha: float) -> Judgement:
        """The verdict at the level ``alpha`` of versions that both have calls."""
        # Each of the four ends of the two intervals may be wrong with a probability of alpha / 4.
        histograms = [version.latency for version in sides]
        before, after = bounds_of_quantiles(histograms, self.probability, alpha / 2)
        change = Estimate(_ratio(after.low, before.high), math.nan, _ratio(after.high, before.low))
        hidden = self._hidden_shift(sides, min(before.value, after.value))
        verdict, reason = self._verdict(sides, before, after, change, hidden, alpha)
        return Judgement(verdict, reason, before, after, change, hidden)

    def _verdict(
        self, sides: Sides, before: Estimate, after: Estimate, change: Estimate, hidden: bool, alpha: float
    ) -> tuple[Verdict, str]:
        if -self.margin / (1 + self.margin) <= change.low and change.high <= self.margin:
            return "same", f"both lie {_between(before.low, before.high)}"
        if after.low >= before.high:
            return "worse", f"it lies {_between(after.low, after.high)}, that of the baseline below"
        if before.low >= after.high:
            return "better", f"it lies {_between(after.low, after.high)}, that of the baseline above"
        if not hidden and self._shares_are_equivalent(sides, before, after, alpha):
            return "no_difference_found", (
                f"about as many calls of both are above the bounds {_between(before.low, before.high)}; "
                "how long they take between these, buckets do not tell"
            )
        low, high = min(before.low, after.low), max(before.high, after.high)
        means = ", but the means differ" if hidden else ""
        if (before.low, before.high) == (after.low, after.high):
            return "not_enough_data", (
                f"both lie {_between(low, high)}{means}; which is longer, the buckets do not tell"
            )
        return "not_enough_data", (
            f"it lies {_between(after.low, after.high)}, that of the baseline "
            f"{_between(before.low, before.high)}{means}"
        )

    def _shares_are_equivalent(self, sides: Sides, before: Estimate, after: Estimate, alpha: float) -> bool:
        """Whether the shares above all bounds around the quantiles are alike.

        To half of ``1 - probability``, or to a quarter of the smaller share.
        """
        low, high = min(before.low, after.low), max(before.high, after.high)
        around = {bound for bound in sides.baseline.latency.bounds if low <= bound <= high}
        if not around:
            return False
        trials = [trials_above(version.latency.with_bounds(around)) for version in sides]
        for first, second in zip(*estimated_shares(trials, alpha), strict=True):
            change, allowed = (
                difference(second, first),
                max((1 - self.probability) / 2, min(first.value, second.value) / 4),
            )
            if not (-allowed < change.low and change.high < allowed):
                return False
        return True

    def _hidden_shift(self, sides: Sides, shorter: float) -> bool:
        """Whether the means say that latency moved where the buckets cannot show it.

        All calls may go from one end of a bucket to the other and leave every count as it was. The exact
        means show that: their distances from the means of the buckets' middles differ, by more than chance
        and by more than if the slowest ``1 - probability`` of the calls had moved by the margin.
        """
        (moved, noise), (candidate_moved, candidate_noise) = (_inside(version.latency) for version in sides)
        least = (1 - self.probability) * self.margin * shorter
        return abs(candidate_moved - moved) > max(least, _NOISE * math.hypot(noise, candidate_noise))


def _inside(histogram: HistogramSlices) -> tuple[float, float]:
    """How far the mean is from that of the buckets' middles, and its standard error inside of them.

    What is above the last bound counts as at that bound, with an error as large.
    """
    edges = np.array([0.0, *histogram.bounds])
    inside = np.diff([0.0, *histogram.cumulative.sum(axis=0), histogram.count])
    widths = np.append(np.diff(edges), edges[-1] * math.sqrt(12))
    middles = np.append((edges[1:] + edges[:-1]) / 2, edges[-1])
    error = math.sqrt(float(inside @ widths**2) / 12) / histogram.count
    return histogram.mean - float(inside @ middles) / histogram.count, error


@dataclass(frozen=True, slots=True)
class Confidence:
    """Mean confidence, where higher is better."""

    margin: float
    weight: float = 1.0
    name: str = "confidence"
    unit: Unit = "ratio"
    observations: Observations = "predictions"
    relative: bool = False
    method: str = "difference of means, MOVER of beta mixtures integrated over the buckets"

    def count(self, version: VersionSlices) -> float:
        """Predictions with a confidence."""
        return version.confidence.count

    def judge(self, sides: Sides, alpha: float) -> Judgement:
        """The verdict at the level ``alpha`` of versions that both have predictions."""
        before, after = bounded_means([version.confidence for version in sides], alpha)
        change = difference(after, before)
        verdict, reason = _by_margin(change, self.margin, worse=change.high < 0, better=change.low > 0)
        return Judgement(verdict, reason, before, after, change)


Indicator = Errors | Latency | SlowCalls | Confidence


def _by_margin(change: Estimate, margin: float, *, worse: bool, better: bool) -> tuple[Verdict, str]:
    """The verdict on an absolute difference, and why."""
    if -margin <= change.low and change.high <= margin:
        return "same", f"they differ by less than {_points(margin)}"
    if worse or better:
        return "worse" if worse else "better", "the difference is not chance"
    if -2 * margin <= change.low and change.high <= 2 * margin:
        return "no_difference_found", f"none is found, and they differ by less than {_points(2 * margin)}"
    return "not_enough_data", f"they may be alike or differ by more than {_points(2 * margin)}"


def _points(share: float) -> str:
    return f"{100 * share:.3g} points"


def _ratio(over: float, under: float) -> float:
    """How much longer ``over`` is than ``under``; where that is unknown, from nothing to infinitely."""
    if math.isinf(under):
        return -1.0
    return over / under - 1 if under else math.inf


def _between(low: float, high: float) -> str:
    if math.isinf(high):
        return f"above {low:g} s" if low else "anywhere"
    return f"between {low:g} s and {high:g} s"
