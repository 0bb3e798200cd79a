"""The file in which one worker process shows its state to the others.

Everything is 8-byte aligned. States are little-endian, the lowest cell first, so that a reader can add whole
states as one big integer; the rest is in native byte order, because the file never leaves its machine::

    header  magic | layout fingerprint | end: where the last complete record ends
    record  size of data | size of key | data | key as JSON, padded to 8 bytes
    data    of a state: two slots, each its cells and then a sequence number; of a sample: a float64;
            of a baseline: nothing, its key says all

Records are only appended. ``end`` is moved behind a record once it is complete, so a reader never sees half
a record. A state has two slots that are written in turn, the sequence number last: the slot with the higher
number is complete at any time, even when its writer is killed in mid-update (that one update is lost, the
state before it stands). A reader that finds the numbers changed while it copied tries again. This relies on
8 bytes being stored at once, and on stores being seen in program order: x86-64 guarantees it, elsewhere the
interpreter's own work between two stores gives them time to arrive.

A worker is alive while it holds an exclusive ``flock`` on its file. POSIX locks (``lockf``) would be lost
when any code of the process closes any descriptor of that file, a scrape that reads it for example. ``flock``
belongs to the open file description, which a forked child shares: the child therefore closes it at once,
else a dead worker would seem alive as long as its child. Everybody else probes with a shared lock, so that
probes do not disturb each other. The directory must be on a local file system (tmpfs is best).
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import math
import mmap
import os
import secrets
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.identity import Version
from modelplane_exporter.layout.calls import CALL_METRICS, Key
from modelplane_exporter.layout.signals import LoadedBaseline, SignalKey
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.workers.file_lock import FileLock, guard, inherited
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import METRICS


class WorkersError(RuntimeError):
    """The directory of the workers' files cannot be used; the text says why."""


class SampleKey(NamedTuple):
    """Which sample: the metric's name and the values of its labels."""

    metric: str
    labels: tuple[str, ...]


StateKey = Key | SignalKey


def key_to_json(key: StateKey) -> list[Any]:
    """What stands in files for the key of a state."""
    return ["calls" if isinstance(key, Key) else "signals", *key]


def key_from_json(content: Sequence[Any]) -> StateKey:
    """The key that ``key_to_json`` wrote."""
    kind, identity, *others = content
    return (Key if kind == "calls" else SignalKey)(Identity(*identity), *others)


def _fingerprint() -> str:
    """16 hex digits that differ whenever the meaning of a file's content does."""
    cells = [(layout.metric.name, layout.start, layout.scale) for layout in CALL_METRICS]
    content = [(metric.name, metric.type, metric.labels, metric.buckets, metric.closed) for metric in METRICS]
    return hashlib.sha256(json.dumps([3, cells, content]).encode()).hexdigest()[:16]


LAYOUT = _fingerprint()
METRICS_BY_NAME = {metric.name: metric for metric in METRICS}

_HEADER = struct.Struct("8s8sQ")
_MAGIC, _LAYOUT_BYTES = b"mpworker", bytes.fromhex(LAYOUT)
_END = struct.Struct("Q")
_END_OFFSET = _HEADER.size - _END.size
_RECORD = struct.Struct("QQ")
_VALUE = struct.Struct("d")
_FIRST_SIZE = 1 << 16
_ATTEMPTS = 100


class _Slots(NamedTuple):
    """The slots of a state with ``size`` bytes of cells; ``sequences`` starts at the first one's number."""

    size: int
    slot: struct.Struct
    sequences: struct.Struct


@functools.cache
def _slots(cells: int) -> _Slots:
    # Unsigned, so that a negative cell is refused: readers add whole states as one big integer.
    return _Slots(cells * 8, struct.Struct(f"<{cells + 1}Q"), struct.Struct(f"<Q{cells * 8}xQ"))


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
        self._end = _HEADER.size
        _HEADER.pack_into(self._map, 0, _MAGIC, _LAYOUT_BYTES, self._end)
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
            slot = _slots(len(cells)).slot
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
                self._samples[key] = self._append(["sample", *key], _VALUE.size)
            self._store(self._samples[key], _VALUE.pack(value))
            gone.pop(key, None)
        for key, offset in gone.items():
            if METRICS_BY_NAME[key.metric].type == "gauge":
                self._store(offset, _VALUE.pack(math.nan))

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
        data = self._end + _RECORD.size
        end = data + data_size + len(text)
        if end > len(self._map):
            # Swapped first: a signal handler that raises in between leaves a usable map.
            old, self._map = self._map, self._reserve(max(2 * len(self._map), end))
            old.close()
        _RECORD.pack_into(self._map, self._end, data_size, len(text))
        self._map[data:end] = bytes(data_size) + text
        self._end = end
        self._store(_END_OFFSET, _END.pack(end))
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


