"""The metric schema: every series modelplane exposes, declared once as frozen data.

Exporter, rules, dashboards, backend and ``docs/metrics.md`` derive from ``METRICS``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

MetricType = Literal["counter", "gauge", "histogram"]
Unit = Literal["seconds", "bytes", "ratio", "watts", "joules", "count", "info", "stddevs", "number"]

BASE_UNITS = ("seconds", "bytes", "ratio", "watts", "joules")

MODEL_NAME, MODEL_VERSION, TENANT_ID, FRAMEWORK = "model_name", "model_version", "tenant_id", "framework"
IDENTITY = (MODEL_NAME, MODEL_VERSION, TENANT_ID, FRAMEWORK)
VERSION_IDENTITY = (MODEL_NAME, MODEL_VERSION, FRAMEWORK)

OVERFLOW = "__overflow__"
ALL_TENANTS = "__all__"
UNKNOWN_TENANT = "__unknown__"  # a call whose tenant could not be resolved
RESERVED_TENANTS = (OVERFLOW, ALL_TENANTS, UNKNOWN_TENANT)

# Cancelled: the caller gave up. Rejected: an exception that the model team expects, as for bad input.
OUTCOMES = ("success", "failure", "cancelled", "rejected")
COMPLETED_OUTCOMES = ("success", "failure")  # the others say nothing about the model: no ratio counts them
INPUT, CACHED_INPUT = "input", "cached_input"
TOKEN_KINDS = (INPUT, CACHED_INPUT, "output", "reasoning")
# How a device's cost is shared over kinds of tokens: OpenCost's ratio where it has no times of prefill and
# decoding, and its treatment of cached input, which takes no prefill.
TOKEN_WEIGHTS = {INPUT: 1.0, CACHED_INPUT: 0.0, "output": 2.5, "reasoning": 2.5}
SCORE_KIND = "score"  # an evaluation from 0 to 1, in fixed bins, without training data
SIGNAL_KINDS = ("input", "activation", "output", "business", SCORE_KIND)
VERDICTS = ("correct", "incorrect")
# Bins of a signal that are no range or category of its training data.
OTHER_BIN, MISSING_BIN = "__other__", "__missing__"
INVALID_REASONS = (
    "confidence_missing",
    "confidence_not_a_number",
    "confidence_out_of_range",
    "confidence_ambiguous",
    "items_invalid",
    "tokens_invalid",
    "tenant_invalid",
    "value_missing",
    "value_wrong_type",
    "value_out_of_range",
    "signal_unknown",
    "signal_wrong_shape",
)

LATENCY_BUCKETS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
)  # fmt: skip
# Bounds a consumer may put in a threshold: other producers share at least these.
PORTABLE_LATENCY_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
CONFIDENCE_TOLERANCE = 1e-6

FRAMEWORK_PATTERN = re.compile(r"[a-z][a-z0-9_]*")
# A label value is on each of some forty lines of its identity, in every scrape.
MAX_LABEL_LENGTH = 256

_SIGNAL = ("kind", "signal", "baseline")
_DEVICE = ("device", "device_type")


@dataclass(frozen=True, slots=True)
class Metric:
    """One exposed series family.

    ``labels`` lists all labels in exposition order; ``buckets`` holds a histogram's finite upper
    bounds (``+Inf`` is implied); ``closed`` maps a label to its complete set of values.
    """

    name: str
    type: MetricType
    unit: Unit
    labels: tuple[str, ...]
    help: str
    buckets: tuple[float, ...] = ()
    closed: tuple[tuple[str, tuple[str, ...]], ...] = ()


def family_name(metric: Metric) -> str:
    """What OpenMetrics and prometheus_client call the family: a counter's name lacks ``_total``."""
    return metric.name.removesuffix("_total") if metric.type == "counter" else metric.name


def family_unit(metric: Metric) -> str:
    """The unit that the family may declare in OpenMetrics, a base unit that ends its name; else empty."""
    declared = metric.unit in BASE_UNITS and family_name(metric).endswith(f"_{metric.unit}")
    return metric.unit if declared else ""


