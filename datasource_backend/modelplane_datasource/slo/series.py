"""Burn rates and error budgets over time: one series for each objective of each version and tenant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from modelplane_datasource.context import AppContext
from modelplane_datasource.prometheus.errors import INVALID, UpstreamError
from modelplane_datasource.prometheus.histograms import bound_texts
from modelplane_datasource.prometheus.native_histograms import LE, ClassicBuckets
from modelplane_datasource.prometheus.ranges import RangeTable
from modelplane_datasource.series.model import Series, SeriesResult, ordered, series_name
from modelplane_datasource.series.selection import GROUP_LABELS, Selection
from modelplane_datasource.slo.arithmetic import (
    Events,
    UncountableError,
    budget_remaining,
    burn_rate,
    error_events,
    latency_events,
)
from modelplane_datasource.slo.parameters import (
    BURN_RATE,
    BURN_WINDOW,
    VALUE,
    WINDOW,
    ModelSlo,
    selected_slos,
)
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.json_columns import JsonColumn, columns_of
from modelplane_datasource.timeline.times import duration, parse_duration
from modelplane_schema import metrics
from modelplane_schema.metrics import MODEL_NAME
from modelplane_schema.promql import one_of
from modelplane_schema.slos import ErrorsIndicator, LatencyIndicator, Slo

Indicator = ErrorsIndicator | LatencyIndicator


class _Source(NamedTuple):
    """The counter of an indicator's events, whose ``label`` distinguishes the good ones.

    ``events`` makes them of its increases by the ``values`` of the label. Where a Prometheus has native
    histograms, the counters are the ``buckets`` of ``histogram``.
    """

    counter: str
    label: str
    values: tuple[str, ...]
    events: Callable[[Mapping[str, FloatArray]], Events]
    histogram: str = ""
    buckets: ClassicBuckets | None = None


class Owner(NamedTuple):
    """Whose events; a version or tenant is empty where those of all are added up."""

    model_name: str
    model_version: str
    tenant_id: str


@dataclass(frozen=True, slots=True, eq=False)
class SloEvents:
    """Events of one objective in the ``window``, in milliseconds, that ends at each time of a grid.

    They are of shape (owners, times), NaN without data.
    """

    slo: Slo
    window: int
    owners: tuple[Owner, ...]
    events: Events

    def at_end(self) -> Iterator[tuple[Owner, Events]]:
        """The events of each owner in the window that ends with the grid."""
        for row, owner in enumerate(self.owners):
            yield owner, Events(self.events.good[row, -1], self.events.total[row, -1])

    def burn_rates(self) -> list[JsonColumn]:
        """How many times faster than allowed the budget of each owner goes."""
        return columns_of(burn_rate(self.events, self.slo.objective))

    def budgets_remaining(self) -> list[JsonColumn]:
        """The share of each owner's budget that is left."""
        return columns_of(budget_remaining(self.events, self.slo.objective))

    def good(self) -> list[JsonColumn]:
        """How many events of each owner were good."""
        return columns_of(self.events.good)

    def total(self) -> list[JsonColumn]:
        """How many events of each owner there were."""
        return columns_of(self.events.total)


def compute(context: AppContext, selection: Selection, grid: Grid) -> SeriesResult:
    """Burn rates or remaining budgets, each with its good and total events. ApiError."""
    measure: str = selection.options[VALUE.name]
    window: int = selection.options[WINDOW.name]

    def windows_of(slo: Slo) -> tuple[int, ...]:
        return (window or (BURN_WINDOW if measure == BURN_RATE else slo_window(slo)),)

    counted = count_events(context, selection, grid, windows_of)
    return ordered(grid, [series for events in counted for series in _series(events, measure, selection)])


def slo_window(slo: Slo) -> int:
    """Milliseconds of the window over which the objective holds."""
    return parse_duration(slo.window)


def count_events(
    context: AppContext, selection: Selection, grid: Grid, windows_of: Callable[[Slo], Iterable[int]]
) -> list[SloEvents]:
    """Events of the selected objectives over each of their windows, which are in milliseconds.

    Objectives that count the same events over the same window share one query. ApiError.
    """
    by_events: defaultdict[tuple[Indicator, int], list[ModelSlo]] = defaultdict(list)
    for objective in selected_slos(context, selection):
        for window in windows_of(objective.slo):
            by_events[objective.slo.indicator, window].append(objective)
    counts = [
        partial(_count, context, selection, grid, indicator, window, objectives)
        for (indicator, window), objectives in by_events.items()
    ]
    counted = context.prometheus.at_once(*counts) if counts else []
    return [events for of_indicator in counted for events in of_indicator]


