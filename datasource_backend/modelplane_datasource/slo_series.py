"""Burn rates and error budgets over time: one series for each objective of each version and tenant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from modelplane_datasource.grid import Grid
from modelplane_datasource.histograms import bound_texts
from modelplane_datasource.plane import Plane
from modelplane_datasource.scope import GROUP_LABELS, Scope
from modelplane_datasource.series import Answer, Series, ordered, series_name
from modelplane_datasource.slo import Events, budgets_remaining, burn_rates, error_events, latency_events
from modelplane_datasource.slo_request import (
    BURN_RATE,
    BURN_WINDOW,
    VALUE,
    WINDOW,
    ModelSlo,
    asked_slos,
)
from modelplane_datasource.times import duration, parse_duration
from modelplane_datasource.upstream_answers import INVALID, RangeResult, UpstreamError
from modelplane_schema import metrics
from modelplane_schema.promql import Matcher, one_of, selector
from modelplane_schema.registry import ErrorsIndicator, LatencyIndicator, Slo

Indicator = ErrorsIndicator | LatencyIndicator


class _Source(NamedTuple):
    """The counter of an indicator's events, whose ``label`` tells the good ones apart."""

    counter: str
    label: str
    values: tuple[str, ...]


class Owner(NamedTuple):
    """Whose events."""

    model_name: str
    model_version: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Events of one objective in the ``window``, in milliseconds, that ends at each time of a grid.

    Without data at a time there is None.
    """

    owner: Owner
    slo: Slo
    window: int
    events: tuple[Events | None, ...]

    def burn_rates(self) -> tuple[float | None, ...]:
        """How many times faster than allowed the budget goes."""
        return burn_rates(self.good(), self.total(), self.slo.objective)

    def budgets_remaining(self) -> tuple[float | None, ...]:
        """The share of the budget that is left."""
        return budgets_remaining(self.good(), self.total(), self.slo.objective)

    def good(self) -> tuple[float | None, ...]:
        """How many events were good."""
        return tuple(None if one is None else one.good for one in self.events)

    def total(self) -> tuple[float | None, ...]:
        """How many events there were."""
        return tuple(None if one is None else one.total for one in self.events)


def compute(plane: Plane, scope: Scope, grid: Grid) -> Answer:
    """Burn rates or remaining budgets of a scope, each with its good and total events. ApiError."""
    measure: str = scope.options[VALUE.name]
    window: int = scope.options[WINDOW.name]

    def window_of(slo: Slo) -> int:
        return window or (BURN_WINDOW if measure == BURN_RATE else own_window(slo))

    counted, warnings = count_events(plane, scope, grid, window_of)
    return ordered(grid, [_line(one, measure, scope) for one in counted], warnings)


def own_window(slo: Slo) -> int:
    """Milliseconds of the window over which the objective holds."""
    return parse_duration(slo.window)


def count_events(
    plane: Plane, scope: Scope, grid: Grid, window_of: Callable[[Slo], int]
) -> tuple[list[Counted], tuple[str, ...]]:
    """Events of the objectives asked for, and Prometheus' warnings.

    Objectives that count the same events over the same window share one query. ApiError.
    """
    alike: defaultdict[tuple[Indicator, int], list[ModelSlo]] = defaultdict(list)
    for asked in asked_slos(plane, scope):
        alike[asked.slo.indicator, window_of(asked.slo)].append(asked)
    counted: list[Counted] = []
    warnings: list[str] = []
    for (indicator, window), slos in alike.items():
        models = tuple(dict.fromkeys(asked.model_name for asked in slos))
        query = _query(_source(indicator), window, replace(scope, models=models).matchers)
        result = plane.prometheus.query_range(query, grid)
        warnings += result.warnings
        for owner, events in _events_by_owner(indicator, result, len(grid)).items():
            counted += [
                Counted(owner, asked.slo, window, events)
                for asked in slos
                if asked.model_name == owner.model_name
            ]
    return counted, tuple(dict.fromkeys(warnings))


def _source(indicator: Indicator) -> _Source:
    if isinstance(indicator, ErrorsIndicator):
        return _Source(metrics.REQUESTS.name, "outcome", ("success", "failure"))
    bounds = (*bound_texts(indicator.threshold_seconds), "+Inf")
    return _Source(f"{metrics.LATENCY.name}_bucket", "le", bounds)


def _query(source: _Source, window: int, matchers: tuple[Matcher, ...]) -> str:
    counter = selector(source.counter, (*matchers, one_of(source.label, source.values)))
    return f"sum by ({', '.join((*GROUP_LABELS, source.label))}) (increase({counter}[{duration(window)}]))"


def _events_by_owner(
    indicator: Indicator, result: RangeResult, length: int
) -> dict[Owner, tuple[Events | None, ...]]:
    label = _source(indicator).label
    parts: defaultdict[Owner, dict[str, tuple[float | None, ...]]] = defaultdict(dict)
    for series in result.series:
        owner = Owner(*(series.labels.get(name, "") for name in GROUP_LABELS))
        parts[owner][series.labels.get(label, "")] = series.values
    found = {}
    for owner, columns in parts.items():
        at_times = (
            {part: value for part, column in columns.items() if (value := column[time]) is not None}
            for time in range(length)
        )
        try:
            found[owner] = tuple(_events(indicator, increases) for increases in at_times)
        except ValueError as error:
            whose = f"{owner.model_name} ({owner.model_version})"
            raise UpstreamError(INVALID, f"The events of {whose} cannot be counted: {error}.") from error
    return found


def _events(indicator: Indicator, increases: Mapping[str, float]) -> Events | None:
    if not increases:
        return None
    if isinstance(indicator, ErrorsIndicator):
        return error_events(increases)
    return latency_events(increases, indicator.threshold_seconds)


def _line(counted: Counted, measure: str, scope: Scope) -> Series:
    owner = counted.owner._asdict()
    return Series(
        f"{series_name(owner, scope)} {counted.slo.name}",
        {
            **owner,
            "slo": counted.slo.name,
            "objective": str(counted.slo.objective),
            "window": duration(counted.window),
        },
        counted.burn_rates() if measure == BURN_RATE else counted.budgets_remaining(),
        {"good": counted.good(), "total": counted.total()},
    )
