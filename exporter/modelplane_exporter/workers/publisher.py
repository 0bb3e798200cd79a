"""How a worker process publishes its counts to the others, and sees all of them.

What a drain changed is written at once; a thread writes once a second what would otherwise wait for a drain:
the last few calls, and the charges of those in flight. It also compacts, module ``directory`` says when.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing.util
import struct
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

from modelplane_exporter.layout.calls import Snapshot
from modelplane_exporter.layout.signals import LoadedBaseline, SignalSnapshot
from modelplane_exporter.layout.state import MetricSample, State
from modelplane_exporter.rate_limited_log import rate_limited
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file import WorkerFile
from modelplane_exporter.workers.file_format import WorkersError

PUBLISH_SECONDS = 1.0

# A kill loses what was not written: the calls of one drain, and those queued while it runs. 48 + 8 calls and
# one for each of 8 threads are 64.
DRAIN_AT, WAIT_AT = 96, 16


class Source(Protocol):
    """What is published: the process's state."""

    def visit_snapshots(self, visit: Callable[[list[Snapshot]], None]) -> None:
        """Call ``visit`` with a copy of every state of this process, in an order that never goes back."""

    def local_samples(self) -> list[MetricSample]:
        """This process's samples that are not about calls."""

    def local_signals(self) -> tuple[list[SignalSnapshot], list[LoadedBaseline]]:
        """A copy of every state of signals of this process, and the baselines they are compared with."""


class Publisher:
    """One worker's end of the directory. WorkersError when the directory cannot be used."""

    def __init__(self, directory: Path, source: Source) -> None:
        self._directory = WorkerDirectory(directory)
        self._path = directory
        self._source = source
        self._begin()
        atexit.register(self.publish)
        # Processes of multiprocessing end without atexit, and a forked one forgets its parent's finalizers.
        self._publish_at_end()
        multiprocessing.util.register_after_fork(self, Publisher._publish_at_end)

    def write(self, snapshots: Iterable[Snapshot | SignalSnapshot]) -> None:
        """Publish some states, under the lock of their meter; a full disk is one log line and no more."""
        try:
            with self._lock:
                for snapshot in snapshots:
                    self._file.write(snapshot.key, snapshot.cells)
        except (WorkersError, struct.error) as error:  # the disk is full, or a sum left 64 bits
            rate_limited.log(logging.ERROR, "publisher", "other processes do not see all counts: %s", error)

    def publish(self) -> None:
        """Publish all states of this process."""
        # Another lock, because draining signals takes the lock of a meter, under which others write.
        with self._signals_lock:
            signals, baselines = self._source.local_signals()
            self.write(signals)
        self._source.visit_snapshots(self.write)
        try:
            with self._lock:
                for loaded in baselines:
                    self._file.write_baseline(loaded)
                self._file.write_samples(self._source.local_samples())
        except WorkersError as error:
            rate_limited.log(logging.ERROR, "publisher", "other processes do not see all counts: %s", error)

    def collect(self) -> State:
        """The sum over all workers. WorkersError when it cannot be had: a part of it would be wrong."""
        self.publish()
        return self._directory.collect()

    def after_fork(self) -> None:
        """In a forked child: a new file, lock and thread."""
        try:
            self._begin()
        except WorkersError as error:
            rate_limited.log(logging.ERROR, "fork", "other processes do not see this one's counts: %s", error)

    def _publish_at_end(self) -> None:
        multiprocessing.util.Finalize(None, self.publish, exitpriority=0)

    def _begin(self) -> None:
        self._lock, self._signals_lock = threading.RLock(), threading.RLock()
        self._file = WorkerFile.create(self._path)
        self._stop = threading.Event()
        threading.Thread(target=self._publish_regularly, name="modelplane-workers", daemon=True).start()

    def _publish_regularly(self) -> None:
        stop = self._stop
        self._attempt(self._directory.compact_crowd)
        while not stop.wait(PUBLISH_SECONDS):
            self._attempt(self.publish)
            self._attempt(lambda: self._directory.compact_as(self._file.path.name))

    def _attempt(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:  # noqa: BLE001 - the next second may be better
            kind = type(error).__name__
            rate_limited.log(logging.ERROR, "publish", "counts were not published: %s", kind)
