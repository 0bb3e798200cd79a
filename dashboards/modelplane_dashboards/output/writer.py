"""Write boards into a folder that others use, too: each whole or not at all, and no other file touched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from modelplane_dashboards.output.errors import OutputError
from modelplane_dashboards.output.ownership import BOARDS, as_output_errors, surplus_boards
from modelplane_schema.files import read_if_present
from modelplane_schema.owned_files import Changes, Progress, write_owned


def write(files: Mapping[str, bytes], out: Path, progress: Progress = iter) -> Changes:
    """Make what is ours below ``out`` hold exactly ``files``, as ``write_owned`` does.

    OutputError says why that cannot be done. ``progress`` sees the paths as they are taken up.
    """
    with as_output_errors():
        return write_owned(BOARDS, files, out, progress)


def check(files: Mapping[str, bytes], out: Path, progress: Progress = iter) -> list[str]:
    """One line for each file below ``out`` that is missing, stale or surplus; empty when all is current."""
    if out.exists() and not out.is_dir():
        raise OutputError(f"{out}: is a file; boards are written into a folder, name another with --out")
    problems = []
    for path in progress(files):
        present = read_if_present(out / path)
        if present != files[path]:
            problems.append(f"{path}: {'missing' if present is None else 'stale'}")
    return sorted([*problems, *(f"{path}: surplus" for path in surplus_boards(out, files))])
