"""Real stores over real model series, and the backend as its own process in front of them.

The stores are Prometheus and VictoriaMetrics. A test that asks for ``store``, ``store_url``, ``backend`` or
``backfilled`` runs once with each, of each generation.
"""

from __future__ import annotations

import fcntl
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from itertools import product
from pathlib import Path

import pytest
import requests
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, start_http_server

from generations import Servers, available_servers
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until
from modelplane_schema import metrics
from postgresql_server import PostgreSQL

PROMETHEUS, VICTORIA_METRICS = STORES = ("prometheus", "victoria-metrics")
RETENTION = "100y"  # data of tests lie at fixed times
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
CUSTOMARY_PORTS = (3000, 8090, 9090, 9093)


class Calls:
    """Model series that grow by a fixed number of calls with every scrape."""

    def __init__(self) -> None:
        # Several stores scrape at once, and each shall see whole calls.
        self._lock = threading.Lock()
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

    def collect(self) -> list[Metric]:
        """Called by every scrape."""
        with self._lock:
            for (version, tenant), seconds in LATENCIES.items():
                identity = (MODEL, version, tenant, "pytorch")
                for call in range(CALLS_PER_SCRAPE):
                    self._latency.labels(*identity).observe(seconds)
                    self._confidence.labels(*identity).observe(0.75)
                    self._requests.labels(*identity, "failure" if call == 0 else "success").inc()
                self._active.labels(*identity).set(3)
            return list(self._families.collect())


@pytest.fixture(scope="session")
def exporter_port() -> Iterator[int]:
    """Port on loopback where the model series are exposed."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Calls())
    port = free_port()
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    yield port
    server.shutdown()
    server.server_close()
    thread.join()


def scrape_config(folder: Path, exporter_port: int) -> Path:
    """A file that has the exporter scraped every second."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\n"
        "scrape_configs:\n"
        "  - job_name: models\n"
        f'    static_configs: [{{targets: ["127.0.0.1:{exporter_port}"]}}]\n'
    )
    return config


