"""A folder as it is in a revision of a git repository."""

from __future__ import annotations

import contextlib
import io
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from modelplane_schema.errors import UserError


class GitError(UserError, RuntimeError):
    """git has no such folder; the message says what it said."""


@contextlib.contextmanager
def folder_or_revision(text: str) -> Iterator[Path]:
    """The folder ``text``, or ``REVISION:FOLDER`` unpacked for the block; GitError when git has none.

    ``FOLDER`` is relative to the root of the repository that the current folder is in.
    """
    if ":" not in text or Path(text).exists():
        yield Path(text)
        return
    with tempfile.TemporaryDirectory(prefix="modelplane-") as folder:
        with zipfile.ZipFile(io.BytesIO(_archive(text))) as archive:
            archive.extractall(folder)
        yield Path(folder)


def _archive(tree: str) -> bytes:
    root = _git("rev-parse", "--show-toplevel", of=tree).decode().strip()  # git archives below where it is
    return _git("-C", root, "archive", "--format=zip", "--end-of-options", tree, of=tree)


def _git(*arguments: str, of: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, check=True).stdout
    except FileNotFoundError as error:
        raise GitError(f"{of}: there is no such folder, and no git to look for it in a revision") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.decode(errors="replace").strip().splitlines()
        raise GitError(
            f"{of}: must be a folder, or REVISION:FOLDER in a git repository: {reason[-1] if reason else ''}"
        ) from error
