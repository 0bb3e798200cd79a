"""No label value is so long that a scrape grows by it."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from modelplane_exporter import PER_CALL, Baseline, BaselineError, ModelMetricsExporter, tenant
from modelplane_schema.metrics import MAX_LABEL_LENGTH

LONG = "x" * 100_000
LONGEST = "y" * MAX_LABEL_LENGTH
OPTIONS: dict[str, Any] = {
    "model_name": "m", "model_version": "v1", "tenant_id": PER_CALL, "framework": "pytorch",
    "confidence": None,
}  # fmt: skip


def test_what_comes_with_calls_does_not_make_a_scrape_large(registry: CollectorRegistry) -> None:
    exporter = ModelMetricsExporter(**OPTIONS, registry=registry)
    with tenant(LONG), exporter.track() as call:
        call.event(LONG)
    with exporter.track(tenant_id=LONG):
        pass
    exporter.event(LONG, tenant_id=LONG)
    exporter.event("\ud800", tenant_id="a")
    exporter.event(LONGEST, tenant_id=LONGEST)
    exposed = generate_latest(registry)
    assert len(exposed) < 60_000
    assert b"xx" not in exposed
    assert f'event="{LONGEST}"'.encode() in exposed


@pytest.mark.parametrize(
    "field", ["model_name", "model_version", "tenant_id", "framework", "owner", "stage", "framework_version"]
)
def test_metadata_that_is_too_long_is_refused_by_its_name(registry: CollectorRegistry, field: str) -> None:
    with pytest.raises(ValueError, match=rf"{field}.*256 characters"):
        ModelMetricsExporter(**{**OPTIONS, field: LONG}, registry=registry)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("tenants", {"tenants": [LONG]}), ("events", {"events": [LONG]}),
        ("device", {"device": LONG, "device_type": "h200"}),
        ("device_type", {"device": "d", "device_type": LONG}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_lists_and_devices_likewise(registry: CollectorRegistry, field: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"{field} must .*256 characters"):
        ModelMetricsExporter(**OPTIONS, **options, registry=registry)


def test_categories_of_long_texts_are_short() -> None:
    pytest.importorskip("numpy")
    (signal,) = Baseline.fit("m", {"c": [LONG] * 50 + [LONGEST] * 30 + ["z"] * 20}).signals
    assert max(map(len, signal.bins)) <= MAX_LABEL_LENGTH
    assert signal.ratios == (0.5, 0.3, 0.2, 0.0, 0.0)


def test_a_file_with_a_category_that_is_too_long_is_refused() -> None:
    pytest.importorskip("numpy")
    text = Baseline.fit("m", {"c": ["a", "b"]}).to_json().replace('"a"', f'"{LONG}"')
    with pytest.raises(BaselineError, match=r"categories must be .* of at most 256 characters"):
        Baseline.from_json(text)


def test_a_signal_whose_name_is_too_long_is_refused() -> None:
    pytest.importorskip("numpy")
    with pytest.raises(BaselineError, match="name must be a non-empty text of at most 256 characters"):
        Baseline.fit("m", {LONG: [1.0, 2.0]})
