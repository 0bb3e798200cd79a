"""Counts of signals by bin, live and of what they are held against, as Prometheus has them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelplane_datasource.drift_request import (
    CONFIDENCE_KIND,
    REFERENCE,
    WINDOW,
    Reference,
    signal_matchers,
    without_tenant,
)
from modelplane_datasource.errors import ApiError
from modelplane_datasource.grid import Grid
from modelplane_datasource.histograms import parse_bound
from modelplane_datasource.scope import Scope
from modelplane_datasource.times import duration
from modelplane_datasource.upstream import PrometheusClient
from modelplane_schema import metrics
from modelplane_schema.metrics import (
    ALL_TENANTS,
    MISSING_BIN,
    MODEL_NAME,
    MODEL_VERSION,
    OTHER_BIN,
    TENANT_ID,
)
from modelplane_schema.promql import Matcher, selector

FloatArray = npt.NDArray[np.float64]

_SIGNAL = ("kind", "signal", "baseline")


class SignalOf(NamedTuple):
    """Which signal of whom."""

    model_name: str
    model_version: str
    tenant_id: str
    kind: str
    signal: str
    baseline: str


class Live(NamedTuple):
    """A signal's counts of shape (times, bins), NaN where there is no data; ``bins`` are in their order."""

    signal: SignalOf
    bins: tuple[str, ...]
    counts: FloatArray

    @property
    def is_numeric(self) -> bool:
        """Whether the bins have an order."""
        return OTHER_BIN not in self.bins


class Against(NamedTuple):
    """What a signal is held against.

    ``ratios`` has shape (bins) or (times, bins), ``observations``, the size of the other data, () or (times).
    """

    ratios: FloatArray
    observations: FloatArray


def live_counts(prometheus: PrometheusClient, scope: Scope, grid: Grid) -> list[Live]:
    """Counts of every signal of the scope in the window that ends at each time of the grid. UpstreamError."""
    window = duration(scope.options[WINDOW.name])
    return _counts(prometheus, scope, scope.matchers, grid, f"[{window}]")


def previous_counts(prometheus: PrometheusClient, scope: Scope, grid: Grid, length: int) -> list[Live]:
    """Counts in the time of ``length`` milliseconds that ends where the live window starts."""
    offset = duration(scope.options[WINDOW.name])
    return _counts(prometheus, scope, scope.matchers, grid, f"[{duration(length)}] offset {offset}")


def version_counts(prometheus: PrometheusClient, scope: Scope, grid: Grid, version: str) -> list[Live]:
    """Counts of another version in the live window."""
    others = tuple(matcher for matcher in scope.matchers if matcher.label != MODEL_VERSION)
    window = duration(scope.options[WINDOW.name])
    matchers = (*others, Matcher(MODEL_VERSION, version))
    return _counts(prometheus, scope, matchers, grid, f"[{window}]")


def references(
    prometheus: PrometheusClient, scope: Scope, grid: Grid, lives: Iterable[Live]
) -> dict[SignalOf, Against]:
    """What each live signal is held against, where there is something. ApiError 422, UpstreamError."""
    asked: Reference = scope.options[REFERENCE.name]
    if asked.previous is not None:
        earlier = previous_counts(prometheus, scope, grid, asked.previous)
        return _matched(lives, earlier, lambda signal: signal)
    if asked.version is not None:
        others = version_counts(prometheus, scope, grid, asked.version)
        _refuse_other_baseline(lives, others, asked.version)
        return _matched(lives, others, lambda signal: signal._replace(model_version=""))
    return _baselines(prometheus, scope, grid, lives)


def edges(prometheus: PrometheusClient, scope: Scope, grid: Grid) -> dict[tuple[str, str], float]:
    """The upper bound of each bin of a numeric signal, by baseline and bin; the last is infinite."""
    chosen = without_tenant(signal_matchers(scope))
    name = selector(metrics.BASELINE_UPPER_BOUND.name, chosen)
    range_ = duration(scope.options[WINDOW.name])
    query = f"max by (baseline, bin) (last_over_time({name}[{range_}]))"
    return {
        (sample.labels.get("baseline", ""), sample.labels.get("bin", "")): sample.value
        for sample in prometheus.query(query, grid.end)
    }


