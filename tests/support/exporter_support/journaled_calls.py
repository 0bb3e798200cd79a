"""A store that shares its counts, and what another process would see of it if it were killed now."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from exporter_support.worker_processes import worker_files
from modelplane_exporter.layout.calls import ACTIVE, CALL_METRICS, CELLS, DEVICE_SECONDS, REQUESTS, Key
from modelplane_exporter.measurement.identity_state import Value, new_call
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_exporter.workers.archive import Archive
from modelplane_exporter.workers.file_reader import WorkerFileReader
from modelplane_exporter.workers.publisher import Publisher
from modelplane_exporter.workers.totals import Totals, digits
from modelplane_schema.identity import Identity

Cells = tuple[int, ...]
NOTHING: Cells = (0,) * CELLS
SUMS = {metric.stop - 1 for metric in CALL_METRICS if metric.scale != 1}


class Clock:
    """A clock that moves when told."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class JournaledStore:
    """Calls of several tenants on a clock of their own, in a process that shares its counts."""

    def __init__(
        self, path: Path | None, store: Store | None = None, device: tuple[str, str] = ("gpu-0", "h200")
    ) -> None:
        self.clock = Clock()
        self.path = path
        self.store = store or Store(self.clock, path)
        version = Identity("m", "v1", "any", "jax")
        self.recorder = VersionRecorder(self.store, version, device, max_tenants=100)
        self.meter = self.recorder.meter

    def on_device(self, device: tuple[str, str]) -> JournaledStore:
        """The same store and clock for calls on another device."""
        other = JournaledStore(self.path, self.store, device)
        other.clock = self.clock
        return other

    def begin(self, tenant: str) -> list[Any]:
        """A call in flight."""
        call = new_call(self.clock.now, self.recorder.state_of(tenant))
        self.meter.events.append(call)
        return call

    def end(self, call: list[Any], value: Value) -> None:
        """End a call, as a caller does."""
        if self.meter.finish is None:
            call[3:5] = self.clock.now, value
            self.meter.events.append(call)
        else:
            self.meter.finish(call, self.clock.now, value)

    def call(self, tenant: str, value: Value, seconds: float = 0.1) -> None:
        """One call from its start to its end."""
        call = self.begin(tenant)
        self.clock.now += seconds
        self.end(call, value)

    def publish(self) -> None:
        """What the thread does once a second."""
        self.store.flush()

    def killed(self) -> dict[str, Cells]:
        """Cells by tenant as they would be summed up if the process were killed now."""
        assert self.path is not None
        return if_killed(self.path)

    @property
    def publisher(self) -> Publisher:
        """Of a store that shares its counts."""
        assert self.store._publisher is not None
        return self.store._publisher

    def close(self) -> None:
        """End the thread, and give the file up."""
        self.publisher._stop.set()
        self.publisher._file.close()
        self.publisher._is_writing = True  # at the end of the process nothing is to be written any more


def if_killed(path: Path) -> dict[str, Cells]:
    """The same of one worker's file, or of all in a directory."""
    totals = Totals(Archive())
    for file in worker_files(path) if path.is_dir() else [path]:
        with WorkerFileReader(file) as reader:
            reader.refresh()
            totals.add(reader, alive=False)
    return _by_tenant(totals)


def if_alive(path: Path) -> dict[str, Cells]:
    """What is shown of a single live worker."""
    totals = Totals(Archive())
    (file,) = worker_files(path)
    with WorkerFileReader(file) as reader:
        reader.refresh()
        totals.add(reader, alive=True)
    return _by_tenant(totals)


def _by_tenant(totals: Totals) -> dict[str, Cells]:
    tenants: dict[str, Cells] = {}
    for key, state in totals.states.items():
        if isinstance(key, Key):
            before, more = tenants.get(key.identity.tenant_id, NOTHING), digits(state, CELLS)
            total = tuple(map(operator.add, before, more))
            tenants[key.identity.tenant_id] = without_active(total)
    return tenants


def without_active(cells: Cells) -> Cells:
    """Cells without the calls in flight, which a dead worker has none of."""
    return (*cells[: ACTIVE.start], 0, *cells[ACTIVE.stop :])


def requests(cells: Cells) -> int:
    """All calls, whatever their outcome."""
    return sum(cells[REQUESTS.start : REQUESTS.stop])


def device_seconds(cells: Cells) -> float:
    return cells[DEVICE_SECONDS.start] / 1e9


def differing(some: dict[str, Cells], others: dict[str, Cells], rounding: int = 100) -> dict[str, list[int]]:
    """By tenant the cells that differ, of sums those that differ by more than ``rounding`` nanounits."""
    different = {}
    for tenant in some.keys() | others.keys():
        pairs = zip(some.get(tenant, NOTHING), others.get(tenant, NOTHING), strict=True)
        cells = [
            cell
            for cell, (left, right) in enumerate(pairs)
            if abs(left - right) > (rounding if cell in SUMS else 0)
        ]
        if cells:
            different[tenant] = cells
    return different


class Interrupted(BaseException):
    """What the signal handler of ``interrupting`` raises."""


@contextmanager
def interrupting(at: int) -> Iterator[Callable[[], bool]]:
    """Raise ``Interrupted`` where a signal handler could, and tell whether it came to that.

    That is after a call of C code, or at the start of a Python function, whichever comes as number ``at``.
    """
    seen = 0

    def profile(frame: FrameType, event: str, argument: object) -> None:
        nonlocal seen
        if event in ("call", "c_return") and "modelplane_exporter" in frame.f_code.co_filename:
            seen += 1
            if seen == at:
                raise Interrupted

    sys.setprofile(profile)
    try:
        yield lambda: seen >= at
    finally:
        sys.setprofile(None)
