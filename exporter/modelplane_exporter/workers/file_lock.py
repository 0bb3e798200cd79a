"""A lock on a file that a forked child does not hold.

``flock`` belongs to the open file description, which a forked child shares: the child closes it at once,
else a dead process would seem alive as long as its child.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path
from typing import Protocol


class Inherited(Protocol):
    """What a forked child must give up."""

    def drop_in_child(self) -> None:
        """Called in the child."""


guard = threading.RLock()
inherited: set[Inherited] = set()


def _drop_inherited() -> None:
    try:
        while inherited:
            inherited.pop().drop_in_child()
    finally:
        guard.release()


# The guard keeps a fork from falling between opening or closing a descriptor and noting it: the child would
# close what is another file by then.
os.register_at_fork(before=guard.acquire, after_in_parent=guard.release, after_in_child=_drop_inherited)


class FileLock:
    """An exclusive lock on ``path`` while this object is open; a forked child does not hold it.

    Raises BlockingIOError when somebody else holds a lock, else OSError.
    """

    def __init__(self, path: Path, flags: int) -> None:
        with guard:
            self.descriptor = os.open(path, flags | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self.descriptor)
                raise
            inherited.add(self)

    def close(self) -> None:
        """Release the lock, also where a child that was forked without Python still has the descriptor."""
        with guard:
            if self in inherited:
                inherited.remove(self)
                fcntl.flock(self.descriptor, fcntl.LOCK_UN)
                os.close(self.descriptor)

    def drop_in_child(self) -> None:
        """Only close: unlocking would take the lock from the parent."""
        os.close(self.descriptor)

    def __enter__(self) -> FileLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
