"""The backend's metrics about itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_UNMATCHED = "unmatched"


class CompletedRequest(NamedTuple):
    """A request and its response; ``route`` is the template of its path, None where no route matched."""

    method: str
    path: str
    route: str | None
    status: str
    seconds: float
    caller: str


class CacheSize(Protocol):
    """How much a cache holds."""

    @property
    def entries(self) -> int:
        """How many values."""

    @property
    def bytes(self) -> float:
        """Their size."""


class WatchedState(Protocol):
    """A file that is read again when it changes."""

    @property
    def state(self) -> tuple[str, bool]:
        """The SHA-256 of the content that is in use, and whether the file still has it."""


def _waiting_of(waiting: Callable[[], Mapping[str, int]], kind: str) -> int:
    return waiting()[kind]


class _WithoutCreationTimes(Collector):
    """A registry's metrics without the times of their creation, which the text format makes gauges."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        """The metrics, each made anew."""
        for metric in self._registry.collect():
            metric.samples = [sample for sample in metric.samples if not sample.name.endswith("_created")]
            yield metric


class _WatchdogTimes(Collector):
    """When the watchdog was last seen: no series until it was."""

    def __init__(self, last_seen: Callable[[], Mapping[str, int]]) -> None:
        self._last_seen = last_seen

    def collect(self) -> Iterator[Metric]:
        """One gauge with a series for each source."""
        family = GaugeMetricFamily(
            "modelplane_datasource_watchdog_last_seen_timestamp_seconds",
            "When the alert that always fires last came through Alertmanager, by source.",
            labels=("source",),
        )
        for source, milliseconds in self._last_seen().items():
            family.add_metric((source,), milliseconds / 1000)
        yield family


class _FileStates(Collector):
    """Which content of each watched file is in use."""

    def __init__(self, files: Mapping[str, WatchedState]) -> None:
        self._files = files

    def collect(self) -> Iterator[Metric]:
        """Two gauges with a series for each file."""
        info = GaugeMetricFamily(
            "modelplane_datasource_config_info",
            "The file that is in use, by the SHA-256 of its content.",
            labels=("file", "sha256"),
        )
        success = GaugeMetricFamily(
            "modelplane_datasource_config_last_reload_successful",
            "Whether the file could be used when it was read last; else an earlier content of it is.",
            labels=("file",),
        )
        for name, file in self._files.items():
            digest, is_valid = file.state
            info.add_metric((name, digest), 1)
            success.add_metric((name,), float(is_valid))
        yield info
        yield success


class Telemetry:
    """Counters of one application on a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "modelplane_datasource_requests_total",
            "Answered requests.",
            ("route", "method", "status"),
            registry=self.registry,
        )
        self._duration = Histogram(
            "modelplane_datasource_request_duration_seconds",
            "Time to answer a request.",
            ("route",),
            registry=self.registry,
        )
        self._upstream_errors = Counter(
            "modelplane_datasource_upstream_errors_total",
            "Failed calls of Prometheus by kind.",
            ("kind",),
            registry=self.registry,
        )
        self._refusals = Counter(
            "modelplane_datasource_refused_requests_total",
            "Requests that were refused because too many of their kind waited, or they for too long.",
            ("kind",),
            registry=self.registry,
        )
        self._lookups = Counter(
            "modelplane_datasource_cache_lookups_total",
            "Answers, and queries that they are made of: hit (cached), miss (made or queried), "
            "coalesced (with the same in another request).",
            ("result",),
            registry=self.registry,
        )
        self._store_calls = Counter(
            "modelplane_datasource_store_calls_total",
            "Transactions of the alert store, read or write, and whether they succeeded: ok or error.",
            ("operation", "result"),
            registry=self.registry,
        )
        self._store_duration = Histogram(
            "modelplane_datasource_store_duration_seconds",
            "Time of a transaction of the alert store, waiting included.",
            ("operation",),
            registry=self.registry,
        )

    def cache_lookup(self, outcome: str) -> None:
        """Count one query by how it was answered."""
        self._lookups.labels(outcome).inc()

    def observe_cache(self, cache: CacheSize, outcomes: Iterable[str]) -> None:
        """Expose how much ``cache`` holds, and how often each of the ``outcomes`` was that of a lookup."""
        for outcome in outcomes:
            self._lookups.labels(outcome)
        for name, help_, read in (
            ("modelplane_datasource_cache_entries", "Answers that are cached.", lambda: cache.entries),
            ("modelplane_datasource_cache_bytes", "Size of the cached answers.", lambda: cache.bytes),
        ):
            Gauge(name, help_, registry=self.registry).set_function(read)

    def observe_watchdog(self, last_seen: Callable[[], Mapping[str, int]]) -> None:
        """Expose when the watchdog last came: ``last_seen`` gives milliseconds by source."""
        self.registry.register(_WatchdogTimes(last_seen))

    def observe_files(self, files: Mapping[str, WatchedState]) -> None:
        """Expose which content of each file is in use."""
        self.registry.register(_FileStates(files))

    def refusal(self, kind: str) -> None:
        """Count one request that was refused because too many of its kind wait."""
        self._refusals.labels(kind).inc()

    def observe_waiting(self, waiting: Callable[[], Mapping[str, int]]) -> None:
        """Expose how many requests of each kind wait for a thread."""
        gauge = Gauge(
            "modelplane_datasource_waiting_requests",
            "Requests that wait for a thread of their kind.",
            ("kind",),
            registry=self.registry,
        )
        for kind in waiting():
            self._refusals.labels(kind)
            gauge.labels(kind).set_function(partial(_waiting_of, waiting, kind))

    def upstream_error(self, kind: str) -> None:
        """Count one failed call of Prometheus."""
        self._upstream_errors.labels(kind).inc()

    def store_call(self, operation: str, succeeded: bool, seconds: float) -> None:
        """Count one transaction of the alert store."""
        self._store_calls.labels(operation, "ok" if succeeded else "error").inc()
        self._store_duration.labels(operation).observe(seconds)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """All series, and their format: OpenMetrics where a header Accept names it, else Prometheus' text."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # a version that is not made of numbers
            encode, content_type = choose_encoder("")
        return encode(_WithoutCreationTimes(self.registry)), content_type

    def count(self, request: CompletedRequest) -> None:
        """Count and time one request by its route's template."""
        route = request.route or _UNMATCHED
        method = request.method if request.method in _METHODS else "other"
        self._requests.labels(route, method, request.status).inc()
        self._duration.labels(route).observe(request.seconds)
