"""Verdicts of a comparison, one worked case each, and the ends of what data can be."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelplane_datasource.comparison.intervals import difference, proportion
from modelplane_datasource.comparison.verdicts import (
    HIGHEST,
    LOWEST,
    Comparison,
    Difference,
    Margins,
    Verdict,
    VersionCounts,
    compare,
    on_common_bounds,
)
from modelplane_datasource.prometheus.histograms import NO_OBSERVATIONS, Histogram
from modelplane_schema.metrics import CONFIDENCE_BUCKETS, LATENCY_BUCKETS


def histogram(bounds: tuple[float, ...], inside: dict[float, int], mean: float | None = None) -> Histogram:
    """So many observations in the bucket that ends at each key; their mean is that of the middles."""
    cumulative = tuple(sum(n for end, n in inside.items() if end <= bound) for bound in bounds)
    count = sum(inside.values())
    starts = dict(zip((*bounds, math.inf), (0.0, *bounds), strict=True))
    middles = sum(n * (starts[end] + min(end, bounds[-1])) / 2 for end, n in inside.items())
    return Histogram(bounds, cumulative, count, middles / max(count, 1) if mean is None else mean)


def version(calls: int, failures: int = 0, **changes: Any) -> VersionCounts:
    """Latency from 0.1 s to 0.5 s with a p95 of 0.25 s, confidence from 0.8 to 0.9."""
    slow = calls // 20
    latency = histogram(LATENCY_BUCKETS, {0.25: calls - slow, 0.5: slow})
    confidence = histogram(CONFIDENCE_BUCKETS, {0.9: calls})
    return replace(VersionCounts(calls - failures, failures, latency, confidence), **changes)


def latency(inside: dict[float, int], mean: float | None = None) -> Histogram:
    return histogram(LATENCY_BUCKETS, inside, mean)


def by_name(comparison: Comparison) -> dict[str, Difference]:
    return {indicator.name: indicator for indicator in comparison.indicators}


def verdicts(comparison: Comparison) -> dict[str, Verdict]:
    return {indicator.name: indicator.verdict for indicator in comparison.indicators}


def test_a_version_is_the_same_as_itself() -> None:
    comparison = compare(version(100_000, 100), version(100_000, 100))
    assert comparison.verdict == "same"
    assert verdicts(comparison) == dict.fromkeys(("errors", "latency_p95", "confidence"), "same")
    assert all(indicator.difference == 0 for indicator in comparison.indicators)


def test_more_errors_are_worse() -> None:
    comparison = compare(version(100_000, 100), version(100_000, 2_000))
    errors = by_name(comparison)["errors"]
    assert (comparison.verdict, errors.verdict) == ("worse", "worse")
    assert (errors.baseline, errors.candidate) == (0.001, 0.02)
    expected = difference(proportion(2_000, 100_000, 0.05 / 3), proportion(100, 100_000, 0.05 / 3))
    assert (errors.low, errors.difference, errors.high) == expected
    assert errors.confidence_level == pytest.approx(1 - 0.05 / 3)
    assert errors.summary == (
        "errors: worse, 2 % against 0.1 %, +1.9 points (98.3 % interval +1.79 to +2.01), "
        "on 100,000 calls against 100,000."
    )


def test_fewer_errors_are_better() -> None:
    comparison = compare(version(100_000, 2_000), version(100_000, 100))
    assert verdicts(comparison) == {"errors": "better", "latency_p95": "same", "confidence": "same"}
    assert comparison.verdict == "better"


def test_a_difference_inside_the_margin_is_the_same_even_when_it_is_certain() -> None:
    errors = by_name(compare(version(10**7, 10_000), version(10**7, 20_000)))["errors"]
    assert errors.verdict == "same"
    assert errors.low is not None
    assert errors.low > 0
    narrow = compare(version(10**7, 10_000), version(10**7, 20_000), margins=Margins(errors=0.0005))
    assert by_name(narrow)["errors"].verdict == "worse"


def test_longer_latency_is_worse_and_the_difference_is_relative() -> None:
    slow = version(20_000, latency=latency({0.25: 10_000, 0.5: 9_000, 1.0: 1_000}))
    measured = by_name(compare(version(20_000), slow))["latency_p95"]
    assert (measured.verdict, measured.unit, measured.relative) == ("worse", "seconds", True)
    assert (measured.baseline, measured.candidate) == pytest.approx((0.25, 0.5))
    assert measured.difference == pytest.approx(1.0)
    assert measured.summary.startswith("latency_p95: worse, 0.5 s against 0.25 s, +100 % (98.3 % interval +")
    back = by_name(compare(slow, version(20_000)))["latency_p95"]
    assert back.verdict == "better"
    assert back.difference == pytest.approx(-0.5)


def test_every_quantile_is_an_indicator_of_its_own() -> None:
    slow = version(20_000, latency=latency({0.1: 15_000, 0.5: 4_000, 1.0: 1_000}))
    comparison = compare(version(20_000), slow, quantiles=(0.5, 0.95))
    assert verdicts(comparison) == {
        "errors": "same", "latency_p50": "better", "latency_p95": "worse", "confidence": "same",
    }  # fmt: skip
    assert comparison.verdict == "worse"
    assert comparison.indicators[0].confidence_level == pytest.approx(1 - 0.05 / 4)


def test_lower_confidence_is_worse() -> None:
    unsure = version(20_000, confidence=histogram(CONFIDENCE_BUCKETS, {0.7: 20_000}))
    measured = by_name(compare(version(20_000), unsure))["confidence"]
    assert (measured.verdict, measured.observations) == ("worse", "predictions")
    assert measured.difference == pytest.approx(-0.2)
    assert by_name(compare(unsure, version(20_000)))["confidence"].verdict == "better"


def test_a_model_without_confidence_is_compared_without_it() -> None:
    plain = version(100_000, confidence=NO_OBSERVATIONS)
    comparison = compare(plain, plain)
    assert comparison.verdict == "same"
    assert [indicator.confidence_level for indicator in comparison.indicators] == [0.975, 0.975]


def test_confidence_that_one_version_lacks_is_not_enough_data() -> None:
    comparison = compare(version(100_000), version(100_000, confidence=NO_OBSERVATIONS))
    measured = by_name(comparison)["confidence"]
    assert comparison.verdict == measured.verdict == "not_enough_data"
    assert measured.baseline == pytest.approx(0.85)
    assert (measured.candidate, measured.difference, measured.low, measured.high) == (None,) * 4
    assert measured.summary == "confidence: not enough data, on 0 predictions against 100,000."


def test_worse_wins_over_not_enough_data_and_that_over_better() -> None:
    few = version(100_000, latency=latency({0.25: 10}))
    assert compare(version(100_000, 100), replace(few, failures=9_000)).verdict == "worse"
    assert compare(version(100_000, 9_000), few).verdict == "not_enough_data"


def test_a_shift_inside_a_bucket_is_never_the_same() -> None:
    fast, slow = (version(50_000, latency=latency({0.25: 50_000}, mean)) for mean in (0.11, 0.24))
    measured = by_name(compare(fast, slow))["latency_p95"]
    assert (measured.difference, measured.verdict, measured.hidden_shift) == (0, "not_enough_data", True)
    assert measured.summary.endswith(" The means differ inside the buckets by more than the margin.")
    assert by_name(compare(fast, fast))["latency_p95"].verdict == "same"


def test_a_longer_tail_does_not_hide_that_the_median_stayed() -> None:
    tail = version(50_000, latency=latency({0.25: 47_500, 30.0: 2_500}))
    measured = by_name(compare(version(50_000), tail, quantiles=(0.5,)))["latency_p50"]
    assert (measured.verdict, measured.hidden_shift) == ("same", False)


def test_latency_above_the_last_bound_is_worse_without_an_upper_end() -> None:
    stuck = version(1_000, latency=latency({math.inf: 1_000}, 95.0))
    measured = by_name(compare(version(1_000), stuck))["latency_p95"]
    assert (measured.verdict, measured.candidate, measured.high) == ("worse", 60.0, None)
    assert "to no upper end" in measured.summary
    both = by_name(compare(stuck, stuck))["latency_p95"]
    assert (both.verdict, both.low, both.high) == ("not_enough_data", -1.0, None)
    assert by_name(compare(stuck, version(1_000)))["latency_p95"].verdict == "better"


def test_no_calls_are_not_enough_data() -> None:
    nothing = VersionCounts.from_increases({}, NO_OBSERVATIONS)
    for pair in ((nothing, nothing), (version(1_000), nothing), (nothing, version(1_000))):
        comparison = compare(*pair)
        assert comparison.verdict == "not_enough_data"
        assert set(verdicts(comparison).values()) == {"not_enough_data"}
        assert all(indicator.difference is None for indicator in comparison.indicators)


def test_one_call_each_is_not_enough_data() -> None:
    single = version(1)
    broken = version(1, 1, latency=latency({math.inf: 1}, 80.0))
    for pair in ((single, single), (single, broken), (broken, single)):
        assert set(verdicts(compare(*pair)).values()) == {"not_enough_data"}


def test_one_failure_in_a_small_canary_is_not_worse() -> None:
    assert by_name(compare(version(100_000, 100), version(100, 1)))["errors"].verdict == "not_enough_data"


def test_counts_come_from_rounded_increases() -> None:
    counts = VersionCounts.from_increases(
        {"success": 97.6, "failure": 1.04, "cancelled": 7.0}, NO_OBSERVATIONS
    )
    assert (counts.successes, counts.failures) == (98, 1)


@pytest.mark.parametrize("increase", [-1.0, math.nan, math.inf])
def test_increases_that_are_refused(increase: float) -> None:
    with pytest.raises(ValueError, match=r"outcome 'failure' has .*; allowed: a finite number from 0 up"):
        VersionCounts.from_increases({"failure": increase}, NO_OBSERVATIONS)


def test_parameters_that_are_refused() -> None:
    counts = version(1)
    with pytest.raises(ValueError, match=r"level is 1\.5; allowed: a number from 1e-06 to 0\.999999"):
        compare(counts, counts, level=1.5)
    with pytest.raises(ValueError, match="quantile is 1; allowed: a number from 1e-06 to"):
        compare(counts, counts, quantiles=(1,))
    with pytest.raises(ValueError, match=r"quantiles are \(0\.5, 0\.5\); allowed: each once"):
        compare(counts, counts, quantiles=(0.5, 0.5))
    with pytest.raises(ValueError, match="margin of latency is 0; allowed: a number between 0 and 1"):
        Margins(latency=0)


INSIDE = st.dictionaries(st.sampled_from((*LATENCY_BUCKETS, math.inf)), st.integers(0, 5_000), max_size=5)
PREDICTIONS = st.dictionaries(st.sampled_from(CONFIDENCE_BUCKETS), st.integers(0, 5_000), max_size=4)
VERSIONS = st.builds(
    VersionCounts,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    INSIDE.map(lambda inside: histogram(LATENCY_BUCKETS, inside)),
    PREDICTIONS.map(lambda inside: histogram(CONFIDENCE_BUCKETS, inside)),
)
OPPOSITE = {"better": "worse", "worse": "better"}


SHARES = st.sampled_from((LOWEST, 0.05, 0.5, HIGHEST))


@settings(max_examples=80)
@given(VERSIONS, VERSIONS, SHARES, SHARES)
def test_any_data_gives_ordered_finite_numbers(
    baseline: VersionCounts, candidate: VersionCounts, share: float, level: float
) -> None:
    for result in compare(baseline, candidate, (share,), level).indicators:
        assert result.summary.startswith(f"{result.name}: ")
        if not (result.baseline_count and result.candidate_count):
            assert (result.verdict, result.difference, result.low) == ("not_enough_data", None, None)
            continue
        assert result.low is not None
        assert result.difference is not None
        assert (
            -math.inf < result.low <= result.difference <= (math.inf if result.high is None else result.high)
        )
        assert result.high is None or math.isfinite(result.high)


@settings(max_examples=80)
@given(VERSIONS, VERSIONS)
def test_sides_exchanged_exchange_better_and_worse(baseline: VersionCounts, candidate: VersionCounts) -> None:
    there, back = verdicts(compare(baseline, candidate)), verdicts(compare(candidate, baseline))
    assert back == {name: OPPOSITE.get(verdict, verdict) for name, verdict in there.items()}


def test_a_relative_margin_is_the_same_from_both_sides() -> None:
    """10 % of margin end at 1.1 times as long and at 1 / 1.1 of it, which is 9.1 % shorter."""
    for ratio, verdict in ((1.09, "same"), (1.105, "worse")):
        # The p95 of so many calls is the first bound to four digits.
        fast, slow = (
            version(10**8, latency=histogram((bound, 2.0), {bound: 95_000_000, 2.0: 5_000_000}))
            for bound in (1.0, ratio)
        )
        assert by_name(compare(fast, slow))["latency_p95"].verdict == verdict
        assert by_name(compare(slow, fast))["latency_p95"].verdict == OPPOSITE.get(verdict, verdict)


def test_a_shift_inside_the_buckets_is_the_same_from_both_sides() -> None:
    fast, slow = (version(50_000, latency=latency({0.25: 50_000}, mean)) for mean in (0.15, 0.1651))
    for pair in ((fast, slow), (slow, fast)):
        assert by_name(compare(*pair))["latency_p95"].hidden_shift


def test_quantiles_near_one_have_names_of_their_own() -> None:
    names = [
        indicator.name
        for indicator in compare(version(9), version(9), (0.9999, 0.99999, 0.999999)).indicators
    ]
    assert names[1:4] == ["latency_p99.99", "latency_p99.999", "latency_p99.9999"]


def test_the_same_calls_in_other_buckets_are_the_same() -> None:
    """An exporter with fewer bounds places a quantile elsewhere in its wider bucket."""
    fine = Histogram((0.01, 0.025, 0.05, 0.1), (0, 60_000, 99_000, 100_000), 100_000, 0.024)
    coarse = Histogram((0.01, 0.05, 0.1), (0, 99_000, 100_000), 100_000, 0.024)
    pair = version(100_000, latency=fine), version(100_000, latency=coarse)
    assert by_name(compare(*pair, quantiles=(0.5,)))["latency_p50"].verdict == "worse"
    even = on_common_bounds(*pair)
    assert {counts.latency.bounds for counts in even} == {(0.01, 0.05, 0.1)}
    assert by_name(compare(*even, quantiles=(0.5,)))["latency_p50"].verdict == "same"
    alone = pair[0], version(0, latency=NO_OBSERVATIONS)
    assert on_common_bounds(*alone) == alone
    with pytest.raises(ValueError, match="allowed: one in common at least"):
        on_common_bounds(pair[0], version(1, latency=Histogram((3.0,), (1,), 1, 2.0)))
