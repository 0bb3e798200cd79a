"""Recorded series: what the mixin's recording rules write, named ``modelplane:<what>:<operation><window>``.

Series whose operation is ``config`` are constants rendered from the registry, so that the rules
which use them are the same for one tenant and for ten thousand. Drift is recorded over several windows;
the mixin's configuration can add more, whose series are named in the same way.
"""

from __future__ import annotations

from modelplane_schema.levels import LEVEL_SERIES
from modelplane_schema.metrics import (
    BASELINE_RATIO,
    IDENTITY,
    MODEL_NAME,
    MODEL_VERSION,
    SIGNAL_DEVIATION_POSITIVE,
    SIGNAL_OBSERVATIONS,
    TENANT_ID,
    TOKENS,
    VERSION_IDENTITY,
)
from modelplane_schema.recorded_slo import (
    CALL_SERIES,
    CALL_WINDOWS,
    SLO_BUDGET_REMAINING,
    SLO_BURN_FACTOR,
    SLO_EXHAUSTION,
    SLO_GOOD_HOURLY,
    SLO_GOOD_IN_PERIOD,
    SLO_INDICATOR,
    SLO_LATENCY_BOUND,
    SLO_LATENCY_SECONDS,
    SLO_OBJECTIVE,
    SLO_PERIOD,
    SLO_SERIES,
    SLO_TOTAL_HOURLY,
    SLO_TOTAL_IN_PERIOD,
    SLO_WINDOWS,
    SUMMED_CALL_WINDOWS,
)
from modelplane_schema.recorded_types import RecordedSeries, WindowedSeries

LATENCY_QUANTILES = (0.5, 0.95, 0.99)
SIGNAL_WINDOWS = ("1h", "6h", "1d")
# Observations that a drift value needs where the registry says nothing; docs/signals.md says why so many.
DEFAULT_MIN_OBSERVATIONS = 300


