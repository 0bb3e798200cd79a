"""What the backend adds to Prometheus, route by route, over a day of a large plane.

A real Prometheus takes 2,000 identities with 21 series each, one sample a minute for 24 hours, by remote
write, and logs every query. A route is called once and its queries are read from that log. Then, in each
round, Prometheus answers those queries itself over a kept connection, a process that is nothing but Flask
behind waitress sends them on and reads no answer, the backend answers the route by asking Prometheus, and
another backend answers it from its cache. Each round asks about another model and tenant. Nobody asks for
compression. Milliseconds are wall time of the caller until the whole body is read; an overhead is the median
of the rounds' differences, and below the forwarder's no such backend can go. Throughput comes from 8
connections at once against two worker processes. Memory is that of one process before and after 50,000
requests for ever different data, with a cache that the warm-up fills.
Prints JSON; progress goes to stderr.

Example: python benchmarks/backend.py --identities 200 --hours 4 --seconds 2 --requests 1000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from support import plane_data, servers
from support.client import Client
from support.plane_data import BASELINE_VERSION, CANDIDATE_VERSION

TENANTS = 50
ROUNDS = 100
CONNECTIONS = 8
WARM_UP = 5_000
CACHE_BYTES = 16 * 2**20
LIMITS = {"ratio": 1.3, "overhead_ms": 3.0, "cached_ms": 3.0, "rss_growth_mb": 5.0}
_JSON = {"Content-Type": "application/json"}
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Request(NamedTuple):
    """What to send; with ``body`` it is a POST."""

    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = {}


class Turn(NamedTuple):
    """Whom a round asks about, and the range in milliseconds."""

    model: str
    tenant: str
    start: int
    end: int


Route = Callable[[Turn], Request]


def get(path: str, *, owner: Callable[[Turn], dict[str, Any]] | None = None, **parameters: object) -> Route:
    """A GET about a turn's model and tenant, unless ``owner`` gives other parameters."""

    def ask(turn: Turn) -> Request:
        who = {"model-name": turn.model, "tenant-id": turn.tenant} if owner is None else owner(turn)
        query = {**who, "from": turn.start, "to": turn.end}
        query.update((name.replace("_", "-"), value) for name, value in parameters.items())
        return Request(f"{path}?{urlencode(query, doseq=True)}")

    return ask


def at_end(path: str, **parameters: object) -> Route:
    """A GET about one moment."""

    def ask(turn: Turn) -> Request:
        query = {"model-name": turn.model, "to": turn.end}
        query.update((name.replace("_", "-"), value) for name, value in parameters.items())
        return Request(f"{path}?{urlencode(query)}")

    return ask


def grafana(turn: Turn) -> Request:
    """A panel of the JSON datasource."""
    payload = {"model-name": turn.model, "tenant-id": turn.tenant}
    body = {
        "range": {"from": _rfc3339(turn.start), "to": _rfc3339(turn.end)},
        "intervalMs": 60_000,
        "maxDataPoints": 1441,
        "targets": [{"refId": "A", "target": "latency", "type": "timeserie", "payload": payload}],
    }
    return Request("/grafana/query", json.dumps(body).encode(), _JSON)


def everyone(turn: Turn) -> dict[str, Any]:
    return {"model-name": turn.model, "tenant-id": [plane_data.tenant_id(n) for n in range(TENANTS)]}


def model_only(turn: Turn) -> dict[str, Any]:
    return {"model-name": turn.model}


def nobody(_turn: Turn) -> dict[str, Any]:
    return {}


SERIES = ("latency", "throughput", "errors", "confidence", "active", "tokens", "saturation")
ROUTES: dict[str, Route] = {
    **{f"metrics/{name}": get(f"/api/v1/metrics/{name}", step="60s") for name in SERIES},
    "metrics/throughput, 50 tenants": get("/api/v1/metrics/throughput", owner=everyone, step="60s"),
    "metrics/latency, 500 points": get("/api/v1/metrics/latency"),
    "rows/latency": get("/api/v1/rows/latency", step="60s"),
    "grafana/query": grafana,
    "metrics/slo": get("/api/v1/metrics/slo", step="60s"),
    "metrics/drift, one signal": get(
        "/api/v1/metrics/drift", owner=model_only, signal="feature_00", maxDataPoints=289
    ),
    "metrics/drift, ten signals": get("/api/v1/metrics/drift", owner=model_only, maxDataPoints=289),
    "drift/top": at_end("/api/v1/drift/top"),
    "drift/distribution": at_end("/api/v1/drift/distribution", signal="feature_00", kind="input"),
    "slo": at_end("/api/v1/slo", tenant_id=plane_data.tenant_id(0)),
    "compare": get("/api/v1/compare", baseline=BASELINE_VERSION, candidate=CANDIDATE_VERSION),
    "metrics/cost": get("/api/v1/metrics/cost", owner=nobody, group_by="tenant", step="1h"),
    "costs": get("/api/v1/costs", owner=nobody, group_by="tenant"),
}


