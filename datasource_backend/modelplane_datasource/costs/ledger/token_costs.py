"""What tokens cost: the money of devices and of token prices, over tokens.

A ledger whose idle policy is ``keep`` gives both bases of the cost of a device. By ``usage`` an identity pays
for its own device seconds, and idle time is nobody's. By ``allocation`` all that a device costs in a period
(use, idle and unknown time) is paid by those who used it in the period, in proportion to their device
seconds, so that they pay what the device costs. Device seconds do not say which kind of token took them: a
device's cost is shared over the kinds by ``TOKEN_WEIGHTS``. Charges by token prices are those of their kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Literal, NamedTuple, get_args

import numpy as np

from modelplane_datasource.costs.ledger.lines import CAPACITY, DIRECT, OVER, Ledger, Line
from modelplane_datasource.costs.ledger.prices import Rates
from modelplane_datasource.costs.ledger.report import GroupBy, group_of
from modelplane_datasource.timeline.arrays import BoolArray, FloatArray, IntArray
from modelplane_schema.metrics import CACHED_INPUT, INPUT, TOKEN_KINDS, TOKEN_WEIGHTS

Basis = Literal["usage", "allocation"]
BASES: tuple[str, ...] = get_args(Basis)
ALL_KINDS = "all"

Group = tuple[str | None, ...]
Select = Callable[[Line], bool]

_WEIGHTS = np.array([[TOKEN_WEIGHTS[kind]] for kind in TOKEN_KINDS])
_CACHED_INPUT = TOKEN_KINDS.index(CACHED_INPUT)


class _Charge(NamedTuple):
    """What a line costs by period, in micro-units, and saves by being cached input.

    Without a ``currency`` it has no price, and ``amounts`` are quantities.
    """

    line: Line
    currency: str | None
    amounts: FloatArray
    saving: FloatArray | float = 0.0


class _Sums(NamedTuple):
    """What a group pays in one currency: ``device`` and ``saving`` (periods,), ``by_kind`` (kinds, periods)
    for tokens by their prices."""

    device: FloatArray
    by_kind: FloatArray
    saving: FloatArray

    def add(self, charge: _Charge) -> None:
        is_device = charge.line.asset is not None
        sums = self.device if is_device else self.by_kind[TOKEN_KINDS.index(charge.line.kind)]
        sums += charge.amounts
        self.saving[:] += charge.saving


class TokenCosts(NamedTuple):
    """What a group's tokens cost in one currency.

    ``tokens`` are (kinds, periods), in the order of ``TOKEN_KINDS``; amounts are in micro-units of money, NaN
    in periods in which something has no price. ``amounts`` are (kinds, periods), and NaN also where there is
    no token to charge. ``total`` (periods,) is what all of them cost, and ``saving`` (periods,) what cached
    input would have cost more as input. Without a ``currency`` nothing has a price.
    """

    group: Group
    currency: str | None
    tokens: IntArray
    amounts: FloatArray
    total: FloatArray
    saving: FloatArray


def token_costs(
    ledger: Ledger, is_selected: Select, by: Sequence[GroupBy], step: int | None, basis: Basis
) -> Iterator[TokenCosts]:
    """Of each group of selected lines and each currency, by periods of ``step`` milliseconds.

    Only versions of models that have tokens in the ledger count. ValueError as ``CellGrid.first_of_each``.
    """
    firsts = ledger.cells.first_of_each(step)
    counted = [line for line in ledger.lines if line.unit == "tokens" and is_selected(line)]
    versions = {_version(line) for line in counted if line.quantities.any()}
    tokens: defaultdict[Group, IntArray] = defaultdict(
        lambda: np.zeros((len(TOKEN_KINDS), len(firsts)), np.int64)
    )
    for line in counted:
        tokens[group_of(line, by)][TOKEN_KINDS.index(line.kind)] += _by_period(line.quantities, firsts)
    of_devices = (
        charge
        for charge in _device_charges(ledger.lines, firsts, basis)
        if is_selected(charge.line) and _version(charge.line) in versions
    )
    sums = _summed((*of_devices, *_token_charges(counted, firsts)), by, len(firsts))
    for group in sorted((group for group in tokens if tokens[group].any()), key=str):
        currencies = sorted(currency for of_group, currency in sums if of_group == group)
        for currency in currencies:
            yield _costs(group, currency, tokens[group], sums[group, currency])
        if not currencies:
            nothing = _nothing(len(firsts))
            yield _costs(group, None, tokens[group], nothing._replace(device=nothing.device + np.nan))


def _summed(
    charges: Iterable[_Charge], by: Sequence[GroupBy], periods: int
) -> dict[tuple[Group, str], _Sums]:
    """Sums of each group and currency; NaN, in every currency of a group, where something has no price."""
    sums: dict[tuple[Group, str], _Sums] = {}
    unpriced: defaultdict[Group, list[_Charge]] = defaultdict(list)
    for charge in charges:
        group = group_of(charge.line, by)
        if charge.currency is None:
            unpriced[group].append(charge._replace(amounts=np.where(charge.amounts > 0, np.nan, 0.0)))
        else:
            sums.setdefault((group, charge.currency), _nothing(periods)).add(charge)
    for (group, _), of_group in sums.items():
        for charge in unpriced[group]:
            of_group.add(charge)
    return sums


def _costs(group: Group, currency: str | None, tokens: IntArray, sums: _Sums) -> TokenCosts:
    weighted = _WEIGHTS * tokens
    # Where all tokens are of kinds without a weight, they are alike.
    weighted = np.where(weighted.sum(axis=0) > 0, weighted, tokens)
    everything = weighted.sum(axis=0)
    nothing = np.full(len(everything), np.nan)
    per_weight = np.divide(sums.device, everything, out=nothing, where=everything > 0)
    saved_weight = TOKEN_WEIGHTS[INPUT] - TOKEN_WEIGHTS[CACHED_INPUT]
    cached = tokens[_CACHED_INPUT]
    saving = np.where(cached > 0, cached * saved_weight * per_weight, 0.0) + sums.saving
    total = sums.device + sums.by_kind.sum(axis=0)
    return TokenCosts(group, currency, tokens, weighted * per_weight + sums.by_kind, total, saving)


def _nothing(periods: int) -> _Sums:
    return _Sums(np.zeros(periods), np.zeros((len(TOKEN_KINDS), periods)), np.zeros(periods))


def _version(line: Line) -> Group:
    return group_of(line, ("model", "version"))


def _by_period(values: IntArray, firsts: IntArray) -> IntArray:
    return np.add.reduceat(values, firsts)


def _by_currency(rates: Rates) -> Iterator[tuple[str | None, BoolArray]]:
    """The cells of each price, which may have the currency of another one."""
    for number in np.unique(rates.in_force).tolist():
        price = rates.price(number)
        yield price.currency if price else None, rates.in_force == number


def _device_charges(lines: Iterable[Line], firsts: IntArray, basis: Basis) -> Iterator[_Charge]:
    """What each identity pays for each device."""
    on_devices = (line for line in lines if line.asset is not None)
    for _, of_asset in groupby(on_devices, lambda line: line.asset):
        of_kind: defaultdict[str, list[Line]] = defaultdict(list)
        for line in of_asset:
            of_kind[line.kind].append(line)
        yield from _own_use(of_kind, firsts) if basis == "usage" else _shares_of_all(of_kind, firsts)


def _own_use(of_kind: Mapping[str, Sequence[Line]], firsts: IntArray) -> Iterator[_Charge]:
    for line in of_kind.get(DIRECT, ()):
        for currency, cells in _by_currency(line.rates):
            yield _Charge(line, currency, _charged(line, currency, cells, firsts))


def _shares_of_all(of_kind: Mapping[str, Sequence[Line]], firsts: IntArray) -> Iterator[_Charge]:
    """A device's capacity and what was charged above it, in proportion to the use in each period."""
    users, (capacity,), (over,) = of_kind.get(DIRECT, ()), of_kind[CAPACITY], of_kind[OVER]
    used = [_by_period(line.quantities, firsts) for line in users]
    everything = np.maximum(sum(used, np.zeros(len(firsts), np.int64)), 1)
    for currency, cells in _by_currency(capacity.rates):
        whole = _charged(capacity, currency, cells, firsts) + _charged(over, currency, cells, firsts)
        for line, of_line in zip(users, used, strict=True):
            yield _Charge(line, currency, whole * (of_line / everything))


