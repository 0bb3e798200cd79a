"""Business values are counted and added up, with or without a baseline."""

from __future__ import annotations

import threading
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from exporter_support.event_series import samples
from exporter_support.observed_signals import MIXED, bins, exposed
from modelplane_exporter import PER_CALL, ModelMetricsExporter
from modelplane_exporter.measurement.business_values import MAX_NAMES
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.stores import store_for
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_schema.identity import Identity

NAMES = ("count", "sum", "negative_sum")
INVALID = "model_invalid_observations_total"


def exporter(registry: CollectorRegistry, **options: Any) -> ModelMetricsExporter:
    return ModelMetricsExporter(
        "m", "v1", options.pop("tenant_id", "t"), "jax", registry=registry, confidence=None, **options
    )


def totals(registry: CollectorRegistry, value: str, tenant: str = "t") -> list[float | None]:
    """Count, sum of what is above 0, sum of what is below."""
    return [samples(registry, f"model_business_value_{name}_total").get((tenant, value)) for name in NAMES]


def test_revenue_and_refunds_have_a_sum_each(registry: CollectorRegistry) -> None:
    shop = exporter(registry)
    with shop.track() as call:
        call.business({"revenue": 12.5, "clicked": True})
        call.business({"revenue": 0.1})
    shop.business({"revenue": -2.5, "clicked": False})
    assert totals(registry, "revenue") == [3, 12.6, 2.5]
    assert totals(registry, "clicked") == [2, 1, 0]
    assert samples(registry, INVALID) == {}


@pytest.mark.slow
def test_other_tenants_and_expected_values_show_at_zero(registry: CollectorRegistry) -> None:
    shop = exporter(registry, tenant_id=PER_CALL, values=["revenue"], tenants=["a", "b"])
    assert totals(registry, "revenue", "a") == totals(registry, "revenue", "b") == [0, 0, 0]
    shop.business({"margin": 1}, tenant_id="a")
    shop.business({"margin": 1}, tenant_id="c")
    assert [totals(registry, "margin", who)[0] for who in "abc"] == [1, 0, 1]
    assert totals(registry, "revenue", "c") == [0, 0, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    "column",
    [
        [1, -2.5, 3], (1, -2.5, 3), np.array([1, -2.5, 3]), pd.Series([1, -2.5, 3]),
        pl.Series([1.0, -2.5, 3.0]),
        [Decimal(1), Decimal("-2.5"), Decimal(3)], [Fraction(1), Fraction(-5, 2), Fraction(3)],
        [np.float32(1), np.float16(-2.5), np.int64(3)],
    ],
    ids=lambda column: type(column).__name__,
)  # fmt: skip
def test_columns(registry: CollectorRegistry, column: object) -> None:
    with exporter(registry).track() as call:
        call.business({"margin": column})
    assert totals(registry, "margin") == [3, 4, 2.5]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames(registry: CollectorRegistry, frame: Any) -> None:
    exporter(registry).business(frame({"margin": [1.0, 2.0], "clicks": [True, False]}))
    assert (totals(registry, "margin"), totals(registry, "clicks")) == ([2, 3, 0], [2, 1, 0])


@pytest.mark.slow
def test_a_large_column(registry: CollectorRegistry) -> None:
    exporter(registry).business({"margin": np.tile([1.0, -1.0, 0.1], 100_000)})
    assert totals(registry, "margin") == [300_000, 110_000, 100_000]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "value_missing"), (float("nan"), "value_missing"), (pd.NA, "value_missing"),
        ("12", "value_wrong_type"), (object(), "value_wrong_type"),
        (float("inf"), "value_out_of_range"), (-1e19, "value_out_of_range"), (10**400, "value_out_of_range"),
    ],
)  # fmt: skip
def test_what_cannot_be_added_up(registry: CollectorRegistry, value: object, reason: str) -> None:
    exporter(registry).business({"margin": [1.0, value]})
    assert totals(registry, "margin") == [1, 1, 0]
    assert samples(registry, INVALID) == {("t", reason): 1}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["", " x", "x" * 101, "__x", "a\nb", 3, None, b"x"])
def test_names(registry: CollectorRegistry, name: Any) -> None:
    shop = exporter(registry)
    shop.business({name: 1.0, "margin": 2.0})
    assert totals(registry, "margin") == [1, 2, 0]
    assert samples(registry, INVALID) == {("t", "value_wrong_type"): 1}
    with pytest.raises(ValueError, match="values must be a name of 1 to 100 printable characters"):
        exporter(registry, values=[name])


