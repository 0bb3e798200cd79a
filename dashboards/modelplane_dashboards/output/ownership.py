"""Which boards in a folder are ours: those of the manifest, and how boards without one are recognised."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from modelplane_dashboards.output.dashboard_file import read_dashboard
from modelplane_dashboards.output.errors import OutputError
from modelplane_schema.owned_files import OwnedFilesError, Owner, our_files
from modelplane_schema.owned_files import manifest_content as manifest_of

_PATH = re.compile(r"[a-z0-9-]+/mp-[a-z0-9-]+\.json")
_TAG = "modelplane"


def manifest_content(paths: Iterable[str]) -> bytes:
    """The manifest of boards whose paths are relative to its folder."""
    return manifest_of(BOARDS, paths)


def is_board_path(path: str) -> bool:
    """Whether a board of ours can lie at a path below the folder of boards."""
    return _PATH.fullmatch(path) is not None


def is_our_board(path: Path) -> bool:
    """Whether a file holds a board with our tags whose uid is the file's name, ``mp-<kind>`` and a slug."""
    try:
        board = read_dashboard(path)
    except OutputError:
        return False
    kind = path.stem.removeprefix("mp-").partition("-")[0]
    tags = board.get("tags")
    has_tags = isinstance(tags, list) and _TAG in tags and f"{_TAG}-{kind}" in tags
    return bool(board["uid"] == path.stem and has_tags)


def recognised_boards(out: Path) -> frozenset[str]:
    """The boards of ours below ``out`` by what is in them, relative to it."""
    return frozenset(
        path.relative_to(out).as_posix() for path in out.glob("*/mp-*.json") if is_our_board(path)
    )


BOARDS = Owner(
    name="boards",
    about="Files that `modelplane dashboards generate` wrote here, and may replace and remove. Do not edit.",
    may_own=is_board_path,
    earlier_files=recognised_boards,
    is_ours=is_our_board,
)


def surplus_boards(folder: Path, wanted: Iterable[str]) -> list[str]:
    """The boards of ours below a folder that are not wanted, sorted; OutputError for a damaged manifest."""
    with as_output_errors():
        ours = our_files(BOARDS, folder)
    return sorted(path for path in ours.difference(wanted) if is_our_board(folder / path))


@contextlib.contextmanager
def as_output_errors() -> Iterator[None]:
    """OutputError in place of the error of whatever is owned."""
    try:
        yield
    except OwnedFilesError as error:
        raise OutputError(str(error)) from error
