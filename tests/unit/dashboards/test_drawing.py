"""Drawings and outlines of boards: any grid, any name, and the boards that are generated."""

from __future__ import annotations

import re
from itertools import combinations
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelplane_dashboards.drawing import (
    BACKGROUND,
    COLUMN_WIDTH,
    FILLS,
    META,
    OTHER_FILL,
    TEXT,
    draw,
    shortened,
)
from modelplane_dashboards.grid import grid_rows, places
from modelplane_dashboards.outline import outline

Json = dict[str, Any]
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    'a "quoted" & <b>bold</b>',
    "tumour/screen 🩻 👩‍🔬",
    "x" * 200,
    "模型" * 100,
    "]]> --> \x00\x0b\ud800",
    "",
    "line\nbreak",
)

texts = st.one_of(st.sampled_from(HOSTILE), st.text(max_size=40))
numbers = st.integers(-3, 60)
positions = st.fixed_dictionaries({}, optional={"x": numbers, "y": numbers, "w": numbers, "h": numbers})
panels = st.fixed_dictionaries(
    {"type": st.sampled_from(["stat", "timeseries", "table", "of somebody else"])},
    optional={"title": texts, "description": texts, "gridPos": positions, "repeat": texts},
)
rows = st.fixed_dictionaries(
    {"type": st.just("row")},
    optional={"title": texts, "gridPos": positions, "panels": st.lists(panels, max_size=3)},
)
dashboards = st.fixed_dictionaries(
    {"panels": st.lists(st.one_of(panels, rows), max_size=12)},
    optional={"title": texts, "description": texts, "uid": texts},
)


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg.encode())  # noqa: S314 - we made it


def boxes(svg: str) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of what is drawn on the background."""
    drawn = []
    for box in parsed(svg).iterfind(f"{SVG}g/{SVG}rect"):
        x, y, width, height = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
        drawn.append((x, y, x + width, y + height))
    return drawn


def is_xml(char: str) -> bool:
    """https://www.w3.org/TR/xml/#charsets, without white space."""
    return re.fullmatch("[\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", char) is not None


def panel(title: str, x: int, y: int, w: int, h: int, **other: Any) -> Json:
    return {"type": "stat", "title": title, "gridPos": {"x": x, "y": y, "w": w, "h": h}, **other}


@pytest.mark.slow
@given(dashboards)
@settings(max_examples=60)
def test_any_grid_is_well_formed_and_nothing_overlaps(dashboard: Json) -> None:
    svg = draw(dashboard)
    width, height = (float(parsed(svg).attrib[name]) for name in ("width", "height"))
    drawn = boxes(svg)
    assert len(drawn) == sum(len(row.panels) for row in grid_rows(dashboard))
    for left, top, right, bottom in drawn:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height
    for (left, top, right, bottom), (x, y, end, low) in combinations(drawn, 2):
        assert right <= x or end <= left or bottom <= y or low <= top
    assert draw(dashboard) == svg
    assert outline(dashboard) == outline(dashboard)


@given(texts)
@settings(max_examples=50)
def test_a_title_stands_whole_in_the_drawing(title: str) -> None:
    """But for characters that XML has not."""
    (group,) = parsed(draw({"panels": [panel(title, 0, 0, 3, 4)]})).iterfind(f"{SVG}g")
    whole = "".join(char if is_xml(char) else "�" for char in " ".join(title.split()))
    assert group.findtext(f"{SVG}title") == "\n".join(filter(None, (whole, "stat")))


@given(texts, st.floats(1, 60))
@settings(max_examples=50)
def test_a_text_is_shortened_only_where_it_is_too_long(text: str, ems: float) -> None:
    shown = shortened(text, ems)
    assert shown == text or (shown.endswith("…") and text.startswith(shown[:-1]))
    assert len(shown) <= max(ems / 0.6, 1) or any(ord(char) > 0x2FF for char in shown)


def test_panels_go_where_grafana_puts_them() -> None:
    """Up to what lies above, and below what they would cover."""
    content = [panel("b", 0, 9, 12, 4), panel("a", 0, 0, 12, 4), panel("c", 6, 9, 12, 2)]
    assert [
        (place.panel.title, place.x, place.y)
        for place in places(grid_rows({"panels": content}))
        if place.panel
    ] == [("a", 0, 0), ("b", 0, 4), ("c", 6, 8)]


