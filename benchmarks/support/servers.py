"""A Prometheus that holds a plane's day, and backends in front of it, as child processes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import requests

from modelplane_provisioning.processes import Process, free_port, wait_until
from support import plane_data, remote_write

BLOCK = 30  # scrapes in one request
SERIES_AT_ONCE = 8_000
_PREFIX = "MODELPLANE_DATASOURCE_"
_TICKS = os.sysconf("SC_CLK_TCK")


class Query(NamedTuple):
    """A query as Prometheus' API takes it."""

    path: str
    form: Mapping[str, str]


class Prometheus:
    """A running Prometheus; ``port`` on loopback."""

    def __init__(self, folder: Path, port: int, process: Process) -> None:
        self.port, self.process = port, process
        self._log = folder / "queries.log"
        self._read = 0

    def forget_queries(self) -> None:
        """Leave out what came so far."""
        self._read = self._log.stat().st_size

    def new_queries(self) -> list[Query]:
        """The queries that came since the last call, in their order."""
        with self._log.open() as log:
            log.seek(self._read)
            entries = [json.loads(line) for line in log]
            self._read = log.tell()
        return [_query(entry["params"]) for entry in entries if "httpRequest" in entry]


def _query(params: Mapping[str, str | int]) -> Query:
    start, end = (str(datetime.fromisoformat(str(params[name])).timestamp()) for name in ("start", "end"))
    if not params["step"]:
        return Query("/api/v1/query", {"query": str(params["query"]), "time": end})
    step = str(params["step"])
    return Query(
        "/api/v1/query_range", {"query": str(params["query"]), "start": start, "end": end, "step": step}
    )


@contextmanager
def running_prometheus(
    folder: Path, configuration: str | None = None, binary: str = "prometheus"
) -> Iterator[Prometheus]:
    """An empty Prometheus that takes remote writes; unless it has a ``configuration`` it logs its queries."""
    port = free_port()
    config = folder / "prometheus.yml"
    config.write_text(configuration or f"global: {{query_log_file: {folder / 'queries.log'}}}\n")
    arguments = [
        binary,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
        "--web.enable-lifecycle",
    ]
    ready = f"http://127.0.0.1:{port}/-/ready"
    process = Process("prometheus", arguments, folder / "prometheus.log", ready_url=ready)
    process.start()
    try:
        process.wait_ready(60)
        yield Prometheus(folder, port, process)
    finally:
        process.stop()


def load(port: int, size: plane_data.Size, end: int) -> int:
    """Write the plane's samples, the last at ``end`` seconds, and wait for their blocks; their number."""
    url, session = f"http://127.0.0.1:{port}", requests.Session()
    sources = (plane_data.IdentitySeries(size), plane_data.SignalSeries(size))
    requests_of = [SeriesRequests(source.labels()) for source in sources]
    first = end - (size.scrapes - 1) * size.interval
    samples = 0
    for blocks in zip(*(source.blocks(BLOCK) for source in sources), strict=True):
        scrapes = blocks[0].scrapes
        times = (first + size.interval * np.array(scrapes, dtype=np.int64)) * 1000
        for bodies, block in zip(requests_of, blocks, strict=True):
            for body in bodies.bodies(block.values, times):
                remote_write.send(session, f"{url}/api/v1/write", body)
            samples += block.values.size
        print(f"\rwrote {samples / 1e6:.1f} million samples", end="", file=sys.stderr)
    print(file=sys.stderr)
    wait_for_blocks(url, session, end)
    return samples


def wait_for_blocks(url: str, session: requests.Session, end: int, timeout: int = 300) -> None:
    """Wait for the blocks of a day that ends at ``end`` seconds; SystemExit after ``timeout`` seconds."""
    if not wait_until(lambda: _is_compacted(url, session, end), timeout=timeout, interval=2):
        raise SystemExit(f"Prometheus did not write its blocks within {timeout} s")


