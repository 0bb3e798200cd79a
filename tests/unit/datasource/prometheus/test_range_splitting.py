"""A long range query that is alone is asked for in two halves at once, and answers as one."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import UpstreamError
from modelplane_datasource.prometheus.ranges import (
    RangeResult,
    RangeSeries,
    RangeTable,
    joined_ranges,
    joined_tables,
)
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.columns import Column
from modelplane_datasource.timeline.grid import Grid
from modelplane_provisioning.processes import PATIENCE_SECONDS

STEP = 30_000
LONG = Grid(0, 999 * STEP, STEP)
MOST = 1_000_000


def every(form: dict[str, str], wanted: Callable[[int], bool] = lambda _: True) -> list[tuple[float, str]]:
    """A point at each time that a form asks for and that is ``wanted``, its value the number of the step."""
    first, last = (round(float(form[name]) * 1000) // STEP for name in ("start", "end"))
    return [(at * STEP / 1000, str(at)) for at in range(first, last + 1) if wanted(at)]


@pytest.fixture
def prometheus(settings: Settings) -> Iterator[PrometheusClient]:
    client = PrometheusClient(settings, lambda _: None)
    yield client
    client.close()


@pytest.fixture
def holds(upstream: FakePrometheus) -> None:
    """A series that is always there, one that ends in the first half, and one that begins in the second."""

    def reply(_path: str, form: dict[str, str]) -> Any:
        series = (
            ({"a": "always"}, every(form)),
            ({"a": "early"}, every(form, lambda at: at < 100)),
            ({"a": "late"}, every(form, lambda at: at >= 900)),
        )
        found = [one for one in series if one[1]]
        return matrix_reply(*found, warnings=["both", f"from {form['start']}"])

    upstream.reply = reply


def asked(upstream: FakePrometheus) -> list[tuple[str, str]]:
    """Start and end of each query that was made."""
    return sorted(
        ((form["start"], form["end"]) for _, form, _ in upstream.calls), key=lambda pair: float(pair[0])
    )


@pytest.mark.usefixtures("holds")
@pytest.mark.parametrize("way", ["query_range", "query_table"])
def test_the_halves_of_a_long_query_are_one_answer(
    upstream: FakePrometheus, prometheus: PrometheusClient, way: str
) -> None:
    answer = getattr(prometheus, way)("up", LONG)
    assert asked(upstream) == [("0.000", "14970.000"), ("15000.000", "29970.000")]
    if way == "query_range":
        found = {one.labels["a"]: list(one.values) for one in answer.series}
    else:
        rows = [[None if value != value else value for value in row] for row in answer.values.tolist()]
        found = {labels["a"]: row for labels, row in zip(answer.labels, rows, strict=True)}
    numbers = [float(at) for at in range(1000)]
    assert found == {
        "always": numbers,
        "early": numbers[:100] + [None] * 900,
        "late": [None] * 900 + numbers[900:],
    }
    assert answer.warnings == ("both", "from 0.000", "from 15000.000")


@pytest.mark.usefixtures("holds")
@pytest.mark.parametrize(
    ("grid", "reach"),
    [(Grid(0, 248 * STEP, STEP), 0), (LONG, 999 * STEP // 4 + 1)],
    ids=["short", "its windows overlap"],
)
def test_what_gains_little_is_asked_for_whole(
    upstream: FakePrometheus, prometheus: PrometheusClient, grid: Grid, reach: int
) -> None:
    assert len(prometheus.query_range("up", grid, reach).series[0].values) == len(grid)
    assert len(asked(upstream)) == 1


def test_a_query_beside_another_is_asked_for_whole(
    upstream: FakePrometheus, prometheus: PrometheusClient
) -> None:
    """Both halves of the first wait in Prometheus when the second comes."""
    together, release = threading.Barrier(3), threading.Event()

    def reply(_path: str, form: dict[str, str]) -> Any:
        if form["query"] == "first":
            together.wait(PATIENCE_SECONDS)
            assert release.wait(PATIENCE_SECONDS)
        return matrix_reply(({}, every(form)))

    upstream.reply = reply
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(prometheus.query_range, "first", LONG)
        together.wait(PATIENCE_SECONDS)
        prometheus.query_range("second", LONG)
        release.set()
        first.result()
    queries = [form["query"] for _, form, _ in upstream.calls]
    assert (queries.count("first"), queries.count("second")) == (2, 1)
    prometheus.query_range("third", LONG)
    assert [form["query"] for _, form, _ in upstream.calls].count("third") == 2


@pytest.mark.parametrize("fails", ["0.000", "15000.000"])
def test_one_half_that_fails_fails_the_query(
    upstream: FakePrometheus, prometheus: PrometheusClient, fails: str
) -> None:
    def reply(_path: str, form: dict[str, str]) -> Any:
        return (500, {}, b"<html>") if form["start"] == fails else matrix_reply(({}, every(form)))

    upstream.reply = reply
    for _ in range(2):  # and the next is halved as the first was
        with pytest.raises(UpstreamError):
            prometheus.query_range("up", LONG)
    assert len(asked(upstream)) == 4


def test_a_half_still_runs_until_it_is_answered(
    upstream: FakePrometheus, prometheus: PrometheusClient
) -> None:
    """A query that has failed counts as one that Prometheus works on until its other half has ended."""
    answered = []

    def reply(_path: str, form: dict[str, str]) -> Any:
        if form["start"] == "0.000":
            return 500, {}, b"<html>"
        time.sleep(0.3)
        answered.append(form)
        return matrix_reply(({}, every(form)))

    upstream.reply = reply
    with pytest.raises(UpstreamError):
        prometheus.query_range("up", LONG)
    assert len(answered) == 1


def test_all_series_of_both_halves_count(upstream: FakePrometheus, settings: Settings) -> None:
    """Ten in each half are twenty of a thousand points."""
    upstream.reply = lambda _, form: matrix_reply(
        *(({"a": form["start"], "b": str(number)}, every(form)[:1]) for number in range(10))
    )
    client = PrometheusClient(dataclasses.replace(settings, max_upstream_bytes=200_000), lambda _: None)
    with pytest.raises(UpstreamError, match="20 series of 1000 points, and at most 11764 values"):
        client.query_range("up", LONG)
    client.close()


def test_halves_of_the_smallest_grid() -> None:
    assert Grid(0, STEP, STEP).halves() == (Grid(0, 0, STEP), Grid(STEP, STEP, STEP))
    first, second = Grid(5, 5 + 4 * STEP + 17, STEP).halves()
    assert [*first.times, *second.times] == list(Grid(5, 5 + 4 * STEP + 17, STEP).times)


VALUES = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False))
ROWS = st.lists(VALUES, min_size=6, max_size=6)


@given(st.dictionaries(st.text("ab", max_size=2), ROWS, max_size=4), st.integers(1, 5))
def test_joined_parts_are_the_whole(held: dict[str, list[float | None]], cut: int) -> None:
    grids = Grid(0, (cut - 1) * STEP, STEP), Grid(cut * STEP, 5 * STEP, STEP)
    cuts = slice(0, cut), slice(cut, 6)
    texts = joined_ranges(
        [
            RangeResult(
                tuple(
                    RangeSeries({"a": name}, Column.of(row[part]))
                    for name, row in held.items()
                    if any(value is not None for value in row[part])
                ),
                (),
            )
            for part in cuts
        ],
        grids,
        MOST,
    )
    expected = {name: row for name, row in held.items() if any(value is not None for value in row)}
    assert {one.labels["a"]: list(one.values) for one in texts.series} == expected
    tables = [
        RangeTable(tuple(one.labels for one in texts.series), numbers(texts, part), ()) for part in cuts
    ]
    joined = joined_tables(tables, grids, MOST)
    assert repr(joined.values.tolist()) == repr(numbers(texts, slice(0, 6)).tolist())


def numbers(found: RangeResult, part: slice) -> Any:
    rows = [[np.nan if value is None else value for value in one.values[part]] for one in found.series]
    return np.array(rows, dtype=np.float64).reshape(len(rows), len(range(6)[part]))
