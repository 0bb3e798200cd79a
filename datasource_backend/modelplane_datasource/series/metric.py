"""What a metric is: its names, its parameters, and where its series come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelplane_datasource.context import AppContext
from modelplane_datasource.series.model import SeriesResult
from modelplane_datasource.series.selection import SELECTION_PARAMETERS, Selection
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.web.parameters import Parameter


@dataclass(frozen=True, slots=True)
class Promql:
    """A metric that is one query, by the rate window; by ``labels`` series of one identity differ.

    ``extra`` makes of the values of a series what belongs to each. With ``reads_means`` a native histogram is
    the mean of its observations.
    """

    query: Callable[[Selection, str], str]
    labels: tuple[str, ...] = ()
    extra: Callable[[Sequence[float | None]], Mapping[str, Sequence[float | None]]] | None = None
    reads_means: bool = False


@dataclass(frozen=True, slots=True)
class Derived:
    """A metric that is computed from several queries."""

    compute: Callable[[AppContext, Selection, Grid], SeriesResult]


@dataclass(frozen=True, slots=True)
class SeriesMetric:
    """One metric; ``selection_parameters`` (model, tenant, version) and ``options`` are its parameters."""

    name: str
    title: str
    unit: str
    summary: str
    source: Promql | Derived
    options: tuple[Parameter[Any], ...] = ()
    selection_parameters: tuple[Parameter[Any], ...] = SELECTION_PARAMETERS

    @property
    def parameters(self) -> tuple[Parameter[Any], ...]:
        """All parameters but those of time."""
        return (*self.selection_parameters, *self.options)
