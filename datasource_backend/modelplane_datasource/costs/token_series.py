"""What a million tokens cost over time, and what cached input saves: one series for each group and kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from modelplane_datasource.context import AppContext
from modelplane_datasource.costs.ledger.allocation import MICRO
from modelplane_datasource.costs.ledger.report import GroupBy
from modelplane_datasource.costs.ledger.token_costs import ALL_KINDS, TokenCosts, token_costs
from modelplane_datasource.costs.ledger_source import permitted, token_ledger_of
from modelplane_datasource.costs.parameters import BASIS, SAVINGS, TOKEN_GROUP_BY, TOKEN_GROUPS, TOKEN_VALUE
from modelplane_datasource.costs.rows import check_rows, is_selected, notices_of
from modelplane_datasource.costs.series import steps_of
from modelplane_datasource.series.model import Series, SeriesResult
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.tenancy.notices import note
from modelplane_datasource.timeline.arrays import FloatArray, IntArray
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.json_columns import JsonColumn, columns_of
from modelplane_schema.metrics import CACHED_INPUT, INPUT, TOKEN_KINDS


def compute(context: AppContext, selection: Selection, grid: Grid) -> SeriesResult:
    """Cost per million tokens by kind, or savings, of each group in each step; steps are those of cost.

    By default costs follow the operator's policy of idle time. A value is null where there were no tokens,
    and where something that the group used has no price. ApiError, which is 403 for a basis that would tell
    the caller what others use.
    """
    basis: Any = permitted(BASIS, selection.options, "idle_policy", _configured(context))
    step, cells = steps_of(grid, context.now())
    ledger = token_ledger_of(context, cells)
    note(notices_of(ledger, selection))
    by = tuple(dict.fromkeys(selection.options[TOKEN_GROUP_BY.name])) or TOKEN_GROUPS
    costs = list(token_costs(ledger, lambda line: is_selected(line, selection), by, step, basis))
    steps = Grid(cells.start, cells.end - 1, step or cells.end - cells.start)
    check_rows(len(costs) * (len(TOKEN_KINDS) + 1) * len(steps), context.settings.max_points)
    make = _savings if selection.options[TOKEN_VALUE.name] == SAVINGS else _costs_by_kind
    return SeriesResult(steps, tuple(series for of_group in costs for series in make(of_group, by, basis)))


def _configured(context: AppContext) -> str:
    """The basis that tells a tenant no more than the operator's policy of idle time does."""
    return "allocation" if context.settings.idle_policy == "proportional" else "usage"


def _costs_by_kind(costs: TokenCosts, by: Sequence[GroupBy], basis: str) -> Iterator[Series]:
    amounts, tokens = [costs.total, *costs.amounts], [costs.tokens.sum(axis=0), *costs.tokens]
    for kind, of_kind, number in zip((ALL_KINDS, *TOKEN_KINDS), amounts, tokens, strict=True):
        if number.any():
            extra = {"tokens": _column(number), "amount": _column(of_kind / MICRO)}
            yield _series(costs, by, basis, kind, _quotient(of_kind, number), extra)


def _savings(costs: TokenCosts, by: Sequence[GroupBy], basis: str) -> Iterator[Series]:
    cached, not_cached = (costs.tokens[TOKEN_KINDS.index(kind)] for kind in (CACHED_INPUT, INPUT))
    if cached.any():
        ratio = _quotient(cached.astype(np.float64), cached + not_cached)
        extra = {"tokens": _column(cached), "cached_ratio": _column(ratio)}
        yield _series(costs, by, basis, CACHED_INPUT, costs.saving / MICRO, extra)


def _series(
    costs: TokenCosts,
    by: Sequence[GroupBy],
    basis: str,
    kind: str,
    values: FloatArray,
    extra: Mapping[str, JsonColumn],
) -> Series:
    name = " ".join([*(value for value in costs.group if value), kind, costs.currency or "unpriced"])
    group: dict[str, str] = {label: value or "" for label, value in zip(by, costs.group, strict=True)}
    labels = {
        **group,
        "kind": kind,
        "basis": basis,
        "currency": costs.currency or "",
        "state": "priced" if costs.currency else "unpriced",
    }
    return Series(name, labels, _column(values), extra)


def _quotient(numerator: FloatArray, denominator: IntArray) -> FloatArray:
    """NaN where the denominator is 0. Micro-units of money for a token are money for a million."""
    nothing = np.full(len(denominator), np.nan)
    quotient: FloatArray = np.divide(numerator, denominator, out=nothing, where=denominator > 0)
    return quotient


def _column(values: FloatArray | IntArray) -> JsonColumn:
    """Values as they are sent, null for NaN."""
    (column,) = columns_of(values[None].astype(np.float64))
    return column
