"""The format of the file in which one worker process shows its state to the others.

Everything is 8-byte aligned. The cells of a state are little-endian, the lowest first, so that a reader can
add whole states as one big integer; the rest is in native byte order, because the file never leaves its
machine::

    header   magic | layout fingerprint | end of the last complete record | epoch | time of birth
    journal  ``ENTRIES`` entries: record of the state | kind | begun | ended | confidence | mark
    records  size of data | size of key | data | key as JSON, padded to 8 bytes
    data     of a state: two slots, each its cells, the time up to which calls in flight are charged, and
             an epoch; of a sample: a float64; of a baseline, or that it is unloaded: nothing but its key

Records are only appended. ``end`` is moved behind a record once it is complete, so a reader never sees half a
record.

A call that ended is in an entry of the journal before its caller goes on, and later in its state. It moves
from the one to the other by a *commit*, which gets the next epoch E + 1, where E is the header's:

1. Each changed state is written into that of its two slots that does not show it now: first the epoch 0, then
   the cells and the time, the epoch E + 1 last.
2. The mark of each entry whose call these states include becomes E + 1.
3. The header's epoch becomes E + 1: one store of 8 bytes. Only then the entries may be used again.

A state is the slot with the highest epoch that is not above the header's. An entry is still to be added to
its state when its mark is above the header's epoch. So a worker that is killed before step 3 left the states
of epoch E and all entries, and after it the states of E + 1 and the entries of none of these calls: each call
counts once. An entry that is being written has the mark 0, and counts not at all, until its last store makes
the mark ``FINISHED``; a slot that is being written has the epoch 0 likewise. Where an exception out of a
signal handler cuts a commit off, the next one undoes what is there of it first: epochs 0, marks ``FINISHED``.

Readers of a live worker look at states only, and show no entry. Those of a dead one add the entries (module
``replay``), so what they show only rises. Calls that began before the time of birth are the parent's of a
forked worker.

A reader of a state reads both epochs, then the header's, then copies the slot, and tries again when it finds
the epochs changed. All this relies on 8 bytes being stored at once, and on stores being seen in program
order: x86-64 guarantees it, elsewhere the interpreter's own work between two stores gives them time to
arrive. What a process stored in a shared map outlives it however it ends; a machine that crashes loses it.

Signals against a baseline are in a file of their own, ``signals-...``, for as long as the worker has the
baseline loaded. When it unloads the baseline it says so in a last record and lets go of the file, which is
then compacted as that of an ended worker is: so a worker that loads one baseline after the other needs no
more space, and no sum falls. The journal of such a file stays empty.

A worker is alive while it holds an exclusive ``flock`` on its file. POSIX locks (``lockf``) would be lost
when any code of the process closes any descriptor of that file, a scrape that reads it for example. ``flock``
belongs to the open file description, which a forked child shares: the child therefore closes it at once,
else a dead worker would seem alive as long as its child. Everybody else probes with a shared lock, so that
probes do not disturb each other. The directory must be on a local file system (tmpfs is best).
"""

from __future__ import annotations

import functools
import hashlib
import json
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from modelplane_exporter.layout.calls import CALL_METRICS, Key
from modelplane_exporter.layout.signals import SignalKey
from modelplane_exporter.layout.values import ValueKey
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import METRICS


class WorkersError(RuntimeError):
    """The directory of the workers' files cannot be used; the text says why."""


class SampleKey(NamedTuple):
    """Which sample: the metric's name and the values of its labels."""

    metric: str
    labels: tuple[str, ...]


StateKey = Key | SignalKey | ValueKey
AnyKey = StateKey | SampleKey


_KINDS: dict[str, type[StateKey]] = {"calls": Key, "signals": SignalKey, "value": ValueKey}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def key_to_json(key: StateKey) -> list[Any]:
    """What stands in files for the key of a state."""
    return [_NAMES[type(key)], *key]


def key_from_json(content: Sequence[Any]) -> StateKey:
    """The key that ``key_to_json`` wrote."""
    kind, *content_fields = content
    fields: list[Any] = [Identity(*field) if isinstance(field, list) else field for field in content_fields]
    return _KINDS[kind](*fields)


def _fingerprint() -> str:
    """16 hex digits that differ whenever the meaning of a file's content does."""
    cells = [(layout.metric.name, layout.start, layout.scale) for layout in CALL_METRICS]
    content = [(metric.name, metric.type, metric.labels, metric.buckets, metric.closed) for metric in METRICS]
    return hashlib.sha256(json.dumps([5, cells, content]).encode()).hexdigest()[:16]


LAYOUT = _fingerprint()
METRICS_BY_NAME = {metric.name: metric for metric in METRICS}

HEADER = struct.Struct("8s8sQQd")
# What the names of files begin with: all that a worker counts, and its signals against one baseline.
WORKER, SIGNALS = "worker", "signals"
MAGIC, LAYOUT_BYTES = b"mpworker", bytes.fromhex(LAYOUT)
NUMBER = struct.Struct("Q")
END_OFFSET, EPOCH_OFFSET = 16, 24

# As many calls as may wait for a commit; the caller of one more makes one.
ENTRIES = 256
ENTRY = struct.Struct("IIdddQ")
MARK_OFFSET = ENTRY.size - NUMBER.size
FINISHED = 2**59  # above every epoch; two digits of Python's integers, which is quicker than three
JOURNAL = range(HEADER.size, HEADER.size + ENTRIES * ENTRY.size, ENTRY.size)

RECORDS = JOURNAL.stop
RECORD = struct.Struct("QQ")
VALUE = struct.Struct("d")


class Slots(NamedTuple):
    """The two slots of a state: ``slot`` is one of them, ``epochs`` their epochs, from the first one's on."""

    slot: struct.Struct
    epochs: struct.Struct

    @property
    def cells_size(self) -> int:
        """Bytes that the cells take; the time up to which calls are charged follows."""
        return self.slot.size - VALUE.size - NUMBER.size

    @property
    def epoch_offset(self) -> int:
        """Where in a slot the epoch is."""
        return self.slot.size - NUMBER.size


@functools.cache
def slots_of(cells: int) -> Slots:
    """The slots of a state with so many cells."""
    # Unsigned, so that a negative cell is refused: readers add whole states as one big integer.
    slot = struct.Struct(f"<{cells}QdQ")
    return Slots(slot, struct.Struct(f"<Q{slot.size - NUMBER.size}xQ"))


def slots_in(data_size: int) -> Slots:
    """The slots that take so many bytes."""
    return slots_of(data_size // (2 * NUMBER.size) - 2)
