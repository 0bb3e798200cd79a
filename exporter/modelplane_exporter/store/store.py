"""All that a process has measured, on the registry that was injected.

``Store`` is one prometheus_client collector; ``store_for`` gives the one of a registry.
"""

from __future__ import annotations

import os
import platform
import threading
import time
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from modelplane_exporter import settings
from modelplane_exporter.contract_log import TENANTS_OVERFLOW, VIOLATIONS, ContractLog, log_noted
from modelplane_exporter.exposition.families import families, family
from modelplane_exporter.identity import Version, version_of
from modelplane_exporter.layout.calls import ACTIVE, CALL_METRICS, Key, Snapshot
from modelplane_exporter.layout.signals import SIGNAL_METRICS, LoadedBaseline, SignalSnapshot
from modelplane_exporter.layout.state import MetricSample, State
from modelplane_exporter.measurement.device_meter import DeviceMeter
from modelplane_exporter.measurement.event_counters import EventCounters
from modelplane_exporter.measurement.identity_state import BatchState, IdentityState
from modelplane_exporter.measurement.tenant_guard import TenantGuard
from modelplane_exporter.prometheus_registry import replace_lock_after_fork
from modelplane_exporter.rate_limited_log import log_failure, logger
from modelplane_exporter.signals.store import SignalStore
from modelplane_exporter.workers.file_format import WorkersError
from modelplane_exporter.workers.journal import finisher
from modelplane_exporter.workers.publisher import Publisher
from modelplane_schema import metrics as schema
from modelplane_schema.identity import Identity

