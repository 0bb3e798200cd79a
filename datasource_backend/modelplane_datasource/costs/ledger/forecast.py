"""What a tenant will have spent at the end of the month, against its budget.

The month so far, plus what the coming days will cost. A past day is 24 hours back from now, so the latest one
is whole, too. What was used in one is what will be used in a coming one: at the prices that the registry
already knows for that day, and of the last day of the month only up to its end. ``projection`` makes a sum
with an interval of them. Days are those since the tenant's first charge, of at most four weeks; times in
which none of its devices was seen are filled with the mean of the same time of other days, and a day of
which less than half is known is left out. Idle time that the policy gives to a tenant is a cost of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeVar

import numpy as np

from modelplane_datasource.costs.ledger.allocation import MICRO, IdlePolicy
from modelplane_datasource.costs.ledger.cells import CellGrid, midnight, month_of
from modelplane_datasource.costs.ledger.lines import CAPACITY, SIGNS, UNKNOWN, Asset, Ledger, Line
from modelplane_datasource.costs.ledger.prices import SECONDS_PER_HOUR, AnyPrice
from modelplane_datasource.costs.ledger.projection import DAYS_OF_WEEK, Projection, projected
from modelplane_datasource.timeline.arrays import BoolArray, FloatArray, IntArray
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.registry import Price, Tenant

TRAILING = 28 * DAY
# Before a week has been seen nobody knows its weekend: there is no upper end.
DAYS_FOR_AN_INTERVAL = DAYS_OF_WEEK

_NOTHING = Projection(0.0, 0.0, 0.0)

AnyArray = TypeVar("AnyArray", BoolArray, IntArray)
Verdict = Literal["within", "over", "uncertain", "no_budget"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """A tenant's month in one currency; amounts in micro-units.

    ``expected`` is the month so far and what is expected of the rest. The month ends between ``low`` and
    ``high`` in at least ``COVERAGE`` of all cases. Both have what was ``spent``; ``high`` adds all unknown
    time of this month of the devices that the tenant used, which may have been its use. It is None with fewer
    than ``DAYS_FOR_AN_INTERVAL`` ``days`` of data, and when the tenant has charges without a price or in
    other currencies than its budget's. ``verdict`` is ``over`` when ``low`` is above the budget, ``within``
    when ``high`` is not, and else ``uncertain``. A tenant without any charge is expected to have none.
    """

    tenant_id: str
    currency: str
    as_of: int
    month_end: int
    idle: IdlePolicy
    days: int
    spent: int
    low: int
    expected: int
    high: int | None
    budget: int | None
    verdict: Verdict


class _Assets(NamedTuple):
    """The lines about all time of each asset."""

    capacity: Mapping[Asset | None, Line]
    unknown: Mapping[Asset | None, Line]


class _Past(NamedTuple):
    """The days that a forecast rests on.

    ``positions`` (days,) are their places, -1 for the latest; ``is_data`` (days, cells of a day) says of
    which of their cells there is data.
    """

    positions: IntArray
    is_data: BoolArray


def forecasts(ledger: Ledger, tenants: Iterable[Tenant]) -> tuple[Forecast, ...]:
    """One forecast for each tenant and currency of its costs or budget, in their order.

    The month is that of the last cell of ``ledger``, which must begin with the month or before; let it begin
    ``TRAILING`` before its end as well. ValueError when it begins later.
    """
    cells = ledger.cells
    month = month_of(cells.end - 1)
    if cells.start > month.start:
        raise ValueError(
            f"the ledger must begin with the month, at {month.start} or before (got {cells.start})"
        )
    by_tenant: defaultdict[str, list[Line]] = defaultdict(list)
    for line in ledger.lines:
        if line.identity is not None and SIGNS[line.kind]:
            by_tenant[line.identity.tenant_id].append(line)
    capacity, unknown = (
        {line.asset: line for line in ledger.lines if line.kind == kind} for kind in (CAPACITY, UNKNOWN)
    )
    return tuple(
        forecast
        for tenant in tenants
        for forecast in _of_tenant(tenant, by_tenant[tenant.id], _Assets(capacity, unknown), ledger)
    )


def _of_tenant(tenant: Tenant, lines: list[Line], assets: _Assets, ledger: Ledger) -> Iterator[Forecast]:
    cells, month = ledger.cells, month_of(ledger.cells.end - 1)
    of_month = cells.starts >= month.start
    spent = _by_currency(lines, of_month)
    doubt = _by_currency((assets.unknown[asset] for asset in _assets_of(lines)), of_month)
    past = _past(lines, assets, cells)
    rest = _rest_of_month(lines, past, cells)
    currencies = {*spent, *doubt, *rest}
    has_interval = not rest or len(past.positions) >= DAYS_FOR_AN_INTERVAL
    budgets = {tenant.budget.currency: tenant.budget.amount} if tenant.budget else {}
    for currency in sorted({currency for currency in currencies if currency} | budgets.keys()):
        budget = int(budgets[currency] * MICRO) if currency in budgets else None
        is_comparable = not (currencies - {currency} if currency in budgets else currencies & {None})
        to_date = spent.get(currency, 0)
        low, expected, high = (to_date + round(amount) for amount in rest.get(currency, _NOTHING))
        least = low if has_interval else to_date
        most = high + doubt.get(currency, 0) if has_interval and is_comparable else None
        yield Forecast(
            tenant_id=tenant.id,
            currency=currency,
            as_of=cells.end,
            month_end=month.end,
            idle=ledger.policy.idle,
            days=len(past.positions),
            spent=to_date,
            low=least,
            expected=expected,
            high=most,
            budget=budget,
            verdict=_verdict(least, most, budget),
        )


def _assets_of(lines: Iterable[Line]) -> set[Asset]:
    return {line.asset for line in lines if line.asset}


def _by_currency(lines: Iterable[Line], cell_mask: BoolArray) -> dict[str | None, int]:
    """What the cells of ``cell_mask`` cost in each currency; None is there when something is unpriced."""
    sums: defaultdict[str | None, int] = defaultdict(int)
    for line in lines:
        for number in np.unique(line.rates.in_force[cell_mask]).tolist():
            chosen = cell_mask & (line.rates.in_force == number)
            if np.any(line.quantities[chosen]):
                price = line.rates.price(number)
                sums[price.currency if price else None] += int(line.amounts[chosen].sum())
    return dict(sums)


def _past(lines: Sequence[Line], assets: _Assets, cells: CellGrid) -> _Past:
    """The days since the first charge, within ``TRAILING``, of which at least half is known.

    Where that is none, what is known stands for one day.
    """
    nowhere = np.zeros(len(cells), dtype=np.bool_)
    is_charged, is_there, is_known = nowhere.copy(), nowhere.copy(), nowhere.copy()
    for line in lines:
        is_charged |= line.quantities > 0
    for asset in _assets_of(lines):
        capacity, unknown = assets.capacity[asset].quantities, assets.unknown[asset].quantities
        is_there |= capacity > 0
        is_known |= capacity > unknown
    # A device that no inventory lists, such as a process, is taken not to be there when it is not seen.
    is_data = is_charged | is_known | ~is_there
    charged = np.flatnonzero(is_charged & (cells.starts >= cells.end - TRAILING))
    if not len(charged):
        return _Past(np.zeros(0, dtype=np.int64), _by_day(nowhere, cells)[:0])
    is_data[: charged[0]] = False
    days = _by_day(is_data, cells)
    shares = days.mean(axis=1)
    chosen = np.flatnonzero(shares >= min(0.5, shares.max()))
    return _Past(chosen - len(days), days[chosen])


def _by_day(values: AnyArray, cells: CellGrid) -> AnyArray:
    """``values`` (cells,) by the last days before the end of ``cells``: (days, cells of a day), 0 before."""
    per_day = DAY // cells.cell
    days = min(-(-len(cells) // per_day), TRAILING // DAY)
    latest = values[-days * per_day :]
    return np.pad(latest, (days * per_day - len(latest), 0)).reshape(days, per_day)


def _rest_of_month(lines: Iterable[Line], past: _Past, cells: CellGrid) -> dict[str | None, Projection]:
    """What the rest of the month will cost in each currency; None is there when something has no price."""
    if not len(past.positions):
        return {}
    used: defaultdict[tuple[AnyPrice, ...], IntArray] = defaultdict(lambda: np.zeros(len(cells), np.int64))
    for line in lines:
        used[line.rates.prices] = used[line.rates.prices] + line.quantities
    # (past days, coming days): what a coming day costs if it is like a past one.
    costs: dict[str | None, FloatArray] = {}
    for prices, quantities in used.items():
        of_days = _filled(_by_day(quantities, cells)[past.positions], past.is_data)
        for currency, rates in _coming_rates(prices, cells).items():
            added = of_days @ rates
            if np.any(added):
                costs[currency] = costs[currency] + added if currency in costs else added
    return {currency: _sum_of_coming(of_days, past.positions) for currency, of_days in costs.items()}


def _filled(values: IntArray, is_data: BoolArray) -> FloatArray:
    """``values`` (days, cells of a day); where there is no data, the mean of the same time of other days."""
    known = is_data.sum(axis=0)
    sums = np.where(is_data, values, 0).sum(axis=0)
    of_time = np.divide(sums, known, out=np.full(len(known), sums.sum() / known.sum()), where=known > 0)
    return np.where(is_data, values, of_time)


def _coming_rates(prices: tuple[AnyPrice, ...], cells: CellGrid) -> dict[str | None, FloatArray]:
    """Micro-units of money for a unit of quantity in each currency, by coming cell of this month.

    They are (cells of a day, coming days), 0 where another price is in force or the month is over. For None
    they are 1 where no price is.
    """
    end = month_of(cells.end - 1).end
    days = -(-(end - cells.end) // DAY)
    starts = cells.end + np.arange(days * (DAY // cells.cell)) * cells.cell
    begins = np.array([midnight(price.effective_from) for price in prices], dtype=np.int64)
    in_force = np.where(starts < end, np.searchsorted(begins, starts, side="right"), -1)
    rates: dict[str | None, FloatArray] = {None: (in_force == 0).astype(np.float64)}
    for number, price in enumerate(prices, start=1):
        of_currency = rates.setdefault(price.currency, np.zeros(len(starts)))
        of_currency[in_force == number] = float(price.amount) / _units(price)
    return {currency: of_cells.reshape(days, DAY // cells.cell).T for currency, of_cells in rates.items()}


def _units(price: AnyPrice) -> int:
    """How many units of quantity cost as many micro-units as the price has units."""
    return SECONDS_PER_HOUR if isinstance(price, Price) else 1


def _sum_of_coming(costs: FloatArray, positions: IntArray) -> Projection:
    """The sum over coming days, from what each costs if it is like one of the past days (past, coming)."""
    values = costs.mean(axis=1)
    return projected(values, positions, costs.sum(axis=0) / values.sum())


def _verdict(low: int, high: int | None, budget: int | None) -> Verdict:
    if budget is None:
        return "no_budget"
    if low > budget:
        return "over"
    return "uncertain" if high is None or high > budget else "within"
