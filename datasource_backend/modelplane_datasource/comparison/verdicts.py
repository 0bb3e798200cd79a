"""Whether a candidate version of a model is better or worse than its baseline version.

Each indicator is compared by one confidence interval of the difference, and its verdict follows from it:

- ``same``: the interval lies inside the margin, so that the versions are equivalent (two one-sided tests);
  a relative margin of 10 % is a ratio from 1 / 1.1 to 1.1, the same whichever version is the baseline;
- ``better``, ``worse``: it lies wholly on one side of 0;
- ``not_enough_data``: neither, or one side has no observations.

With k indicators each interval is at 1 - level / k (Bonferroni). So if the two versions behave alike, any
``better`` or ``worse`` appears in at most ``level`` of all comparisons; and if an indicator differs by more
than its margin, ``same`` appears for it in at most level / (2 k). Holm's method would decide a little more
often, but its verdicts could not be read off intervals. Simulations in the tests hold both rates to this.

Three things are outside of that promise. Calls must be independent: an outage that hits one version alone
makes it look worse, and observations of one batch count more than they should. The window is to be chosen
beforehand, not extended until a verdict appears. And the same mix of tenants and inputs must reach both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from modelplane_datasource.comparison.intervals import (
    Estimate,
    bounded_mean,
    difference,
    proportion,
    quantile,
)
from modelplane_datasource.prometheus.histograms import NO_OBSERVATIONS, Histogram, shared_bounds

LOWEST, HIGHEST = 1e-6, 1 - 1e-6  # of a level or quantile; nearer to 0 and 1 floats have no room

Verdict = Literal["better", "worse", "same", "not_enough_data"]
Unit = Literal["ratio", "seconds"]
Observations = Literal["calls", "predictions"]


@dataclass(frozen=True, slots=True)
class VersionCounts:
    """What one version did in the window."""

    successes: int
    failures: int
    latency: Histogram
    confidence: Histogram = NO_OBSERVATIONS

    @classmethod
    def from_increases(
        cls, outcomes: Mapping[str, float], latency: Histogram, confidence: Histogram = NO_OBSERVATIONS
    ) -> VersionCounts:
        """From the increases of requests by ``outcome``, each rounded to the nearest whole number.

        A cancelled or rejected call is neither success nor failure. ValueError: an increase is negative or
        not finite.
        """
        for outcome, increase in outcomes.items():
            if not 0 <= increase < math.inf:
                raise ValueError(f"outcome {outcome!r} has {increase!r}; allowed: a finite number from 0 up")
        successes, failures = (round(outcomes.get(outcome, 0.0)) for outcome in ("success", "failure"))
        return cls(successes, failures, latency, confidence)


def on_common_bounds(
    baseline: VersionCounts, candidate: VersionCounts
) -> tuple[VersionCounts, VersionCounts]:
    """Both versions with the bounds that both of their histograms have.

    An interpolated quantile depends on the bounds, so the same calls seen through others would seem to
    differ. ValueError: two histograms have no bound in common.
    """
    latencies = shared_bounds(baseline.latency, candidate.latency)
    confidences = shared_bounds(baseline.confidence, candidate.confidence)
    first, second = (
        replace(version, latency=latency, confidence=confidence)
        for version, latency, confidence in zip((baseline, candidate), latencies, confidences, strict=True)
    )
    return first, second


@dataclass(frozen=True, slots=True)
class Margins:
    """The largest differences that do not matter: in the share of failures, relative, in mean confidence."""

    errors: float = 0.005
    latency: float = 0.10
    confidence: float = 0.02

    def __post_init__(self) -> None:
        for name, margin in (
            ("errors", self.errors),
            ("latency", self.latency),
            ("confidence", self.confidence),
        ):
            if not 0 < margin < 1:
                raise ValueError(f"margin of {name} is {margin!r}; allowed: a number between 0 and 1")


@dataclass(frozen=True, slots=True)
class Difference:
    """One indicator: candidate minus baseline, or with ``relative`` candidate over baseline minus 1.

    ``low`` and ``high`` are its interval at ``confidence_level``; with a ``low``, a ``high`` of None means
    that it has no upper end. ``baseline`` and ``candidate`` are in ``unit`` and None without observations, of
    which there are ``baseline_count`` and ``candidate_count``. ``hidden_shift`` says that latency moved
    inside its buckets by more than the margin, so that equal quantiles do not mean the same latency.
    """

    name: str
    unit: Unit
    method: str
    verdict: Verdict
    baseline: float | None
    candidate: float | None
    observations: Observations
    baseline_count: int
    candidate_count: int
    difference: float | None
    low: float | None
    high: float | None
    relative: bool
    margin: float
    confidence_level: float
    hidden_shift: bool

    @property
    def summary(self) -> str:
        """The verdict in a sentence: by how much, how surely, on how many observations."""
        verdict = f"{self.name}: {self.verdict.replace('_', ' ')}"
        counts = f"on {self.candidate_count:,} {self.observations} against {self.baseline_count:,}"
        if self.baseline is None or self.candidate is None or self.difference is None or self.low is None:
            return f"{verdict}, {counts}."
        values = f"{_value_text(self.candidate, self.unit)} against {_value_text(self.baseline, self.unit)}"
        unit = "%" if self.relative else "points"
        high = "no upper end" if self.high is None else _percent_text(self.high)
        interval = f"{100 * self.confidence_level:.3g} % interval {_percent_text(self.low)} to {high}"
        change = f"{_percent_text(self.difference)} {unit} ({interval})"
        hidden = " The means differ inside the buckets by more than the margin." if self.hidden_shift else ""
        return f"{verdict}, {values}, {change}, {counts}.{hidden}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``verdict`` is ``worse`` if that of any indicator is; else ``not_enough_data`` if any is; else
    ``better`` if any is; else ``same``. So ``better`` and ``same`` need a decision on every indicator."""

    verdict: Verdict
    level: float
    indicators: tuple[Difference, ...]


