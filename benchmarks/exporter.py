"""What one measured call costs: ours, prometheus_client plain and with cached children, OpenTelemetry.

Every subject counts in-flight, latency, outcome and confidence of the same function, in the same process;
ours also charges device seconds. Rounds are interleaved, so a machine that changes speed changes it for all,
and the bare function's time is subtracted. For ours, *caller* is the wall time of the call itself and *total*
the CPU time with the draining counted in; the others do all their work in the call. Prints JSON.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_schema import metrics
from modelplane_schema.identity import Identity

ROUNDS = 15
CALLS = 10_000
IDENTITY = ("m", "v1", "t", "pytorch")
NEVER = 10**9

Function = Callable[[], Any]


def predict() -> dict[str, float]:
    return {"confidence": 0.87}


async def apredict() -> dict[str, float]:
    return {"confidence": 0.87}


def prometheus_metrics() -> tuple[Gauge, Histogram, Histogram, Counter]:
    registry, labels = CollectorRegistry(), metrics.IDENTITY
    return (
        Gauge("active", "active", labels, registry=registry),
        Histogram("latency", "latency", labels, buckets=metrics.LATENCY_BUCKETS, registry=registry),
        Histogram("confidence", "confidence", labels, buckets=metrics.CONFIDENCE_BUCKETS, registry=registry),
        Counter("requests", "requests", (*labels, "outcome"), registry=registry),
    )


def plain(function: Function) -> Function:
    """Labels looked up on each call, as prometheus_client's documentation shows it."""
    active, latency, confidence, requests = prometheus_metrics()

    @functools.wraps(function)
    def measured() -> Any:
        active.labels(*IDENTITY).inc()
        start = time.perf_counter()
        try:
            result = function()
        except Exception:
            requests.labels(*IDENTITY, "failure").inc()
            raise
        else:
            requests.labels(*IDENTITY, "success").inc()
            confidence.labels(*IDENTITY).observe(result["confidence"])
            return result
        finally:
            latency.labels(*IDENTITY).observe(time.perf_counter() - start)
            active.labels(*IDENTITY).dec()

    return measured


def cached(function: Function) -> Function:
    """Children looked up once: the quickest that prometheus_client can be used."""
    families = prometheus_metrics()
    active, latency = families[0].labels(*IDENTITY), families[1].labels(*IDENTITY)
    confidence = families[2].labels(*IDENTITY)
    success, failure = (families[3].labels(*IDENTITY, outcome) for outcome in ("success", "failure"))

    @functools.wraps(function)
    def measured() -> Any:
        active.inc()
        start = time.perf_counter()
        try:
            result = function()
        except Exception:
            failure.inc()
            raise
        else:
            success.inc()
            confidence.observe(result["confidence"])
            return result
        finally:
            latency.observe(time.perf_counter() - start)
            active.dec()

    return measured


def opentelemetry(function: Function) -> Function | None:
    """OpenTelemetry's metrics SDK with attributes made once; None when it is not installed."""
    try:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    except ModuleNotFoundError:
        return None
    meter = MeterProvider([InMemoryMetricReader()]).get_meter("benchmark")
    active = meter.create_up_down_counter("active")
    latency = meter.create_histogram("latency", explicit_bucket_boundaries_advisory=metrics.LATENCY_BUCKETS)
    confidence = meter.create_histogram(
        "confidence", explicit_bucket_boundaries_advisory=metrics.CONFIDENCE_BUCKETS
    )
    requests = meter.create_counter("requests")
    labels = dict(zip(metrics.IDENTITY, IDENTITY, strict=True))
    success, failure = ({**labels, "outcome": outcome} for outcome in ("success", "failure"))

    @functools.wraps(function)
    def measured() -> Any:
        active.add(1, labels)
        start = time.perf_counter()
        try:
            result = function()
        except Exception:
            requests.add(1, failure)
            raise
        else:
            requests.add(1, success)
            confidence.record(result["confidence"], labels)
            return result
        finally:
            latency.record(time.perf_counter() - start, labels)
            active.add(-1, labels)

    return measured


class Ours:
    """Two decorated functions: one that drains its queue, one that never does, for the caller's share."""

    def __init__(
        self,
        tenant: Any = "t",
        function: Function = predict,
        registries: tuple[CollectorRegistry, CollectorRegistry] | None = None,
    ) -> None:
        self._draining, self._queueing = (
            ModelMetricsExporter("m", "v1", tenant, "pytorch", registry=registry)
            for registry in registries or (CollectorRegistry(), CollectorRegistry())
        )
        self._queueing._recorder.meter.drain_at = NEVER
        self.total = self._draining(function)
        self.caller = self._queueing(function)

    def drain(self) -> None:
        self._draining._recorder.meter.drain(wait=True)

    def drain_caller(self) -> None:
        self._queueing._recorder.meter.drain(wait=True)

    def forget(self) -> None:
        self._queueing._recorder.meter.events.clear()


