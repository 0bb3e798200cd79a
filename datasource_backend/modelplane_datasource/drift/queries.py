"""What drift asks of Prometheus, and the signals that its answers hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple

import numpy as np

from modelplane_datasource.context import Plane
from modelplane_datasource.drift.bin_counts import (
    NAMES,
    Block,
    Found,
    Key,
    Live,
    SignalOf,
    Table,
    arranged,
    keys_of,
    lives_of,
    shares,
    table_of,
    trained,
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
from modelplane_datasource.series.selection import Scope
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import duration
from modelplane_schema import metrics
from modelplane_schema.metrics import ALL_TENANTS, MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, selector

Question = Callable[[], Found]


class Range(NamedTuple):
    """What a range selector takes in: ``length`` until ``offset`` before a time, in milliseconds."""

    length: int
    offset: int = 0

    def __str__(self) -> str:
        before = f" offset {duration(self.offset)}" if self.offset else ""
        return f"[{duration(self.length)}]{before}"


_OF_VERSION = tuple(name for name in NAMES if name != TENANT_ID)
_OF_ANY_VERSION = tuple(name for name in NAMES if name != MODEL_VERSION)


def kept_blocks(plane: Plane, scope: Scope, grid: Grid) -> tuple[Block, ...]:
    """``blocks`` of every signal, kept for requests that measure the same in another way. ApiError."""
    options = {name: scope.options[name] for name in (KIND.name, SIGNAL.name, REFERENCE.name, WINDOW.name)}
    return plane.kept(
        ("signals", replace(scope, options=options).key, grid),
        grid.step / 1000,
        lambda: blocks(scope, grid, plane.prometheus.at_once(*questions(plane.prometheus, scope, grid))),
        lambda found: sum(block.bytes for block in found),
    )


def questions(prometheus: PrometheusClient, scope: Scope, grid: Grid) -> tuple[Question, ...]:
    """What to ask for ``blocks``: first the live counts of each window that ends at a time of the grid.

    ApiError 422 when the signals have nothing to be held against.
    """
    asked: Reference = scope.options[REFERENCE.name]
    counts = partial(_counts, prometheus, scope, scope.matchers, grid)
    live = partial(counts, range_of(scope, None))
    if asked.previous is not None:
        return live, partial(counts, range_of(scope, asked))
    if asked.version is not None:
        others = tuple(matcher for matcher in scope.matchers if matcher.label != MODEL_VERSION)
        matchers = (*others, Matcher(MODEL_VERSION, asked.version))
        return live, partial(_counts, prometheus, scope, matchers, grid, range_of(scope, None))
    return live, *_baseline_questions(prometheus, scope, grid)


def blocks(scope: Scope, grid: Grid, answers: Sequence[Found]) -> tuple[Block, ...]:
    """Every signal with what it is held against, from the answers to ``questions``. ApiError 422."""
    asked: Reference = scope.options[REFERENCE.name]
    lives = list(lives_of(_counted(scope, answers[0], NAMES)))
    if asked.previous is not None:
        others = _counted(scope, answers[1], NAMES)
        against = [shares(live, others) for live in lives]
    elif asked.version is not None:
        others = _counted(scope, answers[1], _OF_ANY_VERSION)
        _refuse_other_baseline(lives, others, asked.version)
        against = [shares(live, others) for live in lives]
    else:
        ratios, sizes = table_of(answers[1], _OF_VERSION), table_of(answers[2], _OF_VERSION)
        against = [trained(live, ratios, sizes) for live in lives]
    return tuple(map(Block, lives, against))


def edges(prometheus: PrometheusClient, scope: Scope, grid: Grid) -> Found:
    """The upper bound of each bin of a numeric signal, by baseline and bin; the last is infinite."""
    chosen = without_tenant(signal_matchers(scope))
    name = selector(metrics.BASELINE_UPPER_BOUND.name, chosen)
    range_ = duration(scope.options[WINDOW.name])
    return _at_end(prometheus, f"max by (baseline, bin) (last_over_time({name}[{range_}]))", grid)


def deviations(prometheus: PrometheusClient, scope: Scope, grid: Grid, window: Range) -> Found:
    """The sum of deviations of each signal; a constant one has none. UpstreamError."""
    parts = (metrics.SIGNAL_DEVIATION_POSITIVE, metrics.SIGNAL_DEVIATION_NEGATIVE)
    positive, negative = (
        f"sum by ({', '.join(NAMES)}) (increase({selector(metric.name, signal_matchers(scope))}{window}))"
        for metric in parts
    )
    return _over_time(prometheus, f"{positive} - {negative}", grid, window)


def range_of(scope: Scope, reference: Reference | None) -> Range:
    """The live window, or the time that ends where it starts."""
    window = scope.options[WINDOW.name]
    if reference is not None and reference.previous is not None:
        return Range(reference.previous, window)
    return Range(window)


def _counts(
    prometheus: PrometheusClient, scope: Scope, matchers: tuple[Matcher, ...], grid: Grid, window: Range
) -> Found:
    """Counts by bin; of confidence by its bounds, of all tenants together where that is asked for."""
    if CONFIDENCE_KIND in scope.options[KIND.name]:
        chosen = without_tenant(matchers) if ALL_TENANTS in scope.tenants else matchers
        counter, by = selector(f"{metrics.CONFIDENCE.name}_bucket", chosen), (*_owner(scope), "le")
    else:
        chosen = (*matchers, *signal_matchers(scope)[len(scope.matchers) :])
        counter, by = selector(metrics.SIGNAL_OBSERVATIONS.name, chosen), (*NAMES, "bin")
    return _over_time(prometheus, f"sum by ({', '.join(by)}) (increase({counter}{window}))", grid, window)


def _baseline_questions(prometheus: PrometheusClient, scope: Scope, grid: Grid) -> tuple[Question, Question]:
    """The share of each bin in training, and the size of the training data."""
    if CONFIDENCE_KIND in scope.options[KIND.name]:
        raise ApiError(
            422,
            "not_comparable",
            "Confidence has no training baseline; allowed: previous:<duration> or version:<version>.",
            {"parameter": REFERENCE.name},
        )
    by = ", ".join(_OF_VERSION)
    chosen = without_tenant(signal_matchers(scope))
    range_ = duration(grid.end - grid.start + scope.options[WINDOW.name])
    ratio, size = (
        f"(last_over_time({selector(metric.name, chosen)}[{range_}]))"
        for metric in (metrics.BASELINE_RATIO, metrics.BASELINE_OBSERVATIONS)
    )
    return (
        partial(_at_end, prometheus, f"max by ({by}, bin) {ratio}", grid),
        partial(_at_end, prometheus, f"max by ({by}) {size}", grid),
    )


def _over_time(prometheus: PrometheusClient, promql: str, grid: Grid, window: Range) -> Found:
    table = prometheus.query_table(promql, grid, window.length)
    return Found(table.labels, table.values)


def _at_end(prometheus: PrometheusClient, promql: str, grid: Grid) -> Found:
    samples = prometheus.query(promql, grid.end)
    values = np.array([one.value for one in samples], dtype=np.float64)
    return Found([one.labels for one in samples], values[:, None])


def _owner(scope: Scope) -> tuple[str, ...]:
    """The labels of whom confidence is told apart by."""
    return (MODEL_NAME, MODEL_VERSION, *(() if ALL_TENANTS in scope.tenants else (TENANT_ID,)))


def _counted(scope: Scope, found: Found, names: tuple[str, ...]) -> Table:
    """Counts of signals that are known by their fields ``names``."""
    if CONFIDENCE_KIND in scope.options[KIND.name]:
        return _confidence(found, _owner(scope), names)
    return table_of(found, names)


def _confidence(found: Found, owner: tuple[str, ...], names: tuple[str, ...]) -> Table:
    """The cumulative counts of a histogram as those of its bins, numbered from 00 in the order of bounds."""
    owners = keys_of(found, owner)
    bounds = [parse_bound(labels.get("le", "")) for labels in found.labels]
    order = sorted(range(len(owners)), key=lambda row: (owners[row], bounds[row]))
    keys, bins = list[Key](), list[str]()
    for (model, version, *tenant), rows in groupby(owners[row] for row in order):
        whose = tenant[0] if tenant else ALL_TENANTS
        signal = SignalOf(model, version, whose, CONFIDENCE_KIND, CONFIDENCE_KIND, "")
        own = [f"{index:02d}" for index, _ in enumerate(rows)]
        bins += own
        keys += [attrgetter(*names)(signal)] * len(own)
    cumulative = found.values[order]
    counts = np.diff(cumulative, axis=0, prepend=0.0)
    is_first = np.array([name == "00" for name in bins], np.bool_)
    counts[is_first] = cumulative[is_first]
    return arranged(names, keys, bins, np.maximum(counts, 0.0))


def _refuse_other_baseline(lives: Iterable[Live], others: Table, version: str) -> None:
    """ApiError 422 when bins differ: quantile bins of different training data do not compare."""
    theirs = {key[others.names.index("baseline")] for key in others.signals}
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
