"""A file that is read again when it changes."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, TypeVar

from modelplane_datasource.settings import ConfigurationError
from modelplane_schema.errors import UserError

T = TypeVar("T")

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 1.0


class WatchedFile(Generic[T]):
    """What a file holds, at most a second late.

    A file that became invalid is not used, with an error in the log, and what was read before stays.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        parse: Callable[[bytes, str], T],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``parse`` gets the content and the path, for errors; a UserError of it is raised here. ``name``
        tells people what the file is. ``clock`` is in seconds."""
        self._name = name
        self._path = path
        self._parse = parse
        self._clock = clock
        self._lock = threading.Lock()
        self._next_look = 0.0
        self._signature = _signature(path)
        self._is_valid = True
        self._loaded = self._read()

    @property
    def content(self) -> T:
        """What the file holds, or last held when it became invalid."""
        self._look()
        return self._loaded[0]

    @property
    def state(self) -> tuple[str, bool]:
        """The hex SHA-256 of the content that is in use, and whether the file still has it."""
        self._look()
        return self._loaded[1], self._is_valid

    def _look(self) -> None:
        if self._clock() < self._next_look or not self._lock.acquire(blocking=False):
            return
        try:
            self._next_look = self._clock() + _LOOK_SECONDS
            signature = _signature(self._path)
            if signature != self._signature:
                self._signature = signature
                self._is_valid = False
                self._loaded = self._read()
                self._is_valid = True
                _LOG.info("the %s was read again: %s", self._name, self._path)
        except UserError as error:
            _LOG.error("the %s changed and is not used: %s", self._name, error)
        finally:
            self._lock.release()

    def _read(self) -> tuple[T, str]:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            message = f"{self._path}: the {self._name} cannot be read: {error.strerror}"
            raise ConfigurationError(message) from error
        # Both change at once: nobody meets the content of one file and the digest of another.
        return self._parse(content, str(self._path)), hashlib.sha256(content).hexdigest()


def _signature(path: Path) -> tuple[int, ...]:
    """Changes with the file: when it is written, and when another takes its name, also behind a link."""
    try:
        state = path.stat()
    except OSError:
        return ()
    return state.st_ino, state.st_mtime_ns, state.st_size
