"""A real Prometheus over real model series, and the backend as its own process in front of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from modelplane_provisioning.processes import Process, free_port
from modelplane_schema import metrics

MODEL = "resnet50"
VERSIONS = ("v1.2.0", "v1.3.0")
HOSTILE_TENANT = 'a"} or up{x="'
# Seconds of every call: each lies in a latency bucket of its own.
LATENCIES = {
    ("v1.2.0", "user-A"): 0.02,
    ("v1.3.0", "user-A"): 0.2,
    ("v1.2.0", HOSTILE_TENANT): 2.0,
    ("v1.3.0", HOSTILE_TENANT): 20.0,
}
CALLS_PER_SCRAPE = 4


class Calls:
    """Model series that grow by a fixed number of calls with every scrape."""

    def __init__(self) -> None:
        self._families = CollectorRegistry()
        identity, families = metrics.IDENTITY, self._families
        latency, requests_total = metrics.LATENCY, metrics.REQUESTS
        confidence, active = metrics.CONFIDENCE, metrics.ACTIVE
        self._latency = Histogram(
            latency.name, latency.help, identity, buckets=latency.buckets, registry=families
        )
        self._confidence = Histogram(
            confidence.name, confidence.help, identity, buckets=confidence.buckets, registry=families
        )
        self._requests = Counter(
            requests_total.name, requests_total.help, requests_total.labels, registry=families
        )
        self._active = Gauge(active.name, active.help, identity, registry=families)

    def collect(self) -> Iterator[object]:
        """Called by every scrape."""
        for (version, tenant), seconds in LATENCIES.items():
            identity = (MODEL, version, tenant, "pytorch")
            for call in range(CALLS_PER_SCRAPE):
                self._latency.labels(*identity).observe(seconds)
                self._confidence.labels(*identity).observe(0.75)
                self._requests.labels(*identity, "failure" if call == 0 else "success").inc()
            self._active.labels(*identity).set(3)
        yield from self._families.collect()


@pytest.fixture(scope="session")
def exporter_port() -> Iterator[int]:
    """Port on loopback where the model series are exposed."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Calls())  # type: ignore[arg-type]
    port = free_port()
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    yield port
    server.shutdown()
    server.server_close()
    thread.join()


def prometheus_process(folder: Path, exporter_port: int, port: int) -> Process:
    """A Prometheus that scrapes the exporter every second; not started."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: models\n"
        f'    static_configs: [{{targets: ["127.0.0.1:{exporter_port}"]}}]\n'
    )
    arguments = [
        "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    ready = f"http://127.0.0.1:{port}/-/ready"
    return Process("prometheus", arguments, folder / "prometheus.log", ready_url=ready)


def backend_process(folder: Path, prometheus_url: str, port: int, timeout: float = 10) -> Process:
    """The backend over a Prometheus, its database in ``folder``; not started."""
    prefix = "MODELPLANE_DATASOURCE_"
    environment = {
        f"{prefix}PROMETHEUS_URL": prometheus_url,
        f"{prefix}PROMETHEUS_TIMEOUT_SECONDS": str(timeout),
        f"{prefix}SCRAPE_INTERVAL_SECONDS": "1",
        f"{prefix}DATABASE_URL": f"sqlite:///{folder}/modelplane.db",
        f"{prefix}PORT": str(port),
    }
    ready = f"http://127.0.0.1:{port}/healthz"
    arguments = [sys.executable, "-m", "modelplane_datasource"]
    return Process("backend", arguments, folder / "backend.log", environment, ready)


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Return once ``condition`` holds; an assertion error after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {condition}"
        time.sleep(0.2)


def has_rates(prometheus_url: str) -> bool:
    query = f"rate({metrics.REQUESTS.name}[4s])"
    answer = requests.get(f"{prometheus_url}/api/v1/query", {"query": query}, timeout=5).json()
    return len(answer["data"]["result"]) == 2 * len(LATENCIES)


@pytest.fixture(scope="session")
def prometheus(exporter_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a Prometheus that holds at least 8 seconds of rates."""
    port = free_port()
    process = prometheus_process(tmp_path_factory.mktemp("prometheus"), exporter_port, port)
    process.start()
    try:
        process.wait_ready(30)
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: has_rates(url), 30)
        time.sleep(8)
        yield url
    finally:
        process.stop()


@pytest.fixture(scope="session")
def backend(prometheus: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a backend over ``prometheus``."""
    port = free_port()
    process = backend_process(tmp_path_factory.mktemp("backend"), prometheus, port)
    process.start()
    try:
        process.wait_ready(30)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()


@pytest.fixture
def start_prometheus(request: pytest.FixtureRequest, exporter_port: int) -> Callable[[Path, int], Process]:
    """Start a Prometheus of the test's own: (folder, port); it is stopped when the test ends."""

    def start(folder: Path, port: int) -> Process:
        return started(prometheus_process(folder, exporter_port, port), request)

    return start


@pytest.fixture
def start_backend(request: pytest.FixtureRequest) -> Callable[..., Process]:
    """Start a backend of the test's own: (folder, prometheus_url, port, timeout=10)."""

    def start(folder: Path, prometheus_url: str, port: int, timeout: float = 10) -> Process:
        return started(backend_process(folder, prometheus_url, port, timeout), request)

    return start


def started(process: Process, request: pytest.FixtureRequest) -> Process:
    process.start()
    request.addfinalizer(process.stop)
    process.wait_ready(30)
    return process
