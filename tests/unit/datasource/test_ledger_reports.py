"""What is read from a ledger: prices, CSV, FOCUS rows and forecasts; and the registry behind it."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelplane_datasource.costs.ledger.builder import Samples, build_ledger
from modelplane_datasource.costs.ledger.cells import DAY, Window, midnight
from modelplane_datasource.costs.ledger.focus import COLUMNS, FocusRow, focus_csv, focus_export
from modelplane_datasource.costs.ledger.forecast import Forecast, forecasts
from modelplane_datasource.costs.ledger.lines import KEEP, Ledger, Policy
from modelplane_datasource.costs.ledger.prices import Tariff, price_warnings, split_price, tariff_of
from modelplane_datasource.costs.ledger.report import cost_rows, decimal_text, rows_as_csv
from modelplane_datasource.costs.ledger.usage import CounterSeries, DeviceUse, Identity, Reading, TokenUse
from modelplane_schema.metrics import TOKEN_KINDS
from modelplane_schema.registry import (
    Budget,
    Devices,
    RegistryError,
    Tenant,
    TokenPrice,
    dump_registry,
    parse_registry,
)

MAY = datetime.date(2026, 5, 1)
START = midnight(MAY)
SCRAPE = 300_000
A, B = (Identity("resnet50", "v1", tenant, "pytorch") for tenant in ("a", "b/c"))
TOKEN_PRICES = [
    TokenPrice(kind=kind, amount=Decimal(amount), currency="USD", effective_from=datetime.date(2026, 1, 1))
    for kind, amount in (("input", "2"), ("output", "8"))
]


def ledger(
    days: int,
    tenants: dict[Identity, float],
    policy: Policy = KEEP,
    prices: Sequence[tuple[str, str, str]] = (("2026-01-01", "3.60", "USD"),),
    gap: tuple[float, float] = (0, 0),
    first_day: int = 0,
    tokens: dict[str, float] | None = None,
) -> Ledger:
    """One device; ``tenants`` are shares of it, ``gap`` is in days; ``tokens`` are per scrape and kind."""
    window = Window(START + first_day * DAY, START + days * DAY)
    times = np.arange(window.start - 2 * SCRAPE, window.end + 1, SCRAPE)
    age = (times - START) / DAY
    times = times[(age <= gap[0]) | (age >= gap[1])]
    elapsed = (times - times[0]) / 1000
    series = [
        CounterSeries(DeviceUse("GPU-0", "h200", identity), "pod-1", times, elapsed * share)
        for identity, share in tenants.items()
    ]
    counts = [
        CounterSeries(TokenUse(A, kind), "pod-1", times, np.arange(len(times)) * number)
        for kind, number in (tokens or {}).items()
    ]
    dated = [
        {"device_type": "h200", "amount": amount, "currency": currency, "effective_from": day}
        for day, amount, currency in prices
    ]
    listed = [{"device": "GPU-0", "device_type": "h200", "from": "2026-01-01"}]
    tariff = Tariff(
        Devices.model_validate({"inventory": listed, "prices": dated}), {"resnet50": TOKEN_PRICES}
    )
    return build_ledger(window, Samples(Reading(SCRAPE), series, counts), tariff, policy)


# Whole-node prices.


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
def test_a_split_price_adds_up_and_none_is_negative(total, weights) -> None:
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
def test_what_cannot_be_split(total, weights, message) -> None:
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


# CSV.


def test_csv_holds_what_the_rows_hold() -> None:
    book = ledger(1, {A: 0.5, B: 0.25}, prices=[], tokens={"input": 3})
    rows = cost_rows(book, ("tenant", "model"))
    read = list(csv.DictReader(io.StringIO(rows_as_csv(rows, ("tenant", "model")))))
    assert len(read) == len(rows)
    first = read[0]
    assert first == {
        "start": "2026-05-01T00:00:00Z", "end": "2026-05-02T00:00:00Z", "tenant": "a", "model": "resnet50",
        "kind": "direct", "unit": "device_seconds", "quantity": "43200", "currency": "", "amount": "",
        "state": "unpriced",
    }  # fmt: skip
    tokens = next(row for row in read if row["unit"] == "tokens")
    assert (tokens["kind"], tokens["quantity"], tokens["amount"]) == ("input", "864", "0.001728")
    assert [row["tenant"] for row in read if row["kind"] == "idle"] == [""]


@given(st.integers(0, 10**18))
def test_decimals_are_plain_and_exact(micro) -> None:
    text = decimal_text(micro)
    assert set(text) <= set("0123456789.")
    assert Decimal(text) * 10**6 == micro


# FOCUS.


def focus(book: Ledger) -> tuple[FocusRow, ...]:
    rows = focus_export(book).rows
    assert all(tuple(row) == COLUMNS for row in rows)
    return rows


@pytest.mark.parametrize("idle", ["keep", "proportional", "even"])
def test_focus_charges_of_a_device_and_day_add_up_to_its_capacity(idle) -> None:
    book = ledger(3, {A: 0.9, B: 0.25}, Policy(idle), gap=(1.2, 1.4))
    sums: defaultdict[tuple[object, ...], defaultdict[str, Decimal]] = defaultdict(
        lambda: defaultdict(Decimal)
    )
    for row in focus(book):
        origin = row["ResourceId"], row["ChargePeriodStart"]
        for column in (
            "BilledCost",
            "EffectiveCost",
            "ListCost",
            "ContractedCost",
            "ConsumedQuantity",
            "PricingQuantity",
        ):
            sums[origin][column] += row[column]
        sums[origin]["ratio"] += Decimal(
            json.loads(row["AllocatedMethodDetails"])["Elements"][0]["AllocatedRatio"]
        )
    assert len(sums) == 3
    for total in sums.values():
        cost = {column: value for column, value in total.items() if column.endswith("Cost")}
        assert set(cost.values()) == {Decimal("86.4")}
        assert total["ConsumedQuantity"] == 86400
        assert float(total["PricingQuantity"]) == pytest.approx(24, abs=1e-12)
        assert float(total["ratio"]) == pytest.approx(1, abs=1e-12)


def test_focus_dimensions_of_a_charge_are_those_of_its_origin() -> None:
    """What is not allocated has no allocated resource; ``over`` is negative and of the same category."""
    rows = focus(ledger(2, {A: 0.9, B: 0.25}, gap=(0.2, 0.4)))
    kinds = {row["x_kind"]: row for row in rows}
    assert set(kinds) == {"direct", "unknown", "over", "idle"}
    for row in rows:
        assert row["ChargeCategory"] == "Usage"
        assert row["ListUnitPrice"] == row["ContractedUnitPrice"] == Decimal("3.60")
        assert (row["BillingCurrency"], row["PricingUnit"], row["ResourceType"]) == ("USD", "Hours", "h200")
        assert row["AllocatedMethodId"] == "modelplane-device-seconds-idle-keep-shared-keep"
        assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (
            "2026-05-01T00:00:00Z",
            "2026-06-01T00:00:00Z",
        )
        assert (
            (row["AllocatedResourceId"] is None)
            == (row["x_tenant_id"] is None)
            == (row["x_kind"] != "direct")
        )
        assert (row["BilledCost"] < 0) == (row["x_kind"] == "over")
    mine = next(row for row in rows if row["x_tenant_id"] == "b/c")
    assert mine["AllocatedResourceId"] == "resnet50/v1/b%2Fc/pytorch"
    assert json.loads(mine["AllocatedTags"])["modelplane/tenant_id"] == "b/c"
    assert (mine["x_model_name"], mine["x_model_version"], mine["x_framework"]) == (
        "resnet50",
        "v1",
        "pytorch",
    )


def test_focus_tokens_are_charges_of_their_own() -> None:
    rows = [
        row
        for row in focus(ledger(1, {A: 0.5}, tokens={"input": 3, "output": 1}))
        if row["ResourceType"] == "Model"
    ]
    assert [(row["SkuMeter"], row["ConsumedQuantity"], row["BilledCost"]) for row in rows] == [
        ("input tokens", 864, Decimal("0.001728")), ("output tokens", 288, Decimal("0.002304")),
    ]  # fmt: skip
    for row in rows:
        assert row["AllocatedMethodId"] is row["AllocatedResourceId"] is row["AllocatedTags"] is None
        assert (row["ResourceId"], row["x_tenant_id"], row["PricingUnit"]) == (
            "resnet50",
            "a",
            "1000000 Tokens",
        )
        assert row["PricingQuantity"] * row["ListUnitPrice"] == row["BilledCost"]


def test_focus_keeps_unpriced_charges_apart_and_splits_at_prices_and_months() -> None:
    book = ledger(
        32,
        {A: 0.5},
        prices=[("2026-05-02", "3.60", "USD"), ("2026-05-31", "1.80", "EUR")],
        tokens={"reasoning": 5},
        first_day=-1,
    )
    export = focus_export(book)
    assert {(row.start, row.kind) for row in export.unpriced if row.unit == "device_seconds"} == {
        (START + day * DAY, kind) for day in (-1, 0) for kind in ("direct", "idle")
    }
    assert {row.kind for row in export.unpriced if row.unit == "tokens"} == {"reasoning"}
    found = {row["ChargePeriodStart"]: row for row in export.rows}
    assert min(found) == "2026-05-02T00:00:00Z"
    assert found["2026-05-31T00:00:00Z"]["BillingCurrency"] == "EUR"
    assert found["2026-06-01T00:00:00Z"]["BillingPeriodStart"] == "2026-06-01T00:00:00Z"


def test_focus_csv_has_plain_numbers_and_empty_nulls() -> None:
    rows = focus(ledger(1, {A: 0.000001}, tokens={"input": 1}))
    read = list(csv.DictReader(io.StringIO(focus_csv(rows))))
    assert list(read[0]) == list(COLUMNS)
    assert read[0]["BilledCost"] == f"{rows[0]['BilledCost']:f}"
    assert all("E" not in row["BilledCost"] + row["PricingQuantity"] for row in read)
    assert read[-1]["AllocatedMethodId"] == ""


# Forecast.


def tenant(name: str = "a", amount: int | None = 1000, currency: str = "USD") -> Tenant:
    return Tenant(id=name, budget=None if amount is None else Budget(amount=amount, currency=currency))


def test_forecast_is_month_to_date_plus_the_rate_of_the_trailing_week() -> None:
    """Half a device at 3.60 an hour costs 43.20 a day: 10 days so far, 21 days to come."""
    book = ledger(10, {A: 0.5}, first_day=-7)
    (found,) = forecasts(book, [tenant(amount=1400)])
    spent, whole = 432_000_000, round(43.2 * 31 * 1e6)
    assert found == Forecast(
        "a", "USD", START + 10 * DAY, START + 31 * DAY, spent, whole, whole, 1_400_000_000, "within"
    )
    assert forecasts(book, [tenant(amount=1300)])[0].verdict == "over"
    exactly = Tenant(id="a", budget=Budget(amount=Decimal(whole) / 10**6, currency="USD"))
    assert forecasts(book, [exactly])[0].verdict == "within"
    assert forecasts(book, [tenant(amount=None)])[0].verdict == "no_budget"


def test_forecast_follows_the_last_week_and_not_the_month() -> None:
    rows = ledger(20, {A: 0.5}, prices=[("2026-01-01", "3.60", "USD"), ("2026-05-14", "7.20", "USD")])
    (found,) = forecasts(rows, [tenant()])
    assert (found.spent, found.low) == (
        (13 * 43_200_000 + 7 * 86_400_000), 13 * 43_200_000 + 18 * 86_400_000
    )  # fmt: skip


def test_forecast_on_the_first_day_uses_the_week_before_and_at_the_end_nothing_is_left() -> None:
    (early,) = forecasts(ledger(1, {A: 0.5}, first_day=-7), [tenant()])
    assert (early.spent, early.low) == (43_200_000, 31 * 43_200_000)
    (late,) = forecasts(ledger(31, {A: 0.5}), [tenant()])
    assert late.spent == late.low == 31 * 43_200_000


def test_a_forecast_in_the_first_minutes_of_a_month_is_the_rate_of_the_week_before() -> None:
    whole = ledger(1, {A: 0.5}, first_day=-7)
    window = Window(whole.window.start, START + 300_000)
    cells = len(window)
    lines = tuple(
        replace(
            line,
            quantities=line.quantities[:cells],
            amounts=line.amounts[:cells],
            rates=replace(line.rates, in_force=line.rates.in_force[:cells]),
        )
        for line in whole.lines
    )
    (found,) = forecasts(replace(whole, window=window, lines=lines), [tenant()])
    assert (found.spent, found.low, found.month_end) == (150_000, 31 * 43_200_000, START + 31 * DAY)


# February, March and April of 2026 begin 89, 61 and 30 days before May.
@pytest.mark.parametrize(("begin", "length"), [(-89, 28), (-61, 31), (-30, 30), (0, 31)])
def test_on_the_last_day_of_a_month_one_day_is_left_of_it(begin: int, length: int) -> None:
    day = 43_200_000
    (found,) = forecasts(ledger(begin + length - 1, {A: 0.5}, first_day=begin), [tenant()])
    assert found.month_end == START + (begin + length) * DAY
    assert (found.spent, found.low) == ((length - 1) * day, length * day)


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
    (found,) = forecasts(book, [budget])
    assert found.low < 1_250_000_000 < found.high
    assert found.verdict == "uncertain"
    assert found.high - found.low == pytest.approx(2 * 86.4e6 - 0.6e6 + 21 * 86.4e6 / 7, abs=10)


def test_unpriced_use_makes_a_forecast_uncertain_and_never_within() -> None:
    book = ledger(10, {A: 0.5}, prices=[("2026-05-03", "3.60", "USD")])
    (found,) = forecasts(book, [tenant(amount=10**6)])
    assert (found.high, found.verdict) == (None, "uncertain")
    assert forecasts(ledger(10, {A: 0.5}, prices=[]), [tenant()])[0].verdict == "uncertain"


def test_unknown_time_without_a_price_is_not_left_out() -> None:
    book = ledger(10, {A: 0.5}, prices=[("2026-05-03", "3.60", "USD")], gap=(-0.1, 3))
    (found,) = forecasts(book, [tenant(amount=10**6)])
    assert (found.spent, found.high, found.verdict) == (pytest.approx(7 * 43.2e6), None, "uncertain")


def test_a_budget_in_another_currency_is_not_compared() -> None:
    euros, dollars = forecasts(ledger(10, {A: 0.5}), [tenant(currency="EUR")])
    assert (euros.currency, euros.spent, euros.high, euros.verdict) == ("EUR", 0, None, "uncertain")
    assert (dollars.currency, dollars.budget, dollars.verdict) == ("USD", None, "no_budget")


def test_given_idle_time_is_a_cost_and_what_a_tenant_does_not_use_is_not() -> None:
    (found,) = forecasts(ledger(31, {A: 0.5}, Policy("proportional")), [tenant()])
    assert found.spent == 31 * 86_400_000
    (other,) = forecasts(ledger(31, {A: 0.5}), [tenant("b", 5)])
    assert (other.spent, other.low, other.high, other.verdict) == (0, 0, 0, "within")


def test_a_forecast_needs_the_month_from_its_start() -> None:
    with pytest.raises(ValueError, match="the window must begin with the month"):
        forecasts(ledger(10, {A: 0.5}, first_day=1), [tenant()])


# Registry.

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
    assert (price.kind, price.amount, price.currency) == ("input", 2, "USD")
    assert parse_registry(dump_registry(registry)) == registry
    assert tariff_of(registry.devices, registry.models).of_tokens("llm", "input") == (price,)
    assert tariff_of(registry.devices, parse_registry(REGISTRY % ("[]", "{}")).models).tokens == {}


def test_every_kind_of_token_can_have_a_price() -> None:
    for kind in TOKEN_KINDS:
        assert TokenPrice(kind=kind, amount=Decimal(1), currency="USD", effective_from=MAY).kind == kind


@pytest.mark.parametrize(
    ("token_prices", "devices", "message"),
    [
        (f"[{PRICE}, {PRICE}]", "{}", "models[0]: token_prices: 'input from 2026-01-01' occurs more"),
        (changed("input", "image"), "{}", "models[0].token_prices[0].kind: Input should be 'input', 'cached"),
        (changed("kind", "sort"), "{}", "models[0].token_prices[0].kind: is required"),
        (changed("2,", "-2,"), "{}", "models[0].token_prices[0].amount: Input should be greater"),
        (changed("2,", "2e9,"), "{}", "models[0].token_prices[0].amount: Input should be less"),
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
def test_prices_and_inventory_must_be_unambiguous(token_prices, devices, message) -> None:
    with pytest.raises(RegistryError) as caught:
        parse_registry(REGISTRY % (token_prices, devices), "plane.yaml")
    assert str(caught.value).startswith(f"plane.yaml: {message}")


def test_an_entry_may_follow_the_one_before_on_the_same_day() -> None:
    ended = ENTRY.replace("}", ", to: 2026-03-01}")
    entries = f"{ended}, {ENTRY.replace('-02-', '-03-')}"
    registry = parse_registry(REGISTRY % ("[]", f"{{inventory: [{entries}]}}"))
    assert len(registry.devices.inventory) == 2