@dataclass(frozen=True, slots=True)
class _Indicator:
    name: str
    unit: Unit
    observations: Observations
    method: str
    margin: float
    relative: bool
    higher_is_better: bool
    count: Callable[[VersionCounts], int]
    estimate: Callable[[VersionCounts, float], Estimate]


def compare(
    baseline: VersionCounts,
    candidate: VersionCounts,
    quantiles: Sequence[float] = (0.95,),
    level: float = 0.05,
    margins: Margins = Margins(),
) -> Comparison:
    """Compare errors, each of the latency ``quantiles`` and, where a version has any, confidence.

    ValueError: a quantile or the level is not from ``LOWEST`` to ``HIGHEST``, or a quantile occurs twice.
    """
    _check(quantiles, level)
    indicators = [_errors(margins.errors), *(_latency(share, margins.latency) for share in quantiles)]
    if baseline.confidence.count or candidate.confidence.count:
        indicators.append(_confidence(margins.confidence))
    alpha = level / len(indicators)
    differences = tuple(_compare(indicator, baseline, candidate, alpha) for indicator in indicators)
    verdicts = {difference.verdict for difference in differences}
    ranked: tuple[Verdict, ...] = ("worse", "not_enough_data", "better", "same")
    return Comparison(next(verdict for verdict in ranked if verdict in verdicts), level, differences)


def _check(quantiles: Sequence[float], level: float) -> None:
    for name, value in (("level", level), *(("quantile", share) for share in quantiles)):
        if not LOWEST <= value <= HIGHEST:
            raise ValueError(f"{name} is {value!r}; allowed: a number from {LOWEST} to {HIGHEST}")
    if len(set(quantiles)) < len(quantiles):
        raise ValueError(f"quantiles are {tuple(quantiles)}; allowed: each once")


def _errors(margin: float) -> _Indicator:
    def count(version: VersionCounts) -> int:
        return version.successes + version.failures

    return _Indicator(
        name="errors",
        unit="ratio",
        observations="calls",
        method="difference of proportions, Newcombe's combination of Clopper-Pearson intervals",
        margin=margin,
        relative=False,
        higher_is_better=False,
        count=count,
        estimate=lambda version, alpha: proportion(version.failures, count(version), alpha),
    )


