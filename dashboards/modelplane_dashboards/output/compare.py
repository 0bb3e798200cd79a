"""What differs between two versions of a board, panel by panel and key by key."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from modelplane_dashboards.output.dashboard_file import comparable, parse_dashboard, read_dashboard
from modelplane_dashboards.output.errors import OutputError
from modelplane_dashboards.output.ownership import surplus_boards
from modelplane_schema.files import read_if_present

Dashboard = Mapping[str, Any]
State = Literal["added", "removed", "changed"]
Progress = Callable[[Iterable[str]], Iterable[str]]

# What tells the items of a list apart, the first that all of them have.
_ITEM_KEYS = ("refId", "name", "id", "title", "color")
_ABSENT = object()


class Change(NamedTuple):
    """A key whose value differs; None stands for a key that is absent."""

    key: str
    old: Any
    new: Any


class PanelDifference(NamedTuple):
    """A panel that is in one version alone, or that has changes."""

    state: State
    id: int | None
    title: str
    type: str
    changes: tuple[Change, ...] = ()


class BoardDifference(NamedTuple):
    """A board that is in one version alone, or that has changes of its own or in its panels."""

    state: State
    path: str
    uid: str
    title: str
    changes: tuple[Change, ...] = ()
    panels: tuple[PanelDifference, ...] = ()


def differences(
    files: Mapping[str, bytes], folder: Path, progress: Progress = iter
) -> Iterator[BoardDifference]:
    """How the boards of ``files`` differ from those below ``folder``; OutputError for a file that is none."""
    if not folder.is_dir():
        raise OutputError(f"{folder}: there is no such folder")
    for path in progress(files):
        old, new = read_if_present(folder / path), files[path]
        if old is None:
            yield _lone_board("added", path, parse_dashboard(new, path))
        elif old != new:
            before = parse_dashboard(old, str(folder / path))
            difference = board_difference(path, before, parse_dashboard(new, path))
            if difference is not None:
                yield difference
    for path in surplus_boards(folder, files):
        yield _lone_board("removed", path, read_dashboard(folder / path))


def adopted_difference(
    files: Mapping[str, bytes], exported: Dashboard, source: str
) -> BoardDifference | None:
    """How a board from Grafana differs from the one that ``files`` have of its uid; OutputError without one.

    What Grafana adds to every board is no difference.
    """
    path = next((path for path in files if Path(path).stem == exported["uid"]), None)
    if path is None:
        raise OutputError(
            f"{source}: the registry has no board of the uid {exported['uid']!r}; "
            "`modelplane dashboards generate` writes those that it has"
        )
    generated = parse_dashboard(files[path], path)
    return board_difference(path, comparable(generated), comparable(exported))


def board_difference(path: str, old: Dashboard, new: Dashboard) -> BoardDifference | None:
    """What ``new`` has added, removed and changed, None when nothing."""
    changes = tuple(_changes(*({key: side[key] for key in side if key != "panels"} for side in (old, new))))
    panels = tuple(_panel_differences(old, new))
    if not changes and not panels:
        return None
    return BoardDifference("changed", path, str(new.get("uid")), str(new.get("title")), changes, panels)


def _lone_board(state: State, path: str, board: Dashboard) -> BoardDifference:
    return BoardDifference(state, path, str(board.get("uid")), str(board.get("title")))


def _panel_differences(old: Dashboard, new: Dashboard) -> Iterator[PanelDifference]:
    """In the order of the new board, removed ones last."""
    before, after = ({panel.get("id"): panel for panel in _panels(side)} for side in (old, new))
    for key, panel in after.items():
        if key not in before:
            yield _panel_difference("added", panel)
        elif changes := tuple(_changes(before[key], panel)):
            yield _panel_difference("changed", panel, changes)
    yield from (_panel_difference("removed", before[key]) for key in before if key not in after)


def _panel_difference(state: State, panel: Dashboard, changes: tuple[Change, ...] = ()) -> PanelDifference:
    return PanelDifference(
        state, panel.get("id"), str(panel.get("title", "")), str(panel.get("type")), changes
    )


def _panels(board: Dashboard) -> Iterator[dict[str, Any]]:
    """All panels; those of a folded row lie in the row."""
    for panel in board.get("panels", ()):
        yield {key: value for key, value in panel.items() if key != "panels"}
        yield from panel.get("panels", ())


def _changes(old: Dashboard, new: Dashboard) -> Iterator[Change]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    for key in dict.fromkeys((*after, *before)):
        if before.get(key, _ABSENT) != after.get(key, _ABSENT):
            yield Change(key, before.get(key), after.get(key))


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that has no parts with its key, such as ``targets[A].expr``."""
    if key.endswith("gridPos") and isinstance(value, dict):
        yield key, " ".join(f"{side} {value.get(side)}" for side in "xywh")  # a move is one change
    elif isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        for name, item in zip(_item_names(value), value, strict=True):
            yield from _leaves(item, f"{key}[{name}]")
    else:
        yield key, value


def _item_names(items: Sequence[Any]) -> list[str]:
    """What stands for each item of a list in a key: names where these are distinct, else positions."""
    readers: list[Callable[[Any], Any]] = [
        lambda item: item["matcher"]["options"],
        *(lambda item, key=key: item[key] for key in _ITEM_KEYS),
    ]
    for reader in readers:
        names = _names(items, reader)
        if names:
            return names
    return [str(position) for position in range(len(items))]


def _names(items: Iterable[Any], reader: Callable[[Any], Any]) -> list[str]:
    try:
        names = [str(reader(item)) for item in items]
    except (KeyError, TypeError):
        return []
    return names if len(set(names)) == len(names) else []
