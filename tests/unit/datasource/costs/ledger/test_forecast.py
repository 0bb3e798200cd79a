"""What a month will cost, against a budget."""

from __future__ import annotations

from decimal import Decimal

import pytest

from datasource_support.week_ledger import START, A, B, ledger
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


DAILY = 43_200_000  # half a device at 3.60 an hour


def test_forecast_is_month_to_date_plus_what_the_days_before_say() -> None:
    """10 days of the month so far and a week before it, all alike: 21 days to come."""
    book = ledger(10, {A: 0.5}, first_day=-7)
    (result,) = forecasts(book, [tenant(amount=1500)])
    assert result.high is not None
    assert result == Forecast(
        "a", "USD", START + 10 * DAY, START + 31 * DAY, "keep", 17, 10 * DAILY, result.low, 31 * DAILY,
        result.high, 1_500_000_000, "within",
    )  # fmt: skip
    assert 28 * DAILY < result.low < result.expected < result.high < 34 * DAILY
    assert forecasts(book, [tenant(amount=1200)])[0].verdict == "over"
    assert forecasts(book, [tenant(amount=1340)])[0].verdict == "uncertain"
    assert forecasts(book, [tenant(amount=None)])[0].verdict == "no_budget"


def test_a_price_that_is_known_to_change_changes_the_forecast() -> None:
    prices = [("2026-01-01", "3.60", "USD"), ("2026-05-11", "7.20", "USD"), ("2026-05-21", "1.80", "USD")]
    (result,) = forecasts(ledger(10, {A: 0.5}, prices=prices), [tenant()])
    assert result.spent == 10 * DAILY
    assert result.expected == pytest.approx(10 * DAILY + 10 * 2 * DAILY + 11 * DAILY / 2)


def test_a_past_price_is_not_a_price_to_come() -> None:
    rows = ledger(20, {A: 0.5}, prices=[("2026-01-01", "3.60", "USD"), ("2026-05-14", "7.20", "USD")])
    (result,) = forecasts(rows, [tenant()])
    assert result.spent == 13 * DAILY + 7 * 2 * DAILY
    assert result.expected == pytest.approx(13 * DAILY + 18 * 2 * DAILY)


def test_tokens_are_forecast_at_their_prices_too() -> None:
    book = ledger(10, {A: 0.5}, first_day=-7, tokens={"input": 3000.0, "output": 1000.0})
    (result,) = forecasts(book, [tenant()])
    a_day = 288 * (3000 * 2 + 1000 * 8)
    assert result.spent == 10 * (DAILY + a_day)
    assert result.expected == pytest.approx(31 * (DAILY + a_day))


def test_a_currency_that_is_to_come_is_forecast_and_not_compared() -> None:
    prices = [("2026-01-01", "3.60", "USD"), ("2026-05-21", "3.00", "EUR")]
    euros, dollars = forecasts(ledger(10, {A: 0.5}, first_day=-7, prices=prices), [tenant(amount=10**6)])
    assert (euros.currency, euros.spent, euros.verdict) == ("EUR", 0, "no_budget")
    assert euros.expected == pytest.approx(11 * 36_000_000)
    assert (dollars.expected, dollars.high, dollars.verdict) == (20 * DAILY, None, "uncertain")


def test_a_price_that_begins_later_does_not_hide_what_is_unpriced_now() -> None:
    (result,) = forecasts(ledger(10, {A: 0.5}, prices=[("2026-05-21", "3.60", "USD")]), [tenant()])
    assert (result.spent, result.high, result.verdict) == (0, None, "uncertain")
    assert result.expected == pytest.approx(11 * DAILY)


def test_a_new_tenant_goes_on_at_the_pace_of_its_own_life() -> None:
    """A day old, and a week old, on a device that another tenant has used for long."""
    for age, high_is_known in ((1, False), (3, False), (7, True)):
        book = ledger(10, {A: 0.25, B: 0.5}, first_day=-20, begins={B: 10 - age})
        (result,) = forecasts(book, [tenant("b/c", 1200)])
        assert (result.days, result.spent) == (age, age * DAILY)
        assert result.expected == pytest.approx((age + 21) * DAILY)
        assert (result.high is not None) == high_is_known
        assert (result.low == result.spent) != high_is_known
        assert result.verdict == "uncertain"


def test_a_tenant_of_a_few_hours_goes_on_at_their_pace() -> None:
    book = ledger(10, {A: 0.25, B: 0.5}, first_day=-20, begins={B: 10 - 2 / 24})
    (result,) = forecasts(book, [tenant("b/c", 1000)])
    assert (result.days, result.spent) == (1, DAILY / 12)
    assert result.expected == pytest.approx(DAILY / 12 + 21 * DAILY)


def test_days_without_data_are_no_days_without_use() -> None:
    (whole,) = forecasts(ledger(20, {A: 0.5}, first_day=-7), [tenant()])
    (result,) = forecasts(ledger(20, {A: 0.5}, first_day=-7, gap=(10, 14)), [tenant()])
    assert (whole.days, result.days) == (27, 23)
    assert result.spent == pytest.approx(16 * DAILY, rel=1e-3)
    assert result.expected - result.spent == pytest.approx(11 * DAILY, rel=1e-3)