def _charged(line: Line, currency: str | None, cells: BoolArray, firsts: IntArray) -> FloatArray:
    """Amounts of a line in some cells by period, quantities without a currency."""
    values = line.quantities if currency is None else line.amounts
    return _by_period(values * cells, firsts).astype(np.float64)


def _token_charges(lines: Sequence[Line], firsts: IntArray) -> Iterator[_Charge]:
    """What tokens cost by their prices; nothing for those of models that have none."""
    priced = {_version(line)[0] for line in lines if line.rates.prices}
    of_input = {_version(line)[0]: line.rates for line in lines if line.kind == INPUT}
    for line in lines:
        model = _version(line)[0]
        if model in priced:
            input_rates = of_input.get(model) if line.kind == CACHED_INPUT else None
            for currency, cells in _by_currency(line.rates):
                amounts = _charged(line, currency, cells, firsts)
                saving = _saving(line, input_rates, currency, cells, firsts) if input_rates else 0.0
                yield _Charge(line, currency, amounts, saving)


def _saving(
    line: Line, of_input: Rates, currency: str | None, cells: BoolArray, firsts: IntArray
) -> FloatArray:
    """What the tokens of a line would cost more at the prices of input in the same currency."""
    saving = np.zeros(len(line.quantities))
    for of_currency, input_cells in _by_currency(of_input):
        if currency is not None and of_currency == currency:
            difference = line.quantities * of_input.amounts - line.amounts
            saving += np.where(cells & input_cells, difference, 0.0)
    sums: FloatArray = np.add.reduceat(saving, firsts)
    return sums
