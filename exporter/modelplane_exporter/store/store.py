"""All that a process has measured: ``Store`` is one prometheus_client collector."""

from __future__ import annotations

import gc
import platform
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from modelplane_exporter import settings
from modelplane_exporter.contract_log import TENANTS_OVERFLOW, VIOLATIONS, ContractLog, log_noted
from modelplane_exporter.exposition.families import families, family
from modelplane_exporter.identity import Version, version_of
from modelplane_exporter.layout.calls import ACTIVE, CALL_METRICS, Key, Snapshot
from modelplane_exporter.layout.signals import SIGNAL_METRICS, ExposedSignals
from modelplane_exporter.layout.state import MetricSample, State
from modelplane_exporter.layout.values import VALUE_METRICS, value_samples
from modelplane_exporter.measurement.business_values import BusinessValues
from modelplane_exporter.measurement.device_meter import DeviceMeter
from modelplane_exporter.measurement.event_counters import EventCounters
from modelplane_exporter.measurement.identity_state import BatchState, IdentityState
from modelplane_exporter.rate_limited_log import log_failure, logger
from modelplane_exporter.signals.store import SignalLoad, SignalStore
from modelplane_exporter.store.identity_states import IdentityStates, StatesByTenant
from modelplane_exporter.store.loaded_versions import LoadedVersion, LoadedVersions
from modelplane_exporter.workers.file_format import WorkersError
from modelplane_exporter.workers.journal import finisher
from modelplane_exporter.workers.publisher import Publisher
from modelplane_schema import metrics as schema
from modelplane_schema.identity import Identity

_SNAPSHOTS_PER_LOCK = 100
_SAMPLE_METRICS = (
    schema.MODEL_INFO,
    schema.SERIES_OVERFLOW,
    schema.BUSINESS_EVENTS,
    *VALUE_METRICS,
    schema.FEEDBACK,
    schema.EXPORTER_SAMPLING,
    schema.EXPORTER_BUILD_INFO,
    schema.EXPORTER_SCRAPE_DURATION,
)


