"""Verdicts of a comparison, one worked case each, and the ends of what data can be."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelplane_datasource.comparison.indicators import Verdict
from modelplane_datasource.comparison.slices import VersionCounts, VersionSlices
from modelplane_datasource.comparison.verdicts import (
    HIGHEST,
    LOWEST,
    Comparison,
    Difference,
    Margins,
    compare,
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


def test_a_version_does_not_differ_from_itself() -> None:
    comparison = compare(version(100_000, 100), version(100_000, 100))
    assert comparison.verdict == "no_difference_found"
    assert verdicts(comparison) == {
        "errors": "same", "latency_p95": "no_difference_found", "confidence": "same",
    }  # fmt: skip
    assert [indicator.difference for indicator in comparison.indicators] == [0, None, 0]


def test_more_errors_are_worse() -> None:
    comparison = compare(version(100_000, 100), version(100_000, 2_000))
    errors = by_name(comparison)["errors"]
    assert (comparison.verdict, errors.verdict) == ("worse", "worse")
    assert (errors.baseline, errors.candidate) == (0.001, 0.02)
    assert (errors.low, errors.difference, errors.high) == pytest.approx((0.0171, 0.019, 0.021), abs=1e-4)
    assert errors.baseline_low is not None
    assert errors.candidate_low is not None
    assert 0 < errors.baseline_low < 0.001 < errors.candidate_low < 0.02
    assert errors.confidence_level == pytest.approx(1 - 0.05 * 8 / 10)
    assert errors.summary.startswith("errors: worse, 2 % against 0.1 %, +1.9 points (96 % interval +1.7")
    assert errors.summary.endswith("on 100,000 calls against 100,000: the difference is not chance.")


def test_fewer_errors_are_better() -> None:
    comparison = compare(version(100_000, 2_000), version(100_000, 100))
    assert by_name(comparison)["errors"].verdict == comparison.verdict == "better"


def test_a_difference_inside_the_margin_is_the_same_even_when_it_is_certain() -> None:
    errors = by_name(compare(version(10**7, 10_000), version(10**7, 20_000)))["errors"]
    assert errors.verdict == "same"
    assert errors.low is not None
    assert errors.low > 0
    narrow = compare(version(10**7, 10_000), version(10**7, 20_000), margins=Margins(errors=0.0005))
    assert by_name(narrow)["errors"].verdict == "worse"


def test_longer_latency_is_worse_where_a_bound_lies_between() -> None:
    fast, slow = (version(20_000, latency=latency({bound: 19_500, 60.0: 500})) for bound in (0.25, 1.0))
    measured = by_name(compare(fast, slow))["latency_p95"]
    assert (measured.verdict, measured.unit, measured.relative) == ("worse", "seconds", True)
    assert (measured.baseline_low, measured.baseline_high) == (0.1, 0.25)
    assert (measured.candidate_low, measured.candidate_high) == (0.5, 1.0)
    assert (measured.low, measured.difference, measured.high) == pytest.approx((1.0, None, 9.0))
    assert measured.summary == (
        "latency_p95: worse, on 20,000 calls against 20,000: "
        "it lies between 0.5 s and 1 s, that of the baseline below."
    )
    back = by_name(compare(slow, fast))["latency_p95"]
    assert (back.verdict, back.low, back.high) == ("better", -0.9, -0.5)


def test_every_quantile_is_an_indicator_of_its_own() -> None:
    fast = version(20_000, latency=latency({0.25: 19_500, 0.5: 500}))
    slow = version(20_000, latency=latency({0.1: 15_000, 1.0: 5_000}))
    comparison = compare(fast, slow, quantiles=(0.5, 0.95))
    assert verdicts(comparison) == {
        "errors": "same", "latency_p50": "better", "latency_p95": "worse", "confidence": "same",
    }  # fmt: skip
    assert comparison.verdict == "worse"
    assert comparison.indicators[1].confidence_level == pytest.approx(1 - 0.05 / 20)


def test_slow_calls_are_compared_by_their_share() -> None:
    fast = version(20_000, latency=latency({0.25: 19_000, 0.5: 1_000}))
    slow = version(20_000, latency=latency({0.25: 18_000, 0.5: 2_000}))
    comparison = compare(fast, slow, above=(0.25, 0.3))
    measured = by_name(comparison)["latency_above_0.25s"]
    assert (measured.verdict, measured.unit, measured.relative) == ("worse", "ratio", False)
    assert (measured.baseline, measured.candidate) == (0.05, 0.1)
    assert by_name(compare(slow, fast, above=(0.25,)))["latency_above_0.25s"].verdict == "better"
    other = by_name(comparison)["latency_above_0.3s"]
    assert (other.verdict, other.baseline) == ("not_enough_data", None)
    assert "0.3 s is no bound of the buckets, which are 0.001, " in other.summary


def test_when_nearly_all_calls_fail_those_that_do_not_decide() -> None:
    assert by_name(compare(version(5_000, 4_500), version(5_000, 4_750)))["errors"].verdict == "worse"
    assert by_name(compare(version(5_000, 4_750), version(5_000, 4_500)))["errors"].verdict == "better"


def test_lower_confidence_is_worse() -> None:
    unsure = version(20_000, confidence=histogram(CONFIDENCE_BUCKETS, {0.7: 20_000}))
    measured = by_name(compare(version(20_000), unsure))["confidence"]
    assert (measured.verdict, measured.observations) == ("worse", "predictions")
    assert measured.difference == pytest.approx(-0.2)
    assert by_name(compare(unsure, version(20_000)))["confidence"].verdict == "better"


def test_a_model_without_confidence_is_compared_without_it() -> None:
    plain = version(100_000, confidence=NO_OBSERVATIONS)
    comparison = compare(plain, plain)
    assert comparison.verdict == "no_difference_found"
    assert [indicator.confidence_level for indicator in comparison.indicators] == pytest.approx(
        [1 - 0.05 * 8 / 9, 1 - 0.05 / 9]
    )


def test_confidence_that_one_version_lacks_is_not_enough_data() -> None:
    comparison = compare(version(100_000), version(100_000, confidence=NO_OBSERVATIONS))
    measured = by_name(comparison)["confidence"]
    assert comparison.verdict == measured.verdict == "not_enough_data"
    assert (measured.candidate, measured.difference, measured.low, measured.high) == (None,) * 4
    assert measured.summary == (
        "confidence: not enough data, on 0 predictions against 100,000: "
        "the candidate has no predictions to compare."
    )


def test_worse_wins_over_not_enough_data_and_that_over_better() -> None:
    few = version(100_000, latency=latency({0.25: 10}))
    assert compare(version(100_000, 100), replace(few, failures=9_000)).verdict == "worse"
    assert compare(version(100_000, 9_000), few).verdict == "not_enough_data"


def test_a_shift_inside_a_bucket_is_told_by_the_means() -> None:
    fast, slow = (version(50_000, latency=latency({0.25: 50_000}, mean)) for mean in (0.11, 0.24))
    for pair in ((fast, slow), (slow, fast)):
        measured = by_name(compare(*pair))["latency_p95"]
        assert (measured.difference, measured.verdict, measured.hidden_shift) == (
            None,
            "not_enough_data",
            True,
        )
        assert measured.reason.startswith("both lie between 0.1 s and 0.25 s, but the means differ; which is")
    assert by_name(compare(fast, fast))["latency_p95"].verdict == "no_difference_found"


def test_a_longer_tail_does_not_hide_that_the_median_stayed() -> None:
    tail = version(50_000, latency=latency({0.25: 47_500, 30.0: 2_500}))
    measured = by_name(compare(version(50_000), tail, quantiles=(0.5,)))["latency_p50"]
    assert (measured.verdict, measured.hidden_shift) == ("no_difference_found", False)


def test_latency_above_the_last_bound_is_worse_without_an_upper_end() -> None:
    stuck = version(1_000, latency=latency({math.inf: 1_000}, 95.0))
    measured = by_name(compare(version(1_000), stuck))["latency_p95"]
    assert (measured.verdict, measured.candidate, measured.high) == ("worse", 60.0, None)
    assert (measured.candidate_low, measured.candidate_high) == (60.0, None)
    assert "it lies above 60 s" in measured.summary
    both = by_name(compare(stuck, stuck))["latency_p95"]
    assert (both.verdict, both.low, both.high) == ("no_difference_found", -1.0, None)
    assert by_name(compare(stuck, version(1_000)))["latency_p95"].verdict == "better"


def test_narrow_buckets_show_that_latency_is_the_same() -> None:
    """10 % of margin end at 1.1 times as long and at 1 / 1.1 of it, which is 9.1 % shorter."""
    for ratio, verdict in ((1.04, "same"), (1.2, "worse")):
        bounds = (1.0, 1.04, 1.08, 1.2, 1.25)
        end = min(bound for bound in bounds if bound > ratio)
        fast, slow = (
            version(10**6, latency=histogram(bounds, {bound: 990_000, 1.25: 10_000})) for bound in (1.04, end)
        )
        assert by_name(compare(fast, slow))["latency_p95"].verdict == verdict
        assert by_name(compare(slow, fast))["latency_p95"].verdict == OPPOSITE.get(verdict, verdict)


def test_no_calls_are_no_traffic() -> None:
    nothing = VersionCounts(0, 0, NO_OBSERVATIONS)
    for pair, text in (
        ((nothing, nothing), "no calls of the baseline and the candidate"),
        ((version(1_000), nothing), "no calls of the candidate"),
        ((nothing, version(1_000)), "no calls of the baseline"),
    ):
        comparison = compare(*pair)
        assert comparison.verdict == "no_traffic"
        assert set(verdicts(comparison).values()) == {"no_traffic"}
        assert {indicator.reason for indicator in comparison.indicators} == {text}
        assert all(indicator.difference is None for indicator in comparison.indicators)


def test_few_slices_do_not_show_bursts() -> None:
    broken = [version(100, 90)] * 5
    for count, verdict in ((2, "not_enough_data"), (3, "not_enough_data"), (4, "worse")):
        slices = VersionSlices.of(*[version(100)] * count), VersionSlices.of(*broken[:count])
        assert by_name(compare(*slices))["errors"].verdict == verdict
    late = VersionSlices.of(*[version(0, latency=NO_OBSERVATIONS, confidence=NO_OBSERVATIONS)] * 3, broken[0])
    errors = by_name(compare(VersionSlices.of(*[version(100)] * 4), late))["errors"]
    assert (errors.verdict, "fewer than 4 slices" in errors.reason) == ("not_enough_data", True)


def test_one_burst_does_not_decide() -> None:
    baseline = VersionSlices.of(*[version(50)] * 60)
    burst = VersionSlices.of(*[version(50)] * 30, version(50, 40), *[version(50)] * 29)
    errors = by_name(compare(baseline, burst))["errors"]
    assert errors.verdict == "not_enough_data"
    assert "they come in bursts, so that " in errors.reason
    spread = VersionSlices.of(*[version(50, 1)] * 40, *[version(50)] * 20)
    assert by_name(compare(baseline, spread))["errors"].verdict == "worse"


def test_one_call_each_is_not_enough_data() -> None:
    single = version(1)
    broken = version(1, 1, latency=latency({math.inf: 1}, 80.0))
    for pair in ((single, single), (single, broken), (broken, single)):
        assert set(verdicts(compare(*pair)).values()) == {"not_enough_data"}


def test_one_failure_in_a_small_canary_is_not_worse() -> None:
    assert by_name(compare(version(100_000, 100), version(100, 1)))["errors"].verdict == "not_enough_data"


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


@pytest.mark.slow
@settings(max_examples=80)
@given(VERSIONS, VERSIONS, SHARES, SHARES)
def test_any_data_gives_ordered_finite_numbers(
    baseline: VersionCounts, candidate: VersionCounts, share: float, level: float
) -> None:
    for result in compare(baseline, candidate, (share,), level).indicators:
        assert result.summary.startswith(f"{result.name}: ")
        if not (result.baseline_count and result.candidate_count):
            assert result.verdict in ("not_enough_data", "no_traffic")
            assert (result.difference, result.low) == (None, None)
            continue
        assert result.low is not None
        value = result.low if result.difference is None else result.difference
        assert -math.inf < result.low <= value <= (math.inf if result.high is None else result.high)
        assert result.high is None or math.isfinite(result.high)


@pytest.mark.slow
@settings(max_examples=80)
@given(VERSIONS, VERSIONS)
def test_sides_exchanged_exchange_better_and_worse(baseline: VersionCounts, candidate: VersionCounts) -> None:
    there, back = verdicts(compare(baseline, candidate)), verdicts(compare(candidate, baseline))
    for name, verdict in there.items():
        # Errors that fell need more evidence than errors that rose, so only contradictions are excluded.
        assert back[name] != verdict or verdict not in OPPOSITE
        assert name != "latency_p95" or back[name] == OPPOSITE.get(verdict, verdict)


def test_quantiles_near_one_have_names_of_their_own() -> None:
    names = [
        indicator.name
        for indicator in compare(version(9), version(9), (0.9999, 0.99999, 0.999999)).indicators
    ]
    assert names[1:4] == ["latency_p99.99", "latency_p99.999", "latency_p99.9999"]
