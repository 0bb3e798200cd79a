"""A ledger as FOCUS rows."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from datasource_support.week_ledger import START, A, B, ledger
from modelplane_datasource.costs.ledger.allocation import IdlePolicy
from modelplane_datasource.costs.ledger.focus import focus_csv, focus_export
from modelplane_datasource.costs.ledger.focus_columns import COLUMNS, FOCUS_VERSIONS, FocusVersion
from modelplane_datasource.costs.ledger.lines import Ledger, Policy
from modelplane_datasource.timeline.times import DAY


def focus(book: Ledger) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{**dict.fromkeys(COLUMNS["1.3"]), **row} for row in focus_export(book).rows]
    for row in rows:
        assert set(row) == set(COLUMNS["1.3"])
        assert row["ListCost"] == row["ContractedCost"] == row["ListUnitPrice"] * row["PricingQuantity"]
    return rows


@pytest.mark.parametrize("version", FOCUS_VERSIONS)
def test_focus_has_the_columns_of_its_version(version: FocusVersion) -> None:
    columns = next(csv.reader(io.StringIO(focus_csv((), version))))
    assert {"ProviderName", "PublisherName", "SkuPriceId", "SubAccountId"} <= set(columns)
    drafts = {"ChargeType", "InvoiceIssuer", "Provider", "Publisher", "ResourceID"}
    assert (drafts <= set(columns)) is (version == "1.0")
    assert ("SkuMeter" in columns) is (version != "1.0")
    assert ("ServiceProviderName" in columns) is ("AllocatedMethodId" in columns) is (version == "1.3")
    assert len([column for column in columns if not column.startswith("x_")]) == {
        "1.0": 48, "1.2": 57, "1.3": 65,
    }[version]  # fmt: skip


@pytest.mark.parametrize("idle", ["keep", "proportional", "even"])
def test_focus_charges_of_a_device_and_day_add_up_to_its_capacity(idle: IdlePolicy) -> None:
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
    rows = focus(ledger(2, {A: 0.9, B: 0.25}, gap=(0.2, 1.6)))
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
    result = {str(row["ChargePeriodStart"]): row for row in export.rows}
    assert min(result) == "2026-05-02T00:00:00Z"
    assert result["2026-05-31T00:00:00Z"]["BillingCurrency"] == "EUR"
    assert result["2026-06-01T00:00:00Z"]["BillingPeriodStart"] == "2026-06-01T00:00:00Z"


def test_focus_csv_has_plain_numbers_and_empty_nulls() -> None:
    rows = focus(ledger(1, {A: 0.000001}, tokens={"input": 1}))
    read = list(csv.DictReader(io.StringIO(focus_csv(rows))))
    assert list(read[0]) == list(COLUMNS["1.3"])
    assert Decimal(read[0]["BilledCost"]) == rows[0]["BilledCost"]
    assert all("E" not in row["BilledCost"] + row["PricingQuantity"] for row in read)
    assert read[-1]["AllocatedMethodId"] == ""
