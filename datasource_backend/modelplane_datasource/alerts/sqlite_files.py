"""The files of a database of SQLite: whether their names still lead to what was opened.

SQLite goes on in a file that was renamed or deleted, and all that it writes is lost with the last process
that has it open.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable

_SUFFIXES = ("", "-wal", "-shm")


class SqliteFiles:
    """The database, its log and its index, held open so that SQLite does not make the latter two anew."""

    def __init__(self, path: str, prepare: Callable[[sqlite3.Connection], None]) -> None:
        """Create the database unless it exists; ``prepare`` gets the connection. sqlite3.Error."""
        self._path = path
        self._connection = sqlite3.connect(path, check_same_thread=False)
        try:
            prepare(self._connection)
            self._connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        except sqlite3.Error:
            self._connection.close()
            raise
        self._opened = self._identities()

    @property
    def are_in_place(self) -> bool:
        """Whether what was written to them is found by whoever opens the database next."""
        return self._identities() == self._opened

    def close(self) -> None:
        """Let SQLite remove the log and the index."""
        self._connection.close()

    def _identities(self) -> list[tuple[int, int] | None]:
        return [_identity(self._path + suffix) for suffix in _SUFFIXES]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino
