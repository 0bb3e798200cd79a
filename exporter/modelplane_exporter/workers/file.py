"""The writing end of a worker's file; module ``file_format`` says what is in it."""

from __future__ import annotations

import json
import math
import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelplane_exporter.identity import Version
from modelplane_exporter.layout.signals import LoadedBaseline
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.workers.file_format import (
    END,
    END_OFFSET,
    HEADER,
    LAYOUT,
    LAYOUT_BYTES,
    MAGIC,
    METRICS_BY_NAME,
    RECORD,
    VALUE,
    SampleKey,
    StateKey,
    WorkersError,
    key_to_json,
    slots_of,
)
from modelplane_exporter.workers.file_lock import FileLock, guard, inherited

_FIRST_SIZE = 1 << 16
_ATTEMPTS = 100


@dataclass(slots=True)
class _Record:
    """Where the slots of a state are, and the last sequence number."""

    offset: int
    slot: struct.Struct
    sequence: int = 0


class WorkerFile:
    """The writing end; callers see to it that one thread writes at a time.

    After ``close``, and in a forked child, writing is a WorkersError: the child makes a file of its own.
    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path = path
        self._lock = lock
        self._states: dict[StateKey, _Record] = {}
        self._baselines: set[tuple[Version, str]] = set()
        self._samples: dict[SampleKey, int] = {}
        self._map = self._reserve(_FIRST_SIZE)
        self._end = HEADER.size
        HEADER.pack_into(self._map, 0, MAGIC, LAYOUT_BYTES, self._end)
        with guard:
            inherited.add(self)

    @classmethod
    def create(cls, directory: str | os.PathLike[str]) -> WorkerFile:
        """A new file that this process holds for its life. WorkersError when it cannot be made or locked."""
        try:
            for _ in range(_ATTEMPTS):
                path = Path(directory, f"worker-{LAYOUT}-{os.getpid()}-{secrets.token_hex(8)}")
                try:
                    lock = FileLock(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
                except BlockingIOError:
                    continue  # probed between creation and lock; it looks like a dead worker's, so leave it
                if os.fstat(lock.descriptor).st_nlink:
                    return cls._open(path, lock)
                lock.close()  # compacted between creation and lock
        except OSError as error:
            raise WorkersError(f"cannot create a worker file in {directory}: {error.strerror}") from error
        raise WorkersError(f"cannot lock a new worker file in {directory}")

    @classmethod
    def _open(cls, path: Path, lock: FileLock) -> WorkerFile:
        try:
            return cls(path, lock)
        except WorkersError:
            path.unlink(missing_ok=True)
            lock.close()
            raise

    def write(self, key: StateKey, cells: Sequence[int]) -> None:
        """Replace the state of ``key`` by integers from 0 to 2**64 - 1, always as many for one key.

        WorkersError when the file is closed or the disk full (states that are there can still be written),
        struct.error when ``cells`` do not fit; the file then shows what it showed before.
        """
        record = self._states.get(key)
        if record is None:
            slot = slots_of(len(cells)).slot
            record = self._states[key] = _Record(self._append(key_to_json(key), 2 * slot.size), slot)
        # Counted before the write: after an interrupted write the same slot must not be written as "next".
        record.sequence += 1
        try:
            # One call packs cells and number together: 1.2 us; an array and two stores take 2.6 us.
            at = record.offset + (record.sequence & 1) * record.slot.size
            record.slot.pack_into(self._map, at, *cells, record.sequence)
        except (struct.error, TypeError):
            record.sequence -= 1
            self._require_open()
            raise

    def write_baseline(self, loaded: LoadedBaseline) -> None:
        """Say which baseline a version uses; WorkersError when the file is closed or the disk full."""
        key = loaded.version, loaded.baseline.fingerprint
        if key not in self._baselines:
            self._append(["baseline", loaded.version, loaded.baseline.to_json()], 0)
            self._baselines.add(key)

    def write_samples(self, samples: Iterable[MetricSample]) -> None:
        """Replace all samples; a gauge that is missing in ``samples`` vanishes, a counter stays.

        WorkersError when the file is closed or the disk full.
        """
        self._require_open()
        gone = dict(self._samples)
        for metric, labels, value in samples:
            key = SampleKey(metric.name, labels)
            if key not in self._samples:
                self._samples[key] = self._append(["sample", *key], VALUE.size)
            self._store(self._samples[key], VALUE.pack(value))
            gone.pop(key, None)
        for key, offset in gone.items():
            if METRICS_BY_NAME[key.metric].type == "gauge":
                self._store(offset, VALUE.pack(math.nan))

    def close(self) -> None:
        """End as a worker; what was written stays and counts as a dead worker's."""
        with guard:
            inherited.discard(self)
        self._map.close()
        self._lock.close()

    def drop_in_child(self) -> None:
        """Give up the parent's file; the lock drops itself."""
        self._map.close()

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
        self._store(END_OFFSET, END.pack(end))
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
