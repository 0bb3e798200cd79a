"""Write files so that whoever reads them meets the old content or the new one, never half of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{8}\.new")


def replace_file(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Put ``content`` in the place of ``path``, or leave it as it is: OSError. Its folder must exist.

    The new file has the permissions that the umask leaves of ``mode``.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.new")
    try:
        with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def replace_files(folder: Path, content: Mapping[str, bytes], mode: int = 0o666) -> list[str]:
    """Bring the files of ``content`` up to date below ``folder``: OSError.

    Returns the relative paths of those that were not, sorted; the others are left alone. New files have the
    permissions that the umask leaves of ``mode``.
    """
    stale = [path for path in sorted(content) if read_if_present(folder / path) != content[path]]
    for path in stale:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        replace_file(folder / path, content[path], mode)
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
