"""The benchmark of boards asks what Grafana would, and its series are those that every board selects."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from support.board_selectors import BoardQuery, Selector, board_queries, selectors
from support.board_series import SERIES_OF_CHUNK, Chunk, SeriesPlan, chunks, series_plans
from support.fleet import Fleet, registry_text

from modelplane_dashboards import Board, build, panel_queries
from modelplane_schema.registry import parse_registry

FLEET = Fleet(tenants=3, models=2)


@pytest.fixture(scope="module")
def templated() -> tuple[Board, ...]:
    return tuple(build(parse_registry(registry_text(FLEET))))


@pytest.fixture(scope="module")
def queries(templated: tuple[Board, ...]) -> list[BoardQuery]:
    return list(board_queries(templated, 60))


@pytest.fixture(scope="module")
def plans(queries: list[BoardQuery]) -> dict[str, SeriesPlan]:
    names = {item.name for query in queries for item in selectors(query)}
    return {plan.name: plan for plan in series_plans(names, FLEET)}


def matches(selector: Selector, labels: dict[str, str]) -> bool:
    return all(
        (bool(re.fullmatch(value, labels.get(name, ""))) if "~" in op else labels.get(name, "") == value)
        is (op[0] == "=")
        for name, op, value in selector.matchers
    )


def labels_of(part: Chunk) -> list[dict[str, str]]:
    return [dict(zip(part.label_names, row, strict=True)) for row in part.rows]


def test_every_query_of_every_board_is_measured(
    templated: tuple[Board, ...], queries: list[BoardQuery]
) -> None:
    assert len({board.uid for board in templated}) == 10
    of_panels = [query for query in panel_queries(templated) if query.datasource == "prometheus"]
    others = sum(len(board.annotations) + len(board.variables) for board in templated)
    assert len(queries) == len(of_panels) + others
    assert not [query for query in queries if "$" in query.text]
    assert not [query for query in queries if re.search(r'(tenant_id|model_name|kind|signal)=""', query.text)]


@pytest.mark.slow
def test_every_selector_of_every_board_matches_a_series(
    queries: list[BoardQuery], plans: dict[str, SeriesPlan]
) -> None:
    without = [
        (query.board, query.name, item)
        for query in queries
        for item in selectors(query)
        if not plans[item.name].matching(item)
    ]
    assert not without


@pytest.mark.slow
def test_series_are_long_where_a_board_reads_a_range(
    queries: list[BoardQuery], plans: dict[str, SeriesPlan]
) -> None:
    selected = [item for query in queries for item in selectors(query)]
    for plan in plans.values():
        parts = list(chunks(plan, selected))
        assert len({row for part in parts for row in part.rows}) == plan.size
        assert sum(len(part.rows) for part in parts) == plan.size
        over_range = [item for item in selected if item.name == plan.name and item.over_range]
        for part in parts:
            are_long = [any(matches(item, labels) for item in over_range) for labels in labels_of(part)]
            assert set(are_long) == {part.is_long}, plan.name


@pytest.mark.slow
def test_matching_series_are_counted(queries: list[BoardQuery], plans: dict[str, SeriesPlan]) -> None:
    for item in {item for query in queries for item in selectors(query)}:
        plan = plans[item.name]
        rows = [dict(zip(plan.values, row, strict=True)) for row in itertools.product(*plan.values.values())]
        assert plan.matching(item) == sum(matches(item, labels) for labels in rows)


def test_a_subquery_reads_a_range() -> None:
    text = "max_over_time(up[1d:5m]) unless up"
    [up] = selectors(BoardQuery("mp-x", "x", "instant", text, may_be_empty=False))
    assert up == Selector("up", (), over_range=True)
    [up] = selectors(BoardQuery("mp-x", "x", "instant", "up > 0", may_be_empty=False))
    assert up == Selector("up", (), over_range=False)


@pytest.mark.parametrize(
    ("op", "wanted", "value", "is_allowed"),
    [
        ("=", "a.", "ab", False),
        ("=~", "a.", "ab", True),
        ("=~", "a", "ab", False),
        ("=~", "b|", "", True),
        ("=~", ".+", "", False),
        ("!=", "score", "input", True),
        ("!~", "a|ab", "ab", False),
    ],
)
def test_matchers_are_those_of_prometheus(op: str, wanted: str, value: str, is_allowed: bool) -> None:
    selector = Selector("x", (("label", op, wanted),), over_range=False)
    assert selector.allows("label", value) is is_allowed
    assert SeriesPlan("x", {"label": (value,)}).matching(selector) == int(is_allowed)
    if not value:
        assert SeriesPlan("x", {"other": ("a",)}).matching(selector) == int(is_allowed)


def test_a_name_that_the_schema_lacks_is_an_error() -> None:
    with pytest.raises(KeyError, match="modelplane:unheard"):
        series_plans(["modelplane:unheard"], FLEET)


def test_values_are_plausible(plans: dict[str, SeriesPlan]) -> None:
    seconds = np.arange(1_760_000_000, 1_760_000_600, 60)
    [buckets] = chunks(plans["model_inference_latency_seconds_bucket"], [])
    counts = buckets.at(seconds)
    assert (np.diff(counts) >= 0).all()
    bounds = len(plans[buckets.name].values["le"])
    assert (np.diff(counts.reshape(-1, bounds, len(seconds)), axis=1) >= 0).all()
    [level] = chunks(plans["modelplane:active:sum"], [])
    assert ((level.at(seconds) > 0) & (level.at(seconds) < 6)).all()


def test_chunks_are_of_one_request() -> None:
    plan = SeriesPlan("up", {"instance": tuple(map(str, range(SERIES_OF_CHUNK + 1)))})
    assert [len(part.rows) for part in chunks(plan, [])] == [SERIES_OF_CHUNK, 1]
