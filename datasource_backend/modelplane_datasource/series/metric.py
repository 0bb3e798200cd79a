"""What a metric is: its names, its parameters, and where its series come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from modelplane_datasource.context import Plane
from modelplane_datasource.series.model import Answer
from modelplane_datasource.series.selection import SCOPE_PARAMETERS, Scope
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.web.parameters import Parameter


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
