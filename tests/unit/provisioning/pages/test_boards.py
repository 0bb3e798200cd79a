"""What is generated of docs/boards.md."""

from __future__ import annotations

from typing import Any

import pytest

from modelplane_provisioning.pages.boards import boards_page
from modelplane_provisioning.pages.generated_part import BEGIN, END, MarkerError

PAGE = f"# Boards\n\nWritten by hand: \\1 {{}}\n\n{BEGIN}\nold\n{END}\n\n## After\n"


def board(uid: str, kind: str, title: str = "A board") -> dict[str, Any]:
    return {"uid": uid, "title": title, "tags": ["modelplane", f"modelplane-{kind}"], "panels": []}


def test_each_kind_is_shown_once_by_its_templated_board_where_there_is_one() -> None:
    boards = [
        board("mp-tenant-a", "tenant"),
        board("mp-tenant", "tenant"),
        board("mp-fleet", "fleet"),
        board("mp-model-longer", "model"),
        board("mp-model-b", "model"),
    ]
    files = boards_page(PAGE, boards)
    drawings = ["mp-tenant", "mp-fleet", "mp-model-b"]
    assert list(files) == ["docs/boards.md", *(f"docs/boards/{uid}.svg" for uid in drawings)]
    text = files["docs/boards.md"].decode()
    assert [line for line in text.splitlines() if line.startswith("uid")] == [
        f"uid `{uid}`" for uid in drawings
    ]


def test_what_is_written_by_hand_stays_and_a_second_run_changes_nothing() -> None:
    boards = [board("mp-fleet", "fleet", "A \\1 *title*")]
    text = boards_page(PAGE, boards)["docs/boards.md"].decode()
    assert text.startswith(PAGE.partition(BEGIN)[0])
    assert text.endswith(PAGE.partition(END)[2])
    assert "### A \\\\1 \\*title\\*\n" in text
    assert "old" not in text
    assert boards_page(text, boards)["docs/boards.md"].decode() == text


@pytest.mark.parametrize("page", ["# Boards\n", BEGIN, f"{END}\n{BEGIN}"])
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(MarkerError, match=r"docs/boards\.md: must have '<!-- generated"):
        boards_page(page, [board("mp-fleet", "fleet")])
