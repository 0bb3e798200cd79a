"""Addresses and names of pictures, and what is read of a board's JSON."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest

from modelplane_provisioning.pictures.shots import (
    MOST_PIXELS,
    OUR_UID,
    Board,
    Choice,
    Shot,
    board_of,
    board_url,
    origin_of,
    shots_of,
)


def test_every_board_is_taken_in_every_width_and_theme() -> None:
    shots = shots_of([Board("mp-a", "A"), Board("mp-b", "B")], (1280, 1920), ("dark", "light"))
    assert [shot.file for shot in shots][:4] == [
        "mp-a-1280-dark.png",
        "mp-a-1280-light.png",
        "mp-a-1920-dark.png",
        "mp-a-1920-light.png",
    ]
    assert len({shot.file for shot in shots}) == 8


def test_a_board_is_opened_alone_with_its_variables_and_time() -> None:
    choice = Choice((("tenant", "a&b=c"), ("model", "x/ü"), ("model", "y")), "now-6h", "now")
    url = board_url("http://host/grafana", Shot("mp-a", 1280, "light"), choice)
    parts = urlsplit(url)
    assert (parts.netloc, parts.path) == ("host", "/grafana/d/mp-a")
    assert parse_qsl(parts.query, keep_blank_values=True) == [
        ("var-tenant", "a&b=c"),
        ("var-model", "x/ü"),
        ("var-model", "y"),
        ("from", "now-6h"),
        ("to", "now"),
        ("theme", "light"),
        ("refresh", ""),
        ("kiosk", ""),
    ]
    assert "from=" not in board_url("http://host", Shot("mp-a", 1280, "dark"), Choice())


def test_a_board_says_how_many_panels_are_open_and_how_high_it_is() -> None:
    reason = {"defaults": {"noValue": "Not  reported\nhere"}}
    panels = [
        {"type": "row", "gridPos": {"y": 0, "h": 1}, "panels": []},
        {"type": "stat", "gridPos": {"y": 1, "h": 4}, "fieldConfig": reason},
        {"type": "stat", "gridPos": {"y": 1, "h": 9}, "fieldConfig": {"defaults": {"noValue": "No data"}}},
        {"type": "row", "collapsed": True, "gridPos": {"y": 10, "h": 1}, "panels": [{"type": "stat"}]},
    ]
    board = board_of("mp-a", {"title": "A", "panels": panels})
    assert board == Board("mp-a", "A", 2, 11, frozenset({"Not reported here"}))
    assert Board("mp-a", "A", height=10_000).pixels == MOST_PIXELS


@pytest.mark.parametrize(
    "dashboard", [{}, {"panels": None}, {"panels": [None, {}]}, {"panels": [{"fieldConfig": None}]}]
)
def test_a_board_of_any_shape_is_read(dashboard: dict[str, object]) -> None:
    assert board_of("mp-a", dashboard).title == "mp-a"


def test_the_boards_of_the_examples_are_read() -> None:
    for path in (Path(__file__).parents[4] / "dashboards" / "generated").rglob("*.json"):
        dashboard = json.loads(path.read_text(encoding="utf-8"))
        board = board_of(dashboard["uid"], dashboard)
        assert OUR_UID.fullmatch(board.uid)
        assert board.panels > 10
        assert board.pixels < MOST_PIXELS


@pytest.mark.parametrize("uid", ["", "fleet", "mp-", "mp-../x", "mp-a/b", "mp-a\n", "mp-ü", "mp-" + "x" * 38])
def test_a_uid_that_is_no_file_name_of_ours_is_none(uid: str) -> None:
    assert OUR_UID.fullmatch(uid) is None


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://Host/a", "http://host:80"),
        ("https://host:443", "https://host:443"),
        ("https://host/", "https://host:443"),
        ("http://host:3000@evil:3000/", "http://evil:3000"),
        ("http://[::1]:3000/x", "http://::1:3000"),
        ("http://host:99999/", ""),
        ("about:blank", ""),
        ("/relative", ""),
        ("chrome-error://chromewebdata/", ""),
    ],
)
def test_origins_are_compared_as_browsers_do(url: str, origin: str) -> None:
    assert origin_of(url) == origin
