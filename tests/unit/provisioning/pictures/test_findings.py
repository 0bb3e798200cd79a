"""What is said of a board, given what the browser saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from modelplane_provisioning.pictures.findings import Finding, findings, worst
from modelplane_provisioning.pictures.shots import Board, Shot
from modelplane_provisioning.pictures.sights import BoardSight, PageSight, PanelSight, page_sight, single_line

BOARD = Board("mp-x", "X", panels=1, height=8, reasons=frozenset({"Not reported here"}))
DARK, LIGHT = Shot("mp-x", 1280, "dark"), Shot("mp-x", 1280, "light")
FINE = PanelSight("Requests", is_loading=False, is_drawn=True, is_cut=False)


def sight(
    *panels: PanelSight, shot: Shot = DARK, board: Board = BOARD, theme: str = "", **other: Any
) -> BoardSight:
    page = PageSight(panels, 900, 800, theme or shot.theme, is_login=False)
    return BoardSight(board, shot, **{"page": page, "is_complete": True, **other})


def told(*sights: BoardSight) -> list[Finding]:
    return [seen.finding for seen in findings(sights)]


def test_a_board_on_which_all_is_well_has_no_finding() -> None:
    assert findings([sight(FINE)]) == []
    assert worst([]) is None


@pytest.mark.parametrize(
    ("panel", "severity", "kind", "text"),
    [
        (replace(FINE, status="error", status_text="bad_data"), "error", "panel error", "bad_data"),
        (replace(FINE, status="error", message="No data", status_text="x"), "error", "panel error", "x"),
        (
            replace(FINE, status="error"),
            "error",
            "panel error",
            "the text behind its red corner could not be read",
        ),
        (replace(FINE, crash="Panel plugin not found"), "error", "panel error", "Panel plugin not found"),
        (replace(FINE, status="warning", status_text="fewer rows"), "note", "notice", "fewer rows"),
        (replace(FINE, message="No data"), "warning", "no data", "No data"),
        (replace(FINE, texts=frozenset({"Firing", "No data"})), "warning", "no data", "No data"),
        (replace(FINE, message="Not reported here"), "note", "not reported", "Not reported here"),
        (replace(FINE, texts=frozenset({"Not reported here"})), "note", "not reported", "Not reported here"),
        (
            replace(FINE, message="Data is missing a time field"),
            "warning",
            "message",
            "Data is missing a time field",
        ),
        (replace(FINE, is_cut=True), "warning", "cut title", "the title is wider than its panel"),
    ],
)
def test_each_fault_of_a_panel_is_told_once(panel: PanelSight, severity: str, kind: str, text: str) -> None:
    (finding,) = told(sight(panel))
    assert finding == Finding(severity, kind, "Requests", text)  # type: ignore[arg-type]


def test_faults_of_the_page_are_told() -> None:
    seen = sight(FINE, theme="light", failed_requests=("502 GET /api/x",), console_errors=("boom",))
    assert [(each.severity, each.kind, each.text) for each in told(seen)] == [
        ("warning", "theme", "Grafana drew it light, not dark"),
        ("warning", "failed request", "502 GET /api/x"),
        ("warning", "console error", "boom"),
    ]
    page = PageSight((FINE,), 1, 1, "", is_login=False)
    assert told(replace(seen, page=page, failed_requests=(), console_errors=())) == []


def test_a_board_that_did_not_finish_says_what_was_waited_for() -> None:
    board = replace(BOARD, panels=4)
    loading, blank = replace(FINE, is_loading=True), replace(FINE, title="Blank", is_drawn=False)
    assert [
        (each.panel, each.text) for each in told(sight(loading, blank, board=board, is_complete=False))
    ] == [
        ("", "2 of 4 panels did not appear"),
        ("Requests", "it is still loading"),
        ("Blank", "it shows nothing"),
    ]
    restless = told(sight(FINE, is_complete=False))
    assert [each.text for each in restless] == ["all panels have answered, but the page did not come to rest"]
    assert [each.text for each in told(sight(board=board, is_complete=False))] == ["no panel appeared"]
    assert [each.text for each in told(BoardSight(BOARD, DARK, failure="no answer"))] == ["no answer"]


def test_a_finding_of_several_pictures_is_one_line_and_errors_come_first() -> None:
    broken = replace(FINE, title="B", status="error", status_text="x")
    other = replace(BOARD, uid="mp-a")
    seen = findings([
        sight(replace(FINE, is_cut=True), broken),
        sight(replace(FINE, is_cut=True), broken, shot=LIGHT),
        sight(replace(FINE, message="No data"), board=other, shot=Shot("mp-a", 1920, "dark")),
    ])  # fmt: skip
    assert [(each.uid, each.finding.kind, each.pictures) for each in seen] == [
        ("mp-x", "panel error", ("mp-x-1280-dark.png", "mp-x-1280-light.png")),
        ("mp-x", "cut title", ("mp-x-1280-dark.png", "mp-x-1280-light.png")),
        ("mp-a", "no data", ("mp-a-1920-dark.png",)),
    ]
    assert worst(seen) == "error"
    assert worst(seen[1:]) == "warning"


def test_a_page_is_complete_when_every_panel_has_answered() -> None:
    page = PageSight((FINE,), 1, 1, "", is_login=False)
    assert page.is_complete(1)
    assert page.is_complete(0)
    assert not page.is_complete(2)
    assert not PageSight((), 1, 1, "", is_login=False).is_complete(0)
    for panel in (replace(FINE, is_loading=True), replace(FINE, is_drawn=False)):
        assert not PageSight((FINE, panel), 1, 1, "", is_login=False).is_complete(2)
    assert PageSight((replace(FINE, is_drawn=False, status="error"),), 1, 1, "", is_login=False).is_complete(
        1
    )


def test_texts_of_a_page_reach_no_terminal_as_commands() -> None:
    assert single_line("a\n  b\x1b[2J\x07c\u202e") == "a b[2Jc"
    panel = {"title": "x\ny", "isCut": True, "isLoading": False, "isDrawn": True, "status": "", "crash": "",
             "message": "\x1b", "texts": ["a\tb"]}  # fmt: skip
    page = page_sight({"panels": [panel], "height": 1, "bottom": 2, "theme": "", "isLogin": False})
    assert page.panels[0] == replace(FINE, title="x y", is_cut=True, texts=frozenset({"a b"}))
