"""How a worker process publishes its counts to the others, and sees all of them.

What a drain changed is committed at once, and a call that waits for a drain is in the journal (module
``journal``); business events and feedback are written when they are counted. A thread publishes once a second
what would otherwise wait: calls that ended since the last drain for the eyes of others, calls in flight and
their charges, and signals. It also compacts, module ``directory`` says when.
"""

from __future__ import annotations

import functools
import logging
import math
import struct
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from modelplane_exporter.layout.calls import Snapshot
from modelplane_exporter.layout.signals import ExposedSignals
from modelplane_exporter.layout.state import MetricSample, State
from modelplane_exporter.layout.values import ValueKey, ValueSnapshot
from modelplane_exporter.measurement.identity_state import IdentityState
from modelplane_exporter.rate_limited_log import rate_limited
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file import StateUpdate, WorkerFile
from modelplane_exporter.workers.file_format import SIGNALS, WorkersError
from modelplane_exporter.workers.journal import Journal
from modelplane_exporter.workers.process_end import EndOfProcess

PUBLISH_SECONDS = 1.0


class Source(Protocol):
    """What is published: the process's state."""

    def visit_states(self, visit: Callable[[list[IdentityState], list[Snapshot], float], None]) -> None:
        """Call ``visit`` with every state of this process, a copy of each and the time.

        Copies never go back, and nothing is added to the states meanwhile.
        """

    def visit_samples(self, visit: Callable[[list[MetricSample]], None]) -> None:
        """Call ``visit`` with this process's samples that are not about calls; none grows meanwhile."""

    def local_signals(self) -> list[ExposedSignals]:
        """A copy of every state of signals of this process, and the baselines they are compared with."""


class Publisher:
    """One worker's end of the directory. WorkersError when the directory cannot be used."""

    def __init__(self, directory: Path, source: Source) -> None:
        self._directory = WorkerDirectory(directory)
        self._path = directory
        self._source = source
        self._file: WorkerFile
        self._is_writing: bool
        self.journal: Journal
        self._begin(-math.inf)
        self._end = EndOfProcess(self.publish)

    def commit(
        self, states: Sequence[IdentityState], snapshots: Sequence[Snapshot], charged_until: float
    ) -> None:
        """Publish states of calls, each with its copy, under the lock of their meter.

        ``charged_until`` is the time up to which calls in flight are charged. A full disk is one log line.
        """

        def write(file: WorkerFile) -> None:
            try:
                file.commit(
                    StateUpdate(snapshot.key, snapshot.cells, charged_until, state)
                    for state, snapshot in zip(states, snapshots, strict=True)
                )
            finally:
                for state in states:
                    state.record = file.record_of(state.key)

        self._write(write)

    def publish(self) -> None:
        """Publish all of this process."""
        self.publish_signals()
        self._source.visit_states(self.commit)
        self._source.visit_samples(lambda samples: self._write(lambda file: file.write_samples(samples)))
        self._write(self._write_values)

    def publish_signals(self) -> None:
        """Publish the signals of this process, and let go of the files of baselines that are unloaded."""
        # Another lock, because draining signals takes the lock of a meter, under which others write.
        with self._signals_lock:
            every = self._source.local_signals()
            for signals in every:
                self._write(functools.partial(self._write_signals, signals))
            loads = {signals.load for signals in every}
            for load in self._signal_files.keys() - loads:
                self._write(functools.partial(self._end_signals, load))

    def count_value(self, value: ValueSnapshot) -> None:
        """Publish a business value that has just changed."""
        self._late_values[value.key] = value.cells
        self._write(self._write_values)

    def count(self, sample: MetricSample) -> None:
        """Publish a counter that has just grown."""
        self._write(lambda file: file.write_sample(sample))

    def _write_signals(self, signals: ExposedSignals, file: WorkerFile) -> None:
        if signals.load:
            file = self._signal_files.get(signals.load) or WorkerFile.create(self._path, kind=SIGNALS)
            self._signal_files[signals.load] = file
        for loaded in signals.baselines:
            file.write_baseline(loaded)
        file.commit(StateUpdate(*signal) for signal in signals.snapshots)

    def _end_signals(self, load: int, _: WorkerFile) -> None:
        file = self._signal_files.pop(load)
        file.write_unloaded()
        file.close()

    def _write_values(self, file: WorkerFile) -> None:
        """Write what changed since it was written; who makes a change meanwhile writes it himself."""
        late: dict[ValueKey, Sequence[int]] = {}
        while self._late_values:
            late.update((self._late_values.popitem(),))
        try:
            file.commit(StateUpdate(*change) for change in late.items())
        except BaseException:
            for key, cells in late.items():  # the next second may do
                self._late_values.setdefault(key, cells)
            raise

    def _write(self, action: Callable[[WorkerFile], object]) -> None:
        with self._lock:
            if (
                self._is_writing
            ):  # entered again from a signal handler or a finalizer: the next second will do
                return
            self._is_writing = True
            try:
                action(self._file)
            except (WorkersError, struct.error) as error:  # the disk is full, or a sum left 64 bits
                rate_limited.log(
                    logging.ERROR, "publisher", "other processes do not see all counts: %s", error
                )
            finally:
                self._is_writing = False

    def collect(self) -> State:
        """The sum over all workers. WorkersError when it cannot be had: a part of it would be wrong."""
        self.publish()
        return self._directory.collect()

    def after_fork(self, now: float) -> None:
        """In a forked child: a new file, lock and thread. Calls begun before ``now`` are the parent's."""
        self._end.after_fork()
        try:
            self._begin(now)
        except WorkersError as error:
            rate_limited.log(logging.ERROR, "fork", "other processes do not see this one's counts: %s", error)

    def _begin(self, born: float) -> None:
        self._lock, self._signals_lock = threading.RLock(), threading.RLock()
        self._is_writing = False
        self._file = WorkerFile.create(self._path, born)
        self._signal_files: dict[int, WorkerFile] = {}
        self._late_values: dict[ValueKey, Sequence[int]] = {}
        self.journal = self._file.journal
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
