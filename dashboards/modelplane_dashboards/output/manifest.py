"""Which files in a folder are ours: the manifest beside them, and how boards without one are recognised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from modelplane_schema.errors import UserError
from modelplane_schema.files import read_if_present, replace_file

# Grafana loads every file below its folder whose name ends in .json, hidden ones, too.
MANIFEST = ".modelplane-manifest"
_ABOUT = "Files that `modelplane dashboards generate` wrote here, and may replace and remove. Do not edit."
_PATH = re.compile(r"[a-z0-9-]+/mp-[a-z0-9-]+\.json")
_TAG = "modelplane"
# Versions without a manifest wrote these.
_EARLIER_UID = re.compile(r"mp-fleet|mp-(tenant|model)-[a-z0-9-]+")


class OutputError(UserError, RuntimeError):
    """Boards cannot be written or read; the message names the file and says what to do."""


def manifest_content(paths: Iterable[str]) -> bytes:
    """The manifest of files whose paths are relative to its folder."""
    content = {"about": _ABOUT, "version": 1, "files": sorted(paths)}
    return (json.dumps(content, indent=2) + "\n").encode()


def write_manifest(out: Path, paths: Iterable[str]) -> None:
    """Bring the manifest of ``out`` up to date: OSError."""
    content = manifest_content(paths)
    if read_if_present(out / MANIFEST) != content:
        replace_file(out / MANIFEST, content)


def our_files(out: Path) -> frozenset[str]:
    """The files below ``out`` that are ours; OutputError when the manifest is damaged."""
    manifest = _read_manifest(out)
    return _earlier_boards(out) if manifest is None else manifest


def _read_manifest(out: Path) -> frozenset[str] | None:
    """The files that are ours below ``out``, None without a manifest; OutputError when it is damaged."""
    content = read_if_present(out / MANIFEST)
    if content is None:
        return None
    manifest = _json(content)
    paths = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(paths, list) or not all(isinstance(p, str) and _PATH.fullmatch(p) for p in paths):
        raise OutputError(
            f"{out / MANIFEST}: does not name the files of modelplane; remove it, so that boards are "
            "recognised by their uid and their tag"
        )
    return frozenset(paths)


def _earlier_boards(out: Path) -> frozenset[str]:
    """The files below ``out`` that a version without a manifest wrote."""
    return frozenset(
        path.relative_to(out).as_posix()
        for path in out.glob("*/mp-*.json")
        if _EARLIER_UID.fullmatch(path.stem) and is_our_board(path)
    )


def is_our_board(path: Path) -> bool:
    """Whether a file holds a board with our tag whose uid is the file's name."""
    content = read_if_present(path)
    board = None if content is None else _json(content)
    if isinstance(board, dict) and isinstance(board.get("spec"), dict):
        board = board["spec"] | {"uid": (board.get("metadata") or {}).get("name")}
    if not isinstance(board, dict):
        return False
    tags = board.get("tags")
    return board.get("uid") == path.stem and isinstance(tags, list) and _TAG in tags


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:  # also for bytes that are no UTF-8
        return None
