"""The demo's registry: what is not installed appears nowhere, and devices and prices are those in use."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from modelplane_provisioning.demo.registry import installed_part, with_devices
from modelplane_provisioning.examples import ExampleService, read_catalogue
from modelplane_provisioning.past.generate import Live
from modelplane_provisioning.past.stories import HOUR
from modelplane_provisioning.past.write import span_until
from modelplane_schema.registry import dump_registry, load_registry, parse_registry

EXAMPLES = Path(__file__).parents[4] / "examples"
REGISTRY = load_registry(EXAMPLES / "modelplane.yaml")
NOON = 1_800_014_400  # of a day in UTC
DEVICES = """\
model_inference_device_seconds_total{device="host/a.py",device_type="cpu-process",tenant_id="a"} 1
model_inference_device_seconds_total{device="host/a.py",device_type="cpu-process",tenant_id="b"} 1
model_inference_device_seconds_total{device="gpu-0",device_type="unpriced",tenant_id="a"} 1
"""


@pytest.fixture(scope="module")
def services() -> tuple[ExampleService, ...]:
    return read_catalogue(EXAMPLES)


@pytest.mark.parametrize("left_out", ["wine-grader", "digit-reader", "progression-risk"])
def test_a_model_that_is_not_installed_is_nowhere(
    services: tuple[ExampleService, ...], left_out: str
) -> None:
    some = [replace(service, installed=service.model_name != left_out) for service in services]
    text = dump_registry(installed_part(REGISTRY, some))
    assert left_out not in text
    assert {model.name for model in parse_registry(text).models} == {
        service.model_name for service in services
    } - {left_out}


def test_tenants_and_owners_without_a_model_are_left_out(services: tuple[ExampleService, ...]) -> None:
    some = [replace(service, installed=service.model_name == "tumour-screen") for service in services]
    registry = installed_part(REGISTRY, some)
    assert {tenant.id for tenant in registry.tenants} == {"north-clinic", "south-clinic"}
    assert [owner.id for owner in registry.owners or ()] == ["clinical"]


def test_devices_are_those_in_use_and_prices_fell_at_midnight() -> None:
    registry = with_devices(REGISTRY, [Live("a", DEVICES, {})], span_until(NOON, 6))
    again = parse_registry(dump_registry(registry)).devices
    assert [(device.device, device.device_type, str(device.from_)) for device in again.inventory] == [
        ("gpu-0", "unpriced", "2027-01-14"),
        ("host/a.py", "cpu-process", "2027-01-14"),
    ]
    assert [
        (price.device_type, float(price.amount), str(price.effective_from)) for price in again.prices
    ] == [
        ("cpu-process", 0.04, "2026-01-01"),
        ("cpu-process", 0.036, "2027-01-15"),
    ]


@pytest.mark.parametrize("now", [NOON, NOON - NOON % (24 * HOUR), NOON - NOON % (24 * HOUR) + HOUR])
def test_a_midnight_lies_within_the_costs_and_the_span_is_as_long_as_the_story(now: int) -> None:
    span = span_until(now, 6)
    assert (span.end - span.start) / 1000 == 6 * HOUR
    midnight = now - now % (24 * HOUR)
    assert span.costs_since == (midnight - 24 * HOUR) * 1000
