"""Several worker processes, one correct exposition.

Each worker writes a file (module ``file_format``); any process can add the files up. Files of dead workers
are compacted into an archive and removed, a few at a time, in an order that survives a kill at any point:

1. Under the lock on the directory: unlink files that the archive already names as included (an earlier
   compaction was killed before it did).
2. Add up to ``STEP`` files whose workers are dead: which nobody has locked. A file with a header stays dead,
   because its worker locked it before it wrote the header, and no name is used again. One without a header
   is held: either its worker died, or it finds the file taken and makes another.
3. Write the new archive, with the names of the files it includes, next to the old one, and rename it into
   place. Until the rename nothing has happened; from then on the files count as included.
4. Unlink the files, release those that are held, and go on at 2 until there are none.

Whoever scrapes compacts, and once a second the live worker whose file comes first by name does, for a limited
time. Files are opened one at a time, however many there are, and the directory stays small without scrapes.

A reader needs no lock: it loads the archive, then lists the directory and reads, one by one, the files that
the archive does not name, and again when the archive was replaced meanwhile. While an archive stays in
place only files that it names are unlinked, so each file is counted exactly once. What a file shows never
falls and files turn into archive without a change of the sum, hence no counter goes backwards, whichever
process reads. There is no fsync: a machine that crashes loses its processes' state anyway.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from modelplane_exporter.layout.state import State
from modelplane_exporter.rate_limited_log import rate_limited
from modelplane_exporter.settings import WORKERS_DIR
from modelplane_exporter.workers.archive import Archive, ArchiveFile
from modelplane_exporter.workers.file_format import LAYOUT, SIGNALS, WORKER, WorkersError
from modelplane_exporter.workers.file_lock import FileLock
from modelplane_exporter.workers.file_reader import WorkerFileReader, WorkerIndex
from modelplane_exporter.workers.totals import Totals

IDLE_SECONDS = 26 * 3600.0

# How many files are compacted at once, and how many of them may be held.
STEP, HELD = 256, 16
# For how long a worker compacts each second.
COMPACT_SECONDS = 0.1
# A worker that starts among more files than this compacts first: none may live for a second.
CROWD = 64

_WORKERS_FILE = re.compile(
    r"(?:worker|signals|archive)-(?P<layout>[0-9a-f]{16})(?:-\d+-[0-9a-f]{16}|(?:\.new)?)"
)
_ATTEMPTS, _RETRY_SECONDS = 100, 0.01


class WorkerDirectory:
    """The directory in which workers show their states; made when it is absent.

    WorkersError when it cannot be used: not a directory, not writable, or with other files in it.
    ``idle_seconds`` is how long the archive has a key that no file has any more. Safe for threads; a forked
    child can go on using it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = Path(path)
        self._archive = ArchiveFile(self._path / f"archive-{LAYOUT}")
        self._idle_seconds = idle_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._indexes: dict[str, WorkerIndex] = {}
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            self._check()
            self._clear_other_releases()
        except OSError as error:
            raise WorkersError(f"cannot use {self._path} ({WORKERS_DIR.name}): {error.strerror}") from error
        _directories.add(self)

    def collect(self) -> State:
        """The sum over all workers, dead ones included; compacts what dead workers left.

        Cells are added. Calls in flight are those of live workers. Of samples, gauges are the largest of
        live workers and counters are added, except a device's, whose largest value is its newest.
        WorkersError when the directory cannot be read.
        """
        with self._lock:
            try:
                for _ in range(_ATTEMPTS):
                    with self._directory_lock() as locked:
                        if locked:
                            self._compact()
                        totals = self._sum()
                    if totals is not None:
                        return totals.state()
                    time.sleep(_RETRY_SECONDS)
            except OSError as error:
                raise WorkersError(f"cannot read {self._path}: {error.strerror}") from error
        raise WorkersError(f"the archive in {self._path} was replaced during each of {_ATTEMPTS} readings")

    def compact_as(self, worker: str) -> None:
        """Compact for ``COMPACT_SECONDS`` if that is up to the live worker whose file has this name."""
        self._compact_if(lambda names: self._is_first(worker, names))

    def compact_crowd(self) -> None:
        """Compact for ``COMPACT_SECONDS`` if there are many files."""
        self._compact_if(lambda names: len(names) > CROWD)

    def forget_after_fork(self) -> None:
        """Start anew in a child: the parent's thread may hold the lock."""
        self._lock = threading.Lock()
        self._indexes = {}
        self._archive.forget()

    def _compact_if(self, is_due: Callable[[set[str]], bool]) -> None:
        """Compact unless another thread or process does, or it is not due; what fails is tried again."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            if is_due(self._names()):
                with self._directory_lock() as locked:
                    if locked:
                        self._compact(COMPACT_SECONDS)
        except OSError as error:
            _log("compact", "cannot read %s: %s", self._path, error.strerror)
        finally:
            self._lock.release()

    def _is_first(self, worker: str, names: set[str]) -> bool:
        """Whether the worker's file is the first of a live worker; the others probe one live file each."""
        for name in sorted(name for name in names if name.startswith(WORKER)):
            if name == worker:
                return True
            if self._is_alive(name):
                return False
        return False

    @contextlib.contextmanager
    def _directory_lock(self) -> Iterator[bool]:
        """Whether this process has the directory: as long as it has, nobody else replaces the archive."""
        try:
            lock = FileLock(self._path, os.O_RDONLY)
        except BlockingIOError:
            yield False
            return
        with lock:
            yield True

    def _compact(self, seconds: float = math.inf) -> None:
        """Compact step by step, with the directory locked, and start no step after ``seconds``."""
        until = time.monotonic() + seconds
        try:
            archive = self._archive.load()
            names = self._names()
            not_removed = self._unlink(archive.files & names)
            rest = iter(sorted(names - archive.files))
            while self._compact_step(rest, not_removed):
                if time.monotonic() > until:
                    return
            self._drop_idle(not_removed, archive)
        except OSError as error:
            _log("compact", "files of ended workers were not compacted in %s: %s", self._path, error.strerror)

    def _compact_step(self, names: Iterator[str], not_removed: list[str]) -> bool:
        """Add the next files of dead workers to the archive and unlink them; False when there are none.

        Those that cannot be unlinked join ``not_removed``.
        """
        archive = self._archive.load()
        totals, compacted, held = Totals(archive), list[str](), list[WorkerFileReader]()
        try:
            for name in names:
                if self._add_dead(name, totals, held):
                    compacted.append(name)
                if len(compacted) == STEP or len(held) == HELD:
                    break
            if compacted:
                now = self._clock()
                self._archive.replace(totals.archived(archive, [*not_removed, *compacted], now))
                not_removed += self._unlink(compacted)
        finally:
            for file in held:
                file.close()
        return bool(compacted)

    def _add_dead(self, name: str, totals: Totals, held: list[WorkerFileReader]) -> bool:
        """Add a file if its worker is dead. What was not begun joins ``held``: a worker may just lock it."""
        with contextlib.ExitStack() as opened:
            try:
                file = opened.enter_context(self._open(name))
            except FileNotFoundError:
                return False
            if not file.hold() or not self._refreshed(file):
                return False
            totals.add(file, alive=False)
            if not file.is_begun:
                opened.pop_all()
                file.unmap()
                held.append(file)
        return True

    def _drop_idle(self, not_removed: Iterable[str], before: Archive) -> None:
        """Replace the archive by one without the keys that no file has, if they are old enough.

        Signals of baselines that were unloaded need no age. They are looked for when the archive differs from
        the one ``before``.
        """
        archive = self._archive.load()
        idle = archive.unchanged_since(self._clock() - self._idle_seconds)
        if archive is not before:
            idle |= archive.unloaded()
        if not idle:
            return
        for name in self._names() - archive.files:
            with contextlib.suppress(FileNotFoundError), self._open(name) as file:
                if self._refreshed(file):
                    idle.difference_update(file.index.keys())
        if idle:
            totals = Totals(archive)
            totals.forget(idle)
            self._archive.replace(totals.archived(archive, not_removed, self._clock()))

    def _sum(self) -> Totals | None:
        """The sum over the archive and all files; None when the archive was replaced meanwhile."""
        archive = self._archive.load()
        totals = Totals(archive)
        names = self._names() - archive.files
        self._indexes = {name: index for name, index in self._indexes.items() if name in names}
        for name in sorted(names):
            # A file that is gone was compacted since the listing, so the archive was replaced.
            with contextlib.suppress(FileNotFoundError), self._open(name) as file:
                self._add(file, totals)
        totals.forget(archive.unchanged_since(self._clock() - self._idle_seconds) - totals.from_files)
        return totals if self._archive.is_current() else None

    def _add(self, file: WorkerFileReader, totals: Totals) -> None:
        alive = file.is_alive()  # first: what is read of a dead worker is all that there will be
        if self._refreshed(file):
            totals.add(file, alive)
            if alive:
                self._indexes[file.path.name] = file.index

    def _open(self, name: str) -> WorkerFileReader:
        return WorkerFileReader(self._path / name, self._indexes.get(name))

    def _refreshed(self, file: WorkerFileReader) -> bool:
        try:
            file.refresh()
        except WorkersError as error:
            _log(file.path.name, "a worker is not counted: %s", error)
            return False
        return True

    def _names(self) -> set[str]:
        prefixes = tuple(f"{kind}-{LAYOUT}-" for kind in (WORKER, SIGNALS))
        return {name for name in os.listdir(self._path) if name.startswith(prefixes)}

    def _unlink(self, names: Iterable[str]) -> list[str]:
        """Remove files; gives those that could not be removed."""
        not_removed = []
        for name in names:
            try:
                (self._path / name).unlink(missing_ok=True)
            except OSError as error:
                not_removed.append(name)
                _log("unlink", "cannot remove %s from %s: %s", name, self._path, error.strerror)
        return not_removed

    def _check(self) -> None:
        for name in os.listdir(self._path):
            if not _WORKERS_FILE.fullmatch(name):
                raise WorkersError(
                    f"{self._path} ({WORKERS_DIR.name}) holds {name!r}, which is not a worker's file: "
                    "name a directory that nothing else uses"
                )
        if not os.access(self._path, os.W_OK | os.X_OK):
            raise WorkersError(f"cannot use {self._path} ({WORKERS_DIR.name}): not writable")

    def _clear_other_releases(self) -> None:
        """Remove what another layout left once none of its workers is alive; we cannot read its cells."""
        if not self._other_releases():
            return
        try:
            with FileLock(self._path, os.O_RDONLY):
                for layout, names in self._other_releases().items():
                    self._clear_release(layout, names)
        except BlockingIOError:
            return  # another process compacts or clears; the next worker that starts tries again

    def _other_releases(self) -> dict[str, list[str]]:
        by_layout: dict[str, list[str]] = {}
        for name in os.listdir(self._path):
            match = _WORKERS_FILE.fullmatch(name)
            if match and match["layout"] != LAYOUT:
                by_layout.setdefault(match["layout"], []).append(name)
        return by_layout

    def _clear_release(self, layout: str, names: list[str]) -> None:
        workers = [name for name in names if name.startswith((WORKER, SIGNALS))]
        if any(self._is_alive(name) for name in workers) or not all(map(self._remove_dead, workers)):
            _log(layout, "workers of another release in %s are not counted", self._path)
        else:
            self._unlink(names)

    def _is_alive(self, name: str) -> bool:
        try:
            with WorkerFileReader(self._path / name) as file:
                return file.is_alive()
        except FileNotFoundError:
            return False

    def _remove_dead(self, name: str) -> bool:
        """Unlink a file while it is held, so that none that just starts has it; False when it is alive."""
        with WorkerFileReader(self._path / name) as file:
            return file.hold() and not self._unlink([name])


def _log(key: str, message: str, *args: object) -> None:
    rate_limited.log(logging.ERROR, (__name__, key), message, *args)


_directories: weakref.WeakSet[WorkerDirectory] = weakref.WeakSet()


def _forget_after_fork() -> None:
    for directory in _directories:
        directory.forget_after_fork()


os.register_at_fork(after_in_child=_forget_after_fork)
