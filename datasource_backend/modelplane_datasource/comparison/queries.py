"""What two versions did in slices of time, from the increases of their counters and histograms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from modelplane_datasource.comparison.indicators import MIN_SLICES
from modelplane_datasource.comparison.slices import (
    HistogramSlices,
    VersionSlices,
    check_increases,
    on_common_bounds,
)
from modelplane_datasource.comparison.verdicts import Comparison, compare
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError
from modelplane_datasource.prometheus.native_histograms import LE, ClassicBuckets
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import duration
from modelplane_schema import metrics
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID, Metric
from modelplane_schema.promql import Matcher, one_of, selector

_SUM = "sum"  # no bound reads like that
MAX_SLICES = 240
MAX_VERDICTS = 60  # each takes milliseconds
SCRAPES_PER_SLICE = 4  # as many as every rate needs at least, so that one missed scrape loses nothing
Increases = Mapping[str, FloatArray]  # by the value of a label, each of the shape (slices,)
Versions = tuple[VersionSlices, VersionSlices]  # baseline and candidate


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """Calls of all ``tenants`` count together, of every one where none is named.

    ``ends`` are the ends of the slices.
    """

    model: str
    tenants: tuple[str, ...]
    baseline: str
    candidate: str
    quantiles: tuple[float, ...]
    above: tuple[float, ...]
    level: float
    ends: Grid
    scrape_interval: int

    @property
    def start(self) -> int:
        """Milliseconds at which the first slice starts."""
        return self.ends.start - self.ends.step

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Matchers of both versions."""
        return (
            Matcher(MODEL_NAME, self.model),
            *((one_of(TENANT_ID, self.tenants),) if self.tenants else ()),
            one_of(MODEL_VERSION, (self.baseline, self.candidate)),
        )


def slice_ends(start: int, end: int, scrape_interval: int) -> Grid | None:
    """The ends of the slices of a range, all in milliseconds; None when it is shorter than one.

    A slice has 4 scrapes, or twice as many, and so on until there are at most ``MAX_SLICES``. Slices lie on
    multiples of their length, so that a range that only grows at its end keeps those that it had.
    """
    step = SCRAPES_PER_SLICE * scrape_interval
    while (end - end % step) - (start - start % step) > MAX_SLICES * step:
        step *= 2
    first, last = start - start % step + step, end - end % step
    return Grid(first, last, step) if first <= last else None


def compare_versions(prometheus: PrometheusClient, request: CompareRequest) -> tuple[Versions, Comparison]:
    """What baseline and candidate did, and how they compare. UpstreamError."""
    versions = version_slices(prometheus, request)
    return versions, _compare(request, versions)


