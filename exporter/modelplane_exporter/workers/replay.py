"""What a dead worker's journal adds to its states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from modelplane_exporter.layout.calls import Snapshot
from modelplane_exporter.measurement.device_meter import DeviceMeter
from modelplane_exporter.measurement.identity_state import (
    ENDED,
    VALUE,
    CallRecord,
    IdentityState,
    Value,
    new_call,
)
from modelplane_exporter.workers.file_reader import JournalEntry
from modelplane_exporter.workers.journal import CONFIDENCE, VALUES

Device = tuple[str, str]


def replay(entries: Iterable[JournalEntry], charged_until: Mapping[Device, float]) -> list[Snapshot]:
    """What calls add up to, by the meter that would have counted them.

    ``charged_until`` is the time up to which the states of a device are charged. Calls share a device among
    themselves from then on, as if none else were in flight: all charges together are never more than the
    time that passed.
    """
    by_device: defaultdict[Device, list[JournalEntry]] = defaultdict(list)
    for entry in entries:
        by_device[entry.key[1:]].append(entry)
    return [
        snapshot
        for device, on_device in by_device.items()
        for snapshot in _replay_device(on_device, charged_until.get(device, 0.0))
    ]


def _replay_device(entries: list[JournalEntry], charged_until: float) -> list[Snapshot]:
    meter = DeviceMeter(since=charged_until)
    states = {entry.key: IdentityState(entry.key) for entry in entries}
    # Each call stands in the list when it begins and, later where both are at once, when it ends.
    events: list[tuple[float, int, CallRecord]] = []
    for position, entry in enumerate(entries):
        call = new_call(entry.begun, states[entry.key])
        call[ENDED], call[VALUE] = entry.ended, _value(entry)
        events += [(entry.begun, 2 * position, call), (entry.ended, 2 * position + 1, call)]
    meter.events.extend(call for _, _, call in sorted(events, key=lambda event: event[:2]))
    meter.drain(wait=True)
    return [state.snapshot(virtual=0.0) for state in states.values()]


def _value(entry: JournalEntry) -> Value:
    return entry.confidence if entry.kind == CONFIDENCE else VALUES[entry.kind]
