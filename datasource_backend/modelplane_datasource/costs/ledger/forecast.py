"""What a tenant will have spent at the end of the month, against its budget.

Method: what the month has cost so far plus the mean cost per time of the trailing week (or of the ledger, if
it is shorter) times what is left of the month. Idle time that the policy gives to a tenant is a cost of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from modelplane_datasource.costs.ledger.allocation import MICRO
from modelplane_datasource.costs.ledger.cells import CellGrid, month_of
from modelplane_datasource.costs.ledger.lines import SIGNS, UNKNOWN, Asset, Ledger, Line
from modelplane_datasource.timeline.arrays import BoolArray, IntArray
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.registry import Tenant

TRAILING = 7 * DAY

Verdict = Literal["within", "over", "uncertain", "no_budget"]


@dataclass(frozen=True, slots=True)
class Forecast:
    """A tenant's month in one currency; amounts in micro-units.

    ``low`` counts what is the tenant's for sure. ``high`` adds all unknown time of the devices that it
    used; it is None when the tenant has charges without a price, or in other currencies than its budget's.
    ``verdict`` is ``over`` when ``low`` is above the budget, ``within`` when ``high`` is not, and
    else ``uncertain``.
    """

    tenant_id: str
    currency: str
    as_of: int
    month_end: int
    spent: int
    low: int
    high: int | None
    budget: int | None
    verdict: Verdict


def forecasts(ledger: Ledger, tenants: Iterable[Tenant]) -> tuple[Forecast, ...]:
    """One forecast for each tenant and currency of its costs or budget, in their order.

    The month is that of the last cell of ``ledger``, which must begin with the month or before; let it begin
    a week before its end as well. ValueError when it begins later.
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
    unknown = {line.asset: line for line in ledger.lines if line.kind == UNKNOWN}
    return tuple(
        forecast
        for tenant in tenants
        for forecast in _of_tenant(tenant, by_tenant[tenant.id], unknown, cells)
    )


def _of_tenant(
    tenant: Tenant, lines: list[Line], unknown: Mapping[Asset | None, Line], cells: CellGrid
) -> Iterator[Forecast]:
    month, budget = month_of(cells.end - 1), tenant.budget
    looked_at = cells.starts >= min(month.start, cells.end - TRAILING)
    spent = _by_currency(lines, looked_at)
    doubt = _by_currency(
        (unknown[asset] for asset in {line.asset for line in lines if line.asset}), looked_at
    )
    unpriced = None in spent or None in doubt
    currencies = {currency for currency in (*spent, *doubt) if currency}
    of_budget = {budget.currency} if budget else set()
    for currency in sorted(currencies | of_budget):
        nothing = np.zeros(len(cells), dtype=np.int64)
        to_date, low = _projected(spent.get(currency, nothing), cells)
        _, uncertain = _projected(doubt.get(currency, nothing), cells)
        limit = None
        incomplete = unpriced
        if budget is not None and budget.currency == currency:
            limit = int(budget.amount * MICRO)
            incomplete |= bool(currencies - {currency})
        high = None if incomplete else low + uncertain
        verdict = _verdict(low, high, limit)
        yield Forecast(tenant.id, currency, cells.end, month.end, to_date, low, high, limit, verdict)


def _by_currency(lines: Iterable[Line], cell_mask: BoolArray) -> dict[str | None, IntArray]:
    """Amounts by cell (cells,) of each currency; None is there when something in ``cells`` is unpriced."""
    sums: dict[str | None, IntArray] = {}
    for line in lines:
        for number in np.unique(line.rates.in_force[cell_mask]).tolist():
            chosen = cell_mask & (line.rates.in_force == number)
            if np.any(line.quantities[chosen]):
                price = line.rates.price(number)
                amounts, currency = line.amounts * chosen, price.currency if price else None
                sums[currency] = sums[currency] + amounts if currency in sums else amounts
    return sums


def _projected(amounts: IntArray, cells: CellGrid) -> tuple[int, int]:
    """The month so far, and that with the rest of the month at the rate of the trailing week."""
    month = month_of(cells.end - 1)
    trailing = max(cells.start, cells.end - TRAILING)
    to_date = int(amounts[cells.starts >= month.start].sum())
    recent = int(amounts[cells.starts >= trailing].sum())
    return to_date, to_date + round(Fraction(recent * (month.end - cells.end), cells.end - trailing))


def _verdict(low: int, high: int | None, budget: int | None) -> Verdict:
    if budget is None:
        return "no_budget"
    if low > budget:
        return "over"
    return "uncertain" if high is None or high > budget else "within"
