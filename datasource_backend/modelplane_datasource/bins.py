"""Counts of signals by bin, live and of what they are held against, as Prometheus has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice, repeat
from operator import attrgetter, itemgetter
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
from modelplane_datasource.upstream_answers import InstantSample, RangeSeries
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
BoolArray = npt.NDArray[np.bool_]

# Formulas make several arrays of the size of a block: as one, 3.5 million counts take 193 MiB instead of 74.
_BLOCK_VALUES = 2**18
_LAST_BINS = (OTHER_BIN, MISSING_BIN)


class SignalOf(NamedTuple):
    """Which signal of whom; the fields are the names of the labels."""

    model_name: str
    model_version: str
    tenant_id: str
    kind: str
    signal: str
    baseline: str


_NAMES = SignalOf._fields
_OF_VERSION = tuple(name for name in _NAMES if name != TENANT_ID)
_OF_ANY_VERSION = tuple(name for name in _NAMES if name != MODEL_VERSION)


class Table(NamedTuple):
    """Numbers of shape (rows, times) by signal and bin, NaN where there is no data.

    ``rows`` has the row of each bin of each signal, which is known by its fields ``names``; one more row, the
    last, holds zeros.
    """

    names: tuple[str, ...]
    rows: Mapping[tuple[str, ...], Mapping[str, int]]
    values: FloatArray

    def has(self, signals: Iterable[SignalOf]) -> BoolArray:
        """Which of the signals are there, of shape (signals)."""
        return np.array([key in self.rows for key in map(attrgetter(*self.names), signals)], dtype=np.bool_)

    def pick(self, signals: Iterable[SignalOf], bins: Iterable[Sequence[str]]) -> FloatArray:
        """Numbers of shape (signals, times, bins), 0 for what is not there; ``bins`` are those of each."""
        found = (self.rows.get(key, {}) for key in map(attrgetter(*self.names), signals))
        rows = [[row.get(name, -1) for name in names] for row, names in zip(found, bins, strict=True)]
        return np.ascontiguousarray(np.moveaxis(self.values[np.array(rows)], -1, 1))


class Live(NamedTuple):
    """Counts of signals that have equally many bins, of shape (signals, times, bins); NaN without data.

    ``bins`` are those of each signal in their order. All signals have a bin for missing values, which is
    the last, or none has; likewise one for other categories.
    """

    signals: tuple[SignalOf, ...]
    bins: tuple[tuple[str, ...], ...]
    counts: FloatArray

    @property
    def is_numeric(self) -> bool:
        """Whether the bins have an order."""
        return OTHER_BIN not in self.bins[0]

    def present(self, values: FloatArray) -> FloatArray:
        """What of ``values`` of shape (..., bins) is in other bins than that of missing values."""
        return values[..., :-1] if self.bins[0][-1] == MISSING_BIN else values

    def take(self, chosen: BoolArray) -> Live:
        """The chosen signals."""
        rows = np.flatnonzero(chosen).tolist()
        signals = tuple(self.signals[row] for row in rows)
        return Live(signals, tuple(self.bins[row] for row in rows), self.counts[chosen])


class Against(NamedTuple):
    """What the signals of a block are held against; ``known`` tells, by signal, where there is anything.

    ``ratios`` has shape (signals, times, bins), ``observations``, the size of the other data, (signals,
    times); both have one time when they do not change.
    """

    known: BoolArray
    ratios: FloatArray
    observations: FloatArray

    def take(self, chosen: BoolArray) -> Against:
        """Of the chosen signals."""
        return Against(self.known[chosen], self.ratios[chosen], self.observations[chosen])


def live_counts(prometheus: PrometheusClient, scope: Scope, grid: Grid) -> list[Live]:
    """Counts of every signal of the scope in the window that ends at each time of the grid. UpstreamError."""
    window = duration(scope.options[WINDOW.name])
    return list(_blocks(_counts(prometheus, scope, scope.matchers, grid, f"[{window}]")))


def references(
    prometheus: PrometheusClient, scope: Scope, grid: Grid, lives: Sequence[Live]
) -> list[Against]:
    """What the signals of each block are held against. ApiError 422, UpstreamError."""
    asked: Reference = scope.options[REFERENCE.name]
    if asked.previous is not None:
        modifier = modifier_of(scope, asked)
        return _shares(lives, _counts(prometheus, scope, scope.matchers, grid, modifier))
    if asked.version is not None:
        others = _version_counts(prometheus, scope, grid, asked.version)
        _refuse_other_baseline(lives, others, asked.version)
        return _shares(lives, others)
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


def deviations(prometheus: PrometheusClient, scope: Scope, grid: Grid, modifier: str) -> Table:
    """The sum of deviations of each signal, as a bin without name; a constant one has none. UpstreamError."""
    parts = (metrics.SIGNAL_DEVIATION_POSITIVE, metrics.SIGNAL_DEVIATION_NEGATIVE)
    positive, negative = (
        f"sum by ({', '.join(_NAMES)}) (increase({selector(metric.name, signal_matchers(scope))}{modifier}))"
        for metric in parts
    )
    result = prometheus.query_range(f"{positive} - {negative}", grid)
    return _table(result.series, _NAMES, len(grid))


def modifier_of(scope: Scope, reference: Reference | None) -> str:
    """The range and offset of the live window, or of the time that ends where it starts."""
    window = duration(scope.options[WINDOW.name])
    if reference is not None and reference.previous is not None:
        return f"[{duration(reference.previous)}] offset {window}"
    return f"[{window}]"


def _version_counts(prometheus: PrometheusClient, scope: Scope, grid: Grid, version: str) -> Table:
    """Counts of another version in the live window, by signals of any version."""
    others = tuple(matcher for matcher in scope.matchers if matcher.label != MODEL_VERSION)
    matchers = (*others, Matcher(MODEL_VERSION, version))
    return _counts(prometheus, scope, matchers, grid, modifier_of(scope, None), _OF_ANY_VERSION)


def _counts(
    prometheus: PrometheusClient,
    scope: Scope,
    matchers: tuple[Matcher, ...],
    grid: Grid,
    modifier: str,
    names: tuple[str, ...] = _NAMES,
) -> Table:
    if CONFIDENCE_KIND in scope.options["kind"]:
        return _confidence_counts(prometheus, scope, matchers, grid, modifier, names)
    chosen = (*matchers, *signal_matchers(scope)[len(scope.matchers) :])
    counter = selector(metrics.SIGNAL_OBSERVATIONS.name, chosen)
    by = ", ".join((*_NAMES, "bin"))
    result = prometheus.query_range(f"sum by ({by}) (increase({counter}{modifier}))", grid)
    return _table(result.series, names, len(grid))


def _confidence_counts(
    prometheus: PrometheusClient,
    scope: Scope,
    matchers: tuple[Matcher, ...],
    grid: Grid,
    modifier: str,
    names: tuple[str, ...],
) -> Table:
    """Confidence by its fixed bounds; of all tenants together where that is asked for."""
    together = ALL_TENANTS in scope.tenants
    chosen = without_tenant(matchers) if together else matchers
    owner = (MODEL_NAME, MODEL_VERSION, *(() if together else (TENANT_ID,)))
    buckets = selector(f"{metrics.CONFIDENCE.name}_bucket", chosen)
    by = ", ".join((*owner, "le"))
    result = prometheus.query_range(f"sum by ({by}) (increase({buckets}{modifier}))", grid)
    cumulative = _table(result.series, owner, len(grid), "le")
    rows, values = {}, cumulative.values.copy()
    for key, texts in cumulative.rows.items():
        tenant = ALL_TENANTS if together else key[2]
        signal = SignalOf(key[0], key[1], tenant, CONFIDENCE_KIND, CONFIDENCE_KIND, "")
        order = [texts[text] for text in sorted(texts, key=parse_bound)]
        counts = np.diff(cumulative.values[order], axis=0, prepend=0.0)
        values[order] = np.maximum(counts, 0.0)
        rows[attrgetter(*names)(signal)] = {f"{index:02d}": row for index, row in enumerate(order)}
    return Table(names, rows, values)


def _table(found: Sequence[RangeSeries], names: tuple[str, ...], times: int, column: str = "bin") -> Table:
    rows = _rows((series.labels for series in found), names, column)
    values = [*chain.from_iterable(series.values for series in found), *repeat(0.0, times)]
    return Table(names, rows, np.array(values, dtype=np.float64).reshape(-1, times))  # None becomes NaN


def _instant_table(found: Sequence[InstantSample], names: tuple[str, ...]) -> Table:
    """A table of one time."""
    values = [*(sample.value for sample in found), 0.0]
    return Table(names, _rows((sample.labels for sample in found), names), np.array(values)[:, None])


def _rows(
    found: Iterable[Mapping[str, str]], names: tuple[str, ...], column: str = "bin"
) -> dict[tuple[str, ...], dict[str, int]]:
    """Which sample is that of each signal and bin."""
    read = itemgetter(*names)
    rows: defaultdict[tuple[str, ...], dict[str, int]] = defaultdict(dict)
    for row, labels in enumerate(found):
        try:
            key = read(labels)
        except KeyError:  # Prometheus leaves empty labels out
            key = tuple(labels.get(name, "") for name in names)
        rows[key][labels.get(column, "")] = row
    return dict(rows)


def _blocks(table: Table) -> Iterator[Live]:
    """The signals in their order, those of a kind of bins together."""
    kinds: defaultdict[tuple[int, bool, bool], list[SignalOf]] = defaultdict(list)
    for key in sorted(table.rows):
        names = table.rows[key]
        kinds[len(names), OTHER_BIN in names, MISSING_BIN in names].append(SignalOf._make(key))
    times = table.values.shape[1]
    for (width, *_), signals in kinds.items():
        rest = iter(signals)
        while block := tuple(islice(rest, max(1, _BLOCK_VALUES // (width * times)))):
            bins = tuple(_in_order(table.rows[signal]) for signal in block)
            yield Live(block, bins, table.pick(block, bins))


def _in_order(bins: Iterable[str]) -> tuple[str, ...]:
    """Ranges in ascending order or categories by name, then all others, missing values last."""
    names = sorted(bins)
    last = [name for name in _LAST_BINS if name in names]
    return (*(name for name in names if name not in _LAST_BINS), *last)


def _shares(lives: Iterable[Live], others: Table) -> list[Against]:
    """Shares of the other counts, in the order of the live bins."""
    found = []
    for live in lives:
        counts = others.pick(live.signals, live.bins)
        size = counts.sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(Against(others.has(live.signals), counts / size[..., None], size))
    return found


def _refuse_other_baseline(lives: Iterable[Live], others: Table, version: str) -> None:
    """ApiError 422 when bins differ: quantile bins of different training data do not compare."""
    theirs = {key[others.names.index("baseline")] for key in others.rows}
    for signal in (signal for live in lives for signal in live.signals):
        if theirs and signal.baseline not in theirs:
            raise ApiError(
                422,
                "not_comparable",
                f"Version {signal.model_version!r} and version {version!r} have different baselines, so "
                "their bins do not compare; allowed: reference=baseline, previous:<duration>, or a version "
                "with the same baseline.",
                {"parameter": REFERENCE.name, "baselines": sorted({signal.baseline, *theirs})},
            )


def _baselines(
    prometheus: PrometheusClient, scope: Scope, grid: Grid, lives: Iterable[Live]
) -> list[Against]:
    if CONFIDENCE_KIND in scope.options["kind"]:
        raise ApiError(
            422,
            "not_comparable",
            "Confidence has no training baseline; allowed: previous:<duration> or version:<version>.",
            {"parameter": REFERENCE.name},
        )
    by = ", ".join(_OF_VERSION)
    chosen = without_tenant(signal_matchers(scope))
    range_ = duration(grid.end - grid.start + scope.options[WINDOW.name])
    query = f"max by ({by}, bin) (last_over_time({selector(metrics.BASELINE_RATIO.name, chosen)}[{range_}]))"
    ratios = _instant_table(prometheus.query(query, grid.end), _OF_VERSION)
    size = f"max by ({by}) (last_over_time({selector(metrics.BASELINE_OBSERVATIONS.name, chosen)}[{range_}]))"
    sizes = _instant_table(prometheus.query(size, grid.end), _OF_VERSION)
    return [
        Against(
            ratios.has(live.signals) & sizes.has(live.signals),
            ratios.pick(live.signals, live.bins),
            sizes.pick(live.signals, [("",)] * len(live.signals))[..., 0],
        )
        for live in lives
    ]