def _latency(share: float, margin: float) -> _Indicator:
    return _Indicator(
        name=f"latency_p{100 * share:.12g}",
        unit="seconds",
        observations="calls",
        method="ratio of histogram quantiles, MOVER of binomial order-statistic intervals on logarithms",
        margin=margin,
        relative=True,
        higher_is_better=False,
        count=lambda version: version.latency.count,
        estimate=lambda version, alpha: quantile(version.latency, share, alpha),
    )


def _confidence(margin: float) -> _Indicator:
    return _Indicator(
        name="confidence",
        unit="ratio",
        observations="predictions",
        method="difference of means, MOVER of Clopper-Pearson intervals integrated over the buckets",
        margin=margin,
        relative=False,
        higher_is_better=True,
        count=lambda version: version.confidence.count,
        estimate=lambda version, alpha: bounded_mean(version.confidence, alpha),
    )


def _compare(
    indicator: _Indicator, baseline: VersionCounts, candidate: VersionCounts, alpha: float
) -> Difference:
    counts = indicator.count(baseline), indicator.count(candidate)
    before = indicator.estimate(baseline, alpha) if counts[0] else None
    after = indicator.estimate(candidate, alpha) if counts[1] else None
    change = None if before is None or after is None else _change(indicator, before, after)
    hidden = indicator.relative and _hidden_shift(baseline.latency, candidate.latency, indicator.margin)
    low, value, high = change or (None, None, None)
    return Difference(
        name=indicator.name,
        unit=indicator.unit,
        method=indicator.method,
        verdict=_verdict(indicator, change, hidden),
        baseline=None if before is None else before.value,
        candidate=None if after is None else after.value,
        observations=indicator.observations,
        baseline_count=counts[0],
        candidate_count=counts[1],
        difference=value,
        low=low,
        high=None if high == math.inf else high,
        relative=indicator.relative,
        margin=indicator.margin,
        confidence_level=1 - alpha,
        hidden_shift=hidden,
    )


def _change(indicator: _Indicator, before: Estimate, after: Estimate) -> Estimate:
    if not indicator.relative:
        return difference(after, before)
    logarithms = difference(_logarithms(after), _logarithms(before))
    return Estimate(*(math.expm1(end) for end in logarithms))


def _logarithms(estimate: Estimate) -> Estimate:
    return Estimate(*(math.log(end) if end > 0 else -math.inf for end in estimate))


def _verdict(indicator: _Indicator, change: Estimate | None, hidden: bool) -> Verdict:
    if change is None:
        return "not_enough_data"
    below = indicator.margin / (1 + indicator.margin) if indicator.relative else indicator.margin
    if -below <= change.low and change.high <= indicator.margin and not hidden:
        return "same"
    if change.low > 0 or change.high < 0:
        return "better" if (change.low > 0) == indicator.higher_is_better else "worse"
    return "not_enough_data"


def _hidden_shift(baseline: Histogram, candidate: Histogram, margin: float) -> bool:
    """Whether the means say that latency moved by more than ``margin`` where the buckets cannot show it.

    All calls may go from one end of a bucket to the other and leave every count as it was. The exact means
    show that: their distances from the means of the buckets' middles differ.
    """
    if not (baseline.count and candidate.count):
        return False
    hidden = (candidate.mean - _middle_mean(candidate)) - (baseline.mean - _middle_mean(baseline))
    return abs(hidden) > margin * min(baseline.mean, candidate.mean)


def _middle_mean(histogram: Histogram) -> float:
    """The mean if each observation stood in the middle of its bucket, or at the last bound if above it."""
    edges, counts = (0.0, *histogram.bounds), (0, *histogram.cumulative)
    total = (histogram.count - counts[-1]) * edges[-1]
    for position in range(1, len(edges)):
        inside = counts[position] - counts[position - 1]
        total += inside * (edges[position - 1] + edges[position]) / 2
    return total / histogram.count


def _value_text(value: float, unit: Unit) -> str:
    return f"{value:.4g} s" if unit == "seconds" else f"{100 * value:.4g} %"


def _percent_text(value: float) -> str:
    percent = 100 * value
    return f"{percent:+,.0f}" if abs(percent) >= 100 else f"{percent:+.3g}"
