"""The format of the file in which one worker process shows its state to the others.

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

import functools
import hashlib
import json
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

from modelplane_exporter.layout.calls import CALL_METRICS, Key
from modelplane_exporter.layout.signals import SignalKey
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import METRICS


class WorkersError(RuntimeError):
    """The directory of the workers' files cannot be used; the text says why."""


class SampleKey(NamedTuple):
    """Which sample: the metric's name and the values of its labels."""

    metric: str
    labels: tuple[str, ...]


StateKey = Key | SignalKey
AnyKey = StateKey | SampleKey


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

HEADER = struct.Struct("8s8sQ")
MAGIC, LAYOUT_BYTES = b"mpworker", bytes.fromhex(LAYOUT)
END = struct.Struct("Q")
END_OFFSET = HEADER.size - END.size
RECORD = struct.Struct("QQ")
VALUE = struct.Struct("d")


class Slots(NamedTuple):
    """The slots of a state with ``size`` bytes of cells; ``sequences`` starts at the first one's number."""

    size: int
    slot: struct.Struct
    sequences: struct.Struct


@functools.cache
def slots_of(cells: int) -> Slots:
    """The slots of a state with so many cells."""
    # Unsigned, so that a negative cell is refused: readers add whole states as one big integer.
    return Slots(cells * 8, struct.Struct(f"<{cells + 1}Q"), struct.Struct(f"<Q{cells * 8}xQ"))
