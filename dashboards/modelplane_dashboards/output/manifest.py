"""Which files in a folder are ours: the manifest beside them, and how boards without one are recognised."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from modelplane_dashboards.output.dashboard_file import read_dashboard
from modelplane_dashboards.output.errors import OutputError
from modelplane_schema.files import read_if_present, replace_file

# Grafana loads every file below its folder whose name ends in .json, hidden ones, too.
MANIFEST = ".modelplane-manifest"
_ABOUT = "Files that `modelplane dashboards generate` wrote here, and may replace and remove. Do not edit."
_PATH = re.compile(r"[a-z0-9-]+/mp-[a-z0-9-]+\.json")
_TAG = "modelplane"


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
    try:
        manifest = json.loads(content)
    except ValueError:  # also for bytes that are no UTF-8
        manifest = None
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
        path.relative_to(out).as_posix() for path in out.glob("*/mp-*.json") if is_our_board(path)
    )


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
