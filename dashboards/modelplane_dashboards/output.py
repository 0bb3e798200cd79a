"""The generated files: their exact bytes, writing them, and telling whether a folder is current."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelplane_dashboards.boards import build
from modelplane_dashboards.kit.api import ApiAccess
from modelplane_dashboards.kit.board import Board
from modelplane_dashboards.kit.render import render
from modelplane_schema.files import read_if_present, replace_files
from modelplane_schema.registry import Registry

_OUR_UIDS = "mp-"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of boards: its name on disk, and the uid and title it has in Grafana."""

    name: str
    uid: str
    title: str


# Grafana finds a folder by its title: a common word would put our boards among somebody else's.
FOLDERS: Mapping[str, Folder] = {
    "all": Folder("boards", "modelplane", "Modelplane"),
    "tenant": Folder("tenants", "modelplane-tenants", "Modelplane tenants"),
    "model": Folder("models", "modelplane-models", "Modelplane models"),
}


@dataclass(frozen=True, slots=True)
class Changes:
    """What ``write`` did: relative paths, sorted."""

    written: tuple[str, ...]
    removed: tuple[str, ...]


def files(registry: Registry, api: ApiAccess = "plugin") -> dict[str, bytes]:
    """Relative path to content for every board of a registry; BoardError as in ``build``."""
    return {_path(board): _content(board, api) for board in build(registry, api)}


def write(content: Mapping[str, bytes], out: Path) -> Changes:
    """Make the folders of boards below ``out`` hold exactly ``content``; OSError when that fails.

    A file is replaced at once or not at all, and left alone when it is current. Files of other
    people, whose uid does not start with ``mp-``, stay.
    """
    written = replace_files(out, content)
    removed = _surplus(content, out)
    for path in removed:
        (out / path).unlink()
    return Changes(tuple(written), tuple(removed))


def check(content: Mapping[str, bytes], out: Path) -> list[str]:
    """One line for each file below ``out`` that is missing, stale or surplus; empty when all is current."""
    present = {path: read_if_present(out / path) for path in content}
    problems = [f"{path}: missing" for path in content if present[path] is None]
    problems += [f"{path}: stale" for path in content if present[path] not in (None, content[path])]
    problems += [f"{path}: surplus" for path in _surplus(content, out)]
    return sorted(problems)


def _path(board: Board) -> str:
    return f"{FOLDERS[board.kind if board.entity else 'all'].name}/{board.uid}.json"


def _content(board: Board, api: ApiAccess) -> bytes:
    return (json.dumps(render(board, api), ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def _surplus(content: Mapping[str, bytes], out: Path) -> list[str]:
    """Boards of ours below ``out`` that ``content`` does not have."""
    present = (path for folder in FOLDERS.values() for path in sorted((out / folder.name).glob("*.json")))
    return [
        relative
        for relative in _relative(present, out)
        if relative not in content and _is_ours((out / relative).read_bytes())
    ]


def _relative(paths: Iterable[Path], out: Path) -> Iterable[str]:
    return (path.relative_to(out).as_posix() for path in paths)


def _is_ours(content: bytes) -> bool:
    try:
        board = json.loads(content)
    except ValueError:
        return False
    return isinstance(board, dict) and str(board.get("uid", "")).startswith(_OUR_UIDS)
