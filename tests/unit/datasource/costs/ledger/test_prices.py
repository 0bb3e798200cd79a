"""Prices: shares of a node, and jumps."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datasource_support.week_ledger import MAY, TOKEN_PRICES, ledger
from modelplane_datasource.costs.ledger.prices import Tariff, price_warnings, split_price


def test_golden_a1_opencost_splits_a_node_by_list_price() -> None:
    """OpenCost specification v0.1, appendix A."""
    weights = {"gpu": Decimal(30), "cpu": Decimal(30), "ram": Decimal(10)}
    assert split_price(Decimal(35), weights) == {"gpu": 15, "cpu": 15, "ram": 5}


def test_golden_a4_aws_splits_an_accelerated_instance_9_to_09_to_01() -> None:
    """AWS split cost allocation: 10 an hour, 8 GPUs, 64 vCPUs, 488 GB; the unit is 10 / 178.4 = 0.0560538."""
    numbers = {"gpu": 8, "vcpu": 64, "gb": 488}
    ratios = {"gpu": Decimal("9"), "vcpu": Decimal("0.9"), "gb": Decimal("0.1")}
    parts = split_price(Decimal(10), {name: ratios[name] * number for name, number in numbers.items()})
    assert sum(parts.values()) == 10
    each = {name: float(parts[name]) / number for name, number in numbers.items()}
    assert each["gpu"] / 9 == pytest.approx(0.0560538, abs=5e-8)
    assert each == pytest.approx({"gpu": 0.504484, "vcpu": 0.0504484, "gb": 0.00560538}, abs=5e-7)


@given(
    st.decimals(0, 10**6, places=6),
    st.lists(st.decimals(0, 10**9, places=6), min_size=1, max_size=6).filter(any),
)
def test_a_split_price_adds_up_and_none_is_negative(total: Decimal, weights: list[Decimal]) -> None:
    parts = split_price(total, {str(number): weight for number, weight in enumerate(weights)})
    assert sum(parts.values()) == total
    assert min(parts.values()) >= 0


@pytest.mark.parametrize(
    ("total", "weights", "message"),
    [
        ("-1", "1", "total must be"),
        ("0.0000001", "1", "total must be"),
        ("1", "0", "weights must be"),
        ("1", "-1", "weights must be"),
    ],
)
def test_what_cannot_be_split(total: str, weights: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        split_price(Decimal(total), {"gpu": Decimal(weights)})


def test_price_jumps_are_told_for_devices_and_tokens() -> None:
    glitch = ledger(1, {}, prices=[("2026-01-01", "32.8", "USD"), ("2026-02-01", "0.032", "USD")])
    assert glitch.warnings == (
        "The price of h200 goes from 32.8 to 0.032 USD on 2026-02-01, by more than a factor of 5; check it.",
    )
    later = TOKEN_PRICES[0].model_copy(update={"amount": Decimal(11), "effective_from": MAY})
    (warning,) = price_warnings(Tariff(tokens={"llm": [*TOKEN_PRICES, later]}))
    assert warning.startswith("The price of input tokens of llm goes from 2 to 11 USD on 2026-05-01")
    other = ledger(1, {}, prices=[("2026-01-01", "3", "USD"), ("2026-02-01", "300", "JPY")])
    assert other.warnings == ()
