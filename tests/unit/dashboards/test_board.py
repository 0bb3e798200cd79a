"""Boards as data: what cannot be built, ids that stay, rows that fill the width, links that keep values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_dashboards import Board, build, render, tenant_board
from modelplane_dashboards.kit.board import ApiQuery, Field, Panel, PromQuery, Row, Section, panel_id
from modelplane_dashboards.kit.layout import placed
from modelplane_dashboards.kit.links import VALUE, board_link, field
from modelplane_dashboards.kit.titles import title_letters
from modelplane_dashboards.kit.views import Column, Stat, Table, TimeSeries, highlight_steps, remaining_steps
from modelplane_schema.grafana_units import rate_unit, unit_of
from modelplane_schema.metrics import DEVICE_ENERGY, LATENCY, METRICS, REQUESTS
from modelplane_schema.recorded import RECORDED, REQUEST_RATE
from modelplane_schema.registry import Registry

PANEL = Panel("key", "Title", "Description.", "s", (PromQuery("up"),), TimeSeries())


@pytest.mark.parametrize("field", ["key", "title", "description", "unit", "queries"])
def test_a_panel_needs(field: str) -> None:
    empty: dict[str, Any] = {field: () if field == "queries" else ""}
    with pytest.raises(ValueError, match=f"{field} is missing"):
        replace(PANEL, **empty)


def test_a_panel_has_one_datasource() -> None:
    api = ApiQuery("table", "alerts", (), "alerts", (Field("a", "a"),))
    with pytest.raises(ValueError, match="same data source"):
        replace(PANEL, queries=(PromQuery("up"), api))


def test_a_table_sorts_and_sums_columns_that_it_has() -> None:
    columns = (Column("a", "A"),)
    with pytest.raises(ValueError, match="no column 'B'; its columns: A"):
        Table(columns, sort_by="B")
    with pytest.raises(ValueError, match="no column 'C'"):
        Table(columns, totals=("C",))


def test_a_trend_needs_a_field_to_join_on() -> None:
    columns = (Column("a", "A"), Column("Trend #B", "Trend", cell="trend"))
    with pytest.raises(ValueError, match="join names it"):
        Table(columns)


def test_a_panel_has_at_most_26_queries() -> None:
    with pytest.raises(ValueError, match="at most 26"):
        replace(PANEL, queries=(PromQuery("up"),) * 27)


def test_a_row_has_a_width_for_each_panel() -> None:
    with pytest.raises(ValueError, match="as many widths as panels"):
        Row((PANEL,), (1, 2))
    with pytest.raises(ValueError, match="needs a panel"):
        Row(())


@pytest.mark.parametrize("changed", [{"key": "key"}, {"title": "Title"}])
def test_a_board_cannot_use_a_key_or_a_title_twice(
    boards: tuple[Board, ...], changed: dict[str, Any]
) -> None:
    other = replace(PANEL, **({"key": "other", "title": "Other"} | changed))
    section = Section("twice", "Twice", (Row((PANEL, other)),))
    with pytest.raises(ValueError, match="occurs more than once"):
        replace(boards[0], sections=(section,))


@pytest.mark.slow
def test_inserting_a_panel_keeps_the_other_ids(boards: tuple[Board, ...]) -> None:
    for board in boards:
        first, *rest = board.sections
        longer = replace(board, sections=(replace(first, rows=(Row((PANEL,)), *first.rows)), *rest))
        before = {(panel.get("title"), panel["type"]): panel["id"] for panel in render(board)["panels"]}
        after = {(panel.get("title"), panel["type"]): panel["id"] for panel in render(longer)["panels"]}
        assert len(after) == len(before) + 1
        assert before.items() <= after.items()


def test_ids_are_the_same_on_every_board_of_a_kind_and_do_not_change() -> None:
    assert panel_id("fleet", "request-rate") == 9474314
    assert panel_id("tenant", "request-rate") != panel_id("fleet", "request-rate")


def test_no_board_depends_on_another_tenant(registry: Registry) -> None:
    content = registry.model_dump(mode="json", by_alias=True, exclude_unset=True)
    content["tenants"].insert(len(content["tenants"]), {"id": "new"})
    larger = Registry.model_validate(content)
    assert list(map(render, build(larger))) == list(map(render, build(registry)))
    first = registry.tenants[0]
    assert render(tenant_board(larger, first)) == render(tenant_board(registry, first))


def test_tenants_with_the_same_title_are_an_error(registry: Registry) -> None:
    content = registry.model_dump(mode="json", by_alias=True, exclude_unset=True)
    content["tenants"] += [{"id": "b", "name": "a"}, {"id": "a (b)"}]
    with pytest.raises(ValueError, match=r"\[5\].name: 'a \(b\)' occurs more than once, first at \[4\]"):
        Registry.model_validate(content)


def test_without_tenants_and_models_there_are_the_boards_of_all(registry: Registry) -> None:
    empty = registry.model_copy(update={"tenants": (), "models": ()})
    assert [board.uid for board in build(empty)] == [board.uid for board in build(registry)]


@given(widths=st.lists(st.integers(1, 9), min_size=1, max_size=6), height=st.integers(1, 20))
def test_a_row_fills_the_width(widths: list[int], height: int) -> None:
    row = Row((PANEL,) * len(widths), tuple(widths), height)
    places = [position for _, position in placed(row, 7)]
    assert [place.x for place in places] == [
        sum(p.width for p in places[:index]) for index in range(len(places))
    ]
    assert sum(place.width for place in places) == 24
    assert {(place.y, place.height) for place in places} == {(7, height)}


def test_widths_are_in_proportion() -> None:
    assert [place.width for _, place in placed(Row((PANEL,) * 3, (2, 1, 1)), 0)] == [12, 6, 6]
    assert [place.width for _, place in placed(Row((PANEL,) * 5), 0)] == [5, 5, 4, 5, 5]


@pytest.mark.parametrize(("width", "letters"), [(2, 0), (4, 6), (5, 13), (7, 18), (8, 30), (24, 53)])
def test_letters_that_fit_a_title(width: int, letters: int) -> None:
    assert title_letters(width) == letters


def test_what_is_left_is_red_below_zero() -> None:
    assert [(step.colour, step.start) for step in remaining_steps(warning=0.25)] == [
        ("red", None), ("orange", 0.0), ("green", 0.25),
    ]  # fmt: skip
    assert [(step.colour, step.start) for step in highlight_steps(bad=2)] == [
        ("transparent", None),
        ("red", 2),
    ]
    assert Stat().steps[0].colour == "text"


def test_units_come_from_the_declaration() -> None:
    assert (unit_of(LATENCY), rate_unit(REQUESTS), unit_of(REQUEST_RATE)) == ("s", "reqps", "reqps")
    assert rate_unit(DEVICE_ENERGY) == "watt"
    assert all(map(unit_of, METRICS))
    assert all(map(unit_of, RECORDED))
    with pytest.raises(ValueError, match="seconds per second"):
        rate_unit(LATENCY)


def test_a_link_keeps_time_data_source_and_what_is_named() -> None:
    link = board_link("model", "Model", "cluster", model=VALUE, tenant=field("Tenant"))
    path, _, query = link.url.partition("?")
    assert path == "/d/mp-model"
    assert query.split("&") == [
        "var-model=${__value.raw:percentencode}",
        'var-tenant=${__data.fields["Tenant"]:percentencode}',
        "${cluster:queryparam}",
        "${api:queryparam}",
        "${datasource:queryparam}",
        "${__url_time_range}",
    ]