def deviations(
    prometheus: PrometheusClient, scope: Scope, grid: Grid, modifier: str
) -> dict[SignalOf, FloatArray]:
    """The sum of deviations of each signal, of shape (times); a constant signal has none. UpstreamError."""
    labels = ", ".join((MODEL_NAME, MODEL_VERSION, TENANT_ID, *_SIGNAL))
    parts = (metrics.SIGNAL_DEVIATION_POSITIVE, metrics.SIGNAL_DEVIATION_NEGATIVE)
    positive, negative = (
        f"sum by ({labels}) (increase({selector(metric.name, signal_matchers(scope))}{modifier}))"
        for metric in parts
    )
    result = prometheus.query_range(f"{positive} - {negative}", grid)
    return {_signal_of(series.labels): _array(series.values) for series in result.series}


def modifier_of(scope: Scope, reference: Reference | None) -> str:
    """The range and offset of the live window, or of the time before it."""
    window = duration(scope.options[WINDOW.name])
    if reference is not None and reference.previous is not None:
        return f"[{duration(reference.previous)}] offset {window}"
    return f"[{window}]"


def _counts(
    prometheus: PrometheusClient, scope: Scope, matchers: tuple[Matcher, ...], grid: Grid, modifier: str
) -> list[Live]:
    if CONFIDENCE_KIND in scope.options["kind"]:
        return _confidence_counts(prometheus, scope, matchers, grid, modifier)
    chosen = (*matchers, *signal_matchers(scope)[len(scope.matchers) :])
    labels = ", ".join((MODEL_NAME, MODEL_VERSION, TENANT_ID, *_SIGNAL, "bin"))
    counter = selector(metrics.SIGNAL_OBSERVATIONS.name, chosen)
    result = prometheus.query_range(f"sum by ({labels}) (increase({counter}{modifier}))", grid)
    found: defaultdict[SignalOf, dict[str, FloatArray]] = defaultdict(dict)
    for series in result.series:
        found[_signal_of(series.labels)][series.labels.get("bin", "")] = _array(series.values)
    return [_live(signal, columns) for signal, columns in sorted(found.items())]


def _confidence_counts(
    prometheus: PrometheusClient, scope: Scope, matchers: tuple[Matcher, ...], grid: Grid, modifier: str
) -> list[Live]:
    """Confidence by its fixed bounds; of all tenants together where that is asked for."""
    together = ALL_TENANTS in scope.tenants
    chosen = without_tenant(matchers) if together else matchers
    labels = ", ".join((MODEL_NAME, MODEL_VERSION, *(() if together else (TENANT_ID,)), "le"))
    buckets = selector(f"{metrics.CONFIDENCE.name}_bucket", chosen)
    result = prometheus.query_range(f"sum by ({labels}) (increase({buckets}{modifier}))", grid)
    found: defaultdict[SignalOf, dict[float, FloatArray]] = defaultdict(dict)
    for series in result.series:
        tenant = ALL_TENANTS if together else series.labels.get(TENANT_ID, "")
        signal = SignalOf(
            series.labels.get(MODEL_NAME, ""), series.labels.get(MODEL_VERSION, ""), tenant,
            CONFIDENCE_KIND, CONFIDENCE_KIND, "",
        )  # fmt: skip
        found[signal][parse_bound(series.labels.get("le", ""))] = _array(series.values)
    return [_of_buckets(signal, buckets) for signal, buckets in sorted(found.items())]


def _of_buckets(signal: SignalOf, buckets: Mapping[float, FloatArray]) -> Live:
    bounds = sorted(buckets)
    cumulative = np.stack([buckets[bound] for bound in bounds], axis=-1)
    counts = np.maximum(np.diff(cumulative, axis=-1, prepend=0.0), 0.0)
    return Live(signal, tuple(f"{index:02d}" for index in range(len(bounds))), counts)


