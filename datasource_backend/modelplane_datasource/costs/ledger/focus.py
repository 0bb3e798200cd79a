"""A ledger as FOCUS 1.3 rows (FinOps Open Cost and Usage Specification, dataset Cost and Usage).

The capacity of a device on a day is an origin charge. What identities used, and were given of the idle time,
are its allocated charges. Idle, unknown and over, which is negative, are what is not allocated: they have no
AllocatedResourceId. Summable columns add up to those of the origin. Tokens are charges of their own.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import quote

import numpy as np
import orjson

from modelplane_datasource.costs.ledger.allocation import MICRO
from modelplane_datasource.costs.ledger.cells import month_of
from modelplane_datasource.costs.ledger.lines import CAPACITY, SIGNS, Asset, Ledger, Line, Policy
from modelplane_datasource.costs.ledger.prices import SECONDS_PER_HOUR, AnyPrice
from modelplane_datasource.costs.ledger.report import GROUPS, CostRow, cell_text, group_of
from modelplane_datasource.timeline.times import DAY, format_rfc3339
from modelplane_schema.identity import Identity

COLUMNS = (
    "AllocatedMethodDetails",
    "AllocatedMethodId",
    "AllocatedResourceId",
    "AllocatedResourceName",
    "AllocatedTags",
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "HostProviderName",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceProviderName",
    "SkuId",
    "SkuMeter",
    "Tags",
    "x_tenant_id",
    "x_model_name",
    "x_model_version",
    "x_framework",
    "x_kind",
)


FocusRow = Mapping[str, str | Decimal | None]


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who runs the plane, for columns that say who provides and who bills."""

    account_id: str = "modelplane"
    account_name: str = "modelplane"
    provider: str = "modelplane"


@dataclass(frozen=True, slots=True)
class FocusExport:
    """``unpriced`` (grouped by ``GROUPS``) cannot be FOCUS rows, where a cost must not be null."""

    rows: tuple[FocusRow, ...]
    unpriced: tuple[CostRow, ...]


@dataclass(frozen=True, slots=True)
class _Charge:
    """One line on one day; ``quantity`` and ``amount`` are negative for ``over``, which reduces the bill."""

    line: Line
    start: int
    end: int
    quantity: int
    amount: int
    price: AnyPrice | None

    @property
    def origin(self) -> tuple[Asset | None, int]:
        """What is split: an asset on a day."""
        return self.line.asset, self.start


def focus_export(ledger: Ledger, issuer: Issuer = Issuer()) -> FocusExport:
    """One row for each line and UTC day with a quantity or an amount, in the order of time and lines."""
    charges = [charge for line in ledger.lines for charge in _charges(line, ledger)]
    charges.sort(key=lambda charge: charge.start)
    capacities = {charge.origin: charge.quantity for charge in charges if charge.line.kind == CAPACITY}
    shown = [charge for charge in charges if SIGNS[charge.line.kind] and (charge.quantity or charge.amount)]
    rows = tuple(
        _row(charge, charge.price, capacities.get(charge.origin, 0), ledger.policy, issuer)
        for charge in shown
        if charge.price is not None
    )
    return FocusExport(rows, tuple(_unpriced(charge) for charge in shown if charge.price is None))


