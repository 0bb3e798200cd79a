"""The labels of every series that boards may read, by its name in PromQL."""

from __future__ import annotations

from collections.abc import Mapping

from modelplane_schema.metrics import METRICS, Metric
from modelplane_schema.plane_series import PLANE_SERIES
from modelplane_schema.recorded import RECORDED

_SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "histogram": ("_bucket", "_sum", "_count"),
    "counter": ("",),
    "gauge": ("",),
}


def _scraped(metric: Metric) -> Mapping[str, tuple[str, ...]]:
    buckets = {"_bucket": ("le",)}
    return {
        metric.name + suffix: (*metric.labels, *buckets.get(suffix, ())) for suffix in _SUFFIXES[metric.type]
    }


SERIES_LABELS: Mapping[str, tuple[str, ...]] = {
    **{name: labels for metric in (*METRICS, *PLANE_SERIES) for name, labels in _scraped(metric).items()},
    **{series.name: series.labels for series in RECORDED},
}


def is_constant(name: str) -> bool:
    """Whether a series is a constant of the registry, which has no labels of a cluster."""
    return name.endswith(":config")
