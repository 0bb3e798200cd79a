"""The writing end of a worker's file; module ``file_format`` says what is in it."""

from __future__ import annotations

import json
import math
import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from modelplane_exporter.identity import Version
from modelplane_exporter.layout.signals import LoadedBaseline
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.workers.file_format import (
    END_OFFSET,
    EPOCH_OFFSET,
    HEADER,
    JOURNAL,
    LAYOUT,
    LAYOUT_BYTES,
    MAGIC,
    METRICS_BY_NAME,
    NUMBER,
    RECORD,
    RECORDS,
    VALUE,
    WORKER,
    SampleKey,
    Slots,
    StateKey,
    WorkersError,
    key_to_json,
    slots_of,
)
from modelplane_exporter.workers.file_lock import FileLock, guard, inherited
from modelplane_exporter.workers.journal import Entry, Journal

_FIRST_SIZE = 1 << 14
_ATTEMPTS = 100
_NO_EPOCH = NUMBER.pack(0)


class HasEntries(Protocol):
    """Who has entries of the journal that go with a state, until a commit takes them."""

    entries: list[Entry]


class StateUpdate(NamedTuple):
    """What a state is from now on: integers from 0 to 2**64 - 1, always as many for one key.

    The cells include the calls that are in the journal's entries of ``source``.
    """

    key: StateKey
    cells: Sequence[int]
    charged_until: float = 0.0
    source: HasEntries | None = None


@dataclass(slots=True)
class _Record:
    """Where the slots of a state are, and which one was written last, in which epoch.

    ``entries`` are those whose calls the next commit of the state includes.
    """

    offset: int
    slots: Slots
    index: int = 0
    epoch: int = 0
    entries: list[Entry] = field(default_factory=list)

    def slot_offset(self, index: int) -> int:
        """Where one of the two slots is."""
        return self.offset + index * self.slots.slot.size


