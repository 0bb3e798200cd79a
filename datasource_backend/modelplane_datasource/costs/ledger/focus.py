"""A ledger as FOCUS rows (FinOps Open Cost and Usage Specification, dataset Cost and Usage).

The capacity of a device on a day is an origin charge. What identities used, and were given of the idle time,
are its allocated charges. Idle, unknown and over, which is negative, are what is not allocated: they have no
AllocatedResourceId. Summable columns add up to those of the origin. Tokens are charges of their own.

Billed and effective costs are the ledger's amounts, in whole micro-units. List and contracted costs are unit
price times pricing quantity, which is in billionths of an hour, to the last digit.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import orjson

from modelplane_datasource.costs.ledger.allocation import MICRO, apportioned
from modelplane_datasource.costs.ledger.cells import month_of
from modelplane_datasource.costs.ledger.focus_columns import COLUMNS, FocusVersion, value_column
from modelplane_datasource.costs.ledger.lines import CAPACITY, OVER, SIGNS, Asset, Ledger, Line, Policy
from modelplane_datasource.costs.ledger.prices import SECONDS_PER_HOUR, AnyPrice
from modelplane_datasource.costs.ledger.report import GROUPS, CostRow, cell_text, group_of
from modelplane_datasource.timeline.times import DAY, format_rfc3339
from modelplane_schema.identity import Identity

BILLION = 10**9
HOUR = SECONDS_PER_HOUR * MICRO  # micro-seconds

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
    estimated: int
    price: AnyPrice | None

    @property
    def origin(self) -> tuple[Asset | None, int]:
        """What is split: an asset on a day."""
        return self.line.asset, self.start


def focus_export(
    ledger: Ledger, is_shown: Callable[[Line], bool] = lambda _line: True, issuer: Issuer = Issuer()
) -> FocusExport:
    """One row for each line that is shown and UTC day with a quantity or an amount, by time and lines."""
    charges = [charge for line in ledger.lines for charge in _charges(line, ledger)]
    charges.sort(key=lambda charge: charge.start)
    by_origin: defaultdict[tuple[Asset | None, int], list[_Charge]] = defaultdict(list)
    for charge in charges:
        by_origin[charge.origin].append(charge)
    split = {origin: _split(of_origin) for origin, of_origin in by_origin.items() if origin[0] is not None}
    shown = [
        charge
        for charge in charges
        if SIGNS[charge.line.kind] and (charge.quantity or charge.amount) and is_shown(charge.line)
    ]
    rows = tuple(
        _row(charge, charge.price, split.get(charge.origin, {}), ledger.policy, issuer)
        for charge in shown
        if charge.price is not None
    )
    return FocusExport(rows, tuple(_unpriced(charge) for charge in shown if charge.price is None))


def focus_csv(rows: Iterable[FocusRow], version: FocusVersion = "1.3") -> str:
    """CSV with a header; a null is an empty field, and texts are as ``cell_text`` gives them."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(COLUMNS[version])
    for row in rows:
        writer.writerow([_text(row.get(value_column(column))) for column in COLUMNS[version]])
    return out.getvalue()


def left_out(unpriced: Iterable[CostRow]) -> dict[str, float]:
    """How much has no price and therefore no row: device seconds and tokens."""
    sums = Counter[str]()
    for row in unpriced:
        sums[row.unit] += row.quantity
    return {unit: number / (1 if unit == "tokens" else MICRO) for unit, number in sums.items()}


class _Split(NamedTuple):
    """A charge's part of its origin."""

    hours: Decimal
    capacity: int  # micro-seconds


def _split(charges: Sequence[_Charge]) -> dict[Line, _Split]:
    """The part of each charge of an asset and day, in billionths of an hour that add up to the capacity."""
    capacity = sum(charge.quantity for charge in charges if charge.line.kind == CAPACITY)
    parts = [
        charge for charge in charges if SIGNS[charge.line.kind] and (capacity or charge.line.kind != OVER)
    ]
    weights = np.array([[charge.quantity] for charge in parts], dtype=np.int64).reshape(-1, 1)
    total = round(Fraction(int(weights.sum()) * BILLION, HOUR))
    shares = apportioned(np.array([total]), weights)[:, 0].tolist()
    hours = {charge.line: share for charge, share in zip(parts, shares, strict=True)}
    hours |= {charge.line: -total for charge in charges if charge.line.kind == OVER and not capacity}
    return {line: _Split(Decimal(share) / BILLION, capacity) for line, share in hours.items()}


