"""Where measurements are kept until Prometheus scrapes them.

Callers know only ``Store``; ``store_for`` gives the one store that is registered on a registry.
"""

from __future__ import annotations

import platform
import threading
import time
import weakref
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector

from modelplane_exporter.identity import Identity
from modelplane_schema import metrics as schema


class Store(Protocol):
    """What an exporter needs of a store. Every method may be called from any thread."""

    def loaded(self, version: Identity, owner: str, stage: str, framework_version: str) -> None:
        """A model version is loaded; the tenant of ``version`` is ignored."""

    def admit(self, identity: Identity, most_tenants: int) -> Identity:
        """``identity``, or its overflow twin once the model has ``most_tenants`` tenants.

        The series of what it returns are exposed, at 0, from the next scrape on.
        """

    def started(self, identity: Identity) -> None:
        """A call is in flight."""

    def finished(self, identity: Identity, seconds: float, outcome: str) -> None:
        """A call that was in flight ended after ``seconds`` of wall time."""

    def observe_confidence(self, identity: Identity, values: Iterable[float]) -> None:
        """Confidence values in [0, 1]."""

    def count_invalid(self, identity: Identity, reason: str, count: int = 1) -> None:
        """``count`` values broke the data contract for a reason of the schema."""


def _counter(metric: schema.Metric) -> Counter:
    return Counter(metric.name, metric.help, metric.labels, registry=None)


def _gauge(metric: schema.Metric) -> Gauge:
    return Gauge(metric.name, metric.help, metric.labels, registry=None)


def _histogram(metric: schema.Metric) -> Histogram:
    return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=None)


class PrometheusStore(Collector):
    """A ``Store`` made of prometheus_client metrics, itself one collector without ``_created`` series."""

    def __init__(self) -> None:
        self._latency = _histogram(schema.LATENCY)
        self._requests = _counter(schema.REQUESTS)
        self._confidence = _histogram(schema.CONFIDENCE)
        self._active = _gauge(schema.ACTIVE)
        self._invalid = _counter(schema.INVALID_OBSERVATIONS)
        self._overflow = _counter(schema.SERIES_OVERFLOW)
        self._info = _gauge(schema.MODEL_INFO)
        self._scrape_duration = _gauge(schema.EXPORTER_SCRAPE_DURATION)
        self._build_info = _gauge(schema.EXPORTER_BUILD_INFO)
        self._build_info.labels(_own_version(), platform.python_version()).set(1)
        self._known: set[Identity] = set()
        self._tenants: defaultdict[str, set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def loaded(self, version: Identity, owner: str, stage: str, framework_version: str) -> None:
        labels = (version.model_name, version.model_version, version.framework)
        self._info.labels(*labels, owner, stage, framework_version).set(1)

    def admit(self, identity: Identity, most_tenants: int) -> Identity:
        if identity in self._known:
            return identity
        with self._lock:
            tenants = self._tenants[identity.model_name]
            if identity.tenant_id not in schema.RESERVED_TENANTS and identity.tenant_id not in tenants:
                if len(tenants) >= most_tenants:
                    version_labels = (identity.model_name, identity.model_version, identity.framework)
                    self._overflow.labels(*version_labels, schema.TENANT_ID).inc()
                    identity = identity._replace(tenant_id=schema.OVERFLOW)
                else:
                    tenants.add(identity.tenant_id)
            if identity not in self._known:
                self._expose(identity)
                self._known.add(identity)
        return identity

    def started(self, identity: Identity) -> None:
        self._active.labels(*identity).inc()

    def finished(self, identity: Identity, seconds: float, outcome: str) -> None:
        self._active.labels(*identity).dec()
        self._latency.labels(*identity).observe(seconds)
        self._requests.labels(*identity, outcome).inc()

    def observe_confidence(self, identity: Identity, values: Iterable[float]) -> None:
        child = self._confidence.labels(*identity)
        for value in values:
            child.observe(value)

    def count_invalid(self, identity: Identity, reason: str, count: int = 1) -> None:
        self._invalid.labels(*identity, reason).inc(count)

    def describe(self) -> Iterable[Family]:
        """Families without samples, so that a registry can refuse names that are taken."""
        for metric in self._all():
            yield from metric.describe()

    def collect(self) -> Iterator[Family]:
        start = time.perf_counter()
        families = [family for metric in self._all() for family in metric.collect()]
        for family in families:
            family.samples = [s for s in family.samples if not s.name.endswith("_created")]
        self._scrape_duration.set(time.perf_counter() - start)
        return (family for family in families if family.samples)

    def _expose(self, identity: Identity) -> None:
        self._latency.labels(*identity)
        self._confidence.labels(*identity)
        self._active.labels(*identity)
        for outcome in schema.OUTCOMES:
            self._requests.labels(*identity, outcome)

    def _all(self) -> tuple[Counter | Gauge | Histogram, ...]:
        return (
            self._latency,
            self._requests,
            self._confidence,
            self._active,
            self._invalid,
            self._overflow,
            self._info,
            self._build_info,
            self._scrape_duration,
        )


def _own_version() -> str:
    try:
        return version("modelplane")
    except PackageNotFoundError:  # the source was copied into another project
        return "unknown"


_stores: weakref.WeakKeyDictionary[CollectorRegistry, PrometheusStore] = weakref.WeakKeyDictionary()
_stores_lock = threading.Lock()


def store_for(registry: CollectorRegistry) -> Store:
    """The store on ``registry``; it is made and registered at the first use."""
    with _stores_lock:
        store = _stores.get(registry)
        if store is None:
            store = PrometheusStore()
            registry.register(store)
            _stores[registry] = store
        return store