class Plane(NamedTuple):
    """What is measured: Prometheus, a backend that keeps no answers and one that does."""

    size: plane_data.Size
    end: int  # seconds
    prometheus: servers.Prometheus
    forwarder: int
    uncached: int
    cached: int
    cached_pid: int

    def turn(self, number: int) -> Turn:
        """Whom turn ``number`` asks about, over all the data there is."""
        length = (self.size.scrapes - 1) * self.size.interval
        return Turn(
            plane_data.model_name(number % self.size.models),
            plane_data.tenant_id(number // self.size.models % self.size.tenants),
            (self.end - length) * 1000,
            self.end * 1000,
        )


def measure_route(plane: Plane, route: Route, seconds: float) -> dict[str, Any]:
    """Interleaved rounds of one route, at most ``ROUNDS`` and about ``seconds`` long."""
    ports = (plane.prometheus.port, plane.forwarder, plane.uncached, plane.cached)
    direct, forwarder, uncached, cached = clients = [Client(port) for port in ports]
    first = plane.turn(0)
    plane.prometheus.forget_queries()
    answer = uncached.send(*route(first))
    queries = plane.prometheus.new_queries()
    columns: dict[str, list[float]] = {"direct": [], "forwarded": [], "uncached": [], "cached": []}
    started, number = time.monotonic(), 0
    while number < ROUNDS and (number < 5 or time.monotonic() - started < seconds):
        number += 1
        turn = plane.turn(number)
        requests = [_direct(query, first, turn) for query in queries]
        steps = (
            ("direct", partial(_send_all, direct, requests)),
            ("forwarded", partial(forwarder.send, *_forwarded(requests))),
            ("uncached", partial(uncached.send, *route(turn))),
        )
        # Whoever comes first may find caches of the machine cold.
        at = number % len(steps)
        for name, step in (*steps[at:], *steps[:at]):
            columns[name].append(_milliseconds(step))
        cached.send(*route(turn))
        columns["cached"].append(_milliseconds(partial(cached.send, *route(turn))))
    for client in clients:
        client.close()
    return {"queries": len(queries), "bytes": len(answer), "rounds": number, **_summary(columns)}


def _send_all(client: Client, requests: Sequence[Request]) -> None:
    for request in requests:
        client.send(*request)


def _forwarded(requests: Sequence[Request]) -> Request:
    """All ``requests`` in one to the forwarder."""
    queries = [(request.path, (request.body or b"").decode()) for request in requests]
    return Request("/", json.dumps(queries).encode(), _JSON)


def _direct(query: servers.Query, first: Turn, turn: Turn) -> Request:
    """A query that was logged for the first turn, about another."""
    promql = query.form["query"].replace(first.model, turn.model).replace(first.tenant, turn.tenant)
    return Request(query.path, urlencode({**query.form, "query": promql}).encode(), _FORM)


def _milliseconds(call: Callable[[], object]) -> float:
    before = time.perf_counter()
    call()
    return (time.perf_counter() - before) * 1000


def _summary(columns: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    pairs = list(zip(columns["direct"], columns["uncached"], strict=True))
    ratio = statistics.median(ours / theirs for theirs, ours in pairs)
    overhead, floor = (_overhead(columns, name) for name in ("uncached", "forwarded"))
    cached = statistics.median(columns["cached"])
    return {
        "milliseconds": {name: _percentiles(values) for name, values in columns.items()},
        "ratio": round(ratio, 2),
        "overhead_ms": round(overhead, 2),
        "forwarder_overhead_ms": round(floor, 2),
        "within_limits": {
            "uncached": ratio <= LIMITS["ratio"] or overhead <= LIMITS["overhead_ms"],
            "cached": cached <= LIMITS["cached_ms"],
        },
    }


def _overhead(columns: Mapping[str, Sequence[float]], name: str) -> float:
    """The median of what a column adds to Prometheus itself, in milliseconds."""
    return statistics.median(more - less for more, less in zip(columns[name], columns["direct"], strict=True))


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": round(statistics.median(ordered), 2),
        "p99": round(ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))], 2),
    }


def measure_throughput(plane: Plane, port: int, pid: int, seconds: float) -> dict[str, Any]:
    """Requests a second of one day of latency, all about the same or each about another turn."""
    route = ROUTES["metrics/latency, 500 points"]
    pids = {"workers": pid, "prometheus": plane.prometheus.process.pid}
    throughput = {}

    def ask(turns: int, number: int) -> Request:
        return route(plane.turn(number % turns))

    for name, turns in (("same", 1), ("different", plane.size.models * plane.size.tenants)):
        before = _cpu_seconds(pids)
        started = time.monotonic()
        requests = _load(port, partial(ask, turns), started + seconds)
        elapsed = time.monotonic() - started
        cpu = {who: spent - before[who] for who, spent in _cpu_seconds(pids).items()}
        throughput[name] = {
            "requests_per_second": round(requests / elapsed),
            "cpu_ms_per_request": {who: round(1000 * spent / requests, 2) for who, spent in cpu.items()},
            "cores_busy": round(sum(cpu.values()) / elapsed, 2),
        }
    return throughput


