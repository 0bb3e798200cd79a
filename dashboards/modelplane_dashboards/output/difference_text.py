"""Differences of boards for people: a line for each key, and in a text which words changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher
from typing import Any

from modelplane_dashboards.output.compare import BoardDifference, Change, PanelDifference

_WORD = re.compile(r"\w+|\s+|[^\w\s]")
_LEAST_ALIKE = 0.5


def lines(differences: Iterable[BoardDifference]) -> Iterator[str]:
    """Each board, below it each panel, below it each key."""
    for board in differences:
        yield f"{board.path}: {board.state}" + (
            "" if board.state == "changed" else f" ({_shown(board.title)})"
        )
        for change in board.changes:
            yield from _change_lines(change, "  ")
        for panel in board.panels:
            title = _shown(panel.title) or "without a title"
            yield f"  panel {title} ({_shown(panel.type)}, id {panel.id}): {panel.state}"
            for change in panel.changes:
                yield from _change_lines(change, "    ")


def as_json(differences: Iterable[BoardDifference]) -> list[dict[str, Any]]:
    """The same for programs: values as they are, null for a key that is absent."""
    return [
        board._asdict()
        | {
            "changes": _changes(board),
            "panels": [p._asdict() | {"changes": _changes(p)} for p in board.panels],
        }
        for board in differences
    ]


def marked(old: str, new: str) -> str:
    """``new`` with what is gone as ``[-old-]`` and what has come as ``{+new+}``, by words."""
    before, after = _WORD.findall(old), _WORD.findall(new)
    parts = []
    for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        if tag == "equal":
            parts += before[a:b]
        else:
            parts += [f"[-{''.join(before[a:b])}-]"] if b > a else []
            parts += [f"{{+{''.join(after[c:d])}+}}"] if d > c else []
    return "".join(parts)


def _changes(difference: BoardDifference | PanelDifference) -> list[dict[str, Any]]:
    return [change._asdict() for change in difference.changes]


def _change_lines(change: Change, indent: str) -> Iterator[str]:
    if isinstance(change.old, str) and isinstance(change.new, str) and _are_alike(change.old, change.new):
        yield f"{indent}{_shown(change.key)}: {_shown(marked(change.old, change.new))}"
        return
    yield f"{indent}{_shown(change.key)}:"
    if change.old is not None:
        yield f"{indent}  - {_text(change.old)}"
    if change.new is not None:
        yield f"{indent}  + {_text(change.new)}"


def _are_alike(old: str, new: str) -> bool:
    words = _WORD.findall(old), _WORD.findall(new)
    return SequenceMatcher(None, *words, autojunk=False).ratio() >= _LEAST_ALIKE


def _text(value: Any) -> str:
    return _shown(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _shown(text: str) -> str:
    """A text of anybody's on one line, without what a terminal would obey."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