def _text(value: str | Decimal | None) -> str:
    if value is None:
        return ""
    if not isinstance(value, Decimal):
        return cell_text(value)
    text = f"{value:f}"
    return text if "." in text else f"{text}.0"  # focus-validator takes whole numbers for no decimals


def _charges(line: Line, ledger: Ledger) -> Iterator[_Charge]:
    """The line by UTC day; a price is the same all day."""
    firsts = ledger.cells.first_of_each(DAY)
    starts = ledger.cells.starts[firsts].tolist()
    ends = [*starts[1:], ledger.cells.end]
    sign = SIGNS[line.kind] or 1
    quantities = (sign * np.add.reduceat(line.quantities, firsts)).tolist()
    amounts = (sign * np.add.reduceat(line.amounts, firsts)).tolist()
    estimates = np.add.reduceat(line.estimated, firsts).tolist()
    in_force = line.rates.in_force[firsts].tolist()
    for start, end, quantity, amount, estimated, number in zip(
        starts, ends, quantities, amounts, estimates, in_force, strict=True
    ):
        yield _Charge(line, start, end, quantity, amount, estimated, line.rates.price(number))


def _unpriced(charge: _Charge) -> CostRow:
    line = charge.line
    group = group_of(line, GROUPS)
    return CostRow(charge.start, charge.end, group, line.kind, line.unit, abs(charge.quantity), None, None)


def _row(
    charge: _Charge, price: AnyPrice, splits: Mapping[Line, _Split], policy: Policy, issuer: Issuer
) -> FocusRow:
    line, cost, month = charge.line, Decimal(charge.amount) / MICRO, month_of(charge.start)
    if line.asset is None:
        quantity, resource = Decimal(charge.quantity) / MICRO, _token_columns(charge)
    else:
        quantity, capacity = splits[line]
        resource = _device_columns(charge, line.asset) | _split_columns(charge, capacity, policy)
    list_cost = price.amount * quantity
    return {
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
        "ContractedCost": list_cost,
        "ContractedUnitPrice": price.amount,
        "EffectiveCost": cost,
        "HostProviderName": issuer.provider,
        "InvoiceIssuerName": issuer.provider,
        "ListCost": list_cost,
        "ListUnitPrice": price.amount,
        "PricingCategory": "Standard",
        "PricingCurrency": price.currency,
        "PricingCurrencyContractedUnitPrice": price.amount,
        "PricingCurrencyEffectiveCost": cost,
        "PricingCurrencyListUnitPrice": price.amount,
        "PricingQuantity": quantity,
        "ProviderName": issuer.provider,
        "PublisherName": issuer.provider,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Model serving",
        "ServiceProviderName": issuer.provider,
        **resource,
        **_identity_columns(line.identity),
        "x_kind": line.kind,
        "x_estimated_quantity": Decimal(charge.estimated) / (MICRO if line.asset else 1),
    }


def _device_columns(charge: _Charge, asset: Asset) -> dict[str, str | Decimal]:
    """Columns of the origin charge; its charges share all of them but the quantities."""
    seconds = Decimal(charge.quantity) / MICRO
    return {
        "ChargeDescription": f"Time of {asset.device_type} {asset.device}",
        "ConsumedQuantity": seconds,
        "ConsumedUnit": "Seconds",
        "PricingUnit": "Hours",
        "ResourceId": asset.device,
        "ResourceName": asset.device,
        "ResourceType": asset.device_type,
        "SkuId": asset.device_type,
        "SkuMeter": "Device time",
        "SkuPriceId": asset.device_type,
    }


def _split_columns(charge: _Charge, capacity: int, policy: Policy) -> dict[str, str | Decimal]:
    columns: dict[str, str | Decimal] = {
        "AllocatedMethodId": f"modelplane-device-seconds-idle-{policy.idle}-shared-{policy.shared}",
    }
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


def _token_columns(charge: _Charge) -> dict[str, str | Decimal]:
    tokens, meter = Decimal(charge.quantity), f"{charge.line.kind} tokens"
    model = str(*group_of(charge.line, ("model",)))
    return {
        "ChargeDescription": f"{meter} of {model}",
        "ConsumedQuantity": tokens,
        "ConsumedUnit": "Tokens",
        "PricingUnit": f"{MICRO} Tokens",
        "ResourceId": model,
        "ResourceName": model,
        "ResourceType": "Model",
        "SkuId": f"{model}/{charge.line.kind}",
        "SkuMeter": meter,
        "SkuPriceId": f"{model}/{charge.line.kind}",
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
