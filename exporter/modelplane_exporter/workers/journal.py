"""How a call that ends gets into the worker's journal before its caller goes on; see ``file_format``."""

from __future__ import annotations

import mmap
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from modelplane_exporter.measurement.device_meter import DeviceMeter, Finish
from modelplane_exporter.measurement.identity_state import (
    BEGUN,
    ENDED,
    ENTRY,
    FAILED,
    STATE,
    VALUE,
    WAS_CANCELLED,
    WAS_REJECTED,
    CallRecord,
    Value,
)
from modelplane_exporter.measurement.observation import NO_CONFIDENCE, Observation
from modelplane_exporter.workers import file_format
from modelplane_exporter.workers.file_format import FINISHED, JOURNAL, MARK_OFFSET, NUMBER

# What stands in an entry for the value of a call; 0 for one confidence, which has a field of its own.
CONFIDENCE = 0
VALUES: tuple[Value, ...] = (0.0, None, FAILED, WAS_CANCELLED, NO_CONFIDENCE, WAS_REJECTED)
_KINDS = {value: kind for kind, value in enumerate(VALUES) if kind != CONFIDENCE}


class Entry(NamedTuple):
    """Where an entry is, and where its mark is, in numbers of 8 bytes."""

    offset: int
    mark: int


class Journal:
    """The writing end of a journal: its memory, and the entries that are ``free``."""

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = memory
        self.free = [Entry(offset, (offset + MARK_OFFSET) // NUMBER.size) for offset in JOURNAL]
        self._marks = memoryview(memory).cast("Q")

    def include(self, entries: Iterable[Entry], epoch: int) -> None:
        """Mark entries as included from ``epoch`` on."""
        marks = self._marks
        for _, mark in entries:
            marks[mark] = epoch

    def exclude(self, entries: Iterable[Entry], epoch: int) -> None:
        """Undo ``include``, unless ``epoch`` was committed."""
        marks = self._marks
        for _, mark in entries:
            if marks[mark] == epoch:
                marks[mark] = FINISHED

    def close(self) -> None:
        """Give the memory up; who writes to it then gets a TypeError."""
        self._marks.release()
        self.memory.close()


class HasJournal(Protocol):
    """Who has the process's journal, another one after a fork."""

    journal: Journal


def finisher(owner: HasJournal, meter: DeviceMeter) -> Finish:
    """What callers end their calls with: it queues the end, after it has written the journal.

    A call that brings more than one confidence and an outcome, the first one of a state, and one that finds
    no entry free are counted at once instead: the queue is drained, which commits the states.

    A signal handler that raises may do so after any call. Then the caller ends the call once more, with
    another value, and the entry that it has is used again.
    """
    append, drain, pack = meter.events.append, meter.drain, file_format.ENTRY.pack_into

    def finish(call: CallRecord, ended: float, value: Value) -> None:
        kind: int | None = CONFIDENCE
        confidence = value
        if type(value) is not float:
            kind, confidence = _encoded(value)
        record, written = call[STATE].record, False
        if record and kind is not None:
            journal = owner.journal
            try:
                if call[ENTRY] is None:
                    call[ENTRY] = journal.free.pop()
                pack(journal.memory, call[ENTRY][0], record, kind, call[BEGUN], ended, confidence, FINISHED)
                written = True
            except (IndexError, TypeError):  # no entry is free, or the file is that of the parent
                pass
        call[ENDED], call[VALUE] = ended, value
        append(call)
        if not written:
            drain(wait=True)

    return finish


def _encoded(value: Value) -> tuple[int | None, float]:
    """The kind of a value, None where an entry cannot hold it, and its confidence."""
    kind = _KINDS.get(value)
    if kind is None and isinstance(value, Observation):
        value = value.reduced()
        kind = _KINDS.get(value)
    return (CONFIDENCE, value) if isinstance(value, float) else (kind, 0.0)