class WorkerFileReader:
    """The reading end; keys are parsed once. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._map: mmap.mmap | None = None
        self._parsed = _HEADER.size
        self._states: list[tuple[StateKey, int, int]] = []
        self.baselines: list[LoadedBaseline] = []
        self._samples: list[tuple[SampleKey, int]] = []

    def hold(self) -> bool:
        """Whether no worker has the file. It then stays so until ``release``, for its name is taken."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Undo ``hold``."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def is_alive(self) -> bool:
        """Whether a worker has the file."""
        if self.hold():
            self.release()
            return False
        return True

    def close(self) -> None:
        """Forget the file."""
        if self._map is not None:
            self._map.close()
        os.close(self._descriptor)

    def keys(self) -> Iterator[StateKey | SampleKey]:
        """What the file has, vanished samples included."""
        yield from (key for key, _, _ in self._states)
        yield from (key for key, _ in self._samples)

    def states(self) -> Iterator[tuple[StateKey, bytes]]:
        """Every key with its newest complete state, 64-bit integers."""
        for key, offset, cells in self._states:
            yield key, self._state(offset, _slots(cells))

    def samples(self) -> Iterator[tuple[SampleKey, float]]:
        """Every sample that has not vanished."""
        for key, offset in self._samples:
            (value,) = _VALUE.unpack_from(self._mapped(), offset)
            if not math.isnan(value):
                yield key, value

    def refresh(self) -> None:
        """Parse the records that are new. WorkersError when this is not the file of a worker."""
        content = self._content()
        if content is None:
            return
        magic, layout, end = _HEADER.unpack_from(content)
        if end and (magic, layout) != (_MAGIC, _LAYOUT_BYTES):
            raise WorkersError(f"{self.path} is not a worker file of this release")
        if end > len(content):
            raise WorkersError(f"{self.path} was cut off")
        while self._parsed < end:
            data_size, key_size = _RECORD.unpack_from(content, self._parsed)
            data = self._parsed + _RECORD.size
            self._parsed = data + data_size + key_size
            self._add(json.loads(content[data + data_size : self._parsed]), data, data_size)

    def _add(self, key: list[Any], data: int, data_size: int) -> None:
        if key[0] == "sample":
            self._samples.append((SampleKey(key[1], tuple(key[2])), data))
        elif key[0] == "baseline":
            self.baselines.append(LoadedBaseline(Version(*key[1]), Baseline.from_json(key[2])))
        else:
            self._states.append((key_from_json(key), data, data_size // 16 - 1))

    def _content(self) -> mmap.mmap | None:
        """The file, mapped again where it grew; None while its worker has not filled the header yet."""
        mapped = 0 if self._map is None else len(self._map)
        if self._map is None or _END.unpack_from(self._map, _END_OFFSET)[0] > mapped:
            size = os.fstat(self._descriptor).st_size
            if size < _HEADER.size:
                return None
            if self._map is not None:
                self._map.close()
            self._map = mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)
        return self._map

    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            raise ValueError("refresh() before reading")
        return self._map

    def _state(self, offset: int, slots: _Slots) -> bytes:
        content, sequences = self._mapped(), offset + slots.size
        for _ in range(_ATTEMPTS):
            before = slots.sequences.unpack_from(content, sequences)
            start = offset + (slots.slot.size if before[1] > before[0] else 0)
            state = content[start : start + slots.size]
            if slots.sequences.unpack_from(content, sequences) == before:
                return state
        raise WorkersError(f"{self.path} was written twice during each of {_ATTEMPTS} readings")
