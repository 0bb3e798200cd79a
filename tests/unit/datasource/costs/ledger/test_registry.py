"""Prices and inventory in the registry, as the ledger needs them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from datasource_support.week_ledger import MAY
from modelplane_datasource.costs.ledger.prices import tariff_of
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import (
    RegistryError,
    TokenPrice,
    dump_registry,
    parse_registry,
)

REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: a}]
models:
  - name: llm
    framework: vllm
    owner: chat
    tenants: [a]
    versions: [{version: v1}]
    token_prices: %s
devices: %s
"""


PRICE = "{kind: input, amount: 2, currency: USD, per: million, effective_from: 2026-01-01}"


PER_HOUR = "{device_type: t, amount: 1, currency: USD, effective_from: 2026-01-01}"


ENTRY = "{device: d, device_type: t, from: 2026-02-01}"


def changed(old: str, new: str) -> str:
    return f"[{PRICE.replace(old, new)}]"


def test_token_prices_are_part_of_the_registry() -> None:
    registry = parse_registry(REGISTRY % (f"[{PRICE}]", "{}"))
    (price,) = registry.models[0].token_prices
    assert (price.kind, price.amount, price.currency) == ("input", Decimal(2), "USD")
    assert parse_registry(dump_registry(registry)) == registry
    assert tariff_of(registry.devices, registry.models).of_tokens("llm", "input") == (price,)
    assert tariff_of(registry.devices, parse_registry(REGISTRY % ("[]", "{}")).models).tokens == {}


def test_every_kind_of_token_can_have_a_price() -> None:
    for kind in TOKEN_KINDS:
        price = {"kind": kind, "amount": 1, "currency": "USD", "effective_from": MAY}
        assert TokenPrice.model_validate(price).kind == kind


@pytest.mark.parametrize(
    ("token_prices", "devices", "message"),
    [
        (f"[{PRICE}, {PRICE}]", "{}", "models[0]: token_prices: 'input from 2026-01-01' occurs more"),
        (changed("input", "image"), "{}", "models[0].token_prices[0].kind: must be 'input', 'cached"),
        (changed("kind", "sort"), "{}", "models[0].token_prices[0].kind: is required"),
        (changed("2,", "-2,"), "{}", "models[0].token_prices[0].amount: must be greater"),
        (changed("2,", "2e9,"), "{}", "models[0].token_prices[0].amount: must be less"),
        (changed("per: million", "each: 1"), "{}",
         "models[0].token_prices[0].each: is not a known key; allowed: kind, amount, currency, per"),
        ("[]", "{inventory: [{device: d, device_type: t, from: 2026-02-01, to: 2026-02-01}]}",
         "devices.inventory[0]: to must be after from (2026-02-01)"),
        ("[]", f"{{inventory: [{ENTRY}, {ENTRY.replace('-02-', '-03-')}]}}",
         "devices: inventory: 'd' is listed twice on 2026-03-01; allowed: one entry for each day"),
        ("[]", f"{{prices: [{PER_HOUR}, {PER_HOUR.replace('USD', 'EUR')}]}}",
         "devices: prices: 't from 2026-01-01' occurs more than once"),
    ],
)  # fmt: skip
def test_prices_and_inventory_must_be_unambiguous(token_prices: str, devices: str, message: str) -> None:
    with pytest.raises(RegistryError) as caught:
        parse_registry(REGISTRY % (token_prices, devices), "plane.yaml")
    assert str(caught.value).startswith(f"plane.yaml: {message}")


def test_an_entry_may_follow_the_one_before_on_the_same_day() -> None:
    ended = ENTRY.replace("}", ", to: 2026-03-01}")
    entries = f"{ended}, {ENTRY.replace('-02-', '-03-')}"
    registry = parse_registry(REGISTRY % ("[]", f"{{inventory: [{entries}]}}"))
    assert len(registry.devices.inventory) == 2
