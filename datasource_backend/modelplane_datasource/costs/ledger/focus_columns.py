"""The columns of FOCUS by version, and ours."""

from __future__ import annotations

from typing import Literal, get_args

FocusVersion = Literal["1.0", "1.2", "1.3"]
FOCUS_VERSIONS: tuple[FocusVersion, ...] = get_args(FocusVersion)

_OF_1_0 = [
    "AvailabilityZone",
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
    "CommitmentDiscountCategory",
    "CommitmentDiscountId",
    "CommitmentDiscountName",
    "CommitmentDiscountStatus",
    "CommitmentDiscountType",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "RegionId",
    "RegionName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SkuPriceId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
]
_NEW_IN_1_2 = [
    "BillingAccountType",
    "CapacityReservationId",
    "CapacityReservationStatus",
    "CommitmentDiscountQuantity",
    "CommitmentDiscountUnit",
    "InvoiceId",
    "PricingCurrency",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost",
    "PricingCurrencyListUnitPrice",
    "ServiceSubcategory",
    "SkuMeter",
    "SkuPriceDetails",
    "SubAccountType",
]
_NEW_IN_1_3 = [
    "AllocatedMethodDetails",
    "AllocatedMethodId",
    "AllocatedResourceId",
    "AllocatedResourceName",
    "AllocatedTags",
    "ContractApplied",
    "HostProviderName",
    "ServiceProviderName",
]
_OURS = ["x_tenant_id", "x_model_name", "x_model_version", "x_framework", "x_kind", "x_estimated_quantity"]


_OF_VALIDATOR = {  # what the rules of focus-validator 1.0.0 for FOCUS 1.0 read, by names of its drafts
    "ChargeType": "ChargeCategory",
    "InvoiceIssuer": "InvoiceIssuerName",
    "Provider": "ProviderName",
    "Publisher": "PublisherName",
    "ResourceID": "ResourceId",
}


def _columns(*names: list[str]) -> tuple[str, ...]:
    return (*sorted(name for of_version in names for name in of_version), *_OURS)


# ProviderName and PublisherName are deprecated in 1.3, and what importers of today read.
COLUMNS: dict[FocusVersion, tuple[str, ...]] = {
    "1.0": _columns(_OF_1_0, [*_OF_VALIDATOR]),
    "1.2": _columns(_OF_1_0, _NEW_IN_1_2),
    "1.3": _columns(_OF_1_0, _NEW_IN_1_2, _NEW_IN_1_3),
}


def value_column(column: str) -> str:
    """The column that has the values of ``column``: itself, unless it is a draft's name of another."""
    return _OF_VALIDATOR.get(column, column)
