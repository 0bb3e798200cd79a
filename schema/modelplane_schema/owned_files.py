"""Files of ours in a folder that others use, too: a manifest names them, and no other file is touched."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelplane_schema.errors import UserError
from modelplane_schema.files import (
    StagedFile,
    make_folder,
    read_if_present,
    remove_temporaries,
    replace_file,
    stage_file,
)

# Grafana loads every file below its folder whose name ends in .json, hidden ones, too.
MANIFEST = ".modelplane-manifest"
_VERSION = 1
_LISTED = 5

Progress = Callable[[Iterable[str]], Iterable[str]]


class OwnedFilesError(UserError, RuntimeError):
    """Files cannot be written into a folder; a line for each problem names the file and says what to do."""


def _same_rank(path: str) -> int:
    return 0


def _is_private(path: str) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Owner:
    """Who writes into a folder, and how its files are recognised.

    ``name`` is a plural noun for people, ``about`` a sentence of the manifest. ``may_own`` says whether a
    path, relative to the folder, can be one of ours; ``earlier_files`` gives those that a version without a
    manifest wrote; ``is_ours`` says whether a file that the manifest names still is what we wrote.
    Files of a higher ``rank`` refer to those of a lower one. What ``is_private`` only its owner may read.
    """

    name: str
    about: str
    may_own: Callable[[str], bool]
    earlier_files: Callable[[Path], frozenset[str]]
    is_ours: Callable[[Path], bool]
    rank: Callable[[str], int] = _same_rank
    is_private: Callable[[str], bool] = _is_private


@dataclass(frozen=True, slots=True)
class Changes:
    """What ``write_owned`` did, or would do: relative paths, sorted.

    ``adopted`` were written by a version without a manifest; ``left`` are in the manifest and no longer
    wanted, but hold no file of ours any more.
    """

    written: tuple[str, ...]
    removed: tuple[str, ...]
    adopted: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


def manifest_content(owner: Owner, paths: Iterable[str]) -> bytes:
    """The manifest of files whose paths are relative to its folder."""
    content = {"about": owner.about, "version": _VERSION, "files": sorted(paths)}
    return (json.dumps(content, indent=2) + "\n").encode()


def our_files(owner: Owner, out: Path) -> frozenset[str]:
    """The files below ``out`` that are ours; OwnedFilesError when the manifest is damaged."""
    manifest = _read_manifest(owner, out)
    return owner.earlier_files(out) if manifest is None else manifest


def planned_changes(owner: Owner, files: Mapping[str, bytes], out: Path) -> Changes:
    """What ``write_owned`` would do now; OwnedFilesError names every reason why it would refuse."""
    _refuse_a_file(owner, out)
    ours = our_files(owner, out)
    _refuse_occupied(owner, files, ours, out)
    removed, left = _surplus(owner, ours.difference(files), out)
    written = (path for path in files if read_if_present(out / path) != files[path])
    is_new = not (out / MANIFEST).exists()
    changes = Changes(tuple(sorted(written)), removed, tuple(sorted(ours)) if is_new else (), left)
    if is_new or changes.written or removed:
        _refuse_unwritable(out)
    return changes


def write_owned(
    owner: Owner,
    files: Mapping[str, bytes],
    out: Path,
    progress: Progress = iter,
    prepare: Callable[[], None] = lambda: None,
) -> Changes:
    """Make what is ours below ``out`` hold exactly ``files``; OwnedFilesError says why that cannot be done.

    A file is replaced at once or not at all, and left alone when it is current. All new content lies on the
    disk before the first file is replaced: a disk that is full changes nothing. Files that are referred to
    come first, removals last. The manifest names every file of ours before it is there and until it is gone:
    wherever this is killed, each file is the old or the new one, and the next run completes. ``progress``
    sees the paths as they are taken up. ``prepare`` is called once, before a file is written.
    """
    replaced: list[Path] = []
    with _explained(owner, out, replaced), _locked_folder(owner, out):
        changes = planned_changes(owner, files, out)
        ours = our_files(owner, out)
        remove_temporaries(out / path for path in (MANIFEST, *files, *ours))
        _write_manifest(owner, out, ours.union(files))
        wanted = set(changes.written)
        stale = (path for path in progress(files) if path in wanted)
        prepare()
        with contextlib.ExitStack() as cleanup:
            staged = [cleanup.enter_context(_staged(owner, out, path, files[path])) for path in stale]
            for file in sorted(staged, key=lambda file: owner.rank(file.path.relative_to(out).as_posix())):
                file.replace()
                replaced.append(file.path)
        for path in changes.removed:
            (out / path).unlink()
        _write_manifest(owner, out, files)
    return changes


def _staged(owner: Owner, out: Path, path: str, content: bytes) -> StagedFile:
    mode = 0o600 if owner.is_private(path) else 0o666
    _make_folders(out, Path(path).parent, 0o700 if owner.is_private(path) else 0o777)
    return stage_file(out / path, content, mode)


def _make_folders(out: Path, folder: Path, mode: int) -> None:
    for parent in [*reversed(folder.parents), folder]:
        make_folder(out / parent, mode)


def _write_manifest(owner: Owner, out: Path, paths: Iterable[str]) -> None:
    content = manifest_content(owner, paths)
    if read_if_present(out / MANIFEST) != content:
        replace_file(out / MANIFEST, content)


def _read_manifest(owner: Owner, out: Path) -> frozenset[str] | None:
    """The files that are ours below ``out``, None without a manifest; OwnedFilesError when it is damaged."""
    content = read_if_present(out / MANIFEST)
    if content is None:
        return None
    try:
        manifest = json.loads(content)
    except (ValueError, RecursionError):  # also for bytes that are no UTF-8
        manifest = None
    _refuse_a_later_version(manifest, out)
    paths = manifest.get("files") if isinstance(manifest, dict) else None
    if not isinstance(paths, list) or not all(
        isinstance(path, str) and _stays_below(path) and owner.may_own(path) for path in paths
    ):
        raise OwnedFilesError(
            f"{out / MANIFEST}: does not name the files of modelplane; remove it, so that {owner.name} are "
            "recognised by what is in them"
        )
    return frozenset(paths)


def _refuse_a_later_version(manifest: object, out: Path) -> None:
    version = manifest.get("version") if isinstance(manifest, dict) else None
    if isinstance(version, int) and version > _VERSION:
        raise OwnedFilesError(
            f"{out / MANIFEST}: is of version {version}, and this modelplane knows {_VERSION}; use the "
            "modelplane that wrote it, or a later one, or name another folder with --out"
        )


def _stays_below(path: str) -> bool:
    return not path.startswith("/") and not {"", ".", ".."}.intersection(path.split("/"))


def _surplus(owner: Owner, paths: Iterable[str], out: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The surplus files that are ours, and those that are not any more."""
    present = sorted(path for path in paths if os.path.lexists(out / path))
    removed: list[str] = []
    left: list[str] = []
    for path in present:
        (removed if owner.is_ours(out / path) else left).append(path)
    return tuple(removed), tuple(left)


