"""Amounts of money: whole hours cost their price, to the last digit."""

from __future__ import annotations

from decimal import Decimal

import pytest

from datasource_support.hour_ledger import (
    CPU_PRICE,
    PRICE,
    START,
    A,
    amounts,
    book,
    counter,
    growing,
    tariff,
)
from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.report import cost_rows
from modelplane_datasource.costs.ledger.usage import ScrapeTiming


@pytest.mark.parametrize(("amount", "hours"), [("1.00", 1), ("100", 672), ("3.10", 24), ("0.07", 7)])
@pytest.mark.parametrize("share", [0.0, 1 / 3, 1.0])
def test_device_hours_cost_exactly_their_price(amount: str, hours: int, share: float) -> None:
    cells = CellGrid(START, START + hours * 3_600_000)
    times = range(-300, 3600 * hours + 1, 300)
    used = counter(A, [(time, share * (time + 300)) for time in times])
    samples = Samples(ScrapeTiming(300_000), [used])
    ledger = build_ledger(cells, samples, tariff(prices=({**PRICE, "amount": amount},)))
    money = amounts(ledger)
    assert money.pop("capacity") == float(Decimal(amount) * hours)
    assert sum(value or 0 for value in money.values()) == pytest.approx(float(amount) * hours, abs=1e-9)


def test_an_hour_of_an_unlisted_process_costs_exactly_its_price() -> None:
    process = counter(A, growing(1.0), device="host/worker", device_type="cpu-process")
    ledger = book(process, tariff=tariff(inventory=(), prices=({**CPU_PRICE, "amount": "1"},)))
    assert amounts(ledger) == {"direct": 1, "capacity": 1}
    lost = book(counter(A, growing(1.0)), tariff=tariff(inventory=(), prices=({**PRICE, "amount": "1"},)))
    assert amounts(lost) == {"direct": 1, "over": 1}


def test_amounts_of_small_currencies_are_exact() -> None:
    prices = ({**PRICE, "amount": Decimal("1300000"), "currency": "IRR"},)
    ledger = book(counter(A, growing(0.5)), tariff=tariff(prices=prices))
    result = cost_rows(ledger)
    exact = {"direct": 650_000, "idle": 650_000, "unknown": 0, "over": 0, "capacity": 1_300_000}
    micro = {row.kind: row.amount for row in result if row.amount is not None}
    assert micro["capacity"] == 1_300_000 * 10**6
    assert all(abs(amount - exact[kind] * 10**6) <= 12 for kind, amount in micro.items())
