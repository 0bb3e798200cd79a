"""Histograms from increases: texts of ``le``, rounding, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelplane_datasource.prometheus.histograms import (
    NO_OBSERVATIONS,
    Histogram,
    bound_texts,
    parse_bound,
    sum_by_bound,
)
from modelplane_schema.metrics import CONFIDENCE_BUCKETS, LATENCY_BUCKETS


def test_a_bound_reads_in_two_ways() -> None:
    assert bound_texts(1) == ("1.0", "1")
    assert bound_texts(10.0) == ("10.0", "10")
    assert bound_texts(0.0025) == ("0.0025",)


@pytest.mark.parametrize("bound", sorted({*LATENCY_BUCKETS, *CONFIDENCE_BUCKETS}))
def test_every_text_of_a_bound_is_that_bound(bound: float) -> None:
    assert {parse_bound(text) for text in bound_texts(bound)} == {bound}


def test_series_of_two_exporters_add_up() -> None:
    buckets = {"+Inf": 9.0, "1.0": 2.0, "1": 3.0, "0.5": 4.0}
    assert sum_by_bound(buckets) == {0.5: 4.0, 1.0: 5.0, math.inf: 9.0}
    assert list(sum_by_bound(buckets)) == [0.5, 1.0, math.inf]


@pytest.mark.parametrize(
    ("buckets", "message"),
    [
        ({"0.5": 1.0}, r"le='\+Inf' is missing"),
        ({"half": 1.0, "+Inf": 1.0}, "le has the value 'half'; allowed: a number"),
        ({"nan": 1.0, "+Inf": 1.0}, "le has the value 'nan'"),
        ({"0.5": -1.0, "+Inf": 1.0}, "le='0.5' holds -1.0; allowed: a finite number from 0 up"),
        ({"0.5": math.nan, "+Inf": 1.0}, "le='0.5' holds nan"),
        ({"+Inf": math.inf}, r"le='\+Inf' holds inf"),
        ({"+Inf": 1.0}, "bounds are missing"),
        ({"0.0": 1.0, "+Inf": 1.0}, "bounds are"),
    ],
)
def test_buckets_that_are_refused(buckets: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Histogram.from_increases(buckets, 1.0)


def test_a_sum_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="the sum is nan; allowed: a finite number"):
        Histogram.from_increases({"1": 1.0, "+Inf": 1.0}, math.nan)


@pytest.mark.parametrize(
    ("bounds", "cumulative"), [((2.0, 1.0), (1, 1)), ((1.0,), (1, 2)), ((1.0,), (3,)), ((1.0,), (-1,))]
)
def test_histograms_that_contradict_themselves(
    bounds: tuple[float, ...], cumulative: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="allowed: "):
        Histogram(bounds, cumulative, 2, 1.0)


def test_fractions_of_increase_are_rounded_and_the_mean_is_not() -> None:
    histogram = Histogram.from_increases({"0.5": 1.02, "1": 3.06, "+Inf": 4.08}, 2.856)
    assert replace(histogram, mean=0.7) == Histogram((0.5, 1.0), (1, 3), 4, 0.7)
    assert histogram.mean == pytest.approx(0.7)


def test_a_count_below_that_of_a_lower_bound_is_raised() -> None:
    assert Histogram.from_increases({"0.5": 7.6, "1": 7.4, "+Inf": 7.4}, 2.0).cumulative == (8, 8)


def test_no_series_and_no_calls_hold_nothing() -> None:
    assert Histogram.from_increases({}, 0.0) == NO_OBSERVATIONS
    assert Histogram.from_increases({"1": 0.2, "+Inf": 0.3}, 0.1) == Histogram((1.0,), (0,), 0, 0.0)


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=6))
def test_counts_are_whole_and_never_fall(increases: list[float]) -> None:
    buckets = {str(position + 1): increase for position, increase in enumerate(increases)}
    histogram = Histogram.from_increases({**buckets, "+Inf": max(increases)}, 1.0)
    counts = [*histogram.cumulative, histogram.count]
    assert counts == sorted(counts)
    assert all(abs(count - max(increases[: i + 1])) <= 0.5 for i, count in enumerate(counts[:-1]))
    assert abs(counts[-1] - max(increases)) <= 0.5