REQUEST_RATE = RecordedSeries(
    "modelplane:requests:rate5m", "count", IDENTITY,
    "Finished calls per second, of every outcome.", "5m", per_second=True,
)  # fmt: skip
FAILURE_RATE = RecordedSeries(
    "modelplane:failures:rate5m", "count", IDENTITY, "Failed calls per second.", "5m", per_second=True
)
ERROR_RATIO = RecordedSeries(
    "modelplane:errors:ratio5m", "ratio", IDENTITY,
    "Failed calls as a share of succeeded and failed ones; absent without traffic.", "5m",
)  # fmt: skip
LATENCY_QUANTILE = RecordedSeries(
    "modelplane:latency_seconds:quantile5m", "seconds", (*IDENTITY, "quantile"),
    "Estimated latency quantile; absent without traffic.", "5m",
)  # fmt: skip
PRODUCTION_VERSION = RecordedSeries(
    "modelplane:production_version:config", "info", VERSION_IDENTITY,
    "1 for each version that the registry declares to be in production.",
)  # fmt: skip
DECLARED_STAGE = RecordedSeries(
    "modelplane:version_stage:config", "info", (MODEL_NAME, MODEL_VERSION, "stage"),
    "1 for each version that the registry declares, with its stage.",
)  # fmt: skip
VERSION_STAGE = RecordedSeries(
    "modelplane:version_stage:max", "info", (MODEL_NAME, MODEL_VERSION, "stage"),
    "1 for each version with its stage: the registry's, or what processes say where it has none.",
)  # fmt: skip
MODEL_TENANT = RecordedSeries(
    "modelplane:model_tenant:config", "info", (TENANT_ID, MODEL_NAME, MODEL_VERSION),
    "1 for each tenant of each version that the registry declares to be in production.",
)  # fmt: skip
MODEL_OWNER = RecordedSeries(
    "modelplane:model_owner:config", "info", (MODEL_NAME, "owner"), "1 for each model with who owns it."
)
REPLICAS = RecordedSeries(
    "modelplane:replicas:config", "count", (MODEL_NAME,), "Processes of a model that are expected."
)
BUDGET = RecordedSeries(
    "modelplane:budget:config", "number", (TENANT_ID, "currency"), "Money that a tenant may spend in a month."
)
VERSION_DOWN = RecordedSeries(
    "modelplane:version_down:max", "info", (MODEL_NAME, MODEL_VERSION),
    "1 for each version in production that no process reports, or whose processes keep vanishing.",
)  # fmt: skip
MAX_IN_FLIGHT = RecordedSeries(
    "modelplane:max_in_flight:config", "count", (MODEL_NAME,),
    "Calls of a model that may be in flight at once, over all its replicas and tenants.",
)  # fmt: skip
DRIFT_PSI_WARNING = RecordedSeries(
    "modelplane:drift_psi_warning:config", "number", (MODEL_NAME,),
    "psi above what chance explains that warns while a signal has no past.",
)  # fmt: skip
DRIFT_PSI_CRITICAL = RecordedSeries(
    "modelplane:drift_psi_critical:config", "number", (MODEL_NAME,),
    "psi above what chance explains that is critical, whatever a signal's past.",
)  # fmt: skip
MIN_OBSERVATIONS = RecordedSeries(
    "modelplane:drift_min_observations:config", "count", (MODEL_NAME,),
    "Observations that a drift value of the model needs.",
)  # fmt: skip
DEVICE_PRICE = RecordedSeries(
    "modelplane:device_price:config", "number", ("device_type", "currency"),
    "Price of an hour of a device type that is in force now.",
)  # fmt: skip
TOKEN_PRICE = RecordedSeries(
    "modelplane:token_price:config", "number", (MODEL_NAME, "kind", "currency"),
    "Price of a million tokens of a model's kind that is in force now.",
)  # fmt: skip
TOKEN_RATE = RecordedSeries(
    "modelplane:tokens:rate1h", "count", TOKENS.labels, "Tokens per second.", "1h", per_second=True
)
DEVICE_COST = RecordedSeries(
    "modelplane:device_cost:rate1h", "number", (*IDENTITY, "currency"),
    "Money that the own device seconds of the last 1h cost.", "1h", per_second=True,
)  # fmt: skip
DEVICE_COST_ALLOCATED = RecordedSeries(
    "modelplane:device_cost_allocated:rate1h", "number", (*VERSION_IDENTITY, "currency"),
    "Money that devices cost, idle time included, shared by use over the last 1h.", "1h", per_second=True,
)  # fmt: skip
UNPRICED_DEVICE_SECONDS = RecordedSeries(
    "modelplane:unpriced_device_seconds:rate1h", "number", IDENTITY,
    "Device seconds of device types without a price.", "1h", per_second=True,
)  # fmt: skip
TOKEN_COST = RecordedSeries(
    "modelplane:token_cost_per_million:ratio1h", "number", (*IDENTITY, "kind", "currency"),
    "Cost of a million tokens over 1h by own device seconds and token prices; kind is also all.", "1h",
)  # fmt: skip
TOKEN_COST_ALLOCATED = RecordedSeries(
    "modelplane:token_cost_per_million_allocated:ratio1h", "number", (*VERSION_IDENTITY, "kind", "currency"),
    "Cost of a million tokens over 1h, idle time of devices included; kind is also all.", "1h",
)  # fmt: skip
CACHED_INPUT_SAVING = RecordedSeries(
    "modelplane:cached_input_saving:rate1h", "number", (*IDENTITY, "currency"),
    "Money that cached input would cost more as input.", "1h", per_second=True,
)  # fmt: skip
CACHED_INPUT_RATIO = RecordedSeries(
    "modelplane:cached_input:ratio1h", "ratio", IDENTITY, "Cached share of input tokens.", "1h"
)
COST = RecordedSeries(
    "modelplane:cost_per_second:rate1h", "number", (*IDENTITY, "currency"),
    "Money that own device seconds and tokens of the last 1h cost.", "1h", per_second=True,
)  # fmt: skip
CONFIDENCE_MEAN = RecordedSeries(
    "modelplane:version_confidence:mean1h", "ratio", (MODEL_NAME, MODEL_VERSION),
    "Mean confidence of a version over the last 1h, with at least as many predictions as drift needs.", "1h",
)  # fmt: skip
SIGNAL_BIN_BASELINE = RecordedSeries(
    "modelplane:signal_bin_baseline_observations:max", "count", BASELINE_RATIO.labels,
    "Training observations in one bin of a signal, the same in every replica.",
)  # fmt: skip

