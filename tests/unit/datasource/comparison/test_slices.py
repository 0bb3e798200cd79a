"""Slices of time: how they come from increases, and which of two versions are held against each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from modelplane_datasource.comparison.slices import (
    HistogramSlices,
    VersionCounts,
    VersionSlices,
    at_the_same_time,
    on_common_bounds,
)
from modelplane_datasource.prometheus.histograms import NO_OBSERVATIONS, Histogram

FAST = Histogram((0.1, 0.5), (9, 10), 10, 0.08)


def counts(successes: int, failures: int = 0, latency: Histogram = NO_OBSERVATIONS) -> VersionCounts:
    return VersionCounts(successes, failures, latency)


def test_slices_add_up_to_their_total() -> None:
    slices = VersionSlices.of(counts(9, 1, FAST), counts(0), counts(19, 1, FAST))
    assert slices.calls.tolist() == [10, 0, 20]
    assert slices.total == counts(28, 2, Histogram((0.1, 0.5), (18, 20), 20, 0.08))
    assert slices.part(slice(0, 2)).total == counts(9, 1, FAST)


def test_slices_have_the_same_bounds() -> None:
    with pytest.raises(ValueError, match="allowed: the same in every slice"):
        VersionSlices.of(counts(1, 0, FAST), counts(1, 0, Histogram((0.2,), (1,), 1, 0.1)))


def test_a_histogram_comes_from_increases() -> None:
    one, other, top = np.array([1.0, 0.25]), np.array([2.0, 0.5]), np.array([7.0, 0.5])
    slices = HistogramSlices.from_increases({"1.0": one, "1": one, "2.5": other, "+Inf": top}, 3 * top)
    assert slices.bounds == (1.0, 2.5)
    assert slices.cumulative.tolist() == [[2, 2], [0.5, 0.5]]
    assert (slices.counts.tolist(), slices.mean) == ([7, 0.5], 3)
    nothing = HistogramSlices.from_increases({}, np.zeros(3))
    assert (nothing.count, nothing.mean, nothing.total) == (0, 0, NO_OBSERVATIONS)


def test_extrapolation_never_makes_a_count_smaller_than_a_lower_one() -> None:
    slices = HistogramSlices.from_increases({"1": np.array([5.0]), "+Inf": np.array([4.9])}, np.array([2.0]))
    assert (slices.cumulative.tolist(), slices.counts.tolist()) == ([[5.0]], [5.0])


@pytest.mark.parametrize(
    ("buckets", "text"),
    [
        ({"1": [1.0]}, r"le='\+Inf' is missing"),
        ({"1": [-1.0], "+Inf": [1.0]}, r"le='1' has -1\.0; allowed: a finite number from 0 up"),
        ({"x": [1.0], "+Inf": [1.0]}, "le has the value 'x'"),
        ({"0": [1.0], "+Inf": [1.0]}, "allowed: finite, ascending, above 0"),
        ({"+Inf": [1.0]}, "bounds are missing"),
    ],
)
def test_buckets_that_are_refused(buckets: dict[str, list[float]], text: str) -> None:
    arrays = {bound: np.array(increases) for bound, increases in buckets.items()}
    with pytest.raises(ValueError, match=text):
        HistogramSlices.from_increases(arrays, np.ones(1))


@pytest.mark.parametrize("total", [math.inf, math.nan])
def test_observations_have_a_sum(total: float) -> None:
    buckets = {"1": np.array([0.0, 1.0]), "+Inf": np.array([0.0, 1.0])}
    with pytest.raises(ValueError, match="the sum is missing or not finite"):
        HistogramSlices.from_increases(buckets, np.array([0.0, total]))
    assert HistogramSlices.from_increases(buckets, np.array([total, 0.5])).sums.tolist() == [0, 0.5]


def test_versions_are_seen_through_the_bounds_that_both_have() -> None:
    fine = VersionSlices.of(counts(10, 0, Histogram((0.1, 0.25, 0.5), (5, 9, 10), 10, 0.1)))
    coarse = VersionSlices.of(counts(10, 0, Histogram((0.1, 0.5, 1.0), (5, 10, 10), 10, 0.1)))
    even = on_common_bounds(fine, coarse)
    assert [version.latency.bounds for version in even] == [(0.1, 0.5)] * 2
    assert [version.latency.cumulative.tolist() for version in even] == [[[5, 10]]] * 2
    idle = VersionSlices.of(counts(0))
    assert on_common_bounds(fine, idle)[0].latency.bounds == (0.1, 0.25, 0.5)
    with pytest.raises(ValueError, match="allowed: one in common at least"):
        on_common_bounds(fine, VersionSlices.of(counts(1, 0, Histogram((3.0,), (1,), 1, 2.0))))


def calls(*slices: int) -> VersionSlices:
    return VersionSlices.of(*map(counts, slices))


def test_a_baseline_counts_by_the_time_that_the_candidate_ran() -> None:
    before, after = at_the_same_time(calls(90, 80, 70, 0, 60, 50), calls(0, 0, 5, 0, 5, 0))
    assert (before.calls.tolist(), after.calls.tolist()) == ([70, 0, 60], [5, 0, 5])


def test_versions_that_replaced_each_other_count_by_their_calls() -> None:
    before, after = at_the_same_time(calls(90, 80, 70, 0, 0), calls(0, 0, 5, 60, 50))
    assert (before.calls.tolist(), after.calls.tolist()) == ([90, 80, 70], [5, 60, 50])


def test_a_version_without_calls_has_no_time() -> None:
    assert [version.calls.tolist() for version in at_the_same_time(calls(0, 0), calls(1, 2))] == [[], [1, 2]]