class WorkerFile:
    """The writing end; callers see to it that one thread writes at a time, except to the journal.

    After ``close``, and in a forked child, writing is a WorkersError: the child makes a file of its own.
    """

    def __init__(self, path: Path, lock: FileLock, born: float) -> None:
        self.path = path
        self._lock = lock
        self._states: dict[StateKey, _Record] = {}
        self._baselines: set[tuple[Version, str]] = set()
        self._samples: dict[SampleKey, int] = {}
        self._written: list[tuple[_Record, int]] = []
        self._epoch = 0
        self._map = self._reserve(_FIRST_SIZE)
        self._journal: Journal | None = None
        self._end = RECORDS
        HEADER.pack_into(self._map, 0, MAGIC, LAYOUT_BYTES, self._end, 0, born)
        with guard:
            inherited.add(self)

    @classmethod
    def create(
        cls, directory: str | os.PathLike[str], born: float = -math.inf, kind: str = WORKER
    ) -> WorkerFile:
        """A new file that this process holds until it closes it. WorkersError when it cannot be made or
        locked.

        Calls that began before ``born`` are those of the process that forked this one.
        """
        try:
            for _ in range(_ATTEMPTS):
                path = Path(directory, f"{kind}-{LAYOUT}-{os.getpid()}-{secrets.token_hex(8)}")
                try:
                    lock = FileLock(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                except BlockingIOError:
                    continue  # probed between creation and lock; it looks like a dead worker's, so leave it
                if os.fstat(lock.descriptor).st_nlink:
                    return cls._open(path, lock, born)
                lock.close()  # compacted between creation and lock
        except OSError as error:
            raise WorkersError(f"cannot create a worker file in {directory}: {error.strerror}") from error
        raise WorkersError(f"cannot lock a new worker file in {directory}")

    @classmethod
    def _open(cls, path: Path, lock: FileLock, born: float) -> WorkerFile:
        try:
            return cls(path, lock, born)
        except WorkersError:
            path.unlink(missing_ok=True)
            lock.close()
            raise

    @property
    def journal(self) -> Journal:
        """The journal of the calls that end; a file of signals needs none."""
        if self._journal is None:
            # A map of its own, because callers write to it while the other one may be replaced.
            self._journal = Journal(self._reserve(JOURNAL.stop))
        return self._journal

    def record_of(self, key: StateKey) -> int:
        """What stands for a state in the journal: where its record is, 0 before its first commit."""
        record = self._states.get(key)
        return record.offset if record is not None else 0

    def commit(self, updates: Iterable[StateUpdate]) -> None:
        """Replace states, and include the entries of the journal that they contain, all at once.

        Afterwards raises WorkersError when the file is closed, or when the disk is full for a state that is
        new, and struct.error when cells do not fit; such a state stays as it is.
        """
        self._require_open()
        self._end_commit()
        epoch = self._epoch = self._number(EPOCH_OFFSET) + 1
        failure = None
        for update in updates:
            try:
                self._write_slot(update, epoch)
            except (WorkersError, struct.error, TypeError) as error:
                failure = error
        for record, _ in self._written:
            if record.epoch == epoch and record.entries:
                self.journal.include(record.entries, epoch)
        self._store(EPOCH_OFFSET, NUMBER.pack(epoch))
        self._end_commit()
        if failure is not None:
            raise failure

    def write(self, key: StateKey, cells: Sequence[int]) -> None:
        """Commit one state of which no call is in the journal."""
        self.commit([StateUpdate(key, cells)])

    def write_baseline(self, loaded: LoadedBaseline) -> None:
        """Say which baseline a version uses; WorkersError when the file is closed or the disk full."""
        key = loaded.version, loaded.baseline.fingerprint
        if key not in self._baselines:
            self._append(["baseline", loaded.version, loaded.baseline.to_json()], 0)
            self._baselines.add(key)

    def write_unloaded(self) -> None:
        """Say that the baselines of this file are not loaded any more; errors as above."""
        self._append(["unloaded"], 0)

    def write_samples(self, samples: Iterable[MetricSample]) -> None:
        """Replace all samples; a gauge that is missing in ``samples`` vanishes, a counter stays.

        WorkersError when the file is closed or the disk full.
        """
        gone = dict(self._samples)
        for sample in samples:
            gone.pop(self.write_sample(sample), None)
        for key, offset in gone.items():
            if METRICS_BY_NAME[key.metric].type == "gauge":
                self._store(offset, VALUE.pack(math.nan))

    def write_sample(self, sample: MetricSample) -> SampleKey:
        """Replace one sample; WorkersError as above."""
        self._require_open()
        metric, labels, value = sample
        key = SampleKey(metric.name, labels)
        if key not in self._samples:
            self._samples[key] = self._append(["sample", *key], VALUE.size)
        self._store(self._samples[key], VALUE.pack(value))
        return key

    def close(self) -> None:
        """End as a worker; what was written stays and counts as a dead worker's."""
        with guard:
            inherited.discard(self)
        self.drop_in_child()
        self._lock.close()

    def drop_in_child(self) -> None:
        """Give up the parent's file; the lock drops itself."""
        self._map.close()
        if self._journal is not None:
            self._journal.close()

    def _end_commit(self) -> None:
        """Let the last commit's entries be used again; undo it if it was cut off before the header had it."""
        is_committed = self._number(EPOCH_OFFSET) == self._epoch
        for record, index in self._written:
            if not is_committed:
                self._undo(record, index)
            elif record.epoch == self._epoch:
                # No call between taking them and giving them: a signal handler that raises cannot lose any.
                entries, record.entries = record.entries, []
                if entries:
                    self.journal.free.extend(entries)
        self._written = []

    def _undo(self, record: _Record, index: int) -> None:
        epoch_offset = record.slot_offset(index) + record.slots.epoch_offset
        if self._number(epoch_offset) == self._epoch:
            self._store(epoch_offset, _NO_EPOCH)
        if record.epoch == self._epoch:
            record.index, record.epoch = index ^ 1, 0
        if record.entries:
            self.journal.exclude(record.entries, self._epoch)

    def _write_slot(self, update: StateUpdate, epoch: int) -> None:
        record = self._states.get(update.key)
        if record is None:
            slots = slots_of(len(update.cells))
            offset = self._append(key_to_json(update.key), 2 * slots.slot.size)
            record = self._states[update.key] = _Record(offset, slots)
        # The slot that shows the state stays; one that was written in this epoch does not show it yet.
        index = record.index if record.epoch == epoch else record.index ^ 1
        at = record.slot_offset(index)
        # First, because a reader may be copying what was in the slot two commits ago.
        self._store(at + record.slots.epoch_offset, _NO_EPOCH)
        self._written.append((record, index))
        if update.source is not None:
            record.entries, update.source.entries = [*record.entries, *update.source.entries], []
        # One call packs cells and epoch together: 1.2 us; an array and two stores take 2.6 us.
        record.slots.slot.pack_into(self._map, at, *update.cells, update.charged_until, epoch)
        record.index, record.epoch = index, epoch

    def _number(self, offset: int) -> int:
        (number,) = NUMBER.unpack_from(self._map, offset)
        return int(number)

    def _require_open(self) -> None:
        if self._map.closed:
            raise WorkersError(f"{self.path} is closed, or the file of the process that forked this one")

    def _append(self, key: list[Any], data_size: int) -> int:
        """A new record of zeros; gives the offset of its data."""
        self._require_open()
        text = json.dumps(key).encode()
        text += b" " * (-len(text) % 8)
        data = self._end + RECORD.size
        end = data + data_size + len(text)
        if end > len(self._map):
            # Swapped first: a signal handler that raises in between leaves a usable map.
            old, self._map = self._map, self._reserve(max(2 * len(self._map), end))
            old.close()
        RECORD.pack_into(self._map, self._end, data_size, len(text))
        self._map[data:end] = bytes(data_size) + text
        self._end = end
        self._store(END_OFFSET, NUMBER.pack(end))
        return data

    def _store(self, offset: int, number: bytes) -> None:
        """Replace 8 bytes at once: pack_into clears them first, and a reader or a kill would get between."""
        self._map[offset : offset + 8] = number

    def _reserve(self, size: int) -> mmap.mmap:
        """The file with ``size`` bytes of real blocks: a full disk is an error here and no SIGBUS later.

        The map has a duplicate of the descriptor it is made from, so that must not be the locked one.
        """
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                os.posix_fallocate(descriptor, 0, size)
                return mmap.mmap(descriptor, size)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise WorkersError(f"cannot grow {self.path} to {size} bytes: {error.strerror}") from error
