"""Histograms: texts of ``le``, and what is refused."""

from __future__ import annotations

import math

import pytest

from modelplane_datasource.prometheus.histograms import (
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
    ],
)
def test_buckets_that_are_refused(buckets: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sum_by_bound(buckets)


@pytest.mark.parametrize(
    ("bounds", "cumulative"), [((2.0, 1.0), (1, 1)), ((1.0,), (1, 2)), ((1.0,), (3,)), ((1.0,), (-1,))]
)
def test_histograms_that_contradict_themselves(
    bounds: tuple[float, ...], cumulative: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match="allowed: "):
        Histogram(bounds, cumulative, 2, 1.0)
