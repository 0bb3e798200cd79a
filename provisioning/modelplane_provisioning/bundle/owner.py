"""Who owns what the containers of a bundle read and write. It is never root, and they run as that user."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from modelplane_provisioning.bundle.layout import SECRETS
from modelplane_schema.errors import UserError

NOBODY = 65534


class OwnerError(UserError, RuntimeError):
    """Files cannot be given to the user of the containers; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A user and a group by number."""

    uid: int
    gid: int

    def __str__(self) -> str:
        return f"{self.uid}:{self.gid}"


def bundle_owner(out: Path) -> Owner:
    """Who writes the bundle; for root the owner of the folder ``out``, or nobody where that is root, too.

    Whom root gave an earlier bundle keeps it, for root made that folder in one of theirs.
    """
    if os.geteuid() != 0:
        return Owner(os.geteuid(), os.getegid())
    present = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.exists())
    states = [place.stat() for place in (out / SECRETS, present) if place.exists()]
    owners = (Owner(state.st_uid, state.st_gid) for state in states if state.st_uid != 0)
    return next(owners, Owner(NOBODY, NOBODY))


def give(folders: Iterable[Path], owner: Owner) -> None:
    """Give what root has in ``folders``, and these, to their owner: OwnerError. Only root gives anything."""
    if os.geteuid() != 0:
        return
    for path in (path for folder in folders for path in _tree(folder)):
        try:
            if path.lstat().st_uid == 0:
                os.chown(path, owner.uid, owner.gid, follow_symlinks=False)
        except OSError as error:
            raise OwnerError(
                f"{path}: cannot be given to user {owner}: {error.strerror}; "
                "run this as the user that the containers are to have, not as root"
            ) from error


def _tree(folder: Path) -> Iterator[Path]:
    yield folder
    for parent, folders, files in os.walk(folder):
        yield from (Path(parent, name) for name in (*folders, *files))
