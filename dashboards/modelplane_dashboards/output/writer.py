"""Write boards into a folder that others use, too: each whole or not at all, and no other file touched."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelplane_dashboards.output.manifest import (
    MANIFEST,
    OutputError,
    is_our_board,
    our_files,
    write_manifest,
)
from modelplane_schema.files import read_if_present, remove_temporaries, replace_file

_LISTED = 5
Progress = Callable[[Iterable[str]], Iterable[str]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What ``write`` did: relative paths, sorted.

    ``adopted`` were written by a version without a manifest; ``left`` are in the manifest and no longer
    wanted, but hold no board of ours any more.
    """

    written: tuple[str, ...]
    removed: tuple[str, ...]
    adopted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def write(files: Mapping[str, bytes], out: Path, progress: Progress = iter) -> Changes:
    """Make what is ours below ``out`` hold exactly ``files``; OutputError says why that cannot be done.

    A file is replaced at once or not at all, and left alone when it is current. The manifest names every
    file of ours before it is there and until it is gone: wherever this is killed, each board is the old or
    the new one, and the next run completes. ``progress`` sees the paths as they are taken up.
    """
    with _told_as_output_errors(out), _locked_folder(out):
        is_new, ours = not (out / MANIFEST).exists(), our_files(out)
        _refuse_occupied(files, ours, out)
        write_manifest(out, ours.union(files))
        written = [path for path in progress(files) if _bring_up_to_date(out / path, files[path])]
        surplus = sorted(path for path in ours.difference(files) if os.path.lexists(out / path))
        removed = [path for path in surplus if is_our_board(out / path)]
        for path in removed:
            (out / path).unlink()
        remove_temporaries(out / path for path in (MANIFEST, *files, *ours))
        write_manifest(out, files)
    return Changes(
        tuple(sorted(written)),
        tuple(removed),
        tuple(sorted(ours)) if is_new else (),
        tuple(path for path in surplus if path not in removed),
    )


def check(files: Mapping[str, bytes], out: Path, progress: Progress = iter) -> list[str]:
    """One line for each file below ``out`` that is missing, stale or surplus; empty when all is current."""
    if out.exists() and not out.is_dir():
        raise OutputError(_NO_FOLDER.format(out))
    problems = []
    for path in progress(files):
        present = read_if_present(out / path)
        if present != files[path]:
            problems.append(f"{path}: {'missing' if present is None else 'stale'}")
    surplus = (path for path in our_files(out).difference(files) if is_our_board(out / path))
    return sorted([*problems, *(f"{path}: surplus" for path in surplus)])


_NO_FOLDER = "{}: is a file; boards are written into a folder, name another with --out"


def _bring_up_to_date(path: Path, content: bytes) -> bool:
    if read_if_present(path) == content:
        return False
    path.parent.mkdir(exist_ok=True)
    replace_file(path, content)
    return True


def _refuse_occupied(files: Mapping[str, bytes], ours: frozenset[str], out: Path) -> None:
    """OutputError when a file that is not ours is in the place of one, and differs from it."""
    occupied = [
        path
        for path in files
        if path not in ours and os.path.lexists(out / path) and read_if_present(out / path) != files[path]
    ]
    if occupied:
        more = f" and {len(occupied) - _LISTED} more" if len(occupied) > _LISTED else ""
        raise OutputError(
            f"{out}: {', '.join(occupied[:_LISTED])}{more}: not written by modelplane, and in the place of "
            "its boards; nothing was changed: move them away, or name another folder with --out"
        )


@contextlib.contextmanager
def _locked_folder(out: Path) -> Iterator[None]:
    """``out`` exists and no other process writes boards there; OutputError when one does."""
    if out.exists() and not out.is_dir():
        raise OutputError(_NO_FOLDER.format(out))
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no such locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(
                    f"{out}: another modelplane writes boards there; wait for its end"
                ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _told_as_output_errors(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename or out}: {error.strerror or error}; boards that were replaced before are "
            "whole, the others are as they were: mend that and run it again"
        ) from error
