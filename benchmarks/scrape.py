"""What one scrape costs, beside ``prometheus_client.generate_latest`` for the same data.

Every identity of one model has the same number of observations in all series that are always exposed;
prometheus_client's own metrics hold the same observations, without their ``_created`` series. Rounds are
interleaved, so that a machine that changes speed changes it for all. CPU time of the process in
milliseconds: median, least and most over the rounds. Prints JSON. Run: make bench
"""

from __future__ import annotations

import gzip
import json
import platform
import random
import statistics
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client import generate_latest as text_of
from prometheus_client.core import Metric as Family
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics_of
from prometheus_client.parser import text_string_to_metric_families

from modelplane_exporter.exposition.text import END, chunks
from modelplane_exporter.layout.calls import ALWAYS_EXPOSED, CELLS, DEVICE_SECONDS, Key, MetricCells, Snapshot
from modelplane_exporter.layout.state import State
from modelplane_exporter.serving.responder import GZIP_LEVEL, exposition
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import Metric

ROUNDS = {1: 201, 500: 9, 5000: 3}
OBSERVATIONS = 40


def data(identities: int) -> tuple[list[Snapshot], CollectorRegistry]:
    """The same observations as snapshots and as prometheus_client metrics."""
    disable_created_metrics()  # type: ignore[no-untyped-call]
    registry, chance = CollectorRegistry(), random.Random(1)  # noqa: S311 - not a secret
    plain = {layout: _client_metric(layout.metric, registry) for layout in ALWAYS_EXPOSED}
    snapshots = []
    for number in range(identities):
        key = Key(Identity("resnet50", "v1.2.0", f"tenant-{number:05d}", "pytorch"), "GPU-8a1f2c3d", "a100")
        cells = [0] * CELLS
        for layout, metric in plain.items():
            _fill(cells, layout, metric, key, chance)
        snapshots.append(Snapshot(key, tuple(cells)))
    return snapshots, registry


def _client_metric(metric: Metric, registry: CollectorRegistry) -> Counter | Gauge | Histogram:
    if metric.type == "histogram":
        return Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=registry)
    kind = Counter if metric.type == "counter" else Gauge
    return kind(metric.name, metric.help, metric.labels, registry=registry)


def _fill(
    cells: list[int],
    layout: MetricCells,
    metric: Counter | Gauge | Histogram,
    key: Key,
    chance: random.Random,
) -> None:
    if isinstance(metric, Histogram):
        child = metric.labels(*key.identity)
        for _ in range(OBSERVATIONS):
            # Sixteenths, so that sums of floats and of billionths are the same.
            value = chance.randrange(16) / 16
            child.observe(value)
            cells[layout.start + bisect_left(layout.metric.buckets, value)] += 1
            cells[layout.sum_cell] += int(value * layout.scale)
        return
    for offset in range(layout.stop - layout.start):
        extra = layout.metric.closed[0][1][offset : offset + 1] if layout.metric.closed else ()
        devices = key[1:] if layout is DEVICE_SECONDS else ()
        count = chance.randrange(100_000)
        metric.labels(*key.identity, *extra, *devices).inc(count)
        cells[layout.start + offset] = count * layout.scale


def samples(text: bytes) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
    """All samples of an exposition, in no order."""
    families = text_string_to_metric_families(text.decode())
    return {(s.name, frozenset(s.labels.items()), s.value) for family in families for s in family.samples}


class SnapshotStore:
    """Snapshots as a store, for an exposition with its pauses."""

    def __init__(self, snapshots: list[Snapshot]) -> None:
        self._snapshots = snapshots
        self.scrape_seconds = 0.0

    def state(self) -> State:
        """All snapshots, and no samples."""
        return State(self._snapshots, [])

    def describe(self) -> Iterable[Family]:
        """Never called."""
        return []


def measured(subjects: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """CPU milliseconds of each subject."""
    milliseconds: dict[str, list[float]] = {name: [] for name in subjects}
    for _ in range(rounds):
        for name, subject in subjects.items():
            start = time.process_time()
            subject()
            milliseconds[name].append((time.process_time() - start) * 1000)
    return {
        name: {
            "median": round(statistics.median(times), 3),
            "least": round(min(times), 3),
            "most": round(max(times), 3),
        }
        for name, times in milliseconds.items()
    }


def compared(identities: int) -> dict[str, object]:
    """One size: times, ratios and sizes."""
    snapshots, registry = data(identities)
    text = b"".join(chunks(snapshots, []))
    assert samples(text) == samples(text_of(registry)), "the two expositions differ"
    store, empty = SnapshotStore(snapshots), CollectorRegistry()
    times = measured(
        {
            "text": lambda: b"".join(chunks(snapshots, [])),
            "generate_latest": lambda: text_of(registry),
            "openmetrics": lambda: b"".join([*chunks(snapshots, [], openmetrics=True), END]),
            "generate_latest_openmetrics": lambda: openmetrics_of(registry),  # type: ignore[no-untyped-call]
            "exposition_with_pauses": lambda: exposition(empty, store, ""),
            "gzip_without_the_interpreter_lock": lambda: gzip.compress(text, GZIP_LEVEL),
        },
        ROUNDS[identities],
    )
    return {
        "identities": identities,
        "lines": text.count(b"\n"),
        "bytes": len(text),
        "cpu_ms": times,
        "text_times_faster": round(times["generate_latest"]["median"] / times["text"]["median"], 1),
        "openmetrics_times_faster": round(
            times["generate_latest_openmetrics"]["median"] / times["openmetrics"]["median"], 1
        ),
    }


def main() -> None:
    """Print the JSON."""
    comparisons = [compared(identities) for identities in ROUNDS]
    print(
        json.dumps({"python": platform.python_version(), "rounds": ROUNDS, "scrape": comparisons}, indent=2)
    )


if __name__ == "__main__":
    main()
