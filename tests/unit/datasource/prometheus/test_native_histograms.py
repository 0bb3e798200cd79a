"""Native histograms read as classic ones: their buckets, sums and means, and what cannot be read."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest

from modelplane_datasource.prometheus.decoding import RANGE, Matrix, decode
from modelplane_datasource.prometheus.errors import UpstreamError
from modelplane_datasource.prometheus.native_histograms import ClassicBuckets
from modelplane_datasource.prometheus.ranges import range_series, range_table
from modelplane_datasource.timeline.grid import Grid
from modelplane_schema.metrics import CONFIDENCE_BUCKETS, LATENCY_BUCKETS

GRID = Grid(0, 3_000, 1_000)
MANY = 1_000_000
BUCKETS = ClassicBuckets((0.1, 1.0))
WHO = {"model_name": "resnet50"}


def native(bounds: tuple[float, ...], observed: np.ndarray[Any, Any]) -> dict[str, Any]:
    """As Prometheus writes it, without the buckets that are empty."""
    buckets = [
        [0, *(f"{edge:+}".replace("inf", "Inf").replace("+0", "0") for edge in (low, high)), str(count)]
        for low, high in pairwise((-math.inf, *bounds, math.inf))
        if (count := int(((observed > low) & (observed <= high)).sum()))
    ]
    histogram = {"count": str(len(observed)), "sum": repr(float(observed.sum()))}
    return {**histogram, "buckets": buckets} if buckets else histogram


def matrix(*series: dict[str, Any]) -> Matrix:
    data = {"resultType": "matrix", "result": list(series)}
    return decode(200, orjson.dumps({"status": "success", "data": data}), RANGE).data


def of_two_buckets(low: int, high: int) -> dict[str, Any]:
    return native(BUCKETS.bounds, np.array([0.05] * low + [0.5] * high))


@pytest.mark.parametrize("bounds", [LATENCY_BUCKETS, CONFIDENCE_BUCKETS])
def test_buckets_are_those_of_the_classic_histogram(bounds: tuple[float, ...]) -> None:
    random = np.random.default_rng(7)
    for size in (0, 1, 5, 400):
        observed = [np.append(random.lognormal(-1, 2, size), random.choice(bounds, size)) for _ in range(4)]
        points = [[number, native(bounds, values)] for number, values in enumerate(observed)]
        buckets = ClassicBuckets(bounds, "sum")
        table = range_table(matrix({"metric": WHO, "histograms": points}), GRID, MANY, buckets)
        expected = [[(values <= bound).sum() for values in observed] for bound in (*bounds, math.inf)]
        assert [labels["le"] for labels in table.labels] == [*map(str, bounds), "+Inf", "sum"]
        assert table.values[:-1].tolist() == expected
        assert table.values[-1] == pytest.approx([values.sum() for values in observed])


def test_a_time_without_a_histogram_is_a_gap() -> None:
    points = [[1, of_two_buckets(2, 3)]]
    table = range_table(matrix({"metric": WHO, "histograms": points}), GRID, MANY, BUCKETS)
    np.testing.assert_array_equal(table.values[:, [0, 2, 3]], np.nan)
    assert table.values[:, 1].tolist() == [2, 5, 5]
    assert [labels["le"] for labels in table.labels] == ["0.1", "1.0", "+Inf"]
    assert all(labels["model_name"] == "resnet50" for labels in table.labels)


def test_classic_series_count_where_both_are_there() -> None:
    """After a change of the configuration a window has both; ``le`` may read in two ways."""
    classic: list[dict[str, Any]] = [
        {"metric": {"model_name": "resnet50", "le": le}, "values": [[0, value], [1, value]]}
        for le, value in (("0.1", "20"), ("1", "50"), ("+Inf", "50"))
    ]
    points = [[1, of_two_buckets(2, 3)], [2, of_two_buckets(4, 6)]]
    histograms = {"metric": WHO, "histograms": points}
    other = {"metric": {"model_name": "other"}, "histograms": points[:1]}
    table = range_table(matrix(histograms, *classic, other), GRID, MANY, BUCKETS)
    assert [(labels["model_name"], labels["le"]) for labels in table.labels] == [
        ("resnet50", "0.1"), ("resnet50", "1"), ("resnet50", "+Inf"),
        ("other", "0.1"), ("other", "1.0"), ("other", "+Inf"),
    ]  # fmt: skip
    expected = [[20, 20, 4, np.nan], [50, 50, 10, np.nan], [50, 50, 10, np.nan]]
    np.testing.assert_array_equal(table.values[:3], expected)
    assert table.values[3:, 1].tolist() == [2, 5, 5]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a bound inside a bucket": (
        {"count": "3", "sum": "1", "buckets": [[0, "0.0625", "0.125", "3"]]},
        "they have no bound 0.1; allowed: buckets that end at 0.1",
    ),
    "one open bucket": ({"count": "3", "sum": "1", "buckets": [[0, "-Inf", "+Inf", "3"]]}, "no bound 0.1"),
    "a word": ({"count": "3", "sum": "1", "buckets": [[0, "0", "0.1", "many"]]}, "could not convert"),
    "a count that is a word": ({"count": "many", "sum": "1"}, "could not convert"),
}


@pytest.mark.parametrize(("histogram", "problem"), BAD.values(), ids=BAD)
def test_what_cannot_be_read_is_a_sentence(histogram: dict[str, Any], problem: str) -> None:
    """Native histograms with exponential buckets have none of our bounds."""
    with pytest.raises(UpstreamError, match=f"Prometheus' native histograms are not usable: .*{problem}"):
        range_table(matrix({"metric": WHO, "histograms": [[1, histogram]]}), GRID, MANY, BUCKETS)


@pytest.mark.parametrize("second", [0.5, 4, -1, 1e30])
def test_other_times_are_refused(second: float) -> None:
    points = matrix({"metric": WHO, "histograms": [[second, of_two_buckets(1, 1)]]})
    with pytest.raises(UpstreamError, match="other times"):
        range_table(points, GRID, MANY, BUCKETS)
    with pytest.raises(UpstreamError, match="not a range result"):
        range_series(points, GRID, MANY, reads_means=True)


def test_numbers_are_expected_where_no_buckets_are() -> None:
    with pytest.raises(UpstreamError, match="native histograms, where numbers are expected"):
        range_table(matrix({"metric": WHO, "histograms": [[1, of_two_buckets(1, 1)]]}), GRID, MANY)
    with pytest.raises(UpstreamError, match="native histograms, where numbers are expected"):
        range_series(matrix({"metric": WHO, "histograms": [[1, of_two_buckets(1, 1)]]}), GRID, MANY)


def test_the_value_of_a_native_histogram_is_its_mean() -> None:
    points = [[1, of_two_buckets(1, 3)], [2, of_two_buckets(0, 0)], [3, of_two_buckets(1, 0)]]
    (series,) = range_series(
        matrix({"metric": WHO, "values": [[0, "0.25"], [3, "0.5"]], "histograms": points}), GRID, MANY,
        reads_means=True,
    )  # fmt: skip
    assert series.values == [0.25, pytest.approx(1.55 / 4), None, 0.5]
    (alone,) = range_series(matrix({"metric": WHO, "histograms": points}), GRID, MANY, reads_means=True)
    assert alone.values == [None, pytest.approx(1.55 / 4), None, 0.05]