def wall(function: Function, calls: int = CALLS) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def caller_wall(ours: Ours, empty: Function, chunk: int = 100) -> float:
    """Wall time of a call without draining; ``empty`` is called as often, between readings of the clock."""
    return statistics.fmean(_chunk_wall(ours, empty, chunk) for _ in range(CALLS // chunk))


def _chunk_wall(ours: Ours, empty: Function, chunk: int) -> float:
    took = wall(ours.caller, chunk)
    empty()
    return took


def cpu(function: Function, finish: Callable[[], None], calls: int = CALLS) -> float:
    start = time.process_time()
    for _ in range(calls):
        function()
    finish()
    return (time.process_time() - start) / calls


def one_thread() -> dict[str, Any]:
    ours = Ours()
    others = {
        "plain": plain(predict),
        "cached_children": cached(predict),
        "opentelemetry": opentelemetry(predict),
    }
    rounds: dict[str, list[float]] = {"modelplane_caller": [], "modelplane_total": []}
    for _ in range(ROUNDS):
        bare = wall(predict)
        rounds["modelplane_caller"].append(caller_wall(ours, ours.forget) - bare)
        rounds["modelplane_total"].append(cpu(ours.total, ours.drain) - bare)
        for name, function in others.items():
            if function is not None:
                rounds.setdefault(name, []).append(wall(function) - bare)
    plain_rounds = rounds["plain"]
    return {
        "overhead_us": {name: spread(values) for name, values in rounds.items()},
        "plain_over_modelplane": {
            part: ratio(plain_rounds, rounds[f"modelplane_{part}"]) for part in ("caller", "total")
        },
    }


def eight_threads() -> dict[str, Any]:
    """CPU time of a call when eight threads call at once; the bare function's in the same way subtracted."""

    def in_threads(function: Function, finish: Callable[[], None] = lambda: None) -> float:
        threads = [threading.Thread(target=wall, args=(function, CALLS // 4)) for _ in range(8)]
        start = time.process_time()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        finish()
        return (time.process_time() - start) / (CALLS // 4) / 8

    ours, ordinary = Ours(), plain(predict)
    rounds: dict[str, list[float]] = {"modelplane_total": [], "plain": []}
    for _ in range(ROUNDS):
        bare = in_threads(predict)
        rounds["modelplane_total"].append(in_threads(ours.total, ours.drain) - bare)
        rounds["plain"].append(in_threads(ordinary) - bare)
    return {"overhead_us": {name: spread(values) for name, values in rounds.items()}}


def asyncio_calls() -> dict[str, Any]:
    async def loop(function: Callable[[], Any]) -> None:
        for _ in range(CALLS):
            await function()

    def total(function: Callable[[], Any], finish: Callable[[], None] = lambda: None) -> float:
        start = time.process_time()
        asyncio.run(loop(function))
        finish()
        return (time.process_time() - start) / CALLS

    ours = Ours(function=apredict)
    values = []
    for _ in range(ROUNDS):
        bare = total(apredict)
        values.append(total(ours.total, ours.drain) - bare)
    return {"overhead_us": {"modelplane_total": spread(values)}}


def several_identities(count: int = 16) -> dict[str, Any]:
    """As many decorated functions, one tenant each, called in turn; and one function with as many tenants."""
    registries = CollectorRegistry(), CollectorRegistry()
    many = [Ours(f"t{number}", registries=registries) for number in range(count)]
    turns = iter(range(NEVER))
    per_call = Ours(lambda: f"t{next(turns) % count}")

    def in_turn(functions: list[Function]) -> Function:
        def all_of_them() -> None:
            for function in functions:
                function()

        return all_of_them

    def drain_all() -> None:
        for ours in many:
            ours.drain()

    rounds: dict[str, list[float]] = {"fixed_total": [], "function_total": []}
    for _ in range(ROUNDS):
        bare = wall(in_turn([predict] * count), CALLS // count) / count
        rounds["fixed_total"].append(
            cpu(in_turn([o.total for o in many]), drain_all, CALLS // count) / count - bare
        )
        rounds["function_total"].append(cpu(per_call.total, per_call.drain) - wall(predict))
    return {"identities": count, "overhead_us": {name: spread(values) for name, values in rounds.items()}}


def several_processes() -> dict[str, Any]:
    """A call when this process shares its counts with others by a file, which goes when the process ends."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder)
    os.environ["MODELPLANE_EXPORTER_WORKERS_DIR"] = folder
    try:
        ours = Ours()
    finally:
        del os.environ["MODELPLANE_EXPORTER_WORKERS_DIR"]
    rounds: dict[str, list[float]] = {"modelplane_caller": [], "modelplane_total": []}
    for _ in range(ROUNDS):
        bare = wall(predict)
        rounds["modelplane_caller"].append(caller_wall(ours, ours.drain_caller) - bare)
        rounds["modelplane_total"].append(cpu(ours.total, ours.drain) - bare)
    return {"overhead_us": {name: spread(values) for name, values in rounds.items()}}


def bytes_per_identity(count: int = 5000) -> int:
    store = Store()
    recorder = VersionRecorder(
        store, Identity("m", "v1", "any", "jax"), ("d", "cpu-process"), max_tenants=count
    )
    names = [f"tenant-{number}" for number in range(count)]
    tracemalloc.start()
    for name in names:
        recorder.state_of(name)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return used // count


def spread(seconds: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(seconds) * 1e6, 3),
        "min": round(min(seconds) * 1e6, 3),
        "max": round(max(seconds) * 1e6, 3),
    }


def ratio(theirs: list[float], ours: list[float]) -> float:
    return round(statistics.median(a / b for a, b in zip(theirs, ours, strict=True)), 1)


def main() -> None:
    report = {
        "benchmark": "exporter",
        "method": f"{ROUNDS} interleaved rounds of {CALLS} calls; bare call subtracted; medians and extremes",
        "python": platform.python_version(),
        "one_thread": one_thread(),
        "eight_threads": eight_threads(),
        "asyncio": asyncio_calls(),
        "several_identities": several_identities(),
        "several_processes": several_processes(),
        "bytes_per_identity": bytes_per_identity(),
    }
    json.dump(report, sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
