"""The bucket of a latency quantile, from its interpolation."""

from __future__ import annotations

import numpy as np
import pytest

from modelplane_datasource.series.quantile_bounds import LatencyBounds
from modelplane_schema.metrics import LATENCY_BUCKETS


@pytest.mark.parametrize(
    ("estimate", "low", "high", "is_open"),
    [
        (0.0, 0.0, 0.001, 0),
        (0.0004, 0.0, 0.001, 0),
        (0.2, 0.1, 0.25, 0),
        (0.25, 0.1, 0.25, 0),
        (0.25000000000000006, 0.1, 0.25, 0),
        (0.2501, 0.25, 0.5, 0),
        (59.0, 30.0, 60.0, 0),
        (60.0, 60.0, None, 1),
        (None, None, None, None),
    ],
)
def test_an_estimate_lies_in_its_bucket(
    estimate: float | None, low: float | None, high: float | None, is_open: int | None
) -> None:
    bounds = LatencyBounds([estimate])
    assert {name: list(column) for name, column in bounds.items()} == {
        "low": [low], "high": [high], "open": [is_open],
    }  # fmt: skip


def test_no_values_have_no_bounds() -> None:
    assert [list(column) for column in LatencyBounds([]).values()] == [[], [], []]


@pytest.mark.parametrize("quantile", [0.05, 0.5, 0.95])
def test_the_quantile_of_the_calls_lies_between_them(quantile: float) -> None:
    """Whatever the calls are, where an interpolation may be off by half of a bucket and more."""
    random, edges = np.random.default_rng(1), np.array([0.0, *LATENCY_BUCKETS])
    for spread in (0.01, 0.3, 2.0):
        calls = np.sort(random.lognormal(-2, spread, 1_000))
        counts = np.searchsorted(calls, edges, side="right")
        rank = quantile * len(calls)
        upper = int(np.searchsorted(counts, rank))
        share = (rank - counts[upper - 1]) / (counts[upper] - counts[upper - 1])
        estimate = float(edges[upper - 1] + share * (edges[upper] - edges[upper - 1]))
        bounds = LatencyBounds([estimate])
        (low,), (high,) = bounds["low"], bounds["high"]
        assert low is not None
        assert high is not None
        assert low < calls[int(np.ceil(rank)) - 1] <= high
