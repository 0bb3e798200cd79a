"""Dated prices as piecewise constants over cells."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from modelplane_datasource.costs.ledger.allocation import whole
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight
from modelplane_datasource.timeline.arrays import FloatArray, IntArray
from modelplane_schema.registry import Devices, Model, Price, TokenPrice

SECONDS_PER_HOUR = 3600
MICROSECONDS = 1000  # in a millisecond
PRICE_JUMP = 5  # a price that changes by a larger factor is more likely a slip than a price

AnyPrice = Price | TokenPrice


class Priced(NamedTuple):
    """What a price is for: a kind of a model's tokens, or a device type, which has no model."""

    model_name: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.model_name is None else f"{self.name} tokens of {self.model_name}"


@dataclass(frozen=True, slots=True)
class Tariff:
    """Which devices there are and what they and tokens cost; ``tokens`` is by model name."""

    devices: Devices = field(default_factory=Devices)
    tokens: Mapping[str, Sequence[TokenPrice]] = field(default_factory=dict)

    def of_device_type(self, device_type: str) -> tuple[Price, ...]:
        """The prices of a device type."""
        return tuple(price for price in self.devices.prices if price.device_type == device_type)

    def of_tokens(self, model_name: str, kind: str) -> tuple[TokenPrice, ...]:
        """The prices of a model's tokens of one kind."""
        return tuple(price for price in self.tokens.get(model_name, ()) if price.kind == kind)


def tariff_of(devices: Devices, models: Iterable[Model]) -> Tariff:
    """The tariff of a registry's devices and models."""
    return Tariff(devices, {model.name: model.token_prices for model in models if model.token_prices})


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """The price in force in each cell.

    ``prices`` are by date; ``in_force`` (cells,) says how many of them have begun, so the last of those is
    the cell's price and 0 is unpriced. ``amounts`` (cells,) are micro-units of money for each unit of
    quantity, 0 where unpriced.
    """

    prices: tuple[AnyPrice, ...]
    in_force: IntArray
    amounts: FloatArray

    def cost(self, quantities: IntArray) -> IntArray:
        """What ``quantities`` (..., cells) cost, each rounded once to micro-units of money."""
        return whole(quantities * self.amounts)

    def cost_between(self, low: IntArray, high: IntArray, cell: IntArray) -> IntArray:
        """What counters cost that go from ``low`` to ``high`` in a cell, in micro-units of money.

        It is what ``high`` rounds to less what ``low`` rounds to: rounded on the running total of a counter,
        so that any parts of what it counts add up. 0 where unpriced.
        """
        amounts = np.zeros(len(cell), dtype=np.int64)
        in_force = self.in_force[cell]
        for number, price in enumerate(self.prices, start=1):
            chosen, each = in_force == number, Fraction(price.amount)
            amounts[chosen] = _cost(high[chosen], each) - _cost(low[chosen], each)
        return amounts

    def running_cost(self, quantities: IntArray, cells: CellGrid, begins: int) -> IntArray:
        """What ``quantities`` (cells,) of micro-seconds cost, rounded on the running total of a device.

        The total is that of a device that is there without a break since ``begins``, in milliseconds: a cell
        costs what the total rounds to with it, less what it rounds to without it.
        """
        each = [Fraction(0), *(Fraction(price.amount) / SECONDS_PER_HOUR for price in self.prices)]
        denominator = math.lcm(*(price.denominator for price in each))
        prices = [int(price * denominator) for price in each]  # of a micro-second, so that all sums are whole
        total = self._running_total(prices, begins, cells.start)
        amounts: list[int] = []
        every = zip(cells.starts.tolist(), quantities.tolist(), self.in_force.tolist(), strict=True)
        for start, quantity, number in every:
            after = total + prices[number] * quantity
            amounts.append(_rounded(after, denominator) - _rounded(total, denominator))
            if start >= begins:
                total = (total + prices[number] * cells.cell * MICROSECONDS) % denominator
        return np.array(amounts, dtype=np.int64)

    def _running_total(self, prices: Sequence[int], begins: int, end: int) -> int:
        """What a device cost from ``begins`` to ``end``, by ``prices`` of a micro-second."""
        edges = [midnight(price.effective_from) for price in self.prices]
        ranges = zip(edges, (*edges[1:], end), prices[1:], strict=False)  # of no price there is none
        times = ((max(min(last, end) - max(first, begins), 0), price) for first, last, price in ranges)
        return sum(time * MICROSECONDS * price for time, price in times)

    def price(self, in_force: int) -> AnyPrice | None:
        """The price that a value of ``in_force`` stands for; None where unpriced."""
        return self.prices[in_force - 1] if in_force else None


def _rounded(numerator: int, denominator: int) -> int:
    """The nearest whole number, halves up, so that a whole number more is a whole number more."""
    return (2 * numerator + denominator) // (2 * denominator)


def _cost(quantities: IntArray, each: Fraction) -> IntArray:
    """What quantities cost at ``each`` a unit, to the nearest whole number, halves up; ValueError from 2**62
    up."""
    numerator, denominator = each.as_integer_ratio()
    largest = 2 * int(quantities.max(initial=0)) * numerator + denominator
    if largest >= denominator << 63:
        raise ValueError(f"a counter must cost less than 2**62 micro-units (got {largest // denominator})")
    exact = quantities if largest < 2**63 else quantities.astype(object)
    cost: IntArray = ((2 * exact * numerator + denominator) // (2 * denominator)).astype(np.int64)
    return cost


def device_rates(prices: Iterable[Price], cells: CellGrid) -> Rates:
    """Rates for micro-seconds of a device."""
    return _rates(prices, cells, SECONDS_PER_HOUR)


def token_rates(prices: Iterable[TokenPrice], cells: CellGrid) -> Rates:
    """Rates for tokens: a price for a million tokens is micro-units for one."""
    return _rates(prices, cells, 1)


def _rates(prices: Iterable[AnyPrice], cells: CellGrid, per: int) -> Rates:
    dated = tuple(sorted(prices, key=lambda price: price.effective_from))
    begins = np.array([midnight(price.effective_from) for price in dated], dtype=np.int64)
    in_force = np.searchsorted(begins, cells.starts, side="right")
    amounts = np.array([0.0, *(float(price.amount) / per for price in dated)])
    return Rates(dated, in_force, amounts[in_force])


def price_warnings(tariff: Tariff) -> Iterator[tuple[Priced, str]]:
    """A sentence for each price that is more than ``PRICE_JUMP`` times the one before it, or the reverse."""
    prices_of: defaultdict[Priced, list[AnyPrice]] = defaultdict(list)
    for price in tariff.devices.prices:
        prices_of[Priced(None, price.device_type)].append(price)
    for model_name, prices in tariff.tokens.items():
        for token_price in prices:
            prices_of[Priced(model_name, token_price.kind)].append(token_price)
    for priced, of_priced in prices_of.items():
        for before, after in pairwise(sorted(of_priced, key=lambda price: price.effective_from)):
            if before.currency == after.currency and _jumps(before.amount, after.amount):
                change = f"from {before.amount} to {after.amount} {after.currency} on {after.effective_from}"
                text = (
                    f"The price of {priced} goes {change}, by more than a factor of {PRICE_JUMP}; check it."
                )
                yield priced, text


def _jumps(before: Decimal, after: Decimal) -> bool:
    return max(before, after) > PRICE_JUMP * min(before, after)