_PER_BIN, _PER_SIGNAL = SIGNAL_OBSERVATIONS.labels, SIGNAL_DEVIATION_POSITIVE.labels
SIGNAL_BIN_INCREASE = WindowedSeries(
    "modelplane:signal_bin_observations:increase", "count", _PER_BIN,
    "Observations in one bin of a signal in the last {window}.",
)  # fmt: skip
SIGNAL_INCREASE = WindowedSeries(
    "modelplane:signal_observations:increase", "count", _PER_SIGNAL,
    "Observations of a signal in the last {window}.",
)  # fmt: skip
SIGNAL_DEVIATION_INCREASE = WindowedSeries(
    "modelplane:signal_deviation:increase", "stddevs", _PER_SIGNAL,
    "Sum of the deviations of a numeric signal from the mean of its baseline in the last {window}.",
)  # fmt: skip
SIGNAL_DEVIATION_SQUARE_INCREASE = WindowedSeries(
    "modelplane:signal_deviation_square:increase", "number", _PER_SIGNAL,
    "Sum of the squares of those deviations in the last {window}.",
)  # fmt: skip
SIGNAL_PSI = WindowedSeries(
    "modelplane:signal_psi:", "number", _PER_SIGNAL,
    "Population stability index of a signal over {window} against its baseline; "
    "absent with too few observations.",
)  # fmt: skip
SIGNAL_PSI_NOISE = WindowedSeries(
    "modelplane:signal_psi_noise:", "number", _PER_SIGNAL,
    "The psi that chance alone explains over {window}; absent with too few observations.",
)  # fmt: skip
SIGNAL_MEAN_SHIFT = WindowedSeries(
    "modelplane:signal_mean_shift:", "stddevs", _PER_SIGNAL,
    "Mean of a numeric signal over {window} minus that of its baseline; absent with too few observations.",
)  # fmt: skip
SIGNAL_VARIANCE_RATIO = WindowedSeries(
    "modelplane:signal_variance_ratio:", "ratio", _PER_SIGNAL,
    "Variance of a numeric signal over {window} as a share of that of its baseline; "
    "absent with too few observations.",
)  # fmt: skip
SIGNAL_MISSING_SHIFT = WindowedSeries(
    "modelplane:signal_missing_shift:", "ratio", _PER_SIGNAL,
    "Share of missing values of a signal over {window} minus that of its baseline; "
    "absent with too few observations.",
)  # fmt: skip
SIGNAL_SERIES = (
    SIGNAL_BIN_INCREASE,
    SIGNAL_DEVIATION_INCREASE,
    SIGNAL_DEVIATION_SQUARE_INCREASE,
    SIGNAL_INCREASE,
    SIGNAL_PSI,
    SIGNAL_PSI_NOISE,
    SIGNAL_MEAN_SHIFT,
    SIGNAL_VARIANCE_RATIO,
    SIGNAL_MISSING_SHIFT,
)

