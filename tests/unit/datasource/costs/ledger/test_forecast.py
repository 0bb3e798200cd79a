"""What a month will cost, against a budget."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from datasource_support.week_ledger import START, A, ledger
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.forecast import Forecast, forecasts
from modelplane_datasource.costs.ledger.lines import Policy
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.registry import (
    Budget,
    Tenant,
)


def tenant(name: str = "a", amount: int | None = 1000, currency: str = "USD") -> Tenant:
    return Tenant(
        id=name, budget=None if amount is None else Budget(amount=Decimal(amount), currency=currency)
    )


def test_forecast_is_month_to_date_plus_the_rate_of_the_trailing_week() -> None:
    """Half a device at 3.60 an hour costs 43.20 a day: 10 days so far, 21 days to come."""
    book = ledger(10, {A: 0.5}, first_day=-7)
    (result,) = forecasts(book, [tenant(amount=1400)])
    spent, whole = 432_000_000, round(43.2 * 31 * 1e6)
    assert result == Forecast(
        "a", "USD", START + 10 * DAY, START + 31 * DAY, spent, whole, whole, 1_400_000_000, "within"
    )
    assert forecasts(book, [tenant(amount=1300)])[0].verdict == "over"
    exactly = Tenant(id="a", budget=Budget(amount=Decimal(whole) / 10**6, currency="USD"))
    assert forecasts(book, [exactly])[0].verdict == "within"
    assert forecasts(book, [tenant(amount=None)])[0].verdict == "no_budget"


def test_forecast_follows_the_last_week_and_not_the_month() -> None:
    rows = ledger(20, {A: 0.5}, prices=[("2026-01-01", "3.60", "USD"), ("2026-05-14", "7.20", "USD")])
    (result,) = forecasts(rows, [tenant()])
    assert (result.spent, result.low) == (
        (13 * 43_200_000 + 7 * 86_400_000), 13 * 43_200_000 + 18 * 86_400_000
    )  # fmt: skip


def test_forecast_on_the_first_day_uses_the_week_before_and_at_the_end_nothing_is_left() -> None:
    (early,) = forecasts(ledger(1, {A: 0.5}, first_day=-7), [tenant()])
    assert (early.spent, early.low) == (43_200_000, 31 * 43_200_000)
    (late,) = forecasts(ledger(31, {A: 0.5}), [tenant()])
    assert late.spent == late.low == 31 * 43_200_000


def test_a_forecast_in_the_first_minutes_of_a_month_is_the_rate_of_the_week_before() -> None:
    whole = ledger(1, {A: 0.5}, first_day=-7)
    cells = CellGrid(whole.cells.start, START + 300_000)
    count = len(cells)
    lines = tuple(
        replace(
            line,
            quantities=line.quantities[:count],
            amounts=line.amounts[:count],
            rates=replace(line.rates, in_force=line.rates.in_force[:count]),
        )
        for line in whole.lines
    )
    (result,) = forecasts(replace(whole, cells=cells, lines=lines), [tenant()])
    assert (result.spent, result.low, result.month_end) == (150_000, 31 * 43_200_000, START + 31 * DAY)


# February, March and April of 2026 begin 89, 61 and 30 days before May.
@pytest.mark.parametrize(("begin", "length"), [(-89, 28), (-61, 31), (-30, 30), (0, 31)])
def test_on_the_last_day_of_a_month_one_day_is_left_of_it(begin: int, length: int) -> None:
    day = 43_200_000
    (result,) = forecasts(ledger(begin + length - 1, {A: 0.5}, first_day=begin), [tenant()])
    assert result.month_end == START + (begin + length) * DAY
    assert (result.spent, result.low) == ((length - 1) * day, length * day)


def test_a_budget_of_0_is_over_with_the_first_cost_and_a_huge_one_never_is() -> None:
    book = ledger(10, {A: 0.001})
    (nothing,) = forecasts(book, [tenant(amount=0)])
    assert (nothing.budget, nothing.verdict) == (0, "over")
    (unused,) = forecasts(book, [tenant("nobody", 0)])
    assert (unused.spent, unused.low, unused.high, unused.verdict) == (0, 0, 0, "within")
    (huge,) = forecasts(book, [tenant(amount=10**30)])
    assert (huge.budget, huge.verdict) == (10**36, "within")
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        tenant(amount=-1)


def test_unknown_time_makes_a_forecast_uncertain_and_not_lower() -> None:
    book = ledger(10, {A: 0.5}, gap=(2, 4))
    budget = tenant(amount=1250)
    (result,) = forecasts(book, [budget])
    assert result.high is not None
    assert result.low < 1_250_000_000 < result.high
    assert result.verdict == "uncertain"
    assert result.high - result.low == pytest.approx(2 * 86.4e6 - 0.6e6 + 21 * 86.4e6 / 7, abs=10)


def test_unpriced_use_makes_a_forecast_uncertain_and_never_within() -> None:
    book = ledger(10, {A: 0.5}, prices=[("2026-05-03", "3.60", "USD")])
    (result,) = forecasts(book, [tenant(amount=10**6)])
    assert (result.high, result.verdict) == (None, "uncertain")
    assert forecasts(ledger(10, {A: 0.5}, prices=[]), [tenant()])[0].verdict == "uncertain"


def test_unknown_time_without_a_price_is_not_left_out() -> None:
    book = ledger(10, {A: 0.5}, prices=[("2026-05-03", "3.60", "USD")], gap=(-0.1, 3))
    (result,) = forecasts(book, [tenant(amount=10**6)])
    assert result.spent == pytest.approx(7 * 43.2e6)
    assert (result.high, result.verdict) == (None, "uncertain")


def test_a_budget_in_another_currency_is_not_compared() -> None:
    euros, dollars = forecasts(ledger(10, {A: 0.5}), [tenant(currency="EUR")])
    assert (euros.currency, euros.spent, euros.high, euros.verdict) == ("EUR", 0, None, "uncertain")
    assert (dollars.currency, dollars.budget, dollars.verdict) == ("USD", None, "no_budget")


def test_given_idle_time_is_a_cost_and_what_a_tenant_does_not_use_is_not() -> None:
    (result,) = forecasts(ledger(31, {A: 0.5}, Policy("proportional")), [tenant()])
    assert result.spent == 31 * 86_400_000
    (other,) = forecasts(ledger(31, {A: 0.5}), [tenant("b", 5)])
    assert (other.spent, other.low, other.high, other.verdict) == (0, 0, 0, "within")


def test_a_forecast_needs_the_month_from_its_start() -> None:
    with pytest.raises(ValueError, match="the ledger must begin with the month"):
        forecasts(ledger(10, {A: 0.5}, first_day=1), [tenant()])
