"""The declared metrics, recorded series and alerts are consistent, and their page is current."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from modelplane_schema import metrics
from modelplane_schema.alerts import ALERTS, Alert
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import IDENTITY, METRICS, PORTABLE_LATENCY_BUCKETS, Metric
from modelplane_schema.recorded import RECORDED
from modelplane_schema.recorded_types import RecordedSeries
from modelplane_schema.reference import metrics_page

ROOT = Path(__file__).parents[3]
DESIGN_NAMES = [
    "model_inference_latency_seconds",
    "model_inference_requests_total",
    "model_prediction_confidence",
    "model_active_inference_requests",
    "model_inference_items_total",
    "model_inference_device_seconds_total",
    "model_inference_tokens_total",
    "model_time_to_first_token_seconds",
    "model_time_per_output_token_seconds",
    "model_signal_observations_total",
    "model_signal_deviation_positive_sum_total",
    "model_signal_unobserved",
    "model_signal_deviation_negative_sum_total",
    "model_signal_deviation_square_sum_total",
    "model_signal_baseline_ratio",
    "model_signal_baseline_upper_bound",
    "model_signal_baseline_center",
    "model_signal_baseline_mean",
    "model_signal_baseline_stddev",
    "model_signal_baseline_observations",
    "model_business_events_total",
    "model_business_value_count_total",
    "model_business_value_sum_total",
    "model_business_value_negative_sum_total",
    "model_feedback_total",
    "model_invalid_observations_total",
    "model_series_overflow_total",
    "model_info",
    "model_device_utilization_ratio",
    "model_device_memory_used_bytes",
    "model_device_memory_total_bytes",
    "model_device_power_watts",
    "model_device_energy_joules_total",
    "model_device_process_memory_used_bytes",
    "model_device_process_utilization_ratio",
    "modelplane_exporter_build_info",
    "modelplane_exporter_scrape_duration_seconds",
    "modelplane_exporter_sampling_ratio",
]


def test_an_identity_has_the_identity_labels_in_their_order() -> None:
    assert Identity._fields == IDENTITY
    assert str(Identity("m", "v1", "t", "jax")) == (
        "model_name='m' model_version='v1' tenant_id='t' framework='jax'"
    )


def test_every_metric_of_the_design_is_declared_once() -> None:
    assert sorted(metric.name for metric in METRICS) == sorted(DESIGN_NAMES)


def test_every_declared_metric_is_exposed_by_the_exporter() -> None:
    sources = (ROOT / "exporter" / "modelplane_exporter").rglob("*.py")
    words = set(re.findall(r"\w+", " ".join(path.read_text(encoding="utf-8") for path in sources)))
    constants = {name for name, value in vars(metrics).items() if isinstance(value, Metric)}
    assert len(constants) == len(METRICS)
    assert constants - words == set()


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metric_follows_prometheus_naming(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
    assert (metric.type == "counter") == metric.name.endswith("_total")
    if metric.unit in ("seconds", "bytes", "watts", "joules"):
        assert metric.unit in metric.name
    assert len(set(metric.labels)) == len(metric.labels)
    assert metric.help[0].isupper() or metric.help[0].isdigit() or metric.help.startswith("1 ")
    assert metric.help.endswith(".")
    assert (metric.type == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    for label, values in metric.closed:
        assert label in metric.labels
        assert len(set(values)) == len(values) > 0


@pytest.mark.parametrize("metric", [m for m in METRICS if "tenant_id" in m.labels], ids=lambda m: m.name)
def test_identity_labels_come_first_and_in_order(metric: Metric) -> None:
    assert metric.labels[:4] == IDENTITY


def test_declarations_cannot_be_changed() -> None:
    for declared in (METRICS[0], RECORDED[0], ALERTS[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(declared, "name", "other")  # noqa: B010 - a type checker refuses the assignment


def test_portable_bounds_are_bounds() -> None:
    latency = next(metric for metric in METRICS if metric.name == "model_inference_latency_seconds")
    assert set(PORTABLE_LATENCY_BUCKETS) < set(latency.buckets)


@pytest.mark.parametrize("series", RECORDED, ids=lambda series: series.name)
def test_recorded_series_follow_the_naming_rule(series: RecordedSeries) -> None:
    # Drift has no operation, only its method's name; what does not change in time has no window.
    windowed = r"(rate|ratio|quantile|increase|count|mean)?\d+[mhd]"
    operation = f"({windowed}|config|max|sum|increase|ratio|estimate)"
    assert re.fullmatch(rf"modelplane:[a-z_]+:{operation}", series.name)
    assert series.name.endswith(
        series.window or (":config", ":max", ":sum", ":increase", ":ratio", ":estimate")
    )
    assert series.per_second == (":rate" in series.name)


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
def test_alerts_follow_the_mixin_rules(alert: Alert) -> None:
    assert re.fullmatch(r"([A-Z]+[a-z0-9]+)+", alert.name)
    assert len(alert.name) <= 40
    assert re.fullmatch(r"[A-Z][^{}]*\.", alert.summary)


def test_metrics_page_is_current() -> None:
    page = ROOT / "docs" / "metrics.md"
    assert page.read_text(encoding="utf-8") == metrics_page(), "run: make generate"


def test_only_what_reads_the_registry_needs_more_than_the_standard_library() -> None:
    folder = ROOT / "schema" / "modelplane_schema"
    readers = {
        "registry", "documents", "validation", "fields", "receivers", "alert_coverage", "mixin_settings",
            "grafana_access", "grafana_section", "slos", "targets",
    }  # fmt: skip
    names = {path.stem for path in folder.glob("*.py")} - readers
    modules = sorted(f"modelplane_schema.{name}" for name in names)
    code = (
        "import sys; sys.modules.update({n: None for n in ('pydantic', 'yaml', 'prometheus_client')})\n"
        f"import {', '.join(modules)}"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
