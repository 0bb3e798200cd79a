"""What a million tokens cost, by hand; and that whoever pays, all of it is paid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datasource_support.week_ledger import TOKEN_PRICES, A, B, ledger
from modelplane_datasource.costs.ledger.lines import CAPACITY, OVER, Ledger
from modelplane_datasource.costs.ledger.token_costs import BASES, Basis, TokenCosts, token_costs
from modelplane_datasource.timeline.arrays import FloatArray
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import TokenPrice

TOKENS = {"input": 3000.0, "output": 1000.0, "cached_input": 500.0}  # in each of 288 cells a day
CACHED_PRICE = TokenPrice.model_validate(
    {"kind": "cached_input", "amount": "0.5", "currency": "USD", "effective_from": "2026-01-01"}
)


def costs(book: Ledger, basis: Basis = "usage", step: int | None = None) -> list[TokenCosts]:
    return list(token_costs(book, lambda line: True, ("tenant",), step, basis))


def per_million(result: TokenCosts) -> dict[str, float]:
    """By kind, of the first period."""
    with np.errstate(invalid="ignore"):
        values = np.divide(result.amounts[:, 0], result.tokens[:, 0])
    return {kind: value for kind, value in zip(TOKEN_KINDS, values.tolist(), strict=True) if value == value}


@pytest.mark.parametrize(("basis", "hourly"), [("usage", 1.8), ("allocation", 2.4)])
def test_the_cost_of_a_device_is_shared_over_kinds(basis: Basis, hourly: float) -> None:
    """user a takes half of a device at 3.60 an hour and another a quarter, so a pays 1.80 or two thirds."""
    (result,) = costs(ledger(1, {A: 0.5, B: 0.25}, tokens=TOKENS, token_prices=()), basis)
    weight = 24 * hourly / (288 * (3000 + 2.5 * 1000))
    assert per_million(result) == pytest.approx(
        {"input": 1e6 * weight, "output": 2.5e6 * weight, "cached_input": 0}
    )
    assert (result.group, result.currency) == (("a",), "USD")
    assert result.total == pytest.approx([24e6 * hourly])
    assert result.saving == pytest.approx([288 * 500 * weight * 1e6])


def test_token_prices_are_added_to_their_kind() -> None:
    prices = [*TOKEN_PRICES, CACHED_PRICE]
    (result,) = costs(ledger(1, {A: 0.5}, tokens=TOKENS, token_prices=prices))
    (device,) = costs(ledger(1, {A: 0.5}, tokens=TOKENS, token_prices=()))
    added = {kind: price - per_million(device)[kind] for kind, price in per_million(result).items()}
    assert added == pytest.approx({"input": 2, "output": 8, "cached_input": 0.5})
    assert result.saving - device.saving == pytest.approx([288 * 500 * (2 - 0.5)])


def test_a_kind_without_a_price_is_not_free() -> None:
    (result,) = costs(ledger(1, {A: 0.5}, tokens=TOKENS))
    assert set(per_million(result)) == {"input", "output"}
    assert np.isnan(result.total).all()


def test_a_device_without_a_price_is_not_free_and_later_ones_are_not_lost() -> None:
    book = ledger(2, {A: 0.5}, prices=[("2026-05-02", "3.60", "USD")], tokens=TOKENS, token_prices=())
    (result,) = costs(book, step=DAY)
    assert np.isnan(result.total).tolist() == [True, False]
    assert result.total[1] == pytest.approx(24 * 1.8e6)
    (nothing,) = costs(ledger(1, {A: 0.5}, prices=[], tokens=TOKENS, token_prices=()))
    assert nothing.currency is None
    assert np.isnan(nothing.amounts).all()


def test_currencies_are_apart() -> None:
    prices = [("2026-01-01", "3.60", "USD"), ("2026-05-02", "3.00", "EUR")]
    euros, dollars = costs(ledger(2, {A: 0.5}, prices=prices, tokens=TOKENS, token_prices=()), step=DAY)
    assert euros.total == pytest.approx([0, 24 * 1.5e6])
    assert dollars.total == pytest.approx([24 * 1.8e6, 0])


def test_without_tokens_there_is_no_cost_of_tokens() -> None:
    assert costs(ledger(1, {A: 0.5})) == []
    (result,) = costs(ledger(1, {A: 0.5}, tokens={"cached_input": 500.0}, token_prices=()))
    assert per_million(result) == {"cached_input": pytest.approx(24 * 1.8e6 / (288 * 500))}


def test_idle_nights_are_paid_by_allocation_and_not_by_usage() -> None:
    """The device is used in the first half of a day."""
    book = ledger(1, {A: 0.5}, tokens=TOKENS, token_prices=(), until=0.5)
    usage, allocation = (costs(book, basis)[0].total for basis in ("usage", "allocation"))
    assert usage == pytest.approx([12 * 1.8e6])
    assert allocation == pytest.approx([24 * 3.6e6])


@pytest.mark.slow
@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 600).map(lambda thousandths: thousandths / 1000), min_size=2, max_size=2),
    st.dictionaries(st.sampled_from(TOKEN_KINDS), st.integers(0, 5000).map(float), min_size=1),
    st.sampled_from(BASES),
    st.sampled_from([None, DAY // 2, DAY]),
)
def test_kinds_add_up_to_what_is_paid(
    shares: list[float], tokens: dict[str, float], basis: Basis, step: int | None
) -> None:
    """B has no tokens, and pays its share of the device nevertheless.

    Of a cell, a thousandth is a whole number of microseconds: less than half of one is no use.
    """
    book = ledger(1, dict(zip((A, B), shares, strict=True)), tokens=tokens, token_prices=())
    for result in costs(book, basis, step):
        if result.tokens.sum():
            assert np.nansum(result.amounts, axis=0) == pytest.approx(result.total, rel=1e-9, abs=1)
            assert result.total == pytest.approx(
                _paid(book, shares, basis, len(result.total)), rel=1e-6, abs=300
            )


def _paid(book: Ledger, shares: list[float], basis: Basis, periods: int) -> FloatArray:
    used, everything = shares[0], sum(shares)
    if basis == "usage" or not used:
        return np.full(periods, used * 24 * 3.6e6 / periods)
    whole = sum(int(line.amounts.sum()) for line in book.lines if line.kind in (CAPACITY, OVER))
    return np.full(periods, whole * used / everything / periods)
