"""Recorded series of service level objectives, and of the calls that they are made of."""

from __future__ import annotations

from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.recorded_types import RecordedSeries, WindowedSeries

_CALLS = (TENANT_ID, MODEL_NAME, MODEL_VERSION)
_OF_SLO = (*_CALLS, "slo")

SLO_OBJECTIVE = RecordedSeries(
    "modelplane:slo_objective:config",
    "ratio",
    (MODEL_NAME, "slo"),
    "Share of good calls that an SLO promises.",
)
SLO_INDICATOR = RecordedSeries(
    "modelplane:slo_indicator:config", "info", (MODEL_NAME, "slo", "indicator"),
    "1 for each SLO with what makes a call good: errors, or latency.",
)  # fmt: skip
SLO_PERIOD = RecordedSeries(
    "modelplane:slo_period_seconds:config", "seconds", (MODEL_NAME, "slo", "period"),
    "Over how long an SLO promises its objective.",
)  # fmt: skip
SLO_LATENCY_BOUND = RecordedSeries(
    "modelplane:slo_latency_bound:config", "info", (MODEL_NAME, "slo", "le"),
    "1 for the bucket whose calls are good for a latency SLO, in both spellings of its bound.",
)  # fmt: skip
SLO_LATENCY_SECONDS = RecordedSeries(
    "modelplane:slo_latency_seconds:config", "seconds", (MODEL_NAME, "slo"),
    "The bound of a latency SLO: slower calls are bad.",
)  # fmt: skip
SLO_BURN_FACTOR = RecordedSeries(
    "modelplane:slo_burn_factor:config", "number", (MODEL_NAME, "slo", "long_window"),
    "The burn rate above which an SLO alerts.",
)  # fmt: skip
SLO_GOOD_IN_PERIOD = RecordedSeries(
    "modelplane:slo_good_in_period:increase", "count", _OF_SLO, "Good calls in the period of the SLO."
)
SLO_TOTAL_IN_PERIOD = RecordedSeries(
    "modelplane:slo_total_in_period:increase", "count", _OF_SLO, "Calls that count in the period of the SLO."
)
SLO_BUDGET_REMAINING = RecordedSeries(
    "modelplane:slo_budget_remaining:ratio", "ratio", _OF_SLO,
    "What is left of the error budget of the SLO's period; below 0 it is overspent.",
)  # fmt: skip
SLO_EXHAUSTION = RecordedSeries(
    "modelplane:slo_exhaustion_seconds:estimate", "seconds", _OF_SLO,
    "Time until the budget is spent at the pace of the last hour; absent when it is not being spent.",
)  # fmt: skip
SLO_GOOD = WindowedSeries(
    "modelplane:slo_good:increase", "count", _OF_SLO, "Good calls for an SLO in the last {window}."
)
SLO_TOTAL = WindowedSeries(
    "modelplane:slo_total:increase", "count", _OF_SLO, "Calls that count for an SLO in the last {window}."
)
SLO_BURN_RATE = WindowedSeries(
    "modelplane:slo_burn_rate:", "number", _OF_SLO,
    "Share of bad calls in the last {window} over the share that the objective allows; absent without calls.",
)  # fmt: skip
SLO_SERIES = (SLO_GOOD, SLO_TOTAL, SLO_BURN_RATE)
# Recorded once an hour, for periods: what is recorded every half minute is a hundred times as much to read.
SLO_GOOD_HOURLY = RecordedSeries(
    "modelplane:slo_good_hourly:increase1h", "count", _OF_SLO,
    "Good calls for an SLO in an hour, once an hour.", "1h",
)  # fmt: skip
SLO_TOTAL_HOURLY = RecordedSeries(
    "modelplane:slo_total_hourly:increase1h", "count", _OF_SLO,
    "Calls that count for an SLO in an hour, once an hour.", "1h",
)  # fmt: skip
SLO_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
CALLS_FAILED = WindowedSeries(
    "modelplane:failed_calls:increase", "count", _CALLS, "Failed calls in the last {window}."
)
CALLS_COMPLETED = WindowedSeries(
    "modelplane:completed_calls:increase",
    "count",
    _CALLS,
    "Calls that succeeded or failed in the last {window}.",
)
CALL_SERIES = (CALLS_FAILED, CALLS_COMPLETED)
# From counters, and from sums of the shortest.
CALL_WINDOWS, SUMMED_CALL_WINDOWS = ("5m", "1h"), ("1d",)
