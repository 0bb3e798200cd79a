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

from modelplane_exporter.exposition.families import families, family
from modelplane_exporter.layout.calls import ACTIVE, GROUPS, Key, Snapshot
from modelplane_exporter.layout.signals import SIGNAL_METRICS, LoadedBaseline, SignalSnapshot
from modelplane_exporter.layout.state import OwnSample, State
from modelplane_exporter.measurement.device_meter import DeviceMeter
from modelplane_exporter.measurement.event_counters import Counters
from modelplane_exporter.measurement.identity_state import Series, SharedSeries
from modelplane_exporter.measurement.tenant_guard import TenantGuard
from modelplane_exporter.rate_limited_log import logger
from modelplane_exporter.signals.store import SignalStore, configured_budget
from modelplane_exporter.workers.directory import configured_directory
from modelplane_exporter.workers.file import WorkersError
from modelplane_exporter.workers.publisher import FOLD_AT, WAIT_AT, Sharing
from modelplane_schema import metrics as schema
from modelplane_schema.identity import Identity

_SNAPSHOTS_PER_LOCK = 100
_RETIRED_SECONDS = 60.0
_OWN_METRICS = (
    schema.MODEL_INFO,
    schema.SERIES_OVERFLOW,
    schema.BUSINESS_EVENTS,
    schema.FEEDBACK,
    schema.EXPORTER_SAMPLING,
    schema.EXPORTER_BUILD_INFO,
    schema.EXPORTER_SCRAPE_DURATION,
)


