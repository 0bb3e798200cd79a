"""What one measured call costs the model's thread, beside a plain prometheus_client decorator.

Both count in-flight, latency, outcome and confidence of the same function in the same process. Rounds
are interleaved, so that a machine that changes speed changes it for both; the bare function's time is
subtracted. Prints JSON. Run: make bench
"""

from __future__ import annotations

import functools
import json
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from modelplane_exporter import ModelMetricsExporter
from modelplane_schema import metrics

ROUNDS = 15
CALLS = 20_000
IDENTITY = ("m", "v1", "t", "pytorch")


def predict() -> dict[str, float]:
    return {"confidence": 0.87}


def plain(function: Callable[[], dict[str, float]]) -> Callable[[], dict[str, float]]:
    """A decorator as one would write it with prometheus_client, labels looked up on each call."""
    registry = CollectorRegistry()
    active = Gauge("active", "active", metrics.IDENTITY, registry=registry)
    latency = Histogram(
        "latency", "latency", metrics.IDENTITY, buckets=metrics.LATENCY_BUCKETS, registry=registry
    )
    confidence = Histogram(
        "confidence", "confidence", metrics.IDENTITY, buckets=metrics.CONFIDENCE_BUCKETS, registry=registry
    )
    outcomes = Counter("requests", "requests", (*metrics.IDENTITY, "outcome"), registry=registry)

    @functools.wraps(function)
    def measured() -> dict[str, float]:
        active.labels(*IDENTITY).inc()
        start = time.perf_counter()
        try:
            result = function()
        except Exception:
            outcomes.labels(*IDENTITY, "failure").inc()
            raise
        else:
            outcomes.labels(*IDENTITY, "success").inc()
            confidence.labels(*IDENTITY).observe(result["confidence"])
            return result
        finally:
            latency.labels(*IDENTITY).observe(time.perf_counter() - start)
            active.labels(*IDENTITY).dec()

    return measured


def seconds_per_call(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        function()
    return (time.perf_counter() - start) / CALLS


def main() -> None:
    exporter = ModelMetricsExporter(*IDENTITY, registry=CollectorRegistry())
    subjects = {"bare": predict, "plain": plain(predict), "modelplane": exporter(predict)}
    rounds: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(ROUNDS):
        for name, function in subjects.items():
            rounds[name].append(seconds_per_call(function))
    overhead = {
        name: [took - bare for took, bare in zip(rounds[name], rounds["bare"], strict=True)]
        for name in ("plain", "modelplane")
    }
    ratios = [ours / theirs for ours, theirs in zip(overhead["modelplane"], overhead["plain"], strict=True)]
    print(
        json.dumps(
            {
                "benchmark": "exporter",
                "method": f"{ROUNDS} interleaved rounds of {CALLS} calls, one thread, bare call subtracted",
                "python": platform.python_version(),
                "overhead_us_median": {
                    name: round(statistics.median(values) * 1e6, 2) for name, values in overhead.items()
                },
                "modelplane_over_plain": {
                    "median": round(statistics.median(ratios), 3),
                    "min": round(min(ratios), 3),
                    "max": round(max(ratios), 3),
                },
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