_SNAPSHOTS_PER_LOCK = 100
_RETIRED_SECONDS = 60.0
_SAMPLE_METRICS = (
    schema.MODEL_INFO,
    schema.SERIES_OVERFLOW,
    schema.BUSINESS_EVENTS,
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
        self._tenants: dict[tuple[Identity, tuple[str, str]], dict[str, IdentityState]] = {}
        self._states: dict[Key, IdentityState] = {}
        self._retired: list[tuple[IdentityState, float]] = []
        self._guards: dict[str, TenantGuard] = {}
        self._info: dict[tuple[str, ...], None] = {}
        self._contract_logs: dict[Version, ContractLog] = {}
        self._overflow: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self.scrape_seconds = 0.0
        self.batches: dict[BatchState, None] = {}
        self.signals = SignalStore(settings.signal_series())
        self._publisher = None if workers_directory is None else self._publish_to(workers_directory)
        self.events = EventCounters(None if self._publisher is None else self._publisher.count)

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

    def add_model_info(self, version: Identity, owner: str, stage: str, framework_version: str) -> None:
        """Expose that a model version is loaded; its tenant is ignored."""
        labels = (version.model_name, version.model_version, version.framework)
        self._info[(*labels, owner, stage, framework_version)] = None

    def contract_log_of(self, version: Identity) -> ContractLog:
        """What the exporters of a version have logged of broken contracts; its tenant is ignored."""
        with self._lock:
            labels = version_of(version)
            return self._contract_logs.setdefault(labels, ContractLog(labels))

    def tenants_of(self, version: Identity, device: tuple[str, str]) -> dict[str, IdentityState]:
        """The dictionary of a version's states on a device, which all its recorders share."""
        with self._lock:
            any_tenant = version._replace(tenant_id=schema.UNKNOWN_TENANT)
            return self._tenants.setdefault((any_tenant, device), {})

    def admit(
        self, key: Key, by_tenant: dict[str, IdentityState], max_tenants: int, idle_ttl: float
    ) -> IdentityState:
        """A state for a key that has none yet, within the cap on tenants."""
        identity = key.identity
        with self._lock:
            guard = self._guards.setdefault(identity.model_name, TenantGuard(self._clock))
            if identity.tenant_id not in schema.RESERVED_TENANTS:
                admitted, evicted = guard.admit(identity.tenant_id, max_tenants, idle_ttl)
                self._retire(evicted)
                if not admitted:
                    self.overflowed(identity, schema.TENANT_ID, TENANTS_OVERFLOW)
                    key = key._replace(identity=identity._replace(tenant_id=schema.OVERFLOW))
            state = self._states.get(key)
            if state is None:
                state = self._states[key] = IdentityState(key, self.contract_log_of(identity))
                state.last_used = self._clock()
                by_tenant[key.identity.tenant_id] = state
                self.events.begin(key.identity)
                if key.identity.tenant_id in guard.tenants:
                    guard.tenants[key.identity.tenant_id].append(state)
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
        if self._publisher is not None:
            return self._publisher.collect()
        # First the signals: draining their queues finds invalid values, which count in the snapshots.
        signals, baselines = self.local_signals()
        return State(self.local_snapshots(), self.local_samples(), signals, baselines)

    def flush(self) -> None:
        """Show other processes all that finished here; a process without others has no need. Never raises."""
        if self._publisher is not None:
            try:
                self._publisher.publish()
            except Exception as error:  # noqa: BLE001 - monitoring must not break the model
                log_failure("counts were not published", error)

    def local_signals(self) -> tuple[list[SignalSnapshot], list[LoadedBaseline]]:
        """A copy of every state of signals of this process, and the baselines they are compared with."""
        snapshots = self.signals.snapshots()
        log_noted()
        return snapshots, self.signals.baselines()

    def local_snapshots(self) -> list[Snapshot]:
        """A copy of every state of this process."""
        snapshots: list[Snapshot] = []
        self.visit_states(lambda _states, copies, _time: snapshots.extend(copies))
        return snapshots

    def visit_states(self, visit: Callable[[list[IdentityState], list[Snapshot], float], None]) -> None:
        """Call ``visit`` with every state of this process, a copy of each and the time, some at a time.

        The meter's lock is held meanwhile, so nobody can show a newer state before an older one.
        """
        meters = list(self._meters.items())
        for _, meter in meters:
            meter.drain(wait=True)
        with self._lock:
            self._revive_retired()
            every = list(self._states.values())
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
            info = [MetricSample(schema.MODEL_INFO, labels, 1) for labels in self._info]
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
        for state in (*self._states.values(), *(state for state, _ in self._retired)):
            state.reset()
        self._retired, self._overflow = [], defaultdict(int)
        self.events.reset()
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
                running[part.key] += batch.active
        if not running:
            return snapshots
        return [_more_active(snapshot, running.get(snapshot.key, 0)) for snapshot in snapshots]

    def _retire(self, evicted: list[IdentityState]) -> None:
        for state in evicted:
            del self._states[state.key]
            identity = state.key.identity
            self.tenants_of(identity, state.key[1:]).pop(identity.tenant_id, None)
            self.events.forget(identity)
            self.signals.forget(identity)
            self._retired.append((state, self._clock()))

    def _revive_retired(self) -> None:
        """Put a state back that a call was just about to use when it was evicted."""
        still_retired = []
        for state, since in self._retired:
            identity = state.key.identity
            if state.last_used >= since or state.active:
                if state.key not in self._states:
                    self._states[state.key] = state
                    self.tenants_of(identity, state.key[1:])[identity.tenant_id] = state
            elif self._clock() - since < _RETIRED_SECONDS:
                still_retired.append((state, since))
        self._retired = still_retired


def _more_active(snapshot: Snapshot, more: int) -> Snapshot:
    cells = list(snapshot.cells)
    cells[ACTIVE.start] += more
    return snapshot._replace(cells=tuple(cells))


def _package_version() -> str:
    try:
        return version("modelplane")
    except PackageNotFoundError:  # the source was copied into another project
        return "unknown"


_stores: weakref.WeakKeyDictionary[CollectorRegistry, Store] = weakref.WeakKeyDictionary()
_stores_lock = threading.Lock()
# An exporter outlives a registry that nobody keeps, and other processes still see its counts.
_stores_alive: weakref.WeakSet[Store] = weakref.WeakSet()


def store_for(registry: CollectorRegistry) -> Store:
    """The store on ``registry``; it is made and registered at the first use."""
    with _stores_lock:
        store = _stores.get(registry)
        if store is None:
            store = Store(workers_directory=settings.workers_directory())
            registry.register(store)
            _stores[registry] = store
            _stores_alive.add(store)
        return store


def flush() -> None:
    """Make all that finished in this process visible to every scrape, now and not within a second."""
    for store in list(_stores_alive):
        store.flush()


def _after_fork() -> None:
    global _stores_lock
    _stores_lock = threading.Lock()
    for registry in list(_stores):
        replace_lock_after_fork(registry)
    for store in list(_stores_alive):
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork)
