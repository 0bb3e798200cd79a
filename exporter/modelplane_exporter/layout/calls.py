"""How the state of one identity is laid out as integers: metrics of calls.

A *cell* is one 64-bit integer. The same layout serves the process's own memory, the files that worker
processes share, and rendering: adding two states cell by cell merges them exactly. Sums of seconds are
in nanoseconds and sums of ratios in billionths, because float sums merged over workers can step back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from modelplane_schema import metrics
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import Metric

BILLION = 1_000_000_000


@dataclass(frozen=True, slots=True)
class MetricCells:
    """The cells of one metric: ``cells[start:stop]``.

    A histogram has one cell for each bucket (not cumulated), one for ``+Inf``, and last the sum. A metric
    with a closed label has one cell for each of its values. ``scale`` divides a cell, of a histogram the
    sum, to give the exposed number.
    """

    metric: Metric
    start: int
    stop: int
    scale: int = 1

    @property
    def sum_cell(self) -> int:
        """Index of a histogram's sum."""
        return self.stop - 1


def _size(metric: Metric) -> int:
    if metric.type == "histogram":
        return len(metric.buckets) + 2
    return len(metric.closed[0][1]) if metric.closed else 1


def _laid_out(*declared: tuple[Metric, int]) -> tuple[MetricCells, ...]:
    layouts, start = [], 0
    for metric, scale in declared:
        stop = start + _size(metric)
        layouts.append(MetricCells(metric, start, stop, scale))
        start = stop
    return tuple(layouts)


CALL_METRICS = _laid_out(
    (metrics.LATENCY, BILLION),
    (metrics.REQUESTS, 1),
    (metrics.CONFIDENCE, BILLION),
    (metrics.ACTIVE, 1),
    (metrics.ITEMS, 1),
    (metrics.DEVICE_SECONDS, BILLION),
    (metrics.TOKENS, 1),
    (metrics.TIME_TO_FIRST_TOKEN, BILLION),
    (metrics.TIME_PER_OUTPUT_TOKEN, BILLION),
    (metrics.INVALID_OBSERVATIONS, 1),
)
LATENCY, REQUESTS, CONFIDENCE, ACTIVE, ITEMS, DEVICE_SECONDS, TOKENS, FIRST_TOKEN, PER_TOKEN, INVALID = (
    CALL_METRICS
)
CELLS = CALL_METRICS[-1].stop

# Shown at 0 from the first exposition on; the other metrics only once they hold something.
ALWAYS_EXPOSED = (LATENCY, REQUESTS, CONFIDENCE, ACTIVE, ITEMS, DEVICE_SECONDS)


class Key(NamedTuple):
    """Whose state it is: an identity on a device."""

    identity: Identity
    device: str
    device_type: str


class Exemplar(NamedTuple):
    """One call that fell into a latency bucket; ``timestamp`` in seconds since 1970."""

    trace_id: str
    seconds: float
    timestamp: float


class Snapshot(NamedTuple):
    """A copy of the state of one key; ``cells`` has ``CELLS`` entries. Only calls in flight may ever fall.

    ``exemplars`` maps the index of a latency bucket to its newest exemplar.
    """

    key: Key
    cells: tuple[int, ...]
    exemplars: Mapping[int, Exemplar] = MappingProxyType({})
