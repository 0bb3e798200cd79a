"""Bodies of Prometheus are read exactly, by the quick way and by the strict one alike."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelplane_datasource.prometheus.decoding import RANGE, SAMPLES, decode, raw_series
from modelplane_datasource.prometheus.errors import UpstreamError
from modelplane_datasource.prometheus.ranges import RangeSeries, RangeTable, range_series, range_table
from modelplane_datasource.timeline.grid import Grid

GRID = Grid(1_698_400_740_000, 1_698_400_740_000 + 9 * 15_250, 15_250)
LABELS = {"model_name": 'a","values":[[1,"2"]]', "tenant_id": "[ü]"}
WHOLE_SECONDS = Grid(1_698_400_740_000, 1_698_400_740_000 + 9 * 15_000, 15_000)
MOST = 1000

numbers = st.floats() | st.integers(-(2**70), 2**70).map(float)


def go_text(number: float) -> str:
    """A number as Prometheus writes it."""
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "+Inf" if number > 0 else "-Inf"
    return str(int(number)) if number == int(number) and abs(number) < 1e21 else repr(number)


def body(*values: Any) -> bytes:
    result = [
        {"metric": {**LABELS, "bin": str(bin_)}, "values": points} for bin_, points in enumerate(values)
    ]
    data = {"resultType": "matrix", "result": result}
    return json.dumps({"status": "success", "data": data}, separators=(",", ":")).encode()


def read(*values: Any, grid: Grid = GRID) -> tuple[RangeSeries, ...]:
    return range_series(decode(200, body(*values), RANGE).data, grid, MOST)


def table(*values: Any, grid: Grid = GRID) -> RangeTable:
    return range_table(decode(200, body(*values), RANGE).data, grid, MOST)


@pytest.mark.slow
@pytest.mark.parametrize("grid", [GRID, WHOLE_SECONDS])
@given(st.lists(st.none() | numbers, min_size=len(GRID), max_size=len(GRID)))
@example([None] * len(GRID))
@example([1.0] * len(GRID))
@example([None, *[1e308] * (len(GRID) - 1)])
def test_every_value_is_read_at_its_time_and_gaps_are_none(grid: Grid, values: list[float | None]) -> None:
    points = [
        [time / 1000 if time % 1000 else time // 1000, go_text(value)]
        for time, value in zip(grid.times, values, strict=True)
        if value is not None
    ]
    (series,) = read(points, grid=grid)
    expected = tuple(value if value is not None and math.isfinite(value) else None for value in values)
    assert series.values == expected
    assert [type(value) for value in series.values] == [type(value) for value in expected]
    assert series.labels == {**LABELS, "bin": "0"}
    read_as_array = table(points, [], grid=grid)
    assert read_as_array.labels == ({**LABELS, "bin": "0"}, {**LABELS, "bin": "1"})
    in_floats = np.array([expected, [None] * len(grid)], dtype=np.float64)
    np.testing.assert_array_equal(read_as_array.values, in_floats)


@pytest.mark.parametrize("grid", [GRID, WHOLE_SECONDS])
@pytest.mark.parametrize(("first", "last"), [(0, len(GRID)), (3, len(GRID)), (0, 4), (2, 7), (5, 6)])
def test_numbers_stay_the_text_that_prometheus_wrote(grid: Grid, first: int, last: int) -> None:
    texts = [b"0.1000", b"12", b"-3.5", b"1e-07", b"2.5e+21", b"0", b"-0", b"7.000", b"8", b"9"]
    values = "],[".join(
        f'{_prometheus_time(time)},"{text.decode()}"'
        for time, text in list(zip(grid.times, texts, strict=True))[first:last]
    )
    (series,) = read_text(f"[[{values}]]", grid)
    gap = b"null"
    assert series.values.texts == [gap] * first + texts[first:last] + [gap] * (len(grid) - last)
    assert series.values == [
        float(text) if first <= place < last else None for place, text in enumerate(texts)
    ]


def _prometheus_time(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    return f"{seconds}.{rest:03d}" if rest else str(seconds)


def read_text(values: str, grid: Grid) -> tuple[RangeSeries, ...]:
    answer = body([]).replace(b'"values":[]', f'"values":{values}'.encode())
    return range_series(decode(200, answer, RANGE).data, grid, MOST)


def test_what_is_not_finite_is_a_gap_between_texts() -> None:
    times = [time // 1000 for time in WHOLE_SECONDS.times]
    texts = ["1.50", "NaN", "NaN", "2", *["3"] * 6]
    (series,) = read([list(point) for point in zip(times, texts, strict=True)], grid=WHOLE_SECONDS)
    assert series.values.texts == [b"1.50", b"null", b"null", b"2", *[b"3"] * 6]
    for infinite in ("+Inf", "-Inf", "1e999", "-1e999"):
        texts[3] = infinite
        (series,) = read([list(point) for point in zip(times, texts, strict=True)], grid=WHOLE_SECONDS)
        assert series.values == (1.5, None, None, None, *[3.0] * 6)


def test_nothing_but_nan_is_nothing_but_gaps() -> None:
    (series,) = read([[time // 1000, "NaN"] for time in WHOLE_SECONDS.times], grid=WHOLE_SECONDS)
    assert series.values == [None] * len(WHOLE_SECONDS)


@pytest.mark.parametrize("text", ["1NaN", "1e", "-", "--1", "+1,", "0x10", "1 2", ".", "1.2.3", "e", "1e5e"])
@pytest.mark.parametrize("place", [0, 1, 9])
def test_a_text_that_is_no_number_is_refused_wherever_it_stands(place: int, text: str) -> None:
    points = [[time // 1000, "1"] for time in WHOLE_SECONDS.times]
    points[place][1] = text
    for way in (read, table):
        with pytest.raises(UpstreamError, match="not a range result"):
            way(points, grid=WHOLE_SECONDS)


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 10**13), numbers), max_size=20))
def test_raw_samples_are_read_in_milliseconds(samples: list[tuple[int, float]]) -> None:
    points = [[time / 1000, go_text(value)] for time, value in samples]
    (series,) = raw_series(decode(200, body(points), SAMPLES).data)
    finite = [(time, value) for time, value in samples if math.isfinite(value)]
    assert series.labels == {**LABELS, "bin": "0"}
    assert list(zip(series.times.tolist(), series.values.tolist(), strict=True)) == finite


TIME = GRID.start / 1000


@pytest.mark.parametrize(
    "points",
    [
        [[TIME, "true"]],
        [[TIME, "null"]],
        [[TIME, "false"]],
        [[TIME, ""]],
        [[TIME, "1,2"]],
        [[TIME, f"1,{TIME + 15.25},2"]],
        [[TIME, "[1]"]],
        [[TIME, "1"], []],
        [[TIME, True]],
        [[TIME, None]],
        [[TIME, "1", "2"], [TIME + 15.25]],
        [TIME, "1"],
        "1",
        None,
        [["1", TIME]],
        [[TIME + 1, "1"]],
        [[TIME - 15.25, "1"]],
        [[TIME, "1"], [TIME, "2"]],
        [[TIME, "1"], [TIME, "NaN"]],
        [[1e300, "1"]],
        [[1e306, "1"]],
    ],
)
def test_points_that_are_none_are_refused(points: object) -> None:
    for way in (read, table):
        with pytest.raises(UpstreamError, match="not a range result"):
            way(points)


def test_labels_of_samples_that_are_none_are_refused() -> None:
    answer = body([[TIME, "1"]]).replace(b'"bin": "0"', b'"bin": 0').replace(b'"bin":"0"', b'"bin":0')
    (series,) = raw_series(decode(200, answer, SAMPLES).data)
    with pytest.raises(UpstreamError, match="not a list of samples"):
        _ = series.labels


def test_the_same_point_twice_counts_once() -> None:
    (series,) = read([[TIME, "1"], [TIME, "1"]])
    assert series.values == (1.0, *[None] * (len(GRID) - 1))


def test_whole_series_of_an_array_are_at_their_own_times() -> None:
    times = [time // 1000 for time in WHOLE_SECONDS.times]
    whole = [[time, str(place)] for place, time in enumerate(times)]
    result = table(whole, [[time, "NaN"] for time in times], grid=WHOLE_SECONDS)
    np.testing.assert_array_equal(result.values, [range(len(times)), [np.nan] * len(times)])
    with pytest.raises(ValueError, match="read-only"):
        result.values[0, 0] = 1
    # As many points in the same order, but not of the same series.
    uneven = table(whole[:5], whole[5:] + whole, grid=WHOLE_SECONDS)
    np.testing.assert_array_equal(uneven.values, [[*range(5), *[np.nan] * 5], range(10)])
    np.testing.assert_array_equal(table(whole[::-1], grid=WHOLE_SECONDS).values, [range(10)])


@pytest.mark.parametrize(
    "wrong",
    [12, None, True, {}, {"a": "1"}, "", "[1", '"2"]', f"[{TIME},", [12], [[TIME]], [["1"]],
     [[TIME, "1", "2"]], [[TIME, "1", TIME, "2"]], [TIME, "1"], [[[TIME, "1"]]],
     [[TIME, 1]], [[TIME, "1 2"]]],
)  # fmt: skip
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_series_that_is_none_spoils_the_array(wrong: Any, place: int) -> None:
    """All series are read as one text."""
    right = [[[TIME, "1"]], [[TIME, "2"]]]
    assert len(table(*right, []).labels) == 3
    with pytest.raises(UpstreamError, match="not a range result"):
        table(*right[:place], wrong, *right[place:])


def test_the_same_series_twice_is_refused() -> None:
    twice = body([[TIME, "1"]], [[TIME, "2"]]).replace(b'"bin":"1"', b'"bin":"0"')
    for way in (range_series, range_table):
        with pytest.raises(UpstreamError, match="same series twice"):
            way(decode(200, twice, RANGE).data, GRID, MOST)