def _cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU time so far of processes with their children, and of this process, the clients, without any."""
    return {**{who: servers.cpu_seconds(pid) for who, pid in pids.items()}, "clients": time.process_time()}


def _load(port: int, ask: Callable[[int], Request], until: float) -> int:
    """How many requests ``CONNECTIONS`` clients had answered."""

    def run_client(number: int) -> int:
        client, sent = Client(port), 0
        while time.monotonic() < until:
            client.send(*ask(number + CONNECTIONS * sent))
            sent += 1
        client.close()
        return sent

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return sum(pool.map(run_client, range(CONNECTIONS)))


def measure_memory(plane: Plane, requests: int) -> dict[str, Any]:
    """RSS of one process over many requests for one hour of ever different data."""
    names = [f"metrics/{name}" for name in SERIES] + ["rows/latency", "drift/top", "compare"]
    client, resident = Client(plane.cached), {}
    for number in range(WARM_UP + requests + 1):
        if number >= WARM_UP and (number - WARM_UP) % max(1, requests // 10) == 0:
            resident[number - WARM_UP] = servers.resident_bytes(plane.cached_pid) / 2**20
            print(f"\r{number} requests, {resident[number - WARM_UP]:.1f} MiB", end="", file=sys.stderr)
        turn = plane.turn(number // len(names))
        late = turn.end - number * 60_000 % max(60_000, turn.end - turn.start - 3_600_000)
        client.send(*ROUTES[names[number % len(names)]](turn._replace(start=late - 3_600_000, end=late)))
    print(file=sys.stderr)
    client.close()
    growth = resident[requests] - resident[0]
    return {
        "warm_up": WARM_UP,
        "requests": requests,
        "resident_mb": {str(number): round(size, 1) for number, size in resident.items()},
        "growth_mb": round(growth, 1),
        "within_limit": growth <= LIMITS["rss_growth_mb"],
    }


def _rfc3339(milliseconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(milliseconds / 1000))


def _version_of(program: str) -> str:
    ran = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return (ran.stdout + ran.stderr).splitlines()[0]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--identities", type=int, default=2000, help="at least 100")
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=15.0, help="how long to measure each route")
    parser.add_argument("--requests", type=int, default=50_000, help="of the memory test; 0 leaves it out")
    parser.add_argument("--routes", default="", help="only routes whose names contain this")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    size = plane_data.Size(
        models=arguments.identities // (TENANTS * len(plane_data.VERSIONS)),
        tenants=TENANTS,
        scrapes=arguments.hours * 3600 // plane_data.INTERVAL + 1,
    )
    end = servers.last_scrape(size.interval)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        registry = folder / "modelplane.yaml"
        registry.write_text(plane_data.registry(size))
        prometheus = stack.enter_context(servers.running_prometheus(folder))
        samples = servers.load(prometheus.port, size, end)
        backend = {}
        for name, cache_seconds in (("uncached", 0.0), ("cached", 60.0)):
            env = servers.environment(prometheus, folder, registry, cache_seconds, CACHE_BYTES)
            backend[name] = stack.enter_context(servers.running_backend(name, folder, env))
        forwarder = stack.enter_context(servers.running_forwarder(folder, prometheus))
        (uncached, _), (cached, cached_process) = backend["uncached"], backend["cached"]
        plane = Plane(size, end, prometheus, forwarder, uncached, cached, cached_process.pid)
        routes = {}
        for name, route in ROUTES.items():
            if arguments.routes in name:
                routes[name] = measure_route(plane, route, arguments.seconds)
                print(f"{name}: {routes[name]['milliseconds']}", file=sys.stderr)
        throughput = {}
        for name, cache_seconds in (("uncached", 0.0), ("cached", 60.0)):
            env = servers.environment(prometheus, folder, registry, cache_seconds, CACHE_BYTES)
            with servers.running_workers(folder, env, 2) as (port, process):
                throughput[name] = measure_throughput(plane, port, process.pid, arguments.seconds)
        memory = measure_memory(plane, arguments.requests) if arguments.requests else None
    report = {
        "method": " ".join((__doc__ or "").split("\n\n")[1].split()),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "prometheus": _version_of("prometheus"),
        "data": {"identities": size.identities, "samples": samples, "hours": arguments.hours},
        "limits": LIMITS,
        "routes": routes,
        "throughput": throughput,
        "memory": memory,
    }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
