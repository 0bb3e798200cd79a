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
from typing import Any

from modelplane_exporter.baseline import Baseline
from modelplane_exporter.identity import Version
from modelplane_exporter.layout.signals import LoadedBaseline
from modelplane_exporter.workers.file_format import (
    END,
    END_OFFSET,
    HEADER,
    LAYOUT_BYTES,
    MAGIC,
    RECORD,
    VALUE,
    SampleKey,
    Slots,
    StateKey,
    WorkersError,
    key_from_json,
    slots_of,
)
from modelplane_exporter.workers.file_lock import guard, inherited

_ATTEMPTS = 100


@dataclass(slots=True)
class WorkerIndex:
    """What is where in a worker's file, up to ``parsed``: offsets by key, of states with their cells."""

    parsed: int = HEADER.size
    states: list[tuple[StateKey, int, int]] = field(default_factory=list)
    samples: list[tuple[SampleKey, int]] = field(default_factory=list)
    baselines: list[LoadedBaseline] = field(default_factory=list)

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
        else:
            self.states.append((key_from_json(key), data, data_size // 16 - 1))


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
        return self._map is not None and END.unpack_from(self._map, END_OFFSET)[0] > 0

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

    def states(self) -> Iterator[tuple[StateKey, bytes]]:
        """Every key with its newest complete state, 64-bit integers."""
        for key, offset, cells in self.index.states:
            yield key, self._state(offset, slots_of(cells))

    def samples(self) -> Iterator[tuple[SampleKey, float]]:
        """Every sample that has not vanished."""
        for key, offset in self.index.samples:
            (value,) = VALUE.unpack_from(self._mapped(), offset)
            if not math.isnan(value):
                yield key, value

    def refresh(self) -> None:
        """Parse the records that are new. WorkersError when this is not the whole file of a worker."""
        content = self._content()
        if content is None:
            return
        magic, layout, end = HEADER.unpack_from(content)
        if end and (magic, layout) != (MAGIC, LAYOUT_BYTES):
            raise WorkersError(f"{self.path} is not a worker file of this release")
        if end > len(content):
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

    def _content(self) -> mmap.mmap | None:
        """The file, mapped again where it grew; None while its worker has not filled the header yet."""
        if self._map is not None and END.unpack_from(self._map, END_OFFSET)[0] > len(self._map):
            self.unmap()
        if self._map is None:
            size = os.fstat(self._descriptor).st_size
            if size < HEADER.size:
                return None
            self._map = mmap.mmap(self._descriptor, size, access=mmap.ACCESS_READ)
        return self._map

    def _mapped(self) -> mmap.mmap:
        if self._map is None:
            raise ValueError("refresh() before reading")
        return self._map

    def _state(self, offset: int, slots: Slots) -> bytes:
        content, sequences = self._mapped(), offset + slots.size
        for _ in range(_ATTEMPTS):
            before = slots.sequences.unpack_from(content, sequences)
            start = offset + (slots.slot.size if before[1] > before[0] else 0)
            state = content[start : start + slots.size]
            if slots.sequences.unpack_from(content, sequences) == before:
                return state
        raise WorkersError(f"{self.path} was written twice during each of {_ATTEMPTS} readings")