def _live(signal: SignalOf, columns: Mapping[str, FloatArray]) -> Live:
    """Ranges in ascending order or categories by name, then all others, missing values last."""
    last = (OTHER_BIN, MISSING_BIN)
    names = sorted(columns, key=lambda name: (last.index(name) + 1 if name in last else 0, name))
    return Live(signal, tuple(names), np.stack([columns[name] for name in names], axis=-1))


def _signal_of(labels: Mapping[str, str]) -> SignalOf:
    """Which signal a series is of; a baseline belongs to no tenant, which reads empty."""
    names = (MODEL_NAME, MODEL_VERSION, TENANT_ID, *_SIGNAL)
    return SignalOf(*(labels.get(name, "") for name in names))


def _array(values: Iterable[float | None]) -> FloatArray:
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _matched(
    lives: Iterable[Live], others: Iterable[Live], key: Callable[[SignalOf], SignalOf]
) -> dict[SignalOf, Against]:
    """Shares of the other counts, in the order of the live bins."""
    by_key = {key(other.signal): other for other in others}
    found = {}
    for live in lives:
        other = by_key.get(key(live.signal))
        if other is not None:
            columns = {name: other.counts[..., index] for index, name in enumerate(other.bins)}
            empty = np.zeros(live.counts.shape[:-1])
            counts = np.stack([columns.get(name, empty) for name in live.bins], axis=-1)
            size = counts.sum(axis=-1)
            with np.errstate(divide="ignore", invalid="ignore"):
                found[live.signal] = Against(counts / size[..., None], size)
    return found


def _refuse_other_baseline(lives: Iterable[Live], others: Iterable[Live], version: str) -> None:
    """ApiError 422 when bins differ: quantile bins of different training data do not compare."""
    theirs = {other.signal.baseline for other in others}
    for live in lives:
        if theirs and live.signal.baseline not in theirs:
            raise ApiError(
                422,
                "not_comparable",
                f"Version {live.signal.model_version!r} and version {version!r} have different baselines, so "
                "their bins do not compare; allowed: reference=baseline, previous:<duration>, or a version "
                "with the same baseline.",
                {"parameter": REFERENCE.name, "baselines": sorted({live.signal.baseline, *theirs})},
            )


def _baselines(
    prometheus: PrometheusClient, scope: Scope, grid: Grid, lives: Iterable[Live]
) -> dict[SignalOf, Against]:
    if CONFIDENCE_KIND in scope.options["kind"]:
        raise ApiError(
            422,
            "not_comparable",
            "Confidence has no training baseline; allowed: previous:<duration> or version:<version>.",
            {"parameter": REFERENCE.name},
        )
    by = ", ".join((MODEL_NAME, MODEL_VERSION, *_SIGNAL))
    chosen = without_tenant(signal_matchers(scope))
    range_ = duration(grid.end - grid.start + scope.options[WINDOW.name])
    ratios: defaultdict[SignalOf, dict[str, float]] = defaultdict(dict)
    query = f"max by ({by}, bin) (last_over_time({selector(metrics.BASELINE_RATIO.name, chosen)}[{range_}]))"
    for sample in prometheus.query(query, grid.end):
        ratios[_signal_of(sample.labels)][sample.labels.get("bin", "")] = sample.value
    size = f"max by ({by}) (last_over_time({selector(metrics.BASELINE_OBSERVATIONS.name, chosen)}[{range_}]))"
    sizes = {_signal_of(sample.labels): sample.value for sample in prometheus.query(size, grid.end)}
    found = {}
    for live in lives:
        signal = live.signal._replace(tenant_id="")
        if signal in ratios and signal in sizes:
            shares = [ratios[signal].get(name, 0.0) for name in live.bins]
            found[live.signal] = Against(np.array(shares), np.array(sizes[signal]))
    return found