def test_no_mapping(registry: CollectorRegistry) -> None:
    for wrong in (5.0, [1, 2], "margin", None):
        exporter(registry).business(wrong)  # type: ignore[arg-type]
    assert samples(registry, INVALID) == {("t", "value_wrong_type"): 4}


def test_too_many_names_overflow(registry: CollectorRegistry) -> None:
    shop = exporter(registry)
    for number in range(MAX_NAMES + 5):
        shop.business({f"value {number}": 1.0})
    counts = samples(registry, "model_business_value_count_total")
    assert len(counts) == MAX_NAMES + 1
    assert totals(registry, "__overflow__") == [5, 5, 0]
    assert exposed(registry)["model_series_overflow_total"] == {("m", "v1", "jax", "value"): 5}


@pytest.mark.slow
def test_what_the_baseline_has_is_a_signal_too(registry: CollectorRegistry) -> None:
    shop = exporter(registry, baseline=MIXED, signals_every=1000)
    with shop.track() as call:
        call._sampled = True
        call.business({"basket": 0.25, "margin": None, "revenue": 7})
    assert totals(registry, "basket") == [1, 0.25, 0]
    assert totals(registry, "revenue") == [1, 7, 0]
    assert bins(registry, "basket")["02"] == 1
    assert bins(registry, "margin")["__missing__"] == 1
    for _ in range(50):  # signals are sampled, sums are not
        with shop.track() as call:
            call.business({"basket": 0.25})
    assert totals(registry, "basket") == [51, 12.75, 0]
    assert sum(bins(registry, "basket").values()) <= 2
    assert samples(registry, INVALID) == {}


def test_declared_values_need_no_baseline(registry: CollectorRegistry, tmp_path: Path) -> None:
    path = tmp_path / "shop.yaml"
    path.write_text("apiVersion: modelplane/v1\nvalues: {revenue: result.total, 'paid': result.paid}\n")
    shop = exporter(registry, declared=path)
    assert totals(registry, "revenue") == [0, 0, 0]
    buy = shop(lambda total: {"total": total, "paid": True})
    buy(3.5)
    buy(-1)
    assert totals(registry, "revenue") == [2, 3.5, 1]
    assert totals(registry, "paid") == [2, 2, 0]


def test_a_sum_takes_more_than_64_bits(registry: CollectorRegistry) -> None:
    shop = exporter(registry)
    for _ in range(30):
        shop.business({"rupiah": 1e18, "loss": -1e18})
    assert totals(registry, "rupiah") == [30, 3e19, 0]
    assert totals(registry, "loss") == [30, 0, 3e19]


def test_threads_lose_nothing(registry: CollectorRegistry) -> None:
    shop = exporter(registry)

    def work() -> None:
        for _ in range(2000):
            shop.business({"revenue": 0.1})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert totals(registry, "revenue") == [8000, 800, 0]


def test_the_fast_path_and_prometheus_client_agree(registry: CollectorRegistry) -> None:
    shop = exporter(registry)
    shop.business({'a "quoted" \\ name': 0.1, "b": -1})
    lines = {
        (sample.name, sample.labels["value"]): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
        if "business_value" in sample.name
    }
    assert lines == {
        (f"model_business_value_{name}_total", value): samples(
            registry, f"model_business_value_{name}_total"
        )["t", value]
        for name in NAMES
        for value in ('a "quoted" \\ name', "b")
    }


def test_an_evicted_tenant_loses_its_values(registry: CollectorRegistry) -> None:
    shop = exporter(registry, tenant_id=PER_CALL, max_tenants=1, idle_ttl=0.0)
    shop.business({"revenue": 1}, tenant_id="a")
    shop.business({"revenue": 2}, tenant_id="b")
    assert samples(registry, "model_business_value_sum_total") == {("b", "revenue"): 2}
    assert store_for(registry).values.snapshots()[0].key.identity.tenant_id == "b"


def test_a_forked_child_starts_at_zero() -> None:
    store = Store()
    recorder = VersionRecorder(store, Identity("m", "v1", "t", "jax"), ("gpu", "h200"), 10)
    recorder.count_values(recorder.state_of("t"), {"revenue": 5})
    store.after_fork()
    assert [snapshot.cells for snapshot in store.values.snapshots()] == [(0, 0, 0, 0, 0)]