def _count(
    context: AppContext,
    selection: Selection,
    grid: Grid,
    indicator: Indicator,
    window: int,
    objectives: Sequence[ModelSlo],
) -> list[SloEvents]:
    """Events of objectives with the same indicator."""
    source = _source(indicator)
    models = tuple(dict.fromkeys(objective.model_name for objective in objectives))
    query = _query(source, window, replace(selection, models=models))
    owners, increases = _by_owner(context.prometheus.query_table(query, grid, source.buckets), source)
    try:
        good, total = source.events(increases)
    except UncountableError as error:
        owner = owners[error.place[0]]
        version = f"{owner.model_name} ({owner.model_version})"
        raise UpstreamError(INVALID, f"The events of {version} cannot be counted: {error}.") from error
    rows_of_model: defaultdict[str, list[int]] = defaultdict(list)
    for row, owner in enumerate(owners):
        rows_of_model[owner.model_name].append(row)
    return [
        SloEvents(objective.slo, window, tuple(owners[row] for row in rows), Events(good[rows], total[rows]))
        for objective in objectives
        if (rows := rows_of_model.get(objective.model_name))
    ]


def _source(indicator: Indicator) -> _Source:
    if isinstance(indicator, ErrorsIndicator):
        return _Source(metrics.REQUESTS.name, "outcome", metrics.COMPLETED_OUTCOMES, error_events)
    threshold = indicator.threshold_seconds
    return _Source(
        f"{metrics.LATENCY.name}_bucket",
        LE,
        (*bound_texts(threshold), "+Inf"),
        partial(latency_events, threshold_seconds=threshold),
        metrics.LATENCY.name,
        ClassicBuckets((threshold,)),
    )


def _query(source: _Source, window: int, selection: Selection) -> str:
    owner_labels = _owner_labels(selection)
    counter = selection.select(source.counter, one_of(source.label, source.values))
    query = _increases(counter, window, (*owner_labels, source.label))
    if not source.histogram:
        return query
    return f"{query} or {_increases(selection.select(source.histogram), window, owner_labels)}"


def _increases(counter: str, window: int, by: Iterable[str]) -> str:
    return f"sum by ({', '.join(by)}) (increase({counter}[{duration(window)}]))"


def _owner_labels(selection: Selection) -> tuple[str, ...]:
    """By what owners differ: always by model, because an objective is of one."""
    return tuple(label for label in GROUP_LABELS if label in (MODEL_NAME, *selection.group_labels))


def _by_owner(table: RangeTable, source: _Source) -> tuple[list[Owner], dict[str, FloatArray]]:
    """Owners, and increases of shape (owners, times) by the source's label, NaN where there are none."""
    rows: dict[Owner, int] = {}
    for labels in table.labels:
        rows.setdefault(_owner(labels), len(rows))
    increases = {value: np.full((len(rows), table.values.shape[1]), np.nan) for value in source.values}
    for labels, values in zip(table.labels, table.values, strict=True):
        value = labels.get(source.label, "")
        if value not in increases:
            raise UpstreamError(
                INVALID, f"Prometheus answered with {source.label}={value[:100]!r}, which was not requested."
            )
        increases[value][rows[_owner(labels)]] = values
    return list(rows), increases


def _owner(labels: Mapping[str, str]) -> Owner:
    return Owner(*(labels.get(name, "") for name in GROUP_LABELS))


def _series(counted: SloEvents, measure: str, selection: Selection) -> Iterator[Series]:
    values = counted.burn_rates() if measure == BURN_RATE else counted.budgets_remaining()
    slo = {
        "slo": counted.slo.name,
        "objective": str(counted.slo.objective),
        "window": duration(counted.window),
    }
    by = _owner_labels(selection)
    of_owners = zip(counted.owners, values, counted.good(), counted.total(), strict=True)
    for owner, y, good, all_events in of_owners:
        labels = {label: value for label, value in owner._asdict().items() if label in by}
        name = f"{series_name(labels, selection)} {counted.slo.name}"
        yield Series(name, {**labels, **slo}, y, {"good": good, "total": all_events})
