"""Cost as a metric of the catalogue."""

from __future__ import annotations

from modelplane_datasource.costs.parameters import COST_OPTIONS, COST_SELECTION
from modelplane_datasource.costs.series import compute
from modelplane_datasource.series.metric import Derived, SeriesMetric

COST = SeriesMetric(
    "cost", "Cost", "currency",
    "What each group cost in each step; idle, unknown and double-charged time are lines of their own.",
    Derived(compute), COST_OPTIONS, COST_SELECTION,
)  # fmt: skip