def test_a_collapsed_row_is_drawn_as_if_it_were_open() -> None:
    inner = [panel("inside", 0, 1, 24, 3)]
    folded = {"type": "row", "title": "Folded", "collapsed": True, "gridPos": {"y": 0}, "panels": inner}
    after = {"type": "row", "title": "Next", "gridPos": {"y": 1}, "panels": []}
    content = {"panels": [folded, after, panel("last", 0, 2, 24, 3)]}
    assert [(row.title, [member.title for member in row.panels]) for row in grid_rows(content)] == [
        ("Folded", ["inside"]),
        ("Next", ["last"]),
    ]
    assert [place.y for place in places(grid_rows(content))] == [0, 1, 4, 5]


@pytest.mark.parametrize("content", [{}, {"panels": None}, {"panels": [None, "x"]}, {"title": None}])
def test_a_board_without_panels_is_an_empty_drawing(content: Json) -> None:
    assert boxes(draw(content)) == []
    assert outline(content).strip() == ""


def luminance(colour: str) -> float:
    """https://www.w3.org/TR/WCAG22/#dfn-relative-luminance"""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_texts_are_legible_whatever_the_page_around_is() -> None:
    """A contrast of 4.5 at least: https://www.w3.org/TR/WCAG22/#contrast-minimum"""
    svg = draw({"panels": [panel("a", 0, 0, 4, 4)]})
    background = parsed(svg).find(f"{SVG}rect")
    assert background is not None
    assert background.attrib["fill"] == BACKGROUND
    for fill in {BACKGROUND, OTHER_FILL, *FILLS.values()}:
        for colour in (TEXT, META):
            assert (luminance(fill) + 0.05) / (luminance(colour) + 0.05) >= 4.5


def test_a_panel_says_its_kind_its_units_and_its_repetition() -> None:
    units = {"defaults": {"unit": "s"}, "overrides": [{"properties": [{"id": "unit", "value": "reqps"}]}]}
    content = {"panels": [panel("Latency", 0, 0, 12, 8, fieldConfig=units, repeat="tenant")]}
    svg = draw(content)
    assert "stat · s, reqps · for each tenant" in svg
    assert outline(content) == "- Latency (stat, s, reqps, for each tenant)\n"
    assert max(right for _, _, right, _ in boxes(svg)) < 12 * COLUMN_WIDTH + COLUMN_WIDTH


def test_the_outline_has_the_question_the_rows_and_first_sentences() -> None:
    target = {"expr": 'sum(rate(model_x_total{a="b"}[5m])) / sum(modelplane:y:rate5m{}) + model_x_total{}'}
    described = panel("A *title*", 0, 2, 4, 4, description="It is p95. And more of it.", targets=[target])
    answer = panel("Costs", 4, 2, 4, 4, targets=[{"kind": "table", "name": "cost"}])
    content = "**What is\nit?** Look at [`A`](/d/a?${tenant:queryparam})."
    question = {"type": "text", "options": {"content": content}, "gridPos": {"y": 0, "w": 24, "h": 2}}
    row = {"type": "row", "title": "Now", "gridPos": {"y": 1}, "panels": []}
    board = {"description": "What is it?", "panels": [described, answer, question, row]}
    assert outline(board) == (
        "**What is it?** Look at `A`.\n\n**Now**\n\n"
        "- A \\*title\\* (stat): It is p95. Reads `model_x_total`, `modelplane:y:rate5m`.\n"
        "- Costs (stat) Reads `cost` of the API.\n"
    )
    assert ">What is it? Look at A.<" in draw(board)
    assert outline(board | {"description": "Another one?"}).startswith("Another one?\n\n**What is it?**")


def test_every_generated_board_is_drawn_whole(rendered: tuple[Json, ...]) -> None:
    for board in rendered:
        svg, text = draw(board), outline(board)
        shown = [member for member in board["panels"] if member["type"] != "row"]
        assert len(boxes(svg)) == len(shown)
        assert board["description"] in text.partition("\n")[0]
        assert text.count("\n- ") == len([member for member in shown if member["type"] != "text"])
        assert "�" not in svg
