"""Boards as data: what cannot be built, ids that stay, places that are computed, links that are safe."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_dashboards import Board, build, render
from modelplane_dashboards.board import ApiQuery, Column, Field, Panel, PromQuery, Section, panel_id
from modelplane_dashboards.layout import flow
from modelplane_dashboards.links import row_links
from modelplane_schema.grafana_units import rate_unit, unit_of
from modelplane_schema.metrics import DEVICE_ENERGY, LATENCY, METRICS, REQUESTS
from modelplane_schema.recorded import RECORDED, REQUEST_RATE
from modelplane_schema.registry import Registry

PANEL = Panel("key", "timeseries", "Title", "Description.", "s", (PromQuery("up"),))
TABLE = replace(PANEL, kind="table", columns=(Column("a", "A"),))


@pytest.mark.parametrize("field", ["key", "title", "description", "unit", "queries"])
def test_a_panel_needs(field: str) -> None:
    empty: dict[str, Any] = {field: () if field == "queries" else ""}
    with pytest.raises(ValueError, match=f"{field} is missing"):
        replace(PANEL, **empty)


def test_a_panel_has_one_datasource() -> None:
    api = ApiQuery("table", "alerts", (), "alerts", (Field("a", "a"),))
    with pytest.raises(ValueError, match="same data source"):
        replace(PANEL, queries=(PromQuery("up"), api))


@pytest.mark.parametrize("width", [0, 25, -1])
def test_a_panel_fits_the_grid(width: int) -> None:
    with pytest.raises(ValueError, match="width must be"):
        replace(PANEL, width=width)


def test_only_tables_have_columns() -> None:
    with pytest.raises(ValueError, match="a table has columns"):
        replace(TABLE, columns=())
    with pytest.raises(ValueError, match="a table has columns"):
        replace(TABLE, kind="stat")


def test_a_panel_has_at_most_26_queries() -> None:
    with pytest.raises(ValueError, match="at most 26"):
        replace(PANEL, queries=(PromQuery("up"),) * 27)


def test_a_board_cannot_use_a_key_twice(boards: tuple[Board, ...]) -> None:
    section = Section("twice", "Twice", (PANEL, PANEL))
    with pytest.raises(ValueError, match="'key' occurs more than once"):
        replace(boards[0], sections=(section,))


def test_inserting_a_panel_keeps_the_other_ids(boards: tuple[Board, ...]) -> None:
    for board in boards:
        first, *rest = board.sections
        longer = replace(board, sections=(replace(first, panels=(PANEL, *first.panels)), *rest))
        before = {(panel.get("title"), panel["type"]): panel["id"] for panel in render(board)["panels"]}
        after = {(panel.get("title"), panel["type"]): panel["id"] for panel in render(longer)["panels"]}
        assert len(after) == len(before) + 1
        assert before.items() <= after.items()


def test_ids_are_the_same_on_every_board_of_a_kind_and_do_not_change() -> None:
    assert panel_id("fleet", "request-rate") == 9474314
    assert panel_id("tenant", "request-rate") != panel_id("fleet", "request-rate")


def test_adding_a_tenant_changes_no_other_tenants_board(registry: Registry) -> None:
    content = registry.model_dump(mode="json", by_alias=True, exclude_unset=True)
    content["tenants"].insert(0, {"id": "new"})
    before = {board.uid: render(board) for board in build(registry) if board.kind == "tenant"}
    after = {board.uid: render(board) for board in build(Registry.model_validate(content))}
    assert {uid: after[uid] for uid in before} == before


def test_boards_with_the_same_title_are_an_error(registry: Registry) -> None:
    content = registry.model_dump(mode="json", by_alias=True, exclude_unset=True)
    content["tenants"] += [{"id": "b", "name": "a"}, {"id": "a (b)"}]
    with pytest.raises(ValueError, match=r"\[5\].name: 'a \(b\)' occurs more than once, first at \[4\]"):
        Registry.model_validate(content)
    content["tenants"][-1] = {"id": "a"}
    titles = [board.title for board in build(Registry.model_validate(content))]
    assert {"Tenant a (b)", "Tenant a"} < set(titles)
    assert len(set(titles)) == len(titles)


def test_boards_with_the_same_uid_are_an_error(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modelplane_dashboards.boards.dashboard_uid", lambda kind, name: f"mp-{kind}")
    with pytest.raises(ValueError, match="4 boards have the uid 'mp-tenant'"):
        build(registry)


def test_a_tenant_without_models_has_a_board(registry: Registry) -> None:
    content = registry.model_dump(mode="json", by_alias=True, exclude_unset=True)
    content["tenants"].append({"id": "new"})
    board = next(board for board in build(Registry.model_validate(content)) if board.uid == "mp-tenant-new")
    loaded = next(panel for panel in board.panels if panel.key == "loaded-versions")
    assert isinstance(loaded.queries[0], PromQuery)
    assert 'model_name=~""' in loaded.queries[0].expr


@given(sizes=st.lists(st.tuples(st.integers(1, 24), st.integers(1, 20)), max_size=30), top=st.integers(0, 50))
def test_flow_never_overlaps(sizes: list[tuple[int, int]], top: int) -> None:
    panels = [replace(PANEL, width=width, height=height) for width, height in sizes]
    placed, below = flow(panels, top)
    cells = [
        (x, y)
        for _, place in placed
        for x in range(place.x, place.x + place.width)
        for y in range(place.y, place.y + place.height)
    ]
    assert len(set(cells)) == len(cells)
    assert all(0 <= x < 24 and top <= y < below for x, y in cells)
    assert [panel for panel, _ in placed] == panels


def test_units_come_from_the_declaration() -> None:
    assert (unit_of(LATENCY), rate_unit(REQUESTS), unit_of(REQUEST_RATE)) == ("s", "reqps", "reqps")
    assert rate_unit(DEVICE_ENERGY) == "watt"
    assert all(map(unit_of, METRICS))
    assert all(map(unit_of, RECORDED))
    with pytest.raises(ValueError, match="seconds per second"):
        rate_unit(LATENCY)


def test_a_row_leads_to_its_own_board_only_when_every_name_is_its_uid() -> None:
    safe = row_links("model", ["digit-reader", "v2"], {"tenant": "a%24b"})
    assert [link.url.split("?")[0] for link in safe] == [
        "/d/mp-model-${__value.raw:percentencode}",
        "/d/mp-fleet",
    ]
    assert all("var-tenant=a%24b" in link.url for link in safe)
    for name in ("Digit", "a b", "x" * 40):
        (only,) = row_links("model", ["digit-reader", name], {})
        assert only.url.startswith("/d/mp-fleet?var-model=${__value.raw:percentencode}&")


def test_row_links_keep_the_time_range_and_the_datasource(boards: tuple[Board, ...]) -> None:
    links = [
        link
        for board in boards
        for panel in board.panels
        for column in panel.columns
        for link in column.links
    ]
    internal = [link.url for link in links if link.url.startswith("/d/")]
    assert internal
    assert all(
        url.endswith("&${datasource:queryparam}&${__url_time_range}") or "?${datasource" in url
        for url in internal
    )