class SeriesRequests:
    """Requests for series in parts, laid out anew only when the number of samples changes."""

    def __init__(self, labels: list[plane_data.Labels]) -> None:
        """``labels`` of each series in the order of the values."""
        self._parts = [labels[at : at + SERIES_AT_ONCE] for at in range(0, len(labels), SERIES_AT_ONCE)]
        self._samples = 0
        self._requests: list[remote_write.Request] = []

    def bodies(self, values: plane_data.Floats, times: np.ndarray) -> Iterator[bytes]:
        """Requests with ``values`` of shape (series, times) at ``times`` in milliseconds."""
        if len(times) != self._samples:
            self._samples = len(times)
            self._requests = [remote_write.Request(part, len(times)) for part in self._parts]
        for number, request in enumerate(self._requests):
            at = number * SERIES_AT_ONCE
            yield request.body(values[at : at + SERIES_AT_ONCE], times)


def _is_compacted(url: str, session: requests.Session, end: int) -> bool:
    """Whether the head holds no more than the last hours, which Prometheus never writes to a block."""
    for line in session.get(f"{url}/metrics", timeout=30).text.splitlines():
        if line.startswith("prometheus_tsdb_head_min_time "):
            return float(line.split()[1]) / 1000 > end - 4 * 3600
    return False


def environment(
    prometheus: Prometheus, folder: Path, registry: Path, cache_seconds: float, cache_bytes: int = 64 * 2**20
) -> dict[str, str]:
    """Settings of a backend."""
    settings = {
        "PROMETHEUS_URL": f"http://127.0.0.1:{prometheus.port}",
        "PROMETHEUS_TIMEOUT_SECONDS": "60",
        "SCRAPE_INTERVAL_SECONDS": str(plane_data.INTERVAL),
        "DATABASE_URL": f"sqlite:///{folder}/modelplane.db",
        "REGISTRY_FILE": str(registry),
        "CACHE_SECONDS": f"{cache_seconds:g}",
        "MAX_CACHE_BYTES": str(cache_bytes),
    }
    return {f"{_PREFIX}{name}": value for name, value in settings.items()}


@contextmanager
def running_backend(
    name: str, folder: Path, env: Mapping[str, str], ready_path: str = "/readyz"
) -> Iterator[tuple[int, Process]]:
    """The backend as its own command runs it: one process."""
    port = free_port()
    arguments = [sys.executable, "-m", "modelplane_datasource"]
    env = {**env, f"{_PREFIX}PORT": str(port)}
    with _running(name, arguments, folder, env, port, ready_path) as process:
        yield port, process


@contextmanager
def running_forwarder(folder: Path, prometheus: Prometheus) -> Iterator[int]:
    """The port of a process that sends queries on and reads no answer."""
    port = free_port()
    arguments = [sys.executable, "-m", "support.forwarder", str(prometheus.port), str(port)]
    env = {"PYTHONPATH": str(Path(__file__).parents[1])}
    with _running("forwarder", arguments, folder, env, port, "/readyz"):
        yield port


@contextmanager
def running_workers(folder: Path, env: Mapping[str, str], workers: int) -> Iterator[tuple[int, Process]]:
    """The backend in several worker processes of gunicorn."""
    port = free_port()
    arguments = [
        sys.executable, "-m", "gunicorn", "--workers", str(workers), "--threads", "4",
        "--bind", f"127.0.0.1:{port}", "--pythonpath", str(Path(__file__).parents[1]), "support.wsgi:app",
    ]  # fmt: skip
    with _running("workers", arguments, folder, env, port, "/readyz") as process:
        yield port, process


@contextmanager
def _running(
    name: str, arguments: list[str], folder: Path, env: Mapping[str, str], port: int, ready_path: str
) -> Iterator[Process]:
    ready = f"http://127.0.0.1:{port}{ready_path}"
    process = Process(name, arguments, folder / f"{name}.log", env, ready)
    process.start()
    try:
        process.wait_ready(60)
        yield process
    finally:
        process.stop()


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and of the children that it has."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    process_seconds = (int(fields[11]) + int(fields[12])) / _TICKS
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return process_seconds + sum(cpu_seconds(int(child)) for child in children)


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def last_scrape(interval: int) -> int:
    """Seconds of the last whole interval, at which the plane's day ends."""
    now = int(time.time())
    return now - now % interval
