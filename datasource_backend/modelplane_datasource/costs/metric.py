"""Costs as metrics of the catalogue."""

from __future__ import annotations

from modelplane_datasource.costs import series, token_series
from modelplane_datasource.costs.parameters import COST_OPTIONS, COST_SELECTION, TOKEN_OPTIONS
from modelplane_datasource.series.metric import Derived, SeriesMetric

COST = SeriesMetric(
    "cost", "Cost", "currency",
    "What each group cost in each step; idle, unknown and double-charged time are lines of their own.",
    Derived(series.compute), COST_OPTIONS, COST_SELECTION,
)  # fmt: skip
TOKEN_COST = SeriesMetric(
    "token_cost", "Cost of tokens", "currency_per_million_tokens",
    "What a million tokens of each kind cost, and all of them together; or what cached input saves.",
    Derived(token_series.compute), TOKEN_OPTIONS, COST_SELECTION,
)  # fmt: skip