def _refuse_occupied(owner: Owner, files: Mapping[str, bytes], ours: frozenset[str], out: Path) -> None:
    """OwnedFilesError when what is not ours is in the place of a file, and differs from it."""
    occupied = sorted(
        {path for path in files if _is_occupied(out / path, files[path], is_ours=path in ours)}
        | {link for path in files if (link := _link_above(out, path))}
    )
    if occupied:
        more = f" and {len(occupied) - _LISTED} more" if len(occupied) > _LISTED else ""
        raise OwnedFilesError(
            f"{out}: {', '.join(occupied[:_LISTED])}{more}: not written by modelplane, and in the place of "
            f"its {owner.name}; nothing was changed: move them away, or name another folder with --out"
        )


def _is_occupied(place: Path, content: bytes, *, is_ours: bool) -> bool:
    if is_ours:  # a rename replaces anything else
        return place.is_dir() and not place.is_symlink()
    return os.path.lexists(place) and read_if_present(place) != content


def _refuse_unwritable(out: Path) -> None:
    """OwnedFilesError when no file can be made in ``out``, or where that is to be made."""
    folder = next(place for place in (out, *out.absolute().parents) if place.exists())
    if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
        raise OwnedFilesError(
            f"{folder}: no file can be written there; nothing was changed: run this as a user who may, or "
            "name another folder with --out"
        )


def _link_above(out: Path, path: str) -> str | None:
    """The folder of a file of ours that is a link, or no folder: what lies behind it is not ours."""
    for folder in Path(path).parents[:-1]:
        place = out / folder
        if place.is_symlink() or (os.path.lexists(place) and not place.is_dir()):
            return folder.as_posix()
    return None


def _refuse_a_file(owner: Owner, out: Path) -> None:
    if out.is_symlink() and not out.exists():
        raise OwnedFilesError(
            f"{out}: is a link to {os.readlink(out)}, which does not exist; create that folder, or name "
            "another with --out"
        )
    if out.exists() and not out.is_dir():
        raise OwnedFilesError(
            f"{out}: is a file; {owner.name} are written into a folder, name another with --out"
        )


@contextlib.contextmanager
def _locked_folder(owner: Owner, out: Path) -> Iterator[None]:
    """``out`` exists and no other process writes there; OwnedFilesError when one does."""
    _refuse_a_file(owner, out)
    out.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(out, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems have no such locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OwnedFilesError(
                    f"{out}: another modelplane writes {owner.name} there; wait for its end"
                ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _explained(owner: Owner, out: Path, replaced: Sequence[Path]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        state = (
            f"{len(replaced)} {owner.name} are new, all others as they were"
            if replaced
            else ("nothing was changed")
        )
        raise OwnedFilesError(
            f"{error.filename or out}: {error.strerror or error}; {state}: mend that and run it again, or "
            "name another folder with --out"
        ) from error