LATENCY = Metric(
    "model_inference_latency_seconds", "histogram", "seconds", IDENTITY,
    "Wall time of one inference call.", LATENCY_BUCKETS,
)  # fmt: skip
REQUESTS = Metric(
    "model_inference_requests_total", "counter", "count", (*IDENTITY, "outcome"),
    "Finished inference calls by outcome; one that was cancelled or rejected is no failure.",
    closed=(("outcome", OUTCOMES),),
)  # fmt: skip
CONFIDENCE = Metric(
    "model_prediction_confidence", "histogram", "ratio", IDENTITY,
    "Confidence of predictions, from 0 to 1.", CONFIDENCE_BUCKETS,
)  # fmt: skip
ACTIVE = Metric(
    "model_active_inference_requests", "gauge", "count", IDENTITY, "Inference calls in flight now."
)
ITEMS = Metric(
    "model_inference_items_total", "counter", "count", IDENTITY, "Items (batch elements) processed."
)
DEVICE_SECONDS = Metric(
    "model_inference_device_seconds_total", "counter", "seconds", (*IDENTITY, *_DEVICE),
    "Device time charged to this identity; calls in flight on a device share it equally.",
)  # fmt: skip
TOKENS = Metric(
    "model_inference_tokens_total", "counter", "count", (*IDENTITY, "kind"),
    "Tokens by kind; the kinds partition the total.", closed=(("kind", TOKEN_KINDS),),
)  # fmt: skip
TIME_TO_FIRST_TOKEN = Metric(
    "model_time_to_first_token_seconds", "histogram", "seconds", IDENTITY,
    "Time from the start of a streaming call to its first token.", LATENCY_BUCKETS,
)  # fmt: skip
TIME_PER_OUTPUT_TOKEN = Metric(
    "model_time_per_output_token_seconds", "histogram", "seconds", IDENTITY,
    "Mean time between output tokens of a streaming call.", LATENCY_BUCKETS,
)  # fmt: skip
SIGNAL_OBSERVATIONS = Metric(
    "model_signal_observations_total", "counter", "count", (*IDENTITY, *_SIGNAL, "bin"),
    "Observations of a signal, each in its bin of the training baseline.",
    closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
SIGNAL_DEVIATION_POSITIVE = Metric(
    "model_signal_deviation_positive_sum_total", "counter", "stddevs", (*IDENTITY, *_SIGNAL),
    "Sum of u = (x - baseline mean) / baseline stddev over observations where u > 0.",
    closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
SIGNAL_DEVIATION_NEGATIVE = Metric(
    "model_signal_deviation_negative_sum_total", "counter", "stddevs", (*IDENTITY, *_SIGNAL),
    "Sum of the absolute value of u over observations where u < 0.",
    closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
SIGNAL_DEVIATION_SQUARE = Metric(
    "model_signal_deviation_square_sum_total", "counter", "number", (*IDENTITY, *_SIGNAL),
    "Sum of the square of u.", closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
SIGNAL_UNOBSERVED = Metric(
    "model_signal_unobserved", "gauge", "count", (*IDENTITY, *_SIGNAL),
    "1 as long as no value of the signal was observed, missing ones aside, and 0 from the first one on; "
    "of several processes the minimum counts.",
    closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
BASELINE_RATIO = Metric(
    "model_signal_baseline_ratio", "gauge", "ratio", (*VERSION_IDENTITY, *_SIGNAL, "bin"),
    "Share of the training data in the bin.", closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
BASELINE_UPPER_BOUND = Metric(
    "model_signal_baseline_upper_bound", "gauge", "number", (*VERSION_IDENTITY, *_SIGNAL, "bin"),
    "Upper edge of the bin, in the signal's own unit (numeric signals).",
    closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
BASELINE_CENTER = Metric(
    "model_signal_baseline_center", "gauge", "number", (*VERSION_IDENTITY, *_SIGNAL, "bin"),
    "Mean of the training data in the bin, in the signal's own unit (numeric signals).",
    closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
BASELINE_MEAN = Metric(
    "model_signal_baseline_mean", "gauge", "number", (*VERSION_IDENTITY, *_SIGNAL),
    "Mean of the training data, in the signal's own unit.", closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
BASELINE_STDDEV = Metric(
    "model_signal_baseline_stddev", "gauge", "number", (*VERSION_IDENTITY, *_SIGNAL),
    "Standard deviation of the training data, in the signal's own unit.",
    closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
BASELINE_OBSERVATIONS = Metric(
    "model_signal_baseline_observations", "gauge", "count", (*VERSION_IDENTITY, *_SIGNAL),
    "Number of training observations behind the baseline.", closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip
BUSINESS_EVENTS = Metric(
    "model_business_events_total", "counter", "count", (*IDENTITY, "event"),
    "Business events, during the call or later (click, conversion).",
)  # fmt: skip
BUSINESS_VALUE_COUNT = Metric(
    "model_business_value_count_total", "counter", "count", (*IDENTITY, "value"),
    "Business values observed (the price of a sale, a truth value as 0 or 1), by name.",
)  # fmt: skip
BUSINESS_VALUE_SUM = Metric(
    "model_business_value_sum_total", "counter", "number", (*IDENTITY, "value"),
    "Sum of the business values above 0, in the value's own unit.",
)  # fmt: skip
BUSINESS_VALUE_NEGATIVE_SUM = Metric(
    "model_business_value_negative_sum_total", "counter", "number", (*IDENTITY, "value"),
    "Sum of the business values below 0, refunds for example, without their sign.",
)  # fmt: skip
FEEDBACK = Metric(
    "model_feedback_total", "counter", "count", (*IDENTITY, "verdict"),
    "Predictions judged once the truth is known.", closed=(("verdict", VERDICTS),),
)  # fmt: skip
INVALID_OBSERVATIONS = Metric(
    "model_invalid_observations_total", "counter", "count", (*IDENTITY, "reason"),
    "Values that broke the data contract and were not observed.",
    closed=(("reason", INVALID_REASONS),),
)  # fmt: skip
SERIES_OVERFLOW = Metric(
    "model_series_overflow_total", "counter", "count", (*VERSION_IDENTITY, "label"),
    "Calls counted under __overflow__ because the label had too many values.",
)  # fmt: skip
MODEL_INFO = Metric(
    "model_info", "gauge", "info", (*VERSION_IDENTITY, "owner", "stage", "framework_version"),
    "1 for each loaded model version.",
)  # fmt: skip
DEVICE_UTILIZATION = Metric(
    "model_device_utilization_ratio", "gauge", "ratio", _DEVICE, "Busy share of the device, from 0 to 1."
)
DEVICE_MEMORY_USED = Metric(
    "model_device_memory_used_bytes", "gauge", "bytes", _DEVICE, "Device memory in use."
)
DEVICE_MEMORY_TOTAL = Metric(
    "model_device_memory_total_bytes", "gauge", "bytes", _DEVICE, "Device memory installed."
)
DEVICE_POWER = Metric("model_device_power_watts", "gauge", "watts", _DEVICE, "Power draw of the device.")
DEVICE_ENERGY = Metric(
    "model_device_energy_joules_total", "counter", "joules", _DEVICE, "Energy used by the device."
)
DEVICE_PROCESS_MEMORY_USED = Metric(
    "model_device_process_memory_used_bytes", "gauge", "bytes", (*_DEVICE, "pid"),
    "Device memory in use by the exporter's process or one of its children.",
)  # fmt: skip
DEVICE_PROCESS_UTILIZATION = Metric(
    "model_device_process_utilization_ratio", "gauge", "ratio", (*_DEVICE, "pid"),
    "Busy share of the device due to the exporter's process or one of its children, from 0 to 1.",
)  # fmt: skip
EXPORTER_BUILD_INFO = Metric(
    "modelplane_exporter_build_info", "gauge", "info", ("version", "python_version"),
    "1 for each process that runs the exporter.",
)  # fmt: skip
EXPORTER_SCRAPE_DURATION = Metric(
    "modelplane_exporter_scrape_duration_seconds", "gauge", "seconds", (),
    "Time the previous collection of this process's own series took.",
)  # fmt: skip
EXPORTER_SAMPLING = Metric(
    "modelplane_exporter_sampling_ratio", "gauge", "ratio", (*VERSION_IDENTITY, "kind"),
    "Share of calls whose signals are observed.", closed=(("kind", SIGNAL_KINDS),),
)  # fmt: skip

METRICS: tuple[Metric, ...] = (
    LATENCY,
    REQUESTS,
    CONFIDENCE,
    ACTIVE,
    ITEMS,
    DEVICE_SECONDS,
    TOKENS,
    TIME_TO_FIRST_TOKEN,
    TIME_PER_OUTPUT_TOKEN,
    SIGNAL_OBSERVATIONS,
    SIGNAL_DEVIATION_POSITIVE,
    SIGNAL_DEVIATION_NEGATIVE,
    SIGNAL_DEVIATION_SQUARE,
    SIGNAL_UNOBSERVED,
    BASELINE_RATIO,
    BASELINE_UPPER_BOUND,
    BASELINE_CENTER,
    BASELINE_MEAN,
    BASELINE_STDDEV,
    BASELINE_OBSERVATIONS,
    BUSINESS_EVENTS,
    BUSINESS_VALUE_COUNT,
    BUSINESS_VALUE_SUM,
    BUSINESS_VALUE_NEGATIVE_SUM,
    FEEDBACK,
    INVALID_OBSERVATIONS,
    SERIES_OVERFLOW,
    MODEL_INFO,
    DEVICE_UTILIZATION,
    DEVICE_MEMORY_USED,
    DEVICE_MEMORY_TOTAL,
    DEVICE_POWER,
    DEVICE_ENERGY,
    DEVICE_PROCESS_MEMORY_USED,
    DEVICE_PROCESS_UTILIZATION,
    EXPORTER_BUILD_INFO,
    EXPORTER_SCRAPE_DURATION,
    EXPORTER_SAMPLING,
)
