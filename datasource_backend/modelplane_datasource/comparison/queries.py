"""What two versions did, from the increases of their counters and histograms."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from modelplane_datasource.comparison.verdicts import (
    Comparison,
    VersionCounts,
    compare,
    on_common_bounds,
)
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError
from modelplane_datasource.prometheus.histograms import NO_OBSERVATIONS, Histogram
from modelplane_datasource.timeline.times import duration
from modelplane_schema import metrics
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector

_SUM = "sum"  # no bound reads like that
# Measured with tracemalloc on CPython 3.11.
_INDICATOR_BYTES, _BOUND_BYTES = 600, 100
Increases = Mapping[str, float]
Versions = tuple[VersionCounts, VersionCounts]  # baseline and candidate


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """``start`` and ``end`` are in milliseconds; calls of all ``tenants`` count together."""

    model: str
    tenants: tuple[str, ...]
    baseline: str
    candidate: str
    quantiles: tuple[float, ...]
    level: float
    start: int
    end: int

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Matchers of both versions."""
        return (
            Matcher(MODEL_NAME, self.model),
            one_of(TENANT_ID, self.tenants),
            one_of(MODEL_VERSION, (self.baseline, self.candidate)),
        )


def compare_versions(prometheus: PrometheusClient, request: CompareRequest) -> tuple[Versions, Comparison]:
    """What baseline and candidate did, and how they compare. UpstreamError."""
    versions = version_counts(prometheus, request)
    return versions, compare(*versions, request.quantiles, request.level)


def version_counts(prometheus: PrometheusClient, request: CompareRequest) -> Versions:
    """What baseline and candidate did between start and end, on the same bounds. UpstreamError."""
    calls, latency_seconds, confidences = prometheus.at_once(
        partial(
            _increases, prometheus, request, _sum_by(request, metrics.REQUESTS.name, "outcome"), "outcome"
        ),
        partial(_increases, prometheus, request, _buckets_and_sum(request, metrics.LATENCY.name), "le"),
        partial(_increases, prometheus, request, _buckets_and_sum(request, metrics.CONFIDENCE.name), "le"),
    )
    latency = _histograms(metrics.LATENCY.name, latency_seconds)
    confidence = _histograms(metrics.CONFIDENCE.name, confidences)

    def of(version: str) -> VersionCounts:
        return VersionCounts.from_increases(
            calls.get(version, {}),
            latency.get(version, NO_OBSERVATIONS),
            confidence.get(version, NO_OBSERVATIONS),
        )

    try:
        versions = of(request.baseline), of(request.candidate)
    except ValueError as error:
        raise _unusable(metrics.REQUESTS.name, error) from error
    try:
        return on_common_bounds(*versions)
    except ValueError as error:
        raise _unusable(f"the histograms of {request.baseline} and {request.candidate}", error) from error


def result_bytes(result: tuple[Versions, Comparison]) -> int:
    """About what the counts of two versions and their comparison take in memory."""
    versions, comparison = result
    bounds = sum(len(version.latency.bounds) + len(version.confidence.bounds) for version in versions)
    return _INDICATOR_BYTES * len(comparison.indicators) + _BOUND_BYTES * bounds


def _histograms(name: str, increases: Mapping[str, Increases]) -> dict[str, Histogram]:
    """Histograms by version; a version without buckets has none."""
    histograms = {}
    for version, parts in increases.items():
        buckets = {text: increase for text, increase in parts.items() if text != _SUM}
        try:
            histograms[version] = Histogram.from_increases(buckets, parts.get(_SUM, math.nan))
        except ValueError as error:
            raise _unusable(name, error) from error
    return histograms


def _buckets_and_sum(request: CompareRequest, name: str) -> str:
    """A query of a histogram: its buckets by ``le``, and its sum as a bucket with a name for ``le``."""
    buckets, total = _sum_by(request, f"{name}_bucket", "le"), _sum_by(request, f"{name}_sum")
    return f'{buckets} or label_replace({total}, "le", "{_SUM}", "", "")'


def _sum_by(request: CompareRequest, counter: str, *labels: str) -> str:
    """A query of the increases of a counter by version and ``labels``."""
    window = duration(request.end - request.start)
    by = ", ".join((MODEL_VERSION, *labels))
    return f"sum by ({by}) (increase({selector(counter, request.matchers)}[{window}]))"


def _increases(
    prometheus: PrometheusClient, request: CompareRequest, query: str, label: str
) -> dict[str, Increases]:
    """Increases by version, then by the values of ``label``."""
    increases: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample in prometheus.query(query, request.end):
        increases[sample.labels.get(MODEL_VERSION, "")][sample.labels.get(label, "")] = sample.value
    return dict(increases)


def _unusable(name: str, error: ValueError) -> UpstreamError:
    return UpstreamError(INVALID, f"Prometheus' answer about {name} is not usable: {error}.")
