"""The queries of drift, and the signals with their references that are made of the answers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from modelplane_datasource.context import AppContext
from modelplane_datasource.drift.bin_counts import (
    SIGNAL_LABELS,
    BinTable,
    Block,
    Key,
    LiveCounts,
    QueryAnswer,
    SignalKey,
    arrange,
    bin_table,
    keys_of,
    live_counts_of,
    shares_of_counts,
    shares_of_training,
)
from modelplane_datasource.drift.parameters import (
    CONFIDENCE_KIND,
    KIND,
    REFERENCE,
    SIGNAL,
    WINDOW,
    Reference,
    signal_matchers,
    without_tenant,
)
from modelplane_datasource.errors import ApiError
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.histograms import parse_bound
from modelplane_datasource.prometheus.native_histograms import LE, ClassicBuckets
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.tenancy.caller import current_tenants
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import duration
from modelplane_schema import metrics
from modelplane_schema.metrics import ALL_TENANTS, MODEL_NAME, MODEL_VERSION, TENANT_ID, Metric
from modelplane_schema.promql import Matcher, one_of, selector, total

Query = Callable[[], QueryAnswer]


class Lookback(NamedTuple):
    """The time of a range selector: ``length`` until ``offset`` before an instant, in milliseconds."""

    length: int
    offset: int = 0

    def __str__(self) -> str:
        before = f" offset {duration(self.offset)}" if self.offset else ""
        return f"[{duration(self.length)}]{before}"


# A difference of increases that is smaller is what floats leave, of no call: it would be a bin with mass.
_LEAST_COUNT = 1e-6
_VERSION_LABELS = tuple(name for name in SIGNAL_LABELS if name != TENANT_ID)
_LABELS_WITHOUT_VERSION = tuple(name for name in SIGNAL_LABELS if name != MODEL_VERSION)


def cached_blocks(context: AppContext, selection: Selection, grid: Grid) -> tuple[Block, ...]:
    """``blocks`` of every signal, cached for requests that measure the same in another way. ApiError."""
    names = (KIND.name, SIGNAL.name, REFERENCE.name, WINDOW.name)
    options = {name: selection.options[name] for name in names}
    prometheus = context.prometheus
    return context.cached(
        ("signals", replace(selection, options=options).key, grid),
        grid.step / 1000,
        lambda: blocks(selection, grid, prometheus.at_once(*queries(prometheus, selection, grid))),
        lambda signals: sum(block.bytes for block in signals),
    )


def queries(prometheus: PrometheusClient, selection: Selection, grid: Grid) -> tuple[Query, ...]:
    """The queries for ``blocks``: first the live counts of each window that ends at a time of the grid.

    ApiError 422 when the signals have no such reference.
    """
    reference: Reference = selection.options[REFERENCE.name]
    counts = partial(_counts, prometheus, selection, selection.matchers, grid)
    live = partial(counts, lookback_of(selection, None))
    if reference.previous is not None:
        return live, partial(counts, lookback_of(selection, reference))
    if reference.version is not None:
        others = tuple(matcher for matcher in selection.matchers if matcher.label != MODEL_VERSION)
        matchers = (*others, Matcher(MODEL_VERSION, reference.version))
        return live, partial(_counts, prometheus, selection, matchers, grid, lookback_of(selection, None))
    return live, *_baseline_queries(prometheus, selection, grid)


def blocks(selection: Selection, grid: Grid, answers: Sequence[QueryAnswer]) -> tuple[Block, ...]:
    """Every signal with its reference, from the answers to ``queries``. ApiError 422."""
    reference: Reference = selection.options[REFERENCE.name]
    live_blocks = list(live_counts_of(_table(selection, answers[0], SIGNAL_LABELS)))
    if reference.previous is not None:
        others = _table(selection, answers[1], SIGNAL_LABELS)
        shares = [shares_of_counts(live, others) for live in live_blocks]
    elif reference.version is not None:
        others = _table(selection, answers[1], _LABELS_WITHOUT_VERSION)
        _refuse_other_baseline(live_blocks, others, reference.version)
        shares = [shares_of_counts(live, others) for live in live_blocks]
    else:
        ratios, sizes = bin_table(answers[1], _VERSION_LABELS), bin_table(answers[2], _VERSION_LABELS)
        shares = [shares_of_training(live, ratios, sizes) for live in live_blocks]
    return tuple(map(Block, live_blocks, shares))


def edges(prometheus: PrometheusClient, selection: Selection, grid: Grid) -> QueryAnswer:
    """The upper bound of each bin of a numeric signal, by baseline and bin; the last is infinite."""
    bounds = selector(metrics.BASELINE_UPPER_BOUND.name, without_tenant(signal_matchers(selection)))
    window = duration(selection.options[WINDOW.name])
    return _at_end(prometheus, f"max by (baseline, bin) (last_over_time({bounds}[{window}]))", grid)


def confidence_bounds(counts: QueryAnswer) -> dict[str, dict[str, float]]:
    """As ``edges`` the bounds of confidence, from its live counts; none where histograms have others."""
    bounds: defaultdict[Key, set[float]] = defaultdict(set)
    for labels in counts.labels:
        if "le" in labels:
            owner = tuple(value for label, value in sorted(labels.items()) if label != "le")
            bounds[owner].add(parse_bound(labels["le"]))
    if len({frozenset(of_owner) for of_owner in bounds.values()}) != 1:
        return {}
    _, of_all = bounds.popitem()
    return {"": {f"{index:02d}": bound for index, bound in enumerate(sorted(of_all))}}


def deviations(
    prometheus: PrometheusClient, selection: Selection, grid: Grid, lookback: Lookback
) -> QueryAnswer:
    """The sum of deviations of each signal; a constant one has none. UpstreamError."""
    positive, negative = (
        _sum_of(metric, selection, lookback)
        for metric in (metrics.SIGNAL_DEVIATION_POSITIVE, metrics.SIGNAL_DEVIATION_NEGATIVE)
    )
    return _over_time(prometheus, called_versions_of(f"{positive} - {negative}", selection), grid)


def squared_deviations(
    prometheus: PrometheusClient, selection: Selection, grid: Grid, lookback: Lookback
) -> QueryAnswer:
    """The sum of squared deviations of each signal; a constant one has none. UpstreamError."""
    squares = _sum_of(metrics.SIGNAL_DEVIATION_SQUARE, selection, lookback)
    return _over_time(prometheus, called_versions_of(squares, selection), grid)


def _sum_of(metric: Metric, selection: Selection, lookback: Lookback) -> str:
    """What a counter of signals grows by, summed over replicas."""
    counter = selector(metric.name, signal_matchers(selection))
    return f"sum by ({', '.join(SIGNAL_LABELS)}) (increase({counter}{lookback}))"


def called_versions_of(promql: str, selection: Selection) -> str:
    """``promql`` without versions that only tenants call whom the caller may not see.

    What is counted for all tenants together would name them.
    """
    tenants = current_tenants()
    if tenants is None or ALL_TENANTS not in selection.tenants:
        return promql
    own = one_of(TENANT_ID, (tenant for tenant in tenants if tenant != ALL_TENANTS))
    calls = selector(metrics.REQUESTS.name, (*without_tenant(selection.matchers), own))
    version = f"{MODEL_NAME}, {MODEL_VERSION}"
    called = f"group by ({version}) (last_over_time({calls}[{duration(selection.options[WINDOW.name])}]))"
    return f"({promql}) and on ({version}) {called}"


def lookback_of(selection: Selection, reference: Reference | None) -> Lookback:
    """The live window, or the time of the reference, which ends where the live window starts."""
    window = selection.options[WINDOW.name]
    if reference is not None and reference.previous is not None:
        return Lookback(reference.previous, window)
    return Lookback(window)


def _counts(
    prometheus: PrometheusClient,
    selection: Selection,
    matchers: tuple[Matcher, ...],
    grid: Grid,
    lookback: Lookback,
) -> QueryAnswer:
    """Counts by bin; of confidence by its bounds, of all tenants together where these are selected."""
    if CONFIDENCE_KIND in selection.options[KIND.name]:
        return _confidence_counts(prometheus, selection, matchers, grid, lookback)
    of_signals = signal_matchers(selection)[len(selection.matchers) :]
    counter = selector(metrics.SIGNAL_OBSERVATIONS.name, (*matchers, *of_signals))
    counts = total(f"increase({counter}{lookback})", (*SIGNAL_LABELS, "bin"))
    return _over_time(prometheus, called_versions_of(counts, selection), grid)


def _confidence_counts(
    prometheus: PrometheusClient,
    selection: Selection,
    matchers: tuple[Matcher, ...],
    grid: Grid,
    lookback: Lookback,
) -> QueryAnswer:
    of_owners = without_tenant(matchers) if ALL_TENANTS in selection.tenants else matchers
    owners, name = _owner_labels(selection), metrics.CONFIDENCE.name
    classic, native = (
        total(f"increase({selector(series, of_owners)}{lookback})", by)
        for series, by in ((f"{name}_bucket", (*owners, LE)), (name, owners))
    )
    counts = called_versions_of(f"{classic} or {native}", selection)
    return _over_time(prometheus, counts, grid, ClassicBuckets(metrics.CONFIDENCE.buckets))


def _baseline_queries(prometheus: PrometheusClient, selection: Selection, grid: Grid) -> tuple[Query, Query]:
    """The share of each bin in training, and the size of the training data."""
    if CONFIDENCE_KIND in selection.options[KIND.name]:
        raise ApiError(
            422,
            "not_comparable",
            "Confidence has no training baseline; allowed: previous:<duration> or version:<version>.",
            {"parameter": REFERENCE.name},
        )
    by = ", ".join(_VERSION_LABELS)
    matchers = without_tenant(signal_matchers(selection))
    range_ = duration(grid.end - grid.start + selection.options[WINDOW.name])
    ratio, size = (
        f"(last_over_time({selector(metric.name, matchers)}[{range_}]))"
        for metric in (metrics.BASELINE_RATIO, metrics.BASELINE_OBSERVATIONS)
    )
    return (
        partial(_at_end, prometheus, f"max by ({by}, bin) {ratio}", grid),
        partial(_at_end, prometheus, f"max by ({by}) {size}", grid),
    )


def _over_time(
    prometheus: PrometheusClient, promql: str, grid: Grid, buckets: ClassicBuckets | None = None
) -> QueryAnswer:
    table = prometheus.query_table(promql, grid, buckets)
    return QueryAnswer(table.labels, table.values)


def _at_end(prometheus: PrometheusClient, promql: str, grid: Grid) -> QueryAnswer:
    samples = prometheus.query(promql, grid.end)
    values = np.array([sample.value for sample in samples], dtype=np.float64)
    return QueryAnswer([sample.labels for sample in samples], values[:, None])


def _owner_labels(selection: Selection) -> tuple[str, ...]:
    """The labels by which owners of confidence differ."""
    return (MODEL_NAME, MODEL_VERSION, *(() if ALL_TENANTS in selection.tenants else (TENANT_ID,)))


def _table(selection: Selection, answer: QueryAnswer, names: tuple[str, ...]) -> BinTable:
    """Counts of signals by their fields ``names``."""
    if CONFIDENCE_KIND in selection.options[KIND.name]:
        return _confidence_table(answer, _owner_labels(selection), names)
    return bin_table(answer, names)


def _confidence_table(answer: QueryAnswer, owner_labels: tuple[str, ...], names: tuple[str, ...]) -> BinTable:
    """The cumulative counts of a histogram as those of its bins, numbered from 00 in the order of bounds."""
    owners = keys_of(answer, owner_labels)
    bounds = [parse_bound(labels.get("le", "")) for labels in answer.labels]
    order = sorted(range(len(owners)), key=lambda row: (owners[row], bounds[row]))
    keys, bins = list[Key](), list[str]()
    for (model, version, *tenant), rows in groupby(owners[row] for row in order):
        tenant_id = tenant[0] if tenant else ALL_TENANTS
        signal = SignalKey(model, version, tenant_id, CONFIDENCE_KIND, CONFIDENCE_KIND, "")
        bins_of_owner = [f"{index:02d}" for index, _ in enumerate(rows)]
        bins += bins_of_owner
        keys += [attrgetter(*names)(signal)] * len(bins_of_owner)
    cumulative = answer.values[order]
    counts = np.diff(cumulative, axis=0, prepend=0.0)
    is_first = np.array([name == "00" for name in bins], np.bool_)
    counts[is_first] = cumulative[is_first]
    counts[counts < _LEAST_COUNT] = 0.0
    return arrange(names, keys, bins, counts)


def _refuse_other_baseline(blocks: Iterable[LiveCounts], others: BinTable, version: str) -> None:
    """ApiError 422 when bins differ: quantile bins of different training data do not compare."""
    theirs = {key[others.names.index("baseline")] for key in others.signals}
    for signal in (signal for live in blocks for signal in live.signals):
        if theirs and signal.baseline not in theirs:
            raise ApiError(
                422,
                "not_comparable",
                f"Version {signal.model_version!r} and version {version!r} have different baselines, so "
                "their bins do not compare; allowed: reference=baseline, previous:<duration>, or a version "
                "with the same baseline.",
                {"parameter": REFERENCE.name, "baselines": sorted({signal.baseline, *theirs})},
            )
