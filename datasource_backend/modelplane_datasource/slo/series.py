"""Burn rates and error budgets over time: one series for each objective of each version and tenant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np

from modelplane_datasource.context import Plane
from modelplane_datasource.prometheus.decoding import INVALID, UpstreamError
from modelplane_datasource.prometheus.histograms import bound_texts
from modelplane_datasource.prometheus.ranges import RangeTable
from modelplane_datasource.series.model import Answer, Series, ordered, series_name
from modelplane_datasource.series.selection import GROUP_LABELS, Scope
from modelplane_datasource.slo.arithmetic import (
    Events,
    FloatArray,
    UncountableError,
    budget_remaining,
    burn_rate,
    error_events,
    latency_events,
)
from modelplane_datasource.slo.parameters import BURN_RATE, BURN_WINDOW, VALUE, WINDOW, ModelSlo, asked_slos
from modelplane_datasource.timeline.columns import Column, columns_of
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import duration, parse_duration
from modelplane_schema import metrics
from modelplane_schema.promql import Matcher, one_of, selector
from modelplane_schema.registry import ErrorsIndicator, LatencyIndicator, Slo

Indicator = ErrorsIndicator | LatencyIndicator


class _Source(NamedTuple):
    """The counter of an indicator's events, whose ``label`` tells the good ones apart.

    ``events`` makes them of its increases by the ``values`` of the label.
    """

    counter: str
    label: str
    values: tuple[str, ...]
    events: Callable[[Mapping[str, FloatArray]], Events]


class Owner(NamedTuple):
    """Whose events."""

    model_name: str
    model_version: str
    tenant_id: str


@dataclass(frozen=True, slots=True, eq=False)
class Counted:
    """Events of one objective in the ``window``, in milliseconds, that ends at each time of a grid.

    They are of shape (owners, times), NaN without data.
    """

    slo: Slo
    window: int
    owners: tuple[Owner, ...]
    events: Events

    def burn_rates(self) -> list[Column]:
        """How many times faster than allowed the budget of each owner goes."""
        return columns_of(burn_rate(self.events, self.slo.objective))

    def budgets_remaining(self) -> list[Column]:
        """The share of each owner's budget that is left."""
        return columns_of(budget_remaining(self.events, self.slo.objective))

    def good(self) -> list[Column]:
        """How many events of each owner were good."""
        return columns_of(self.events.good)

    def total(self) -> list[Column]:
        """How many events of each owner there were."""
        return columns_of(self.events.total)


def compute(plane: Plane, scope: Scope, grid: Grid) -> Answer:
    """Burn rates or remaining budgets of a scope, each with its good and total events. ApiError."""
    measure: str = scope.options[VALUE.name]
    window: int = scope.options[WINDOW.name]

    def windows_of(slo: Slo) -> tuple[int, ...]:
        return (window or (BURN_WINDOW if measure == BURN_RATE else own_window(slo)),)

    counted = count_events(plane, scope, grid, windows_of)
    return ordered(grid, [line for one in counted for line in _lines(one, measure, scope)], ())


def own_window(slo: Slo) -> int:
    """Milliseconds of the window over which the objective holds."""
    return parse_duration(slo.window)


def count_events(
    plane: Plane, scope: Scope, grid: Grid, windows_of: Callable[[Slo], Iterable[int]]
) -> list[Counted]:
    """Events of the objectives asked for over each of their windows, which are in milliseconds.

    Objectives that count the same events over the same window share one query. ApiError.
    """
    alike: defaultdict[tuple[Indicator, int], list[ModelSlo]] = defaultdict(list)
    for asked in asked_slos(plane, scope):
        for window in windows_of(asked.slo):
            alike[asked.slo.indicator, window].append(asked)
    found = plane.prometheus.at_once(
        *(partial(_count, plane, scope, grid, *events, slos) for events, slos in alike.items())
    )
    return [one for counted in found for one in counted]


def _count(
    plane: Plane, scope: Scope, grid: Grid, indicator: Indicator, window: int, slos: Sequence[ModelSlo]
) -> list[Counted]:
    """Events of objectives with the same indicator."""
    source = _source(indicator)
    models = tuple(dict.fromkeys(asked.model_name for asked in slos))
    query = _query(source, window, replace(scope, models=models).matchers)
    owners, increases = _by_owner(plane.prometheus.query_table(query, grid, window), source)
    try:
        good, total = source.events(increases)
    except UncountableError as error:
        owner = owners[error.place[0]]
        whose = f"{owner.model_name} ({owner.model_version})"
        raise UpstreamError(INVALID, f"The events of {whose} cannot be counted: {error}.") from error
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, owner in enumerate(owners):
        rows[owner.model_name].append(row)
    return [
        Counted(asked.slo, window, tuple(owners[row] for row in own), Events(good[own], total[own]))
        for asked in slos
        if (own := rows.get(asked.model_name))
    ]


def _source(indicator: Indicator) -> _Source:
    if isinstance(indicator, ErrorsIndicator):
        return _Source(metrics.REQUESTS.name, "outcome", metrics.COMPLETED_OUTCOMES, error_events)
    threshold = indicator.threshold_seconds
    return _Source(
        f"{metrics.LATENCY.name}_bucket",
        "le",
        (*bound_texts(threshold), "+Inf"),
        partial(latency_events, threshold_seconds=threshold),
    )


def _query(source: _Source, window: int, matchers: tuple[Matcher, ...]) -> str:
    counter = selector(source.counter, (*matchers, one_of(source.label, source.values)))
    return f"sum by ({', '.join((*GROUP_LABELS, source.label))}) (increase({counter}[{duration(window)}]))"


def _by_owner(found: RangeTable, source: _Source) -> tuple[list[Owner], dict[str, FloatArray]]:
    """Owners, and increases of shape (owners, times) by the source's label, NaN where there are none."""
    rows: dict[Owner, int] = {}
    for labels in found.labels:
        rows.setdefault(_owner(labels), len(rows))
    increases = {value: np.full((len(rows), found.values.shape[1]), np.nan) for value in source.values}
    for labels, values in zip(found.labels, found.values, strict=True):
        value = labels.get(source.label, "")
        if value not in increases:
            raise UpstreamError(
                INVALID, f"Prometheus answered with {source.label}={value[:100]!r}, which was not asked for."
            )
        increases[value][rows[_owner(labels)]] = values
    return list(rows), increases


def _owner(labels: Mapping[str, str]) -> Owner:
    return Owner(*(labels.get(name, "") for name in GROUP_LABELS))


def _lines(counted: Counted, measure: str, scope: Scope) -> Iterator[Series]:
    values = counted.burn_rates() if measure == BURN_RATE else counted.budgets_remaining()
    slo = {
        "slo": counted.slo.name,
        "objective": str(counted.slo.objective),
        "window": duration(counted.window),
    }
    for owner, y, good, total in zip(counted.owners, values, counted.good(), counted.total(), strict=True):
        labels = owner._asdict()
        name = f"{series_name(labels, scope)} {counted.slo.name}"
        yield Series(name, {**labels, **slo}, y, {"good": good, "total": total})