def test_forecast_on_the_first_day_uses_the_week_before_and_at_the_end_nothing_is_left() -> None:
    (early,) = forecasts(ledger(1, {A: 0.5}, first_day=-7), [tenant()])
    assert (early.spent, early.expected, early.days) == (DAILY, 31 * DAILY, 8)
    (late,) = forecasts(ledger(31, {A: 0.5}), [tenant()])
    assert late.spent == late.low == late.expected == late.high == 31 * DAILY


def test_a_forecast_in_the_first_minutes_of_a_month_is_of_the_days_before() -> None:
    (result,) = forecasts(ledger(1 / 288, {A: 0.5}, first_day=-8), [tenant()])
    assert (result.spent, result.month_end, result.days) == (150_000, START + 31 * DAY, 8)
    assert result.expected == 31 * DAILY


def test_the_last_hours_of_a_month_are_like_those_hours_of_other_days() -> None:
    """All use is in the first half of each day, and half a day is left."""
    book = ledger(30.5, {A: 0.5}, first_day=-1, until=0.5)
    (result,) = forecasts(book, [tenant()])
    assert result.spent == 31 * DAILY / 2
    assert result.expected == result.high == result.low == result.spent


# February, March and April of 2026 begin 89, 61 and 30 days before May.
@pytest.mark.parametrize(("begin", "length"), [(-89, 28), (-61, 31), (-30, 30), (0, 31)])
def test_on_the_last_day_of_a_month_one_day_is_left_of_it(begin: int, length: int) -> None:
    (result,) = forecasts(ledger(begin + length - 1, {A: 0.5}, first_day=begin), [tenant()])
    assert result.month_end == START + (begin + length) * DAY
    assert (result.spent, result.expected) == ((length - 1) * DAILY, length * DAILY)


def test_a_budget_of_0_is_over_with_the_first_cost_and_a_huge_one_never_is() -> None:
    book = ledger(10, {A: 0.001})
    (nothing,) = forecasts(book, [tenant(amount=0)])
    assert (nothing.budget, nothing.verdict) == (0, "over")
    (unused,) = forecasts(book, [tenant("nobody", 0)])
    assert (unused.days, unused.spent, unused.low, unused.high, unused.verdict) == (0, 0, 0, 0, "within")
    (huge,) = forecasts(book, [tenant(amount=10**30)])
    assert (huge.budget, huge.verdict) == (10**36, "within")
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        tenant(amount=-1)


def test_unknown_time_makes_a_forecast_uncertain_and_not_lower() -> None:
    (result,) = forecasts(ledger(10, {A: 0.5}, first_day=-7, gap=(2, 4)), [tenant(amount=1500)])
    (known,) = forecasts(ledger(10, {A: 0.5}, first_day=-7), [tenant(amount=1500)])
    assert result.high is not None
    assert known.high is not None
    unseen = 2 * 86_400_000 - 600_000
    assert result.high - result.expected > known.high - known.expected + unseen
    assert (known.verdict, result.verdict) == ("within", "uncertain")


def test_unpriced_use_makes_a_forecast_uncertain_and_never_within() -> None:
    book = ledger(10, {A: 0.5}, prices=[("2026-05-03", "3.60", "USD")])
    (result,) = forecasts(book, [tenant(amount=10**6)])
    assert (result.high, result.verdict) == (None, "uncertain")
    assert forecasts(ledger(10, {A: 0.5}, prices=[]), [tenant()])[0].verdict == "uncertain"


def test_unknown_time_without_a_price_is_not_left_out() -> None:
    book = ledger(10, {A: 0.5}, prices=[("2026-05-03", "3.60", "USD")], gap=(-0.1, 3))
    (result,) = forecasts(book, [tenant(amount=10**6)])
    assert result.spent == pytest.approx(7 * DAILY)
    assert (result.high, result.verdict) == (None, "uncertain")


def test_a_budget_in_another_currency_is_not_compared() -> None:
    euros, dollars = forecasts(ledger(10, {A: 0.5}), [tenant(currency="EUR")])
    assert (euros.currency, euros.spent, euros.high, euros.verdict) == ("EUR", 0, None, "uncertain")
    assert (dollars.currency, dollars.budget, dollars.verdict) == ("USD", None, "no_budget")


def test_given_idle_time_is_a_cost_and_what_a_tenant_does_not_use_is_not() -> None:
    (result,) = forecasts(ledger(31, {A: 0.5}, Policy("proportional")), [tenant()])
    assert (result.spent, result.idle) == (31 * 86_400_000, "proportional")
    (other,) = forecasts(ledger(31, {A: 0.5}), [tenant("b", 5)])
    assert (other.spent, other.low, other.high, other.verdict) == (0, 0, 0, "within")


def test_a_forecast_needs_the_month_from_its_start() -> None:
    with pytest.raises(ValueError, match="the ledger must begin with the month"):
        forecasts(ledger(10, {A: 0.5}, first_day=1), [tenant()])