# The windows whose limits come from a signal's past: modelplane_schema.calibration.
CALIBRATED_WINDOWS = ("1h", "6h")
SIGNAL_PSI_HOURLY = WindowedSeries(
    "modelplane:signal_psi_hourly:", "number", _PER_SIGNAL, "modelplane:signal_psi:{window} once an hour."
)
SIGNAL_MEAN_SHIFT_HOURLY = WindowedSeries(
    "modelplane:signal_mean_shift_hourly:", "stddevs", _PER_SIGNAL,
    "modelplane:signal_mean_shift:{window} once an hour.",
)  # fmt: skip
SIGNAL_VARIANCE_RATIO_HOURLY = WindowedSeries(
    "modelplane:signal_variance_ratio_logarithm_hourly:", "number", _PER_SIGNAL,
    "Natural logarithm of modelplane:signal_variance_ratio:{window} once an hour.",
)  # fmt: skip
SIGNAL_MISSING_SHIFT_HOURLY = WindowedSeries(
    "modelplane:signal_missing_shift_hourly:", "ratio", _PER_SIGNAL,
    "modelplane:signal_missing_shift:{window} once an hour.",
)  # fmt: skip
SIGNAL_PSI_LIMIT = WindowedSeries(
    "modelplane:signal_psi_limit:", "number", _PER_SIGNAL,
    "The psi over {window} up to which a signal is as in its own past; absent while it warms up.",
)  # fmt: skip
SIGNAL_MEAN_SHIFT_LOW_LIMIT = WindowedSeries(
    "modelplane:signal_mean_shift_low_limit:", "stddevs", _PER_SIGNAL,
    "The shift of the mean over {window} below which a signal is not as in its own past.",
)  # fmt: skip
SIGNAL_MEAN_SHIFT_HIGH_LIMIT = WindowedSeries(
    "modelplane:signal_mean_shift_high_limit:", "stddevs", _PER_SIGNAL,
    "The shift of the mean over {window} above which a signal is not as in its own past.",
)  # fmt: skip
SIGNAL_VARIANCE_RATIO_LOW_LIMIT = WindowedSeries(
    "modelplane:signal_variance_ratio_low_limit:", "ratio", _PER_SIGNAL,
    "The ratio of variances over {window} below which a signal is not as in its own past.",
)  # fmt: skip
SIGNAL_VARIANCE_RATIO_HIGH_LIMIT = WindowedSeries(
    "modelplane:signal_variance_ratio_high_limit:", "ratio", _PER_SIGNAL,
    "The ratio of variances over {window} above which a signal is not as in its own past.",
)  # fmt: skip
SIGNAL_MISSING_SHIFT_LOW_LIMIT = WindowedSeries(
    "modelplane:signal_missing_shift_low_limit:", "ratio", _PER_SIGNAL,
    "The shift of the missing share over {window} below which a signal is not as in its own past.",
)  # fmt: skip
SIGNAL_MISSING_SHIFT_HIGH_LIMIT = WindowedSeries(
    "modelplane:signal_missing_shift_high_limit:", "ratio", _PER_SIGNAL,
    "The shift of the missing share over {window} above which a signal is not as in its own past.",
)  # fmt: skip
SIGNAL_WARMING_UP = WindowedSeries(
    "modelplane:signal_warming_up:", "info", _PER_SIGNAL,
    "1 for a signal that has a psi over {window} but not yet the past that limits come from, else 0.",
)  # fmt: skip
SIGNAL_MOVED = WindowedSeries(
    "modelplane:signal_moved:", "number", (*_PER_SIGNAL, "method"),
    "The value over {window} of each method by which a signal is not as in its own past; "
    "absent for all others.",
)  # fmt: skip
# What is recorded of calibrated windows alone, in the order of the rules.
CALIBRATION_SERIES = (
    SIGNAL_PSI_LIMIT,
    SIGNAL_MEAN_SHIFT_LOW_LIMIT,
    SIGNAL_MEAN_SHIFT_HIGH_LIMIT,
    SIGNAL_VARIANCE_RATIO_LOW_LIMIT,
    SIGNAL_VARIANCE_RATIO_HIGH_LIMIT,
    SIGNAL_MISSING_SHIFT_LOW_LIMIT,
    SIGNAL_MISSING_SHIFT_HIGH_LIMIT,
    SIGNAL_WARMING_UP,
    SIGNAL_MOVED,
)
HOURLY_SERIES = (
    SIGNAL_PSI_HOURLY,
    SIGNAL_MEAN_SHIFT_HOURLY,
    SIGNAL_VARIANCE_RATIO_HOURLY,
    SIGNAL_MISSING_SHIFT_HOURLY,
)

RECORDED: tuple[RecordedSeries, ...] = (
    REQUEST_RATE,
    FAILURE_RATE,
    ERROR_RATIO,
    LATENCY_QUANTILE,
    PRODUCTION_VERSION,
    DECLARED_STAGE,
    VERSION_STAGE,
    MODEL_TENANT,
    MODEL_OWNER,
    REPLICAS,
    BUDGET,
    VERSION_DOWN,
    MAX_IN_FLIGHT,
    DRIFT_PSI_WARNING,
    DRIFT_PSI_CRITICAL,
    MIN_OBSERVATIONS,
    DEVICE_PRICE,
    TOKEN_PRICE,
    TOKEN_RATE,
    DEVICE_COST,
    DEVICE_COST_ALLOCATED,
    UNPRICED_DEVICE_SECONDS,
    TOKEN_COST,
    TOKEN_COST_ALLOCATED,
    CACHED_INPUT_SAVING,
    CACHED_INPUT_RATIO,
    *LEVEL_SERIES,
    COST,
    CONFIDENCE_MEAN,
    SLO_OBJECTIVE,
    SLO_INDICATOR,
    SLO_PERIOD,
    SLO_LATENCY_BOUND,
    SLO_LATENCY_SECONDS,
    SLO_BURN_FACTOR,
    SLO_GOOD_HOURLY,
    SLO_TOTAL_HOURLY,
    *(series.over(window) for window in SLO_WINDOWS for series in SLO_SERIES),
    SLO_GOOD_IN_PERIOD,
    SLO_TOTAL_IN_PERIOD,
    SLO_BUDGET_REMAINING,
    SLO_EXHAUSTION,
    *(series.over(window) for window in (*CALL_WINDOWS, *SUMMED_CALL_WINDOWS) for series in CALL_SERIES),
    SIGNAL_BIN_BASELINE,
    *(series.over(window) for window in SIGNAL_WINDOWS for series in SIGNAL_SERIES),
    *(
        series.over(window)
        for window in CALIBRATED_WINDOWS
        for series in (*CALIBRATION_SERIES, *HOURLY_SERIES)
    ),
)