def focus_csv(rows: Iterable[FocusRow]) -> str:
    """CSV with a header; a null is an empty field, and texts are as ``cell_text`` gives them."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_text(row[column]) for column in COLUMNS])
    return out.getvalue()


def _text(value: str | Decimal | None) -> str:
    if value is None:
        return ""
    return f"{value:f}" if isinstance(value, Decimal) else cell_text(value)


def _charges(line: Line, ledger: Ledger) -> Iterator[_Charge]:
    """The line by UTC day; a price is the same all day."""
    firsts = ledger.cells.first_of_each(DAY)
    starts = ledger.cells.starts[firsts].tolist()
    ends = [*starts[1:], ledger.cells.end]
    sign = SIGNS[line.kind] or 1
    quantities = (sign * np.add.reduceat(line.quantities, firsts)).tolist()
    amounts = (sign * np.add.reduceat(line.amounts, firsts)).tolist()
    in_force = line.rates.in_force[firsts].tolist()
    for start, end, quantity, amount, number in zip(starts, ends, quantities, amounts, in_force, strict=True):
        yield _Charge(line, start, end, quantity, amount, line.rates.price(number))


def _unpriced(charge: _Charge) -> CostRow:
    line = charge.line
    group = group_of(line, GROUPS)
    return CostRow(charge.start, charge.end, group, line.kind, line.unit, abs(charge.quantity), None, None)


def _row(charge: _Charge, price: AnyPrice, capacity: int, policy: Policy, issuer: Issuer) -> FocusRow:
    line, cost, month = charge.line, Decimal(charge.amount) / MICRO, month_of(charge.start)
    resource = _token_columns(charge) if line.asset is None else _device_columns(charge, line.asset)
    split = {} if line.asset is None else _split_columns(charge, capacity, policy)
    return {
        **dict.fromkeys(COLUMNS),
        "BilledCost": cost,
        "BillingAccountId": issuer.account_id,
        "BillingAccountName": issuer.account_name,
        "BillingCurrency": price.currency,
        "BillingPeriodStart": format_rfc3339(month.start),
        "BillingPeriodEnd": format_rfc3339(month.end),
        "ChargeCategory": "Usage",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": format_rfc3339(charge.start),
        "ChargePeriodEnd": format_rfc3339(charge.end),
        "ContractedCost": cost,
        "ContractedUnitPrice": price.amount,
        "EffectiveCost": cost,
        "HostProviderName": issuer.provider,
        "InvoiceIssuerName": issuer.provider,
        "ListCost": cost,
        "ListUnitPrice": price.amount,
        "PricingCategory": "Standard",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Model serving",
        "ServiceProviderName": issuer.provider,
        **resource,
        **split,
        **_identity_columns(line.identity),
        "x_kind": line.kind,
    }


def _device_columns(charge: _Charge, asset: Asset) -> FocusRow:
    """Columns of the origin charge; its charges share all of them but the quantities."""
    seconds = Decimal(charge.quantity) / MICRO
    return {
        "ChargeDescription": f"Time of {asset.device_type} {asset.device}",
        "ConsumedQuantity": seconds,
        "ConsumedUnit": "Seconds",
        "PricingQuantity": seconds / SECONDS_PER_HOUR,
        "PricingUnit": "Hours",
        "ResourceId": asset.device,
        "ResourceName": asset.device,
        "ResourceType": asset.device_type,
        "SkuId": asset.device_type,
        "SkuMeter": "Device time",
    }


def _split_columns(charge: _Charge, capacity: int, policy: Policy) -> FocusRow:
    columns = {"AllocatedMethodId": f"modelplane-device-seconds-idle-{policy.idle}-shared-{policy.shared}"}
    if capacity:
        element = {
            "AllocatedRatio": charge.quantity / capacity,
            "UsageUnit": "Seconds",
            "UsageQuantity": charge.quantity / MICRO,
        }
        columns["AllocatedMethodDetails"] = orjson.dumps({"Elements": [element]}).decode()
    identity = charge.line.identity
    if identity is not None:
        tags = {f"modelplane/{label}": value for label, value in identity._asdict().items()}
        columns["AllocatedResourceId"] = "/".join(quote(value, safe="") for value in identity)
        columns["AllocatedResourceName"] = (
            f"{identity.model_name} ({identity.model_version}) for {identity.tenant_id}"
        )
        columns["AllocatedTags"] = orjson.dumps(tags).decode()
    return columns


def _token_columns(charge: _Charge) -> FocusRow:
    tokens, meter = Decimal(charge.quantity), f"{charge.line.kind} tokens"
    (model,) = group_of(charge.line, ("model",))
    return {
        "ChargeDescription": f"{meter} of {model}",
        "ConsumedQuantity": tokens,
        "ConsumedUnit": "Tokens",
        "PricingQuantity": tokens / MICRO,
        "PricingUnit": f"{MICRO} Tokens",
        "ResourceId": model,
        "ResourceName": model,
        "ResourceType": "Model",
        "SkuId": f"{model}/{charge.line.kind}",
        "SkuMeter": meter,
    }


def _identity_columns(identity: Identity | None) -> FocusRow:
    if identity is None:
        return {}
    return {
        "x_tenant_id": identity.tenant_id,
        "x_model_name": identity.model_name,
        "x_model_version": identity.model_version,
        "x_framework": identity.framework,
    }
