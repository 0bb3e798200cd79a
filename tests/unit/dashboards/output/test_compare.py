"""Differences of boards: each panel and each key that changed, and nothing else."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from modelplane_dashboards import OutputError, differences, files, write
from modelplane_dashboards.output.compare import BoardDifference, Change, board_difference
from modelplane_dashboards.output.difference_text import as_json, lines, marked
from modelplane_schema.registry import Registry

PANEL: dict[str, Any] = {
    "id": 7,
    "title": "Requests",
    "type": "timeseries",
    "gridPos": {"h": 8, "w": 12, "x": 0, "y": 3},
    "targets": [{"refId": "A", "expr": "sum(rate(a[5m]))"}, {"refId": "B", "expr": "b"}],
    "fieldConfig": {
        "overrides": [
            {"matcher": {"id": "byName", "options": "p95"}, "properties": [{"id": "unit", "value": "s"}]}
        ]
    },
}  # fmt: skip
BOARD: dict[str, Any] = {
    "uid": "mp-fleet",
    "title": "Fleet",
    "tags": ["modelplane"],
    "templating": {"list": [{"name": "tenant", "query": "q"}, {"name": "model", "query": "q"}]},
    "panels": [PANEL, {"id": 8, "title": "Folded", "type": "row", "panels": [{"id": 9, "type": "stat"}]}],
}


def changed(*steps: Any, value: Any) -> dict[str, Any]:
    board = copy.deepcopy(BOARD)
    holder: Any = board
    for step in steps[:-1]:
        holder = holder[step]
    holder[steps[-1]] = value
    return board


def difference(new: dict[str, Any]) -> BoardDifference:
    result = board_difference("fleet/mp-fleet.json", BOARD, new)
    assert result is not None
    return result


@pytest.mark.parametrize(
    ("steps", "value", "change"),
    [
        (("title",), "All", Change("title", "Fleet", "All")),
        (("refresh",), "30s", Change("refresh", None, "30s")),
        (("tags",), ["modelplane", "x"], Change("tags", ["modelplane"], ["modelplane", "x"])),
        (("templating", "list", 1, "query"), "r", Change("templating.list[model].query", "q", "r")),
    ],
)
def test_changes_of_the_board_itself(steps: tuple[Any, ...], value: Any, change: Change) -> None:
    result = difference(changed(*steps, value=value))
    assert (result.state, result.changes, result.panels) == ("changed", (change,), ())


@pytest.mark.parametrize(
    ("steps", "value", "change"),
    [
        (("title",), "Calls", Change("title", "Requests", "Calls")),
        (("targets", 1, "expr"), "c", Change("targets[B].expr", "b", "c")),
        (("targets", 1), {"refId": "C"}, None),
        (("gridPos",), {"h": 8, "w": 6, "x": 0, "y": 3},
         Change("gridPos", "x 0 y 3 w 12 h 8", "x 0 y 3 w 6 h 8")),
        (("fieldConfig", "overrides", 0, "properties", 0, "value"), "ms",
         Change("fieldConfig.overrides[p95].properties[unit].value", "s", "ms")),
        (("links",), [], Change("links", None, [])),
    ],
)  # fmt: skip
def test_changes_of_a_panel(steps: tuple[Any, ...], value: Any, change: Change | None) -> None:
    result = difference(changed("panels", 0, *steps, value=value))
    (panel,) = result.panels
    assert (result.changes, panel.state, panel.id) == ((), "changed", 7)
    if change is not None:
        assert panel.changes == (change,)
    else:
        assert {item.key for item in panel.changes} == {
            "targets[B].refId",
            "targets[B].expr",
            "targets[C].refId",
        }


def test_panels_that_are_in_one_version_alone() -> None:
    result = difference(changed("panels", 0, "id", value=5))
    assert [(panel.state, panel.id) for panel in result.panels] == [("added", 5), ("removed", 7)]
    folded = difference(changed("panels", 1, "panels", value=[]))
    assert [(panel.state, panel.id) for panel in folded.panels] == [("removed", 9)]


def test_the_order_of_keys_and_panels_is_no_change() -> None:
    board = {key: BOARD[key] for key in reversed(BOARD)} | {"panels": BOARD["panels"][::-1]}
    assert board_difference("x", BOARD, board) is None


def test_lists_without_distinct_names_are_compared_by_position() -> None:
    links = [{"title": "a", "url": "x"}, {"title": "a", "url": "y"}]
    result = difference(BOARD | {"links": links})
    assert [change.key for change in result.changes] == [
        "links[0].title", "links[0].url", "links[1].title", "links[1].url",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("sum(rate(a[5m]))", "sum(rate(a[1h]))", "sum(rate(a[[-5m-]{+1h+}]))"),
        ("a b", "a", "a[- b-]"),
        ("", "a", "{+a+}"),
    ],
)
def test_changed_words_are_marked(old: str, new: str, text: str) -> None:
    assert marked(old, new) == text


def test_lines_for_people() -> None:
    board = changed("panels", 0, "targets", 0, "expr", value="sum(rate(a[1h]))")
    board["title"], board["panels"][0]["unit"] = "A thing of quite another kind", "s"
    board["panels"][1]["title"] = "Fold\x1b[2J\ned"
    assert list(lines([difference(board)])) == [
        "fleet/mp-fleet.json: changed",
        "  title:",
        "    - Fleet",
        "    + A thing of quite another kind",
        "  panel Requests (timeseries, id 7): changed",
        "    targets[A].expr: sum(rate(a[[-5m-]{+1h+}]))",
        "    unit:",
        "      + s",
        "  panel Fold\\x1b[2J\\ned (row, id 8): changed",
        "    title:",
        "      - Folded",
        "      + Fold\\x1b[2J\\ned",
    ]


def test_json_for_programs() -> None:
    (board,) = as_json([difference(changed("panels", 0, "title", value="Calls"))])
    assert json.loads(json.dumps(board)) == {
        "state": "changed", "path": "fleet/mp-fleet.json", "uid": "mp-fleet", "title": "Fleet", "changes": [],
        "panels": [{"state": "changed", "id": 7, "title": "Calls", "type": "timeseries",
                    "changes": [{"key": "title", "old": "Requests", "new": "Calls"}]}],
    }  # fmt: skip


@pytest.mark.slow
def test_a_folder_against_the_registry(registry: Registry, tmp_path: Path) -> None:
    content = files(registry)
    write(content, tmp_path)
    assert list(differences(content, tmp_path)) == []
    first, second, *_, last = content
    (tmp_path / first).unlink()
    board = json.loads(content[second]) | {"refresh": "1m"}
    (tmp_path / second).write_text(json.dumps(board))
    (tmp_path / "boards" / "mp-marketing.json").write_text(json.dumps(board | {"uid": "mp-marketing"}))
    wanted = {path: text for path, text in content.items() if path != last}
    result = [(one.state, one.path) for one in differences(wanted, tmp_path)]
    assert result == [("added", first), ("changed", second), ("removed", last)]


@pytest.mark.slow
def test_format_and_spaces_are_no_difference(registry: Registry, tmp_path: Path) -> None:
    write(files(registry, form="resource"), tmp_path)
    assert list(differences(files(registry), tmp_path)) == []


@pytest.mark.slow
def test_a_folder_that_is_none_and_a_file_that_is_no_board(registry: Registry, tmp_path: Path) -> None:
    content = files(registry)
    with pytest.raises(OutputError, match="absent: there is no such folder"):
        list(differences(content, tmp_path / "absent"))
    write(content, tmp_path)
    path = next(iter(content))
    (tmp_path / path).write_text("{")
    with pytest.raises(OutputError, match=rf"{path}: is not JSON"):
        list(differences(content, tmp_path))
