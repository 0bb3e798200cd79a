"""The list of panel queries is exactly what the boards ask, and variables expand as in Grafana."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards_support.grafana_variables import variables_in
from modelplane_dashboards import Board, expand, panel_queries, render


def test_panel_queries_are_exactly_those_of_the_rendered_boards(
    boards: tuple[Board, ...],
) -> None:
    """Infinity's targets hold the address; other accesses have the same queries as data."""
    rendered = [render(board, "infinity") for board in boards]
    rendered_queries = [
        (board["uid"], board["title"], panel["title"], target["refId"], target.get("expr", target.get("url")))
        for board in rendered
        for panel in board["panels"]
        for target in panel.get("targets", [])
    ]
    listed = [
        (query.board_uid, query.board_title, query.panel_title, query.ref_id, query.text)
        for query in panel_queries(boards)
    ]
    assert listed == rendered_queries


def test_kind_and_instant_agree_with_the_rendered_boards(
    boards: tuple[Board, ...], rendered: tuple[dict[str, Any], ...]
) -> None:
    targets = [t for board in rendered for panel in board["panels"] for t in panel.get("targets", [])]
    for query, target in zip(panel_queries(boards), targets, strict=True):
        assert (query.datasource == "prometheus") == (target["datasource"]["type"] == "prometheus")
        assert query.instant == target.get("instant", False)
        assert target.get("range", True) != query.instant


def test_defaults_hold_every_variable_of_a_query(boards: tuple[Board, ...]) -> None:
    built_in = {"__rate_interval", "__from", "__to"}
    for query in panel_queries(boards):
        assert variables_in(query.text) <= dict(query.defaults).keys() | built_in, query


def test_what_may_be_empty_says_so_in_words(boards: tuple[Board, ...]) -> None:
    limits = {
        query.panel_title for query in panel_queries(boards) if query.ref_id != "A" and query.may_be_empty
    }
    for board in boards:
        for panel in board.panels:
            queries = [query for query in panel_queries([board]) if query.panel_title == panel.title]
            assert all(query.may_be_empty for query in queries) == bool(panel.empty), panel.title
    assert "Latency by version" in limits  # a model need not have an SLO for latency


def test_boards_of_a_variable_stand_for_an_example(boards: tuple[Board, ...]) -> None:
    defaults = {query.board_uid: dict(query.defaults) for query in panel_queries(boards)}
    assert defaults["mp-tenant"]["tenant"] == "vision-lab"
    assert defaults["mp-model"]["model"] == "digit-reader"
    assert defaults["mp-model-digit-reader"] == {"cluster": ".*", "version": ".+"}
    stored = next(q for q in panel_queries(boards) if q.board_uid == "mp-tenant" and "/alerts" in q.text)
    values = {**dict(stored.defaults), "__from": "1", "__to": "2"}
    asked = "tenant-id=vision-lab&model-name=.%2B&limit=20&from=1&to=2"
    assert expand(stored.text, values) == f"/api/v1/alerts?{asked}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rate(a[$__rate_interval])", "rate(a[1m])"),
        ('a{b=~"$tenant"}', 'a{b=~"x y"}'),
        ('a{b=~"$tenant|"}', 'a{b=~"x y|"}'),
        ("${tenant:csv}.${tenant:raw}.${tenant}", "x y.x y.x y"),
        ("/p?t=${tenant:percentencode}&from=${__from}", "/p?t=x%20y&from=1"),
        (r'a{b="\x24tenant"}', r'a{b="\x24tenant"}'),
        ("costs 5$", "costs 5$"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, {"tenant": "x y", "__rate_interval": "1m", "__from": "1"}) == expected


def test_expand_names_a_variable_without_a_value() -> None:
    with pytest.raises(ValueError, match="no value for the variable 'model'"):
        expand("$model", {"tenant": "a"})


def test_expand_refuses_a_format_it_does_not_know() -> None:
    with pytest.raises(ValueError, match="'glob' is not supported"):
        expand("${tenant:glob}", {"tenant": "a"})


@given(value=st.text(max_size=20))
def test_expand_does_not_expand_values(value: str) -> None:
    assert expand("<$tenant>", {"tenant": value}) == f"<{value}>"


@given(text=st.text(max_size=40))
def test_expand_leaves_text_without_variables_alone(text: str) -> None:
    plain = re.sub(r"\$", "", text)
    assert expand(plain, {}) == plain