def prometheus_process(servers: Servers, folder: Path, config: Path, port: int) -> Process:
    """A Prometheus with its data in ``folder``; not started."""
    arguments = [
        servers.prometheus,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={RETENTION}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    ready = f"http://127.0.0.1:{port}/-/ready"
    return Process(PROMETHEUS, arguments, folder / "prometheus.log", ready_url=ready)


def victoria_metrics_process(servers: Servers, folder: Path, config: Path, port: int) -> Process:
    """A VictoriaMetrics, set up as docs/backend.md advises, with its data in ``folder``; not started."""
    arguments = [
        servers.victoria_metrics,
        f"-promscrape.config={config}",
        f"-storageDataPath={folder / 'data'}",
        f"-retentionPeriod={RETENTION}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=1s",
    ]
    ready = f"http://127.0.0.1:{port}/-/ready"
    return Process(VICTORIA_METRICS, arguments, folder / "victoria-metrics.log", ready_url=ready)


STORE_PROCESSES = {PROMETHEUS: prometheus_process, VICTORIA_METRICS: victoria_metrics_process}


@contextmanager
def backfilled_prometheus(servers: Servers, folder: Path, exposition: str, port: int) -> Iterator[None]:
    """A running Prometheus that holds the samples of an OpenMetrics text."""
    (folder / "samples.txt").write_text(exposition, encoding="utf-8")
    (folder / "prometheus.yml").write_text("{}", encoding="ascii")
    blocks = [servers.promtool, "tsdb", "create-blocks-from", "openmetrics", "samples.txt", "data"]
    made = subprocess.run(
        blocks, cwd=folder, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS
    )
    assert made.returncode == 0, made.stdout + made.stderr
    with prometheus_process(servers, folder, folder / "prometheus.yml", port):
        yield


@contextmanager
def backfilled_victoria_metrics(servers: Servers, folder: Path, exposition: str, port: int) -> Iterator[None]:
    """A running VictoriaMetrics that holds the samples of an OpenMetrics text with times in whole seconds."""
    (folder / "prometheus.yml").write_text("{}", encoding="ascii")
    url = f"http://127.0.0.1:{port}"
    samples = (line for line in exposition.splitlines() if not line.startswith("#"))
    in_milliseconds = "".join(f"{sample}000\n" for sample in samples).encode()
    with victoria_metrics_process(servers, folder, folder / "prometheus.yml", port):
        imported = requests.post(f"{url}/api/v1/import/prometheus", in_milliseconds, timeout=PATIENCE_SECONDS)
        imported.raise_for_status()
        requests.get(f"{url}/internal/force_flush", timeout=PATIENCE_SECONDS).raise_for_status()
        yield


Backfilled = Callable[[Servers, Path, str, int], AbstractContextManager[None]]
BACKFILLED: dict[str, Backfilled] = {
    PROMETHEUS: backfilled_prometheus,
    VICTORIA_METRICS: backfilled_victoria_metrics,
}


def backend_process(folder: Path, store_url: str, port: int, timeout: float = 60) -> Process:
    """The backend over a store, its database in ``folder``; not started."""
    prefix = "MODELPLANE_DATASOURCE_"
    environment = {
        f"{prefix}PROMETHEUS_URL": store_url,
        f"{prefix}PROMETHEUS_TIMEOUT_SECONDS": str(timeout),
        f"{prefix}SCRAPE_INTERVAL_SECONDS": "1",
        f"{prefix}DATABASE_URL": f"sqlite:///{folder}/modelplane.db",
        f"{prefix}PORT": str(port),
    }
    ready = f"http://127.0.0.1:{port}/healthz"
    arguments = [sys.executable, "-m", "modelplane_datasource"]
    return Process("backend", arguments, folder / "backend.log", environment, ready)


def last_settled_second(store_url: str) -> int:
    """The last second, since 1970, of which the store shows all samples; 0 while it has none.

    A store shows a sample up to three seconds after a newer one: VictoriaMetrics writes in parallel.
    """
    query = {"query": f"{metrics.REQUESTS.name}[1m]"}
    answer = requests.get(f"{store_url}/api/v1/query", query, timeout=PATIENCE_SECONDS).json()
    return int(min((series["values"][-1][0] for series in answer["data"]["result"]), default=3)) - 3


def has_rates(store_url: str) -> bool:
    """Whether there are rates of the last ten settled seconds."""
    query = f"rate({metrics.REQUESTS.name}[4s])"
    parameters: dict[str, str | float] = {"query": query, "time": last_settled_second(store_url) - 10}
    answer = requests.get(f"{store_url}/api/v1/query", parameters, timeout=PATIENCE_SECONDS).json()
    return len(answer["data"]["result"]) == 2 * len(LATENCIES)


@pytest.fixture(scope="session", params=STORES)
def store(request: pytest.FixtureRequest) -> str:
    """Which store the test runs with."""
    return str(request.param)


@pytest.fixture(scope="session")
def store_urls(
    exporter_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[tuple[str, str], str]]:
    """URLs of stores that hold at least 10 seconds of rates, by generation and name.

    All are started at once, so that their first seconds are waited for once.
    """
    urls: dict[tuple[str, str], str] = {}
    with ExitStack() as running:
        for servers, name in product(available_servers(), STORES):
            folder, port = tmp_path_factory.mktemp(name), free_port()
            process = STORE_PROCESSES[name](servers, folder, scrape_config(folder, exporter_port), port)
            running.enter_context(process)
            urls[servers.generation, name] = f"http://127.0.0.1:{port}"
        for url in urls.values():
            assert wait_until(partial(has_rates, url)), f"no rates in {url}"
        yield urls


@pytest.fixture(scope="session")
def store_url(servers: Servers, store: str, store_urls: dict[tuple[str, str], str]) -> str:
    """URL of a store that holds at least 10 seconds of rates."""
    return store_urls[servers.generation, store]


@pytest.fixture
def settled_second(store_url: str) -> int:
    """The last second, since 1970, of which the store shows all samples."""
    return last_settled_second(store_url)


@pytest.fixture(scope="session")
def backend(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a backend over the store."""
    port = free_port()
    with backend_process(tmp_path_factory.mktemp("backend"), store_url, port):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def backfill(servers: Servers) -> Iterator[Callable[[str, Path, str], str]]:
    """Start a store of the module's own: (store, folder, OpenMetrics text with times in seconds) -> URL."""
    with ExitStack() as running:

        def start(store: str, folder: Path, exposition: str) -> str:
            folder.mkdir(exist_ok=True)
            port = free_port()
            running.enter_context(BACKFILLED[store](servers, folder, exposition, port))
            return f"http://127.0.0.1:{port}"

        yield start


@pytest.fixture(scope="module")
def backfilled(store: str, backfill: Callable[[str, Path, str], str]) -> Callable[[Path, str], str]:
    """Start the store that the test runs with: (folder, OpenMetrics text with times in seconds) -> URL."""
    return partial(backfill, store)


@pytest.fixture
def start_store(
    request: pytest.FixtureRequest, servers: Servers, store: str, exporter_port: int
) -> Callable[[Path, int], Process]:
    """Start a store of the test's own, which scrapes: (folder, port); it is stopped when the test ends."""

    def start(folder: Path, port: int) -> Process:
        config = scrape_config(folder, exporter_port)
        return started(STORE_PROCESSES[store](servers, folder, config, port), request)

    return start


@pytest.fixture
def start_backend(request: pytest.FixtureRequest) -> Callable[..., Process]:
    """Start a backend of the test's own: (folder, store_url, port, timeout=60)."""

    def start(folder: Path, store_url: str, port: int, timeout: float = 60) -> Process:
        return started(backend_process(folder, store_url, port, timeout), request)

    return start


def started(process: Process, request: pytest.FixtureRequest) -> Process:
    process.start()
    request.addfinalizer(process.stop)
    process.wait_ready()
    return process


@pytest.fixture(scope="module")
def customary_ports_taken() -> Iterator[None]:
    """Planes take free ports: those of two tests at once would both choose the customary ones."""
    with ExitStack() as taken:
        for port in CUSTOMARY_PORTS:
            with suppress(OSError):
                taken.enter_context(socket.create_server(("127.0.0.1", port)))
        yield


@pytest.fixture(scope="module")
def all_examples_alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Modules that run all examples wait for each other: ten frameworks at once do not keep their rates."""
    shared = tmp_path_factory.getbasetemp().parent  # by the processes of pytest-xdist
    with (shared / "all-examples.lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    """A server that runs; its folder must be one that another user can reach."""
    folder = Path(tempfile.mkdtemp(prefix="modelplane-postgresql-"))
    try:
        server = PostgreSQL(folder)
        try:
            server.start()
            yield server
        finally:
            server.process.stop()
    finally:
        shutil.rmtree(folder)
