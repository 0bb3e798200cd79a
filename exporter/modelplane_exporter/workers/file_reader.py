"""The reading end of a worker's file; module ``file_format`` says what is in it."""

from __future__ import annotations

import fcntl
import json
import math
import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.identity import Version
from modelplane_exporter.layout.calls import Key
from modelplane_exporter.layout.signals import LoadedBaseline
from modelplane_exporter.workers.file_format import (
    END_OFFSET,
    ENTRY,
    EPOCH_OFFSET,
    HEADER,
    JOURNAL,
    LAYOUT_BYTES,
    MAGIC,
    NUMBER,
    RECORD,
    RECORDS,
    VALUE,
    SampleKey,
    Slots,
    StateKey,
    WorkersError,
    key_from_json,
    slots_in,
)
from modelplane_exporter.workers.file_lock import guard, inherited

_ATTEMPTS = 1000  # readings fall into step with a worker that writes without a pause: 76 failed in a row


@dataclass(slots=True)
class WorkerIndex:
    """What is where in a worker's file, up to ``parsed``: keys with offsets, of states with their slots.

    ``is_unloaded`` says that the worker does not use the baselines any more.
    """

    parsed: int = RECORDS
    states: list[tuple[StateKey, int, Slots]] = field(default_factory=list)
    samples: list[tuple[SampleKey, int]] = field(default_factory=list)
    baselines: list[LoadedBaseline] = field(default_factory=list)
    is_unloaded: bool = False

    def keys(self) -> Iterator[StateKey | SampleKey]:
        """What the file has, vanished samples included."""
        yield from (key for key, _, _ in self.states)
        yield from (key for key, _ in self.samples)

    def add(self, key: list[Any], data: int, data_size: int) -> None:
        """Note a record by its key as it stands in the file."""
        if key[0] == "sample":
            self.samples.append((SampleKey(key[1], tuple(key[2])), data))
        elif key[0] == "baseline":
            self.baselines.append(LoadedBaseline(Version(*key[1]), Baseline.from_json(key[2])))
        elif key[0] == "unloaded":
            self.is_unloaded = True
        else:
            self.states.append((key_from_json(key), data, slots_in(data_size)))


class JournalEntry(NamedTuple):
    """A call that ended and is in no state yet; ``kind`` says what its value is, see ``journal.VALUES``."""

    key: Key
    kind: int
    begun: float
    ended: float
    confidence: float


class FileState(NamedTuple):
    """A state as 64-bit integers, and the time up to which its calls in flight are charged."""

    key: StateKey
    cells: bytes
    charged_until: float


class WorkerFileReader:
    """An open file of a worker, in a ``with`` block; OSError when it cannot be opened.

    ``index`` is what an earlier reader of the file parsed, so that each key is parsed once. It holds two
    descriptors. A forked child does not inherit them. One thread at a time.
    """

    def __init__(self, path: Path, index: WorkerIndex | None = None) -> None:
        self.path = path
        self.index = index or WorkerIndex()
        self._map: mmap.mmap | None = None
        with guard:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            inherited.add(self)

    def __enter__(self) -> WorkerFileReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

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

    @property
    def is_begun(self) -> bool:
        """Whether the worker has written the header, as ``refresh`` found it."""
        return self._map is not None and self._number(END_OFFSET) > 0

    def unmap(self) -> None:
        """Give up one of the two descriptors; the next ``refresh`` takes it again."""
        if self._map is not None:
            self._map.close()
            self._map = None

    def close(self) -> None:
        """Close the file, which undoes ``hold``; another call does nothing."""
        with guard:
            if self in inherited:
                inherited.remove(self)
                self.release()  # a child that was forked without Python may still have the descriptor
                self.drop_in_child()

    def drop_in_child(self) -> None:
        """Only close: releasing would undo the parent's ``hold``."""
        self.unmap()
        os.close(self._descriptor)

    def states(self) -> Iterator[FileState]:
        """The newest committed state of every key."""
        for key, offset, slots in self.index.states:
            slot = self._slot(offset, slots)
            (charged_until,) = VALUE.unpack_from(slot, slots.cells_size)
            yield FileState(key, slot[: slots.cells_size], charged_until)

    def entries(self) -> Iterator[JournalEntry]:
        """The calls of a dead worker that no state includes."""
        if not self.is_begun:
            return
        content, epoch = self._mapped(), self._number(EPOCH_OFFSET)
        born = HEADER.unpack_from(content)[-1]
        keys = {offset: key for key, offset, _ in self.index.states}
        journal = content[JOURNAL.start : JOURNAL.stop]
        for record, kind, begun, ended, confidence, mark in ENTRY.iter_unpack(journal):
            key = keys.get(record)
            if mark > epoch and begun >= born and isinstance(key, Key):
                yield JournalEntry(key, kind, begun, ended, confidence)

    def samples(self) -> Iterator[tuple[SampleKey, float]]:
        """Every sample that has not vanished."""
        for key, offset in self.index.samples:
            (value,) = VALUE.unpack_from(self._mapped(), offset)
            if not math.isnan(value):
                yield key, value

    def refresh(self) -> None:
        """Parse the records that are new. WorkersError when this is not the whole file of a worker."""
        content = self._map or self._remapped()
        if content is None:
            return
        end = self._number(END_OFFSET)
        magic, layout, *_ = HEADER.unpack_from(content)
        if end and (magic, layout) != (MAGIC, LAYOUT_BYTES):
            raise WorkersError(f"{self.path} is not a worker file of this release")
        if end > len(content):  # the worker made the file larger before it moved the end
            content = self._remapped()
        if content is None or end > len(content):
            raise WorkersError(f"{self.path} was cut off")
        try:
            self._parse(content, end)
        except (ValueError, LookupError, TypeError, struct.error) as error:
            raise WorkersError(f"{self.path} is damaged: {error}") from error

    def _parse(self, content: mmap.mmap, end: int) -> None:
        index = self.index
        while index.parsed < end:
            data_size, key_size = RECORD.unpack_from(content, index.parsed)
            data = index.parsed + RECORD.size
            next_record = data + data_size + key_size
            index.add(json.loads(content[data + data_size : next_record]), data, data_size)
            index.parsed = next_record

    def _remapped(self) -> mmap.mmap | None:
        """The file with its size of now; None while its worker has not filled the header yet."""
        self.unmap()
        size = os.fstat(self._descriptor).st_size
        if size >= HEADER.size:
            self._map = mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)
        return self._map

    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            raise ValueError("refresh() before reading")
        return self._map

    def _number(self, offset: int) -> int:
        (number,) = NUMBER.unpack_from(self._mapped(), offset)
        return int(number)

    def _slot(self, offset: int, slots: Slots) -> bytes:
        """The slot with the highest epoch that is not above the header's."""
        content, epochs = self._mapped(), offset + slots.epoch_offset
        for _ in range(_ATTEMPTS):
            before = slots.epochs.unpack_from(content, epochs)
            # After the epochs: with an older one of the header a committed slot would seem not to be.
            committed = self._number(EPOCH_OFFSET)
            first, second = (epoch if epoch <= committed else -1 for epoch in before)
            start = offset + (slots.slot.size if second > first else 0)
            slot = content[start : start + slots.slot.size]
            if slots.epochs.unpack_from(content, epochs) == before:
                return slot
        raise WorkersError(f"{self.path} was written twice during each of {_ATTEMPTS} readings")