class Store(Collector):
    """Meters by device, states by key, and the exporter's samples about itself.

    ``scrape_seconds`` is how long the last exposition took.
    """

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, workers_directory: Path | None = None
    ) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._meters: dict[tuple[str, str], DeviceMeter] = {}
        self._states = IdentityStates(clock, self._begin, self._forget, self.contract_log_of)
        self._versions = LoadedVersions()
        self._contract_logs: dict[Version, ContractLog] = {}
        self._overflow: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self.scrape_seconds = 0.0
        self.batches: dict[BatchState, None] = {}
        self.signals = SignalStore(settings.signal_series())
        self._publisher = None if workers_directory is None else self._publish_to(workers_directory)
        count, count_value = (
            (None, None) if self._publisher is None else (self._publisher.count, self._publisher.count_value)
        )
        self.events = EventCounters(count)
        self.values = BusinessValues(count_value)

    @property
    def is_shared(self) -> bool:
        """Whether several worker processes add up to one exposition."""
        return self._publisher is not None

    def meter_of(self, device: tuple[str, str]) -> DeviceMeter:
        """The meter of a device; it is made at the first use."""
        with self._lock:
            meter = self._meters.get(device)
            if meter is None:
                meter = self._meters[device] = self._new_meter()
        return meter

    @property
    def is_loaded(self) -> bool:
        """Whether an exporter of this store is alive and not closed."""
        self.apply_released()
        return bool(self._versions)

    def load(self, loaded: LoadedVersion) -> None:
        """Expose that a model version is loaded."""
        with self._lock:
            self._versions.add(loaded)
        self.apply_released()
        if loaded.signals is not None:
            self.signals.warn_of_replaced(loaded.signals)

    def release(self, loaded: LoadedVersion) -> None:
        """An exporter is closed or collected: what it alone had loaded goes at the next scrape."""
        self._versions.release(loaded)

    def make_room(self) -> None:
        """Unload what exporters had loaded that are closed, or that nobody refers to any more."""
        gc.collect()
        self.apply_released()

    def contract_log_of(self, version: Identity) -> ContractLog:
        """What the exporters of a version have logged of broken contracts; its tenant is ignored."""
        with self._lock:
            labels = version_of(version)
            return self._contract_logs.setdefault(labels, ContractLog(labels))

    def tenants_of(self, version: Identity, device: tuple[str, str]) -> StatesByTenant:
        """The dictionary of a version's states on a device, which all its recorders share."""
        with self._lock:
            return self._states.tenants_of(version, device)

    def admit(
        self, key: Key, by_tenant: dict[str, IdentityState], max_tenants: int, idle_ttl: float
    ) -> IdentityState:
        """A state for a key that has none yet, within the cap on tenants."""
        with self._lock:
            state, fits = self._states.admit(key, by_tenant, max_tenants, idle_ttl)
            if not fits:
                self.overflowed(key.identity, schema.TENANT_ID, TENANTS_OVERFLOW)
        return state

    def overflowed(self, version: Identity, label: str, kind: str) -> None:
        """A value of ``label`` went to ``__overflow__``; the version's tenant is ignored.

        ``kind`` is that of the violation.
        """
        with self._lock:
            self._overflow[(version.model_name, version.model_version, version.framework, label)] += 1
        self.contract_log_of(version).note(kind)

    def report_invalid(self, state: IdentityState, kind: str, count: int, part: str, detail: str) -> None:
        """Count values that broke the data contract, found outside of a call's own report.

        ``kind``, ``part`` and ``detail`` are those of ``ContractLog``.
        """
        counted = next(iter(state.states()))
        self.contract_log_of(counted.key.identity).note(kind, part, detail)
        with self._meters[state.key[1:]].lock:
            counted.add_invalid(Counter({VIOLATIONS[kind].reason: count}))

    def notice_next_call(self, action: Callable[[], None]) -> None:
        """In a forked child: call ``action`` when the next call has ended, on each device."""
        for meter in self._meters.values():
            meter.notice_next_call(action)

    def batch_ended(self, batch: BatchState) -> None:
        """A batch call is no longer in flight."""
        self.batches.pop(batch, None)

    def state(self) -> State:
        """All that is exposed, of all worker processes if there are several.

        A snapshot holds all calls that ended before, and what those in flight were charged so far.
        """
        # What exporters had loaded that are gone is shown once more, for the sake of its last counts.
        shown = self._state_of_this_process() if self._publisher is None else self._publisher.collect()
        self.apply_released()
        return shown

    def _state_of_this_process(self) -> State:
        # First the signals: draining their queues finds invalid values, which count in the snapshots.
        signals, snapshots = self.local_signals(), self.local_snapshots()
        values = [sample for snapshot in self.values.snapshots() for sample in value_samples(snapshot)]
        return State(
            snapshots,
            [*self.local_samples(), *values],
            [snapshot for exposed in signals for snapshot in exposed.snapshots],
            [baseline for exposed in signals for baseline in exposed.baselines],
        )

    def flush(self) -> None:
        """Show other processes all that finished here; a process without others has no need. Never raises."""
        if self._publisher is not None:
            try:
                self._publisher.publish()
            except Exception as error:  # noqa: BLE001 - monitoring must not break the model
                log_failure("counts were not published", error)

    def local_signals(self) -> list[ExposedSignals]:
        """A copy of every state of signals of this process, and the baselines they are compared with."""
        exposed = self.signals.exposed()
        log_noted()
        return exposed

    def local_snapshots(self) -> list[Snapshot]:
        """A copy of every state of this process."""
        snapshots: list[Snapshot] = []
        self.visit_states(lambda _states, copies, _time: snapshots.extend(copies))
        return snapshots

    def visit_states(self, visit: Callable[[list[IdentityState], list[Snapshot], float], None]) -> None:
        """Call ``visit`` with every state of this process, a copy of each and the time, some at a time.

        The meter's lock is held meanwhile, so nobody can show a newer state before an older one.
        """
        if self._publisher is not None:
            self.apply_released()
        meters = list(self._meters.items())
        for _, meter in meters:
            meter.drain(wait=True)
        with self._lock:
            self._states.revive()
            if self._publisher is None:  # what is in a worker's file stays there
                self._retire_unloaded()
            every = self._states.every()
        for device, meter in meters:
            on_device = [state for state in every if state.key[1:] == device]
            for start in range(0, len(on_device), _SNAPSHOTS_PER_LOCK):
                chunk = on_device[start : start + _SNAPSHOTS_PER_LOCK]
                with meter.lock:
                    virtual, now = meter.moment()
                    visit(chunk, self._with_batches([state.snapshot(virtual) for state in chunk]), now)

    def local_samples(self) -> list[MetricSample]:
        """This process's samples that are not about calls."""
        samples: list[MetricSample] = []
        self.visit_samples(samples.extend)
        return samples

    def visit_samples(self, visit: Callable[[list[MetricSample]], None]) -> None:
        """Call ``visit`` with the samples that are not about calls; no event is counted meanwhile."""
        with self._lock:
            info = [MetricSample(schema.MODEL_INFO, labels, 1) for labels in self._versions.info()]
            overflow = [MetricSample(schema.SERIES_OVERFLOW, k, n) for k, n in self._overflow.items()]
        build = (_package_version(), platform.python_version())
        others = [
            *info,
            *overflow,
            *self.signals.samples(),
            MetricSample(schema.EXPORTER_BUILD_INFO, build, 1),
            MetricSample(schema.EXPORTER_SCRAPE_DURATION, (), self.scrape_seconds),
        ]
        self.events.visit(lambda events: visit([*others, *events]))

    def describe(self) -> Iterable[Family]:
        """Families without samples, so that a registry can refuse names that are taken."""
        return [
            family(metric)
            for metric in (*(layout.metric for layout in CALL_METRICS), *SIGNAL_METRICS, *_SAMPLE_METRICS)
        ]

    def collect(self) -> Iterator[Family]:
        """Families for registries that prometheus_client itself collects."""
        start = time.perf_counter()
        collected = families(*self.state())
        self.scrape_seconds = time.perf_counter() - start
        return iter(collected)

    def after_fork(self) -> None:
        """In a forked child: what was counted so far is the parent's."""
        self._lock = threading.RLock()
        for meter in self._meters.values():
            meter.after_fork()
        self._states.after_fork()
        self._overflow = defaultdict(int)
        self.events.reset()
        self.values.reset()
        self.signals.after_fork()
        self.batches = {}
        if self._publisher is not None:
            self._publisher.after_fork(self._clock())

    def _publish_to(self, directory: Path) -> Publisher | None:
        try:
            return Publisher(directory, self)
        except WorkersError as error:
            logger.error("this process counts for itself: %s", error)
            return None

    def _new_meter(self) -> DeviceMeter:
        if self._publisher is None:
            return DeviceMeter(self._clock)
        publisher = self._publisher

        def commit(changed: Iterable[IdentityState], virtual: float, now: float) -> None:
            states = list(dict.fromkeys(part for state in changed for part in state.states()))
            publisher.commit(states, [state.snapshot(virtual) for state in states], now)

        meter = DeviceMeter(self._clock, on_drain=commit)
        meter.finish = finisher(publisher, meter)
        return meter

    def _with_batches(self, snapshots: list[Snapshot]) -> list[Snapshot]:
        """Batch calls in flight are in flight for each of their tenants."""
        running: defaultdict[Key, int] = defaultdict(int)
        for batch in list(self.batches):
            for part, _ in batch.parts:
                running[part.key] += batch.active + batch.paused
        if not running:
            return snapshots
        return [_more_active(snapshot, running.get(snapshot.key, 0)) for snapshot in snapshots]

    def _begin(self, identity: Identity) -> None:
        self.events.begin(identity)
        self.values.begin(identity)

    def _forget(self, identity: Identity) -> None:
        self.events.forget(identity)
        self.values.forget(identity)
        self.signals.forget(identity)

    def apply_released(self) -> None:
        """Unload what exporters had loaded that are closed or gone."""
        with self._lock:
            released = list(self._versions.take_released())
            for loaded in released:
                if loaded.tenant_id and not self._versions.has_tenant(loaded.version, loaded.tenant_id):
                    self._states.unpin(loaded.version, loaded.tenant_id)
                if loaded.version not in self._versions:
                    self.signals.forget_sampling_ratios(loaded.version)
        for loaded in released:
            if loaded.signals is not None:
                self._unload(loaded.signals)

    def _unload(self, load: SignalLoad) -> None:
        if self._publisher is None:
            self.signals.unload(load)
        else:
            self._publisher.publish_signals()  # the last counts of what may go now
            self.signals.unload(load)
            self._publisher.publish_signals()

    def _retire_unloaded(self) -> None:
        """Let counters of versions go that are not loaded and were idle for long enough."""
        unloaded = self._versions.unloaded()
        for gone in self._states.retire_idle(unloaded) if unloaded else ():
            self._versions.forget(gone)
            self._contract_logs.pop(gone, None)
            self.events.forget_version(gone)
            self.values.forget_version(gone)
            self.signals.scores.forget_version(gone)
            for labels in [labels for labels in self._overflow if labels[:3] == gone]:
                del self._overflow[labels]


def _more_active(snapshot: Snapshot, more: int) -> Snapshot:
    cells = list(snapshot.cells)
    cells[ACTIVE.start] += more
    return snapshot._replace(cells=tuple(cells))


def _package_version() -> str:
    try:
        return version("modelplane")
    except PackageNotFoundError:  # the source was copied into another project
        return "unknown"