def verdicts_over_time(prometheus: PrometheusClient, request: CompareRequest) -> list[tuple[int, Comparison]]:
    """The end of slice after slice, at most ``MAX_VERDICTS`` of them, and the comparison up to it.

    UpstreamError.
    """
    baseline, candidate = version_slices(prometheus, request)
    every, ends = -(-len(request.ends) // MAX_VERDICTS), request.ends.times
    places = range(len(ends) - 1, MIN_SLICES - 2, -every)
    return [
        (
            ends[place],
            _compare(request, (baseline.part(slice(0, place + 1)), candidate.part(slice(0, place + 1)))),
        )
        for place in reversed(places)
    ]


def _compare(request: CompareRequest, versions: Versions) -> Comparison:
    return compare(*versions, request.quantiles, request.level, above=request.above)


def version_slices(prometheus: PrometheusClient, request: CompareRequest) -> Versions:
    """What baseline and candidate did in each slice, on the same bounds. UpstreamError."""
    reader = _Reader(prometheus, request, _window(request, prometheus.extrapolates()))
    calls, latency_seconds, confidences = prometheus.at_once(
        reader.calls,
        partial(reader.histogram, metrics.LATENCY),
        partial(reader.histogram, metrics.CONFIDENCE),
    )
    nothing = np.zeros(len(request.ends))

    def of(version: str) -> VersionSlices:
        outcomes = calls.get(version, {})
        return VersionSlices(
            outcomes.get("success", nothing),
            outcomes.get("failure", nothing),
            _histogram(metrics.LATENCY.name, latency_seconds.get(version, {}), nothing),
            _histogram(metrics.CONFIDENCE.name, confidences.get(version, {}), nothing),
        )

    _check_outcomes(calls)
    versions = of(request.baseline), of(request.candidate)
    try:
        return on_common_bounds(*versions)
    except ValueError as error:
        raise _unusable(f"the histograms of {request.baseline} and {request.candidate}", error) from error


def result_bytes(result: tuple[Versions, Comparison]) -> int:
    """About what the slices of two versions and their comparison take in memory."""
    versions, comparison = result
    indicator_bytes = 1000  # measured with tracemalloc on CPython 3.11
    histograms = [part for version in versions for part in (version.latency, version.confidence)]
    arrays = sum(part.cumulative.nbytes + 2 * part.counts.nbytes for part in histograms)
    return indicator_bytes * len(comparison.indicators) + arrays + sum(4 * v.calls.nbytes for v in versions)


def _check_outcomes(calls: Mapping[str, Increases]) -> None:
    for outcomes in calls.values():
        for outcome, increases in outcomes.items():
            try:
                check_increases(f"outcome {outcome!r}", increases)
            except ValueError as error:
                raise _unusable(metrics.REQUESTS.name, error) from error


def _histogram(name: str, parts: Increases, nothing: FloatArray) -> HistogramSlices:
    buckets = {text: increases for text, increases in parts.items() if text != _SUM}
    try:
        return HistogramSlices.from_increases(buckets, parts.get(_SUM, nothing))
    except ValueError as error:
        raise _unusable(name, error) from error


def _window(request: CompareRequest, extrapolates: bool) -> int:
    """Milliseconds over which ``increase`` sees a slice, so that no increase falls between two slices.

    Where it begins with the first sample in the window, that is to be the last before the slice.
    """
    return request.ends.step + (request.scrape_interval if extrapolates else 0)


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads increases in slices, over windows of ``window`` milliseconds. Errors are UpstreamError."""

    prometheus: PrometheusClient
    request: CompareRequest
    window: int

    def calls(self) -> dict[str, Increases]:
        """Calls by outcome."""
        return self._increases(self._sum_by(metrics.REQUESTS.name, "outcome"), "outcome")

    def histogram(self, metric: Metric) -> dict[str, Increases]:
        """Increases of a histogram, classic or native: its buckets by ``le``, its sum by a name for it."""
        name = metric.name
        buckets, total = self._sum_by(f"{name}_bucket", LE), self._sum_by(f"{name}_sum")
        query = f'{buckets} or {self._sum_by(name)} or label_replace({total}, "{LE}", "{_SUM}", "", "")'
        return self._increases(query, LE, ClassicBuckets(metric.buckets, _SUM))

    def _sum_by(self, counter: str, *labels: str) -> str:
        """A query of the increases of a counter by version and ``labels``."""
        by = ", ".join((MODEL_VERSION, *labels))
        selected = selector(counter, self.request.matchers)
        return f"sum by ({by}) (increase({selected}[{duration(self.window)}]))"

    def _increases(
        self, query: str, label: str, buckets: ClassicBuckets | None = None
    ) -> dict[str, Increases]:
        """Increases by version, then by the values of ``label``; 0 in a slice without samples, NaN of a sum.

        What is stretched to a window that is longer than the slice is cut to the slice.
        """
        table = self.prometheus.query_table(query, self.request.ends, buckets)
        all_values = table.values * (self.request.ends.step / self.window)
        counts = np.where(np.isnan(all_values), 0.0, all_values)
        increases: defaultdict[str, dict[str, FloatArray]] = defaultdict(dict)
        for row, labels in enumerate(table.labels):
            text = labels.get(label, "")
            values = all_values if text == _SUM else counts
            increases[labels.get(MODEL_VERSION, "")][text] = values[row]
        return dict(increases)


def _unusable(name: str, error: ValueError) -> UpstreamError:
    return UpstreamError(INVALID, f"Prometheus' answer about {name} is not usable: {error}.")
