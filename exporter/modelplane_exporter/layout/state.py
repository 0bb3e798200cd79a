"""All that a process exposes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from modelplane_exporter.layout.calls import Snapshot
from modelplane_exporter.layout.signals import LoadedBaseline, SignalSnapshot
from modelplane_schema.metrics import Metric


class MetricSample(NamedTuple):
    """One sample of a metric that is not kept in cells: ``model_info`` and the exporter about itself.

    ``labels`` are values in the order of the metric's labels.
    """

    metric: Metric
    labels: tuple[str, ...]
    value: float


class State(NamedTuple):
    """All that a process exposes, or all its workers together."""

    snapshots: Sequence[Snapshot]
    samples: Sequence[MetricSample]
    signals: Sequence[SignalSnapshot] = ()
    baselines: Sequence[LoadedBaseline] = ()
