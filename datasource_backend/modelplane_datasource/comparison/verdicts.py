"""Whether a candidate version of a model is better or worse than its baseline version.

Verdicts of an indicator:

- ``same``: they surely differ by less than the margin; a relative margin of 10 % is a ratio from 1 / 1.1 to
  1.1, the same whichever version is the baseline;
- ``better``, ``worse``: they surely differ;
- ``no_difference_found``: none is found, and a large one (twice the margin) is excluded;
- ``not_enough_data``: none of these, with the reason;
- ``no_traffic``: one of the versions has no calls.

The indicators share the ``level``, most of it goes to errors. If the versions behave alike, ``better`` or
``worse`` ever appears in at most that share of comparisons, however often one looks, as long as the start of
the range stays where it is. Simulations in the tests hold it to that, also for calls in bursts. A latency
quantile is better or worse only when a bucket's bound lies between those of the two versions.

One thing is outside of that promise: the same mix of tenants and inputs must reach both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modelplane_datasource.comparison.indicators import (
    MIN_SLICES,
    Confidence,
    Errors,
    Indicator,
    Judgement,
    Latency,
    Observations,
    Sides,
    SlowCalls,
    Unit,
    Verdict,
)
from modelplane_datasource.comparison.intervals import Estimate
from modelplane_datasource.comparison.slices import VersionCounts, VersionSlices, at_the_same_time

LOWEST, HIGHEST = 1e-6, 1 - 1e-6  # of a level or quantile; nearer to 0 and 1 floats have no room

_RANKED: tuple[Verdict, ...] = (
    "no_traffic", "worse", "not_enough_data", "better", "no_difference_found", "same",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Margins:
    """The largest differences that do not matter.

    In the share of failures, of a latency relative to the other, in the share of slow calls, in mean
    confidence.
    """

    errors: float = 0.005
    latency: float = 0.10
    slow_calls: float = 0.01
    confidence: float = 0.02

    def __post_init__(self) -> None:
        for name, margin in (
            ("errors", self.errors),
            ("latency", self.latency),
            ("slow_calls", self.slow_calls),
            ("confidence", self.confidence),
        ):
            if not 0 < margin < 1:
                raise ValueError(f"margin of {name} is {margin!r}; allowed: a number between 0 and 1")


@dataclass(frozen=True, slots=True)
class Difference:
    """One indicator: candidate minus baseline, or with ``relative`` candidate over baseline minus 1.

    ``baseline``, ``candidate`` and the ends of their intervals are in ``unit``; None without observations, of
    which there are ``baseline_count`` and ``candidate_count``. ``low`` and ``high`` are the interval of the
    ``difference`` at ``confidence_level``. A high end of None beside a low one has no limit. A latency's
    value is an interpolation inside of the bounds beside it, so it has no ``difference``, but its interval.
    ``hidden_shift`` says that latency moved inside its buckets.
    """

    name: str
    unit: Unit
    method: str
    verdict: Verdict
    reason: str
    observations: Observations
    baseline_count: int
    candidate_count: int
    baseline: float | None
    baseline_low: float | None
    baseline_high: float | None
    candidate: float | None
    candidate_low: float | None
    candidate_high: float | None
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
        if self.baseline is None or self.candidate is None or self.low is None:
            return f"{verdict}, {counts}: {self.reason}."
        if self.difference is None:
            return f"{verdict}, {counts}: {self.reason}."
        values = f"{100 * self.candidate:.4g} % against {100 * self.baseline:.4g} %"
        high = "no upper end" if self.high is None else _percent_text(self.high)
        interval = f"{100 * self.confidence_level:.3g} % interval {_percent_text(self.low)} to {high}"
        change = f"{_percent_text(self.difference)} points ({interval})"
        return f"{verdict}, {values}, {change}, {counts}: {self.reason}."


@dataclass(frozen=True, slots=True)
class Comparison:
    """``verdict`` is the first that any indicator has of ``no_traffic``, ``worse``, ``not_enough_data``,
    ``better``, ``no_difference_found`` and ``same``: from ``better`` on, every indicator is decided."""

    verdict: Verdict
    level: float
    indicators: tuple[Difference, ...]

    @property
    def reason(self) -> str:
        """Why: the reasons of the indicators that have the verdict."""
        deciding = (entry for entry in self.indicators if entry.verdict == self.verdict)
        return "; ".join(f"{entry.name}: {entry.reason}" for entry in deciding)


def compare(
    baseline: VersionSlices | VersionCounts,
    candidate: VersionSlices | VersionCounts,
    quantiles: Sequence[float] = (0.95,),
    level: float = 0.05,
    margins: Margins = Margins(),
    above: Sequence[float] = (),
) -> Comparison:
    """Compare errors, latency ``quantiles``, shares of calls ``above`` some seconds, and confidence if any.

    The slices of both are the same times. ``VersionCounts`` are totals of calls that are known to be
    independent; bursts show in slices alone.
    ValueError: a quantile or the level is not from ``LOWEST`` to ``HIGHEST``, or a quantile occurs twice.
    """
    _check(quantiles, level)
    first, second = (
        VersionSlices.of(version) if isinstance(version, VersionCounts) else version
        for version in (baseline, candidate)
    )
    indicators = _indicators(first, second, quantiles, above, margins)
    sides, weights = Sides(*at_the_same_time(first, second)), sum(entry.weight for entry in indicators)
    too_few = len(first) > 1 and min(map(len, sides)) < MIN_SLICES
    differences = tuple(
        _difference(indicator, sides, level * indicator.weight / weights, too_few) for indicator in indicators
    )
    verdicts = {difference.verdict for difference in differences}
    return Comparison(next(verdict for verdict in _RANKED if verdict in verdicts), level, differences)


def _indicators(
    baseline: VersionSlices,
    candidate: VersionSlices,
    quantiles: Sequence[float],
    above: Sequence[float],
    margins: Margins,
) -> list[Indicator]:
    weight = 1 / max(1, len(quantiles))
    indicators: list[Indicator] = [
        Errors(margins.errors),
        *(Latency(probability, margins.latency, weight) for probability in quantiles),
        *(SlowCalls(bound, margins.slow_calls) for bound in above),
    ]
    if baseline.confidence.count or candidate.confidence.count:
        indicators.append(Confidence(margins.confidence))
    return indicators


def _check(quantiles: Sequence[float], level: float) -> None:
    for name, value in (("level", level), *(("quantile", share) for share in quantiles)):
        if not LOWEST <= value <= HIGHEST:
            raise ValueError(f"{name} is {value!r}; allowed: a number from {LOWEST} to {HIGHEST}")
    if len(set(quantiles)) < len(quantiles):
        raise ValueError(f"quantiles are {tuple(quantiles)}; allowed: each once")


def _difference(indicator: Indicator, sides: Sides, alpha: float, too_few: bool) -> Difference:
    judgement = _judged(indicator, sides, alpha)
    if too_few and judgement.verdict not in ("not_enough_data", "no_traffic"):
        reason = f"fewer than {MIN_SLICES} slices of time with calls do not show bursts"
        judgement = judgement._replace(verdict="not_enough_data", reason=reason)
    before, after, change = (_ends(judgement.baseline), _ends(judgement.candidate), _ends(judgement.change))
    return Difference(
        name=indicator.name,
        unit=indicator.unit,
        method=indicator.method,
        verdict=judgement.verdict,
        reason=judgement.reason,
        observations=indicator.observations,
        baseline_count=round(indicator.count(sides.baseline)),
        candidate_count=round(indicator.count(sides.candidate)),
        baseline=before[1],
        baseline_low=before[0],
        baseline_high=before[2],
        candidate=after[1],
        candidate_low=after[0],
        candidate_high=after[2],
        difference=change[1],
        low=change[0],
        high=change[2],
        relative=indicator.relative,
        margin=indicator.margin,
        confidence_level=1 - alpha,
        hidden_shift=judgement.hidden_shift,
    )


def _judged(indicator: Indicator, sides: Sides, alpha: float) -> Judgement:
    idle = [name for name, side in zip(Sides._fields, sides, strict=True) if not _has_calls(side)]
    if idle:
        return Judgement("no_traffic", f"no calls of the {' and the '.join(idle)}")
    for name, side in zip(Sides._fields, sides, strict=True):
        if not indicator.count(side):
            return Judgement("not_enough_data", f"the {name} has no {indicator.observations} to compare")
    return indicator.judge(sides, alpha)


def _has_calls(version: VersionSlices) -> bool:
    return bool(version.calls.sum() or version.latency.count)


def _ends(estimate: Estimate | None) -> tuple[float | None, ...]:
    """Low end, value and high end, each None where there is none."""
    if estimate is None:
        return None, None, None
    return tuple(end if math.isfinite(end) else None for end in estimate)


def _percent_text(value: float) -> str:
    percent = 100 * value
    return f"{percent:+,.0f}" if abs(percent) >= 100 else f"{percent:+.3g}"
