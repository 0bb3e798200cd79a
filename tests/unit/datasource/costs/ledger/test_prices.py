"""Prices: shares of a node, and jumps."""

from __future__ import annotations

from decimal import Decimal

from datasource_support.week_ledger import MAY, TOKEN_PRICES, ledger
from modelplane_datasource.costs.ledger.prices import Priced, Tariff, price_warnings


def test_price_jumps_are_told_for_devices_and_tokens() -> None:
    glitch = ledger(1, {}, prices=[("2026-01-01", "32.8", "USD"), ("2026-02-01", "0.032", "USD")])
    assert [warning.text for warning in glitch.warnings] == [
        "The price of h200 goes from 32.8 to 0.032 USD on 2026-02-01, by more than a factor of 5; check it.",
    ]
    later = TOKEN_PRICES[0].model_copy(update={"amount": Decimal(11), "effective_from": MAY})
    ((priced, text),) = price_warnings(Tariff(tokens={"llm": [*TOKEN_PRICES, later]}))
    assert priced == Priced("llm", "input")
    assert text.startswith("The price of input tokens of llm goes from 2 to 11 USD on 2026-05-01")
    other = ledger(1, {}, prices=[("2026-01-01", "3", "USD"), ("2026-02-01", "300", "JPY")])
    assert other.warnings == ()
