"""Write files so that whoever reads them meets the old content or the new one, never half of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_OTHERS = 0o077
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.new")


@dataclass(frozen=True, slots=True)
class StagedFile:
    """New content that lies on the disk beside ``path``, until the end of the context at the latest."""

    path: Path
    temporary: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A file system that takes no writes says so of a file that is not there, too, and why it was not made
        # is being told.
        with suppress(OSError):
            self.temporary.unlink(missing_ok=True)

    def replace(self) -> None:
        """Put the content in the place of ``path``: OSError, and then it is as it was."""
        try:
            self.temporary.replace(self.path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(self.path)) from error


def stage_file(path: Path, content: bytes, mode: int = 0o666) -> StagedFile:
    """``content`` beside ``path``, ready to replace it: OSError. Its folder must exist.

    The new file has the permissions that the umask leaves of ``mode``. One that only its owner may read is
    that of the folder's owner, where root writes it.
    """
    staged = StagedFile(path, path.with_name(f".{path.name}.{os.urandom(4).hex()}.new"))
    with ExitStack() as cleanup:
        cleanup.enter_context(staged)
        try:
            descriptor = os.open(staged.temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
            if not mode & _OTHERS:
                _give_to_owner_of_folder(staged.temporary)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        cleanup.pop_all()
    return staged


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder unless it is there: OSError. The one that it is in must exist.

    One that only its owner may read is that of the owner of the folder above, where root makes it.
    """
    if path.is_dir():
        return
    path.mkdir(mode)
    if not mode & _OTHERS:
        _give_to_owner_of_folder(path)


def _give_to_owner_of_folder(path: Path) -> None:
    """Or root would replace a secret by one that its reader cannot read."""
    folder = path.parent.stat()
    if os.geteuid() == 0 != folder.st_uid:
        os.chown(path, folder.st_uid, folder.st_gid)


def replace_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Put ``content`` in the place of ``path``, or leave it as it is: OSError. Its folder must exist.

    The new file has the permissions that the umask leaves of ``mode``.
    """
    with stage_file(path, content, mode) as staged:
        staged.replace()


def replace_files(folder: Path, content: Mapping[str, bytes]) -> list[str]:
    """Bring the files of ``content`` up to date below ``folder``: OSError.

    Returns the relative paths of those that were not, sorted; the others are left alone.
    """
    stale = [path for path in sorted(content) if read_if_present(folder / path) != content[path]]
    for path in stale:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        replace_file(folder / path, content[path])
    return stale


def remove_temporaries(paths: Iterable[Path]) -> None:
    """Remove what ``replace_file`` leaves beside each path when it is killed: OSError.

    Nobody may write these files meanwhile.
    """
    names: dict[Path, set[str]] = {}
    for path in paths:
        names.setdefault(path.parent, set()).add(path.name)
    for folder, written in names.items():
        for path in folder.glob(".*.new"):
            temporary = _TEMPORARY.fullmatch(path.name)
            if temporary and temporary[1] in written:
                path.unlink()


def surplus_files(root: Path, folders: Iterable[str], content: Mapping[str, bytes]) -> list[Path]:
    """The files in ``folders`` below ``root`` that ``content`` does not have, sorted."""
    present = (path for folder in folders for path in (root / folder).rglob("*") if path.is_file())
    return sorted(path for path in present if path.relative_to(root).as_posix() not in content)


def read_if_present(path: Path) -> bytes | None:
    """The content of a file; None when there is no such file."""
    return path.read_bytes() if path.is_file() else None