class Store(Collector):
    """Meters by device, series by key, and the exporter's samples about itself."""

    def __init__(
        self, clock: Callable[[], float] = time.perf_counter, workers_directory: Path | None = None
    ) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._meters: dict[tuple[str, str], DeviceMeter] = {}
        self._tenants: dict[tuple[Identity, tuple[str, str]], dict[str, Series]] = {}
        self._series: dict[Key, Series] = {}
        self._retired: list[tuple[Series, float]] = []
        self._guards: dict[str, TenantGuard] = {}
        self._info: dict[tuple[str, ...], None] = {}
        self._overflow: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._scrape_seconds = 0.0
        self.batches: dict[SharedSeries, None] = {}
        self.counters = Counters()
        self.signals = SignalStore(configured_budget())
        self._sharing = None if workers_directory is None else self._share(workers_directory)

    @property
    def is_shared(self) -> bool:
        """Whether several worker processes add up to one exposition."""
        return self._sharing is not None

    def meter_of(self, device: tuple[str, str]) -> DeviceMeter:
        """The meter of a device; it is made at the first use."""
        with self._lock:
            meter = self._meters.get(device)
            if meter is None:
                meter = self._meters[device] = self._new_meter()
        return meter

    def loaded(self, version: Identity, owner: str, stage: str, framework_version: str) -> None:
        """A model version is loaded; its tenant is ignored."""
        labels = (version.model_name, version.model_version, version.framework)
        self._info[(*labels, owner, stage, framework_version)] = None

    def tenants_of(self, version: Identity, device: tuple[str, str]) -> dict[str, Series]:
        """The one dictionary of a version's series on a device, shared by all its lanes."""
        with self._lock:
            any_tenant = version._replace(tenant_id=schema.UNKNOWN_TENANT)
            return self._tenants.setdefault((any_tenant, device), {})

    def admit(
        self, key: Key, meter: DeviceMeter, by_tenant: dict[str, Series], most: int, idle_ttl: float
    ) -> Series:
        """A series for a key that has none yet, within the cap."""
        identity = key.identity
        with self._lock:
            guard = self._guards.setdefault(identity.model_name, TenantGuard(self._clock))
            if identity.tenant_id not in schema.RESERVED_TENANTS:
                admitted, evicted = guard.admit(identity.tenant_id, most, idle_ttl)
                self._retire(evicted)
                if not admitted:
                    self.overflowed(identity, schema.TENANT_ID)
                    key = key._replace(identity=identity._replace(tenant_id=schema.OVERFLOW))
            series = self._series.get(key)
            if series is None:
                series = self._series[key] = Series(key)
                series.last_used = self._clock()
                by_tenant[key.identity.tenant_id] = series
                self.counters.begin(key.identity)
                if key.identity.tenant_id in guard.tenants:
                    guard.tenants[key.identity.tenant_id].append(series)
        return series

    def overflowed(self, version: Identity, label: str) -> None:
        """A value of ``label`` went to ``__overflow__``; the version's tenant is ignored."""
        with self._lock:
            self._overflow[(version.model_name, version.model_version, version.framework, label)] += 1

    def report_invalid(self, series: Series, invalid: Counter[str]) -> None:
        """Count values that broke the data contract, found outside of a call's own report."""
        with self._meters[series.key[1:]].lock:
            next(iter(series.states())).add_invalid(invalid)

    def batch_ended(self, batch: SharedSeries) -> None:
        """A batch call is no longer in flight."""
        self.batches.pop(batch, None)

    def state(self) -> State:
        """All that is exposed, of all worker processes if there are several.

        A series holds all calls that ended before, and what those in flight were charged so far.
        """
        if self._sharing is not None:
            return self._sharing.collect()
        # First the signals: folding them finds invalid values, which count in the snapshots.
        signals, baselines = self.local_signals()
        return State(self.local_snapshots(), self.local_own_samples(), signals, baselines)

    def snapshots(self) -> list[Snapshot]:
        """The series of ``state``."""
        return list(self.state().snapshots)

    def local_signals(self) -> tuple[list[SignalSnapshot], list[LoadedBaseline]]:
        """A copy of every series of signals of this process, and the baselines they are held against."""
        return self.signals.snapshots(), self.signals.baselines()

    def local_snapshots(self) -> list[Snapshot]:
        """A copy of every series of this process."""
        found: list[Snapshot] = []
        self.visit_snapshots(found.extend)
        return found

    def visit_snapshots(self, visit: Callable[[list[Snapshot]], None]) -> None:
        """Show ``visit`` a copy of every series of this process, some at a time.

        The meter's lock is held meanwhile, so nobody can show a newer state before an older one.
        """
        meters = list(self._meters.items())
        for _, meter in meters:
            meter.fold(wait=True)
        with self._lock:
            self._revive_retired()
            everything = list(self._series.values())
        for device, meter in meters:
            mine = [series for series in everything if series.key[1:] == device]
            for start in range(0, len(mine), _SNAPSHOTS_PER_LOCK):
                with meter.lock:
                    virtual = meter.virtual_now()
                    chunk = [one.snapshot(virtual) for one in mine[start : start + _SNAPSHOTS_PER_LOCK]]
                    visit(self._with_batches(chunk))

    def local_own_samples(self) -> list[OwnSample]:
        """This process's samples that are not about calls."""
        with self._lock:
            info = [OwnSample(schema.MODEL_INFO, labels, 1) for labels in self._info]
            overflow = [OwnSample(schema.SERIES_OVERFLOW, k, n) for k, n in self._overflow.items()]
        build = (_own_version(), platform.python_version())
        return [
            *info,
            *overflow,
            *self.counters.samples(),
            *self.signals.samples(),
            OwnSample(schema.EXPORTER_BUILD_INFO, build, 1),
            OwnSample(schema.EXPORTER_SCRAPE_DURATION, (), self._scrape_seconds),
        ]

    def scraped(self, seconds: float) -> None:
        """An exposition took so long."""
        self._scrape_seconds = seconds

    def describe(self) -> Iterable[Family]:
        """Families without samples, so that a registry can refuse names that are taken."""
        return [
            family(metric) for metric in (*(group.metric for group in GROUPS), *SIGNAL_METRICS, *_OWN_METRICS)
        ]

    def collect(self) -> Iterator[Family]:
        """Families for registries that prometheus_client itself collects."""
        start = time.perf_counter()
        collected = families(*self.state())
        self.scraped(time.perf_counter() - start)
        return iter(collected)

    def after_fork(self) -> None:
        """In a forked child: what was counted so far is the parent's."""
        self._lock = threading.RLock()
        for meter in self._meters.values():
            meter.after_fork()
        for series in self._series.values():
            series.reset()
        self._retired, self._overflow = [], defaultdict(int)
        self.counters.reset()
        self.signals.after_fork()
        self.batches = {}
        if self._sharing is not None:
            self._sharing.after_fork()

    def _share(self, directory: Path) -> Sharing | None:
        try:
            return Sharing(directory, self)
        except WorkersError as error:
            logger.error("this process counts for itself: %s", error)
            return None

    def _new_meter(self) -> DeviceMeter:
        if self._sharing is None:
            return DeviceMeter(self._clock)
        sharing = self._sharing

        def show(changed: Iterable[Series], virtual: float) -> None:
            sharing.write([one.snapshot(virtual) for series in changed for one in series.states()])

        return DeviceMeter(self._clock, FOLD_AT, WAIT_AT, show)

    def _with_batches(self, snapshots: list[Snapshot]) -> list[Snapshot]:
        """Batch calls in flight are in flight for each of their tenants."""
        running: defaultdict[Key, int] = defaultdict(int)
        for batch in list(self.batches):
            for part, _ in batch.parts:
                running[part.key] += batch.active
        if not running:
            return snapshots
        return [_more_active(snapshot, running.get(snapshot.key, 0)) for snapshot in snapshots]

    def _retire(self, evicted: list[Series]) -> None:
        for series in evicted:
            del self._series[series.key]
            identity = series.key.identity
            self.tenants_of(identity, series.key[1:]).pop(identity.tenant_id, None)
            self.counters.forget(identity)
            self.signals.forget(identity)
            self._retired.append((series, self._clock()))

    def _revive_retired(self) -> None:
        """Put a series back that a call was just about to use when it was evicted."""
        kept = []
        for series, since in self._retired:
            identity = series.key.identity
            if series.last_used >= since or series.active:
                if series.key not in self._series:
                    self._series[series.key] = series
                    self.tenants_of(identity, series.key[1:])[identity.tenant_id] = series
            elif self._clock() - since < _RETIRED_SECONDS:
                kept.append((series, since))
        self._retired = kept


def _more_active(snapshot: Snapshot, more: int) -> Snapshot:
    cells = list(snapshot.cells)
    cells[ACTIVE.start] += more
    return snapshot._replace(cells=tuple(cells))


def _own_version() -> str:
    try:
        return version("modelplane")
    except PackageNotFoundError:  # the source was copied into another project
        return "unknown"


_stores: weakref.WeakKeyDictionary[CollectorRegistry, Store] = weakref.WeakKeyDictionary()
_stores_lock = threading.Lock()


def store_for(registry: CollectorRegistry) -> Store:
    """The store on ``registry``; it is made and registered at the first use."""
    with _stores_lock:
        store = _stores.get(registry)
        if store is None:
            store = Store(workers_directory=configured_directory())
            registry.register(store)
            _stores[registry] = store
        return store


def _after_fork() -> None:
    global _stores_lock
    _stores_lock = threading.Lock()
    for registry, store in list(_stores.items()):
        # A thread that the child does not have may hold prometheus_client's lock: a scrape would never end.
        registry._lock = threading.RLock()  # type: ignore[assignment]  # serves as its Lock does
        store.after_fork()


os.register_at_fork(after_in_child=_after_fork)
