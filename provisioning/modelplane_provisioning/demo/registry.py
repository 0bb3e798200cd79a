"""The registry of a demo: that of the examples that run, with their devices and prices that changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from modelplane_provisioning.examples import ExampleService
from modelplane_provisioning.past.generate import Live, Span
from modelplane_provisioning.past.series import read_exposition
from modelplane_schema.metrics import DEVICE_SECONDS
from modelplane_schema.registry import Device, Devices, Price, Registry

_FALLEN = Decimal("0.9")


def installed_part(registry: Registry, services: Sequence[ExampleService]) -> Registry:
    """The registry without the models that are not installed, and without whom only those concern."""
    running = {service.model_name for service in services if service.installed}
    models = tuple(model for model in registry.models if model.name in running)
    callers = {tenant for model in models for tenant in model.tenants}
    menders = {model.owner for model in models}
    return registry.model_copy(
        update={
            "models": models,
            "tenants": tuple(tenant for tenant in registry.tenants if tenant.id in callers),
            "owners": tuple(owner for owner in registry.owners or () if owner.id in menders),
        }
    )


def with_devices(registry: Registry, lives: Iterable[Live], span: Span) -> Registry:
    """The registry with the devices that examples run on, and with prices that fell at the last midnight."""
    devices = sorted(
        {
            (sample.labels["device"], sample.labels["device_type"])
            for live in lives
            for sample in read_exposition(live.exposition)
            if sample.name == DEVICE_SECONDS.name
        }
    )
    first, last = _day(span.costs_since), _day(span.end)
    inventory = tuple(
        Device.model_validate({"device": device, "device_type": device_type, "from": first})
        for device, device_type in devices
    )
    used = {device_type for _, device_type in devices}
    prices = tuple(price for price in registry.devices.prices if price.device_type in used)
    fallen = tuple(_fallen(price, last) for price in prices)
    return registry.model_copy(update={"devices": Devices(inventory=inventory, prices=prices + fallen)})


def _fallen(price: Price, day: date) -> Price:
    amount = price.amount * _FALLEN
    return price.model_copy(update={"amount": amount, "effective_from": day})


def _day(milliseconds: int) -> date:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).date()
