"""Samples, inventory and prices become a ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np

from modelplane_datasource.costs.ledger.allocation import (
    balanced,
    idle_shares,
    money_balance,
    scaled,
)
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.gaps import time_in_cells
from modelplane_datasource.costs.ledger.holdings import DeviceSamples, Holding, holdings, inventory_of
from modelplane_datasource.costs.ledger.ledger_warnings import (
    hidden_token_warnings,
    inventory_warnings,
    jump_warnings,
    unknown_warnings,
)
from modelplane_datasource.costs.ledger.lines import (
    CAPACITY,
    DIRECT,
    EXCESS,
    IDLE,
    IDLE_SHARE,
    KEEP,
    OVER,
    UNKNOWN,
    Ledger,
    LedgerWarning,
    Line,
    Policy,
)
from modelplane_datasource.costs.ledger.prices import MICROSECONDS, Rates, Tariff, device_rates, token_rates
from modelplane_datasource.costs.ledger.usage import (
    CellCounts,
    CounterSeries,
    DeviceUse,
    Scrapes,
    ScrapeTiming,
    TokenUse,
    counts_in_cells,
    union_of,
)
from modelplane_datasource.timeline.arrays import BoolArray, IntArray
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import TOKEN_KINDS

_LARGEST_SUM = 2**63


@dataclass(frozen=True, slots=True)
class Samples:
    """All that was measured from ``timing.lookback`` before the first cell to as long after the last.

    Give the series of every identity on a device, or its idle time is wrong; what is shown to whom is decided
    on rows. ``seen_at`` are further times, in milliseconds, at which a series carried a device, such as
    those of its utilization.
    """

    timing: ScrapeTiming
    device_seconds: Sequence[CounterSeries[DeviceUse]] = ()
    tokens: Sequence[CounterSeries[TokenUse]] = ()
    seen_at: Mapping[str, IntArray] = field(default_factory=dict)


def build_ledger(cells: CellGrid, samples: Samples, tariff: Tariff, policy: Policy = KEEP) -> Ledger:
    """The ledger of ``cells``; ValueError for samples that cannot be.

    A device that the inventory does not list has no capacity: what it is used for is charged, and stands in
    ``over`` too. One of the type ``cpu-process`` is there while samples carry it. A device that the inventory
    lists has the inventory's type, whatever its series say. Warnings report both.
    """
    series = sorted(samples.device_seconds, key=lambda counter: counter.key)
    tokens = sorted(samples.tokens, key=lambda counter: counter.key)
    scrapes = Scrapes((*series, *tokens))
    inventory, used = inventory_of(tariff), _by_device(series)
    lines: list[Line] = []
    unknown: list[LedgerWarning] = []
    for device in sorted(inventory.keys() | used.keys()):
        counters = used.get(device, ())
        extra = samples.seen_at.get(device, np.zeros(0, dtype=np.int64))
        seen_at = union_of((extra, *(counter.scrapes for counter in counters)))
        of_device = DeviceSamples(device, counters, seen_at, scrapes, samples.timing)
        for holding in holdings(of_device, inventory.get(device, ()), cells):
            unknown += unknown_warnings(holding, counters, cells, samples.timing.lookback)
            rates = device_rates(tariff.of_device_type(holding.asset.device_type), cells)
            lines += _asset_lines(holding, rates, cells, policy)
    token_counts = _token_counts(tokens, scrapes, tariff, cells, samples.timing)
    lines += _token_lines(token_counts, tariff, cells)
    _check_sums(lines)
    warnings = (
        *inventory_warnings(used, inventory),
        *dict.fromkeys(unknown),  # a device of two types is one device
        *hidden_token_warnings(
            (of_model.rows[row] for of_model in token_counts for row in of_model.gaps.hidden_rows()),
            samples.timing.lookback,
        ),
        *jump_warnings(tariff, lines),
    )
    return Ledger(cells, policy, tuple(lines), warnings)


def _check_sums(lines: Sequence[Line]) -> None:
    """ValueError when whatever is summed of ``lines`` may leave 64 bits."""
    for values in ([line.quantities for line in lines], [line.amounts for line in lines]):
        total = sum(float(of_line.sum(dtype=np.float64)) for of_line in values)
        if total >= _LARGEST_SUM:
            raise ValueError(f"a ledger must hold less than 2**63 micro-units (got {total:g})")


def _by_device(series: Sequence[CounterSeries[DeviceUse]]) -> dict[str, tuple[CounterSeries[DeviceUse], ...]]:
    """The series of each device, by device type."""
    by_device = groupby(series, lambda counter: counter.key.device)
    return {device: tuple(counters) for device, counters in by_device}


def _asset_lines(holding: Holding, rates: Rates, cells: CellGrid, policy: Policy) -> list[Line]:
    """No lines of what is in none of the cells and was not used."""
    charges = holding.charges
    capacity = time_in_cells(holding.there, cells) * MICROSECONDS
    if not charges.identities and not capacity.any():
        return []
    unknown = time_in_cells(holding.unknown, cells) * MICROSECONDS
    direct, identities = charges.direct, charges.identities
    if policy.shared == "scale":
        direct = scaled(direct, capacity, charges.shared)
    time = balanced(direct, unknown, capacity)
    charged = np.where(capacity > 0, capacity, direct.sum(axis=0))
    is_there = charged > 0
    money = money_balance(rates.running_cost(charged, cells, holding.begins), time)
    time_shares = idle_shares(time.idle, direct, charges.present, policy.idle)
    money_shares = idle_shares(money.idle, direct, charges.present, policy.idle)
    nothing = np.zeros(len(cells), dtype=np.int64)

    def line(
        kind: str,
        identity: Identity | None,
        quantities: IntArray,
        amounts: IntArray,
        estimated: IntArray = nothing,
    ) -> Line:
        return Line(kind, holding.asset, identity, quantities, amounts, rates, estimated, is_there)

    estimated = np.minimum(charges.estimated, direct)
    rows = enumerate(identities)
    lines = [line(DIRECT, identity, direct[row], money.direct[row], estimated[row]) for row, identity in rows]
    if policy.idle != "keep":
        rows = enumerate(identities)
        lines += [line(IDLE_SHARE, identity, time_shares[row], money_shares[row]) for row, identity in rows]
    if policy.shared == "scale":
        taken = (charges.direct - direct).sum(axis=0)
        lines.append(line(EXCESS, None, taken, rates.cost(taken)))
    idle = time.idle - time_shares.sum(axis=0), money.idle - money_shares.sum(axis=0)
    return [
        *lines,
        line(IDLE, None, *idle),
        line(UNKNOWN, None, time.unknown, money.unknown),
        line(OVER, None, time.over, money.over),
        line(CAPACITY, None, time.capacity, money.capacity),
    ]


def _token_counts(
    series: Sequence[CounterSeries[TokenUse]],
    scrapes: Scrapes,
    tariff: Tariff,
    cells: CellGrid,
    timing: ScrapeTiming,
) -> list[CellCounts]:
    """The tokens of each model that has token prices, by identity and kind."""
    return [
        counts_in_cells(counters, scrapes, cells, timing)
        for model_name, counters in groupby(series, lambda counter: counter.key.identity.model_name)
        if model_name in tariff.tokens
    ]


def _token_lines(counts: Iterable[CellCounts], tariff: Tariff, cells: CellGrid) -> Iterator[Line]:
    """Lines for tokens, each identity and kind apart."""
    for of_model in counts:
        rates = {
            (model_name, kind): _token_rates(tariff, model_name, kind, cells)
            for (model_name, *_), kind in of_model.rows
        }
        rates_of_row = [rates[key.identity.model_name, key.kind] for key in of_model.rows]
        tokens, amounts, estimates = _token_sums(of_model, rates_of_row)
        present: BoolArray = np.any(of_model.present, axis=1)
        everywhere = np.ones(len(cells), dtype=np.bool_)
        for row in np.flatnonzero(present):
            key = of_model.rows[row]
            yield Line(
                key.kind,
                None,
                key.identity,
                tokens[row],
                amounts[row],
                rates_of_row[row],
                estimates[row],
                everywhere,
            )


def _token_sums(counts: CellCounts, rates_of_row: Sequence[Rates]) -> tuple[IntArray, IntArray, IntArray]:
    """Tokens, what they cost and how many of them are estimated, each (rows, cells)."""
    amounts = np.zeros(len(counts.row), dtype=np.int64)
    for rates in dict.fromkeys(rates_of_row):
        chosen = np.array([of_row is rates for of_row in rates_of_row])[counts.row]
        amounts[chosen] = rates.cost_between(counts.low[chosen], counts.high[chosen], counts.cell[chosen])
    tokens = counts.high - counts.low
    sums = np.zeros((3, *counts.present.shape), dtype=np.int64)
    for total, values in zip(sums, (tokens, amounts, tokens * counts.is_estimated), strict=True):
        np.add.at(total, (counts.row, counts.cell), values)
    return sums[0], sums[1], sums[2]


def _token_rates(tariff: Tariff, model_name: str, kind: str, cells: CellGrid) -> Rates:
    if kind not in TOKEN_KINDS:
        raise ValueError(f"kind of tokens must be one of {', '.join(TOKEN_KINDS)} (got {kind!r})")
    return token_rates(tariff.of_tokens(model_name, kind), cells)
