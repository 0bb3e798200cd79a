"""The metrics that the backend serves, each declared once.

Routes, the catalogue, the Grafana metric list and rows derive from ``SERIES_METRICS``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from modelplane_datasource.context import Plane
from modelplane_datasource.costs import series as costs
from modelplane_datasource.drift import series as drift_series
from modelplane_datasource.drift.parameters import DRIFT_OPTIONS, DRIFT_SCOPE
from modelplane_datasource.errors import ApiError
from modelplane_datasource.observability.query_warnings import note
from modelplane_datasource.series import metrics as queries
from modelplane_datasource.series.model import Answer, check_size, fetch, rate_window
from modelplane_datasource.series.selection import SCOPE_PARAMETERS, Scope
from modelplane_datasource.slo import series as slo_series
from modelplane_datasource.slo.parameters import SLO_OPTIONS
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.web.parameters import Parameter
from modelplane_schema import metrics

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Promql:
    """A metric that is one query, by the rate window; ``labels`` tell series of one identity apart."""

    query: Callable[[Scope, str], str]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Derived:
    """A metric that is computed from several queries."""

    compute: Callable[[Plane, Scope, Grid], Answer]


@dataclass(frozen=True, slots=True)
class SeriesMetric:
    """One metric; ``scope`` (model, tenant, version) and ``options`` are its parameters."""

    name: str
    title: str
    unit: str
    summary: str
    source: Promql | Derived
    options: tuple[Parameter[Any], ...] = ()
    scope: tuple[Parameter[Any], ...] = SCOPE_PARAMETERS

    @property
    def scope_parameters(self) -> tuple[Parameter[Any], ...]:
        """Parameters that say what is asked for, without those of time."""
        return (*self.scope, *self.options)


SERIES_METRICS: tuple[SeriesMetric, ...] = (
    SeriesMetric(
        "latency", "Latency", metrics.LATENCY.unit,
        "Estimated quantile of the wall time of calls.", Promql(queries.latency), (queries.QUANTILE,),
    ),
    SeriesMetric(
        "throughput", "Throughput", "requests_per_second",
        "Finished calls per second, of every outcome.", Promql(queries.throughput),
    ),
    SeriesMetric(
        "errors", "Error ratio", "ratio",
        "Failed calls as a share of succeeded and failed ones.", Promql(queries.errors),
    ),
    SeriesMetric(
        "confidence", "Mean confidence", metrics.CONFIDENCE.unit,
        "Mean confidence of predictions.", Promql(queries.confidence),
    ),
    SeriesMetric(
        "active", "Requests in flight", metrics.ACTIVE.unit,
        "Calls in flight.", Promql(queries.active),
    ),
    SeriesMetric(
        "tokens", "Tokens", "tokens_per_second",
        "Tokens per second, one series for each kind; the kinds partition the total.",
        Promql(queries.tokens, ("kind",)),
    ),
    SeriesMetric(
        "saturation", "Saturation", "ratio",
        "Calls in flight as a share of the model's max_in_flight in the registry.",
        Promql(queries.saturation),
    ),
    SeriesMetric(
        "drift", "Drift", "number",
        "How far signals are from their training baseline, an earlier time or another version.",
        Derived(drift_series.compute), DRIFT_OPTIONS, DRIFT_SCOPE,
    ),
    SeriesMetric(
        "slo", "SLO", "number",
        "Burn rate or remaining error budget of each objective of the registry.",
        Derived(slo_series.compute), SLO_OPTIONS,
    ),
    SeriesMetric(
        "cost", "Cost", "currency",
        "What each group cost in each step; idle, unknown and double-charged time are lines of their own.",
        Derived(costs.compute), costs.COST_OPTIONS, costs.COST_SCOPE,
    ),
)  # fmt: skip

_BY_NAME = {metric.name: metric for metric in SERIES_METRICS}


def find_metric(name: str) -> SeriesMetric:
    """The metric of that name; ApiError 404 that lists the names there are."""
    if name not in _BY_NAME:
        known = list(_BY_NAME)
        raise ApiError(
            404,
            "unknown_metric",
            f"There is no metric {name[:100]!r}; allowed: {', '.join(known)}.",
            {"metric": name[:100], "allowed": known},
        )
    return _BY_NAME[name]


def served(
    plane: Plane,
    metric: SeriesMetric,
    scope: Scope,
    grid: Grid,
    shape: str,
    write: Callable[[Answer], T],
    size_of: Callable[[T], int],
) -> T:
    """What ``write`` makes of the series of a metric on ``grid``; ``size_of`` gives its bytes. ApiError.

    It is kept for the step under the name of its ``shape``. Warnings belong to each request that uses it.
    """

    def ask() -> T:
        found = _answer(plane, metric, scope, grid)
        check_size(found, plane.settings.max_series, plane.settings.max_points)
        note(found.warnings)
        return write(found)

    return plane.kept((metric.name, scope.key, grid, shape), grid.step / 1000, ask, size_of)


def _answer(plane: Plane, metric: SeriesMetric, scope: Scope, grid: Grid) -> Answer:
    source = metric.source
    if isinstance(source, Derived):
        return source.compute(plane, scope, grid)
    window = rate_window(grid.step, plane.scrape_interval)
    return fetch(plane.prometheus, source.query(scope, window), source.labels, scope, grid)
