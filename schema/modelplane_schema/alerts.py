"""Alert names, severities and texts that do not depend on the instance; the mixin adds expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID

Severity = Literal["critical", "warning", "info"]
Audience = Literal["tenant", "owner", "platform"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. ``labels`` are those that an instance carries besides alertname, severity and audience.

    ``pending`` is how long its condition must hold before it fires, ``keep_firing`` how long it must not hold
    before it ends, both PromQL durations. ``audiences`` are who hears of it, each by an alert of its own.
    ``severity`` is that of versions in production. ``by_stage``: other versions alert less or not at all.
    ``range_`` is how much of the time before it the linked board shows, a PromQL duration; ``board`` is the
    kind of that board.
    """

    name: str
    severity: Severity
    pending: str
    keep_firing: str
    audiences: tuple[Audience, ...]
    labels: tuple[str, ...]
    summary: str
    by_stage: bool = False
    range_: str = "1h"
    board: str = "model"


_VERSION = (MODEL_NAME, MODEL_VERSION)
_CALLS = (TENANT_ID, *_VERSION)
_SIGNAL = (*_CALLS, "kind", "signal", "baseline", "method")

MODEL_DOWN = Alert(
    "ModelDown", "critical", "5m", "5m", ("tenant", "owner"), _VERSION,
    "A production model version is not loaded anywhere, or keeps vanishing.",
)  # fmt: skip
ERROR_RATIO_HIGH = Alert(
    "ModelErrorRatioHigh", "critical", "2m", "10m", ("tenant",), _CALLS,
    "A model without an SLO for errors fails too large a share of a tenant's calls.", by_stage=True,
)  # fmt: skip
LATENCY_HIGH = Alert(
    "ModelLatencyHigh", "warning", "5m", "10m", ("tenant",), _CALLS,
    "A model without an SLO for latency answers too large a share of a tenant's calls slowly.", by_stage=True,
)  # fmt: skip

SLO_BURN = Alert(
    "ModelSloBurn", "critical", "2m", "10m", ("tenant",), (*_CALLS, "slo"),
    "The error budget of an SLO is being spent within days.", by_stage=True, range_="6h", board="slo",
)  # fmt: skip
SLO_BURN_SLOW = Alert(
    "ModelSloBurnSlow", "warning", "15m", "30m", ("tenant",), (*_CALLS, "slo"),
    "The error budget of an SLO is being spent faster than its period lasts.", by_stage=True, range_="3d",
    board="slo",
)  # fmt: skip
SLO_WITHOUT_DATA = Alert(
    "ModelSloWithoutData", "warning", "15m", "15m", ("owner",), (MODEL_NAME, "slo"),
    "Nothing is counted for an SLO although its model is called.", board="slo",
)  # fmt: skip
NO_TRAFFIC = Alert(
    "NoTraffic", "warning", "5m", "15m", ("tenant",), _CALLS,
    "A tenant that called a model an hour ago calls it no more.", by_stage=True, range_="6h",
)  # fmt: skip
CANCELLED_STORM = Alert(
    "CancelledStorm", "warning", "10m", "15m", ("tenant",), _CALLS,
    "Most calls of a tenant are given up before they are answered.", by_stage=True,
)  # fmt: skip
REPLICAS_MISSING = Alert(
    "ReplicasMissing", "warning", "10m", "10m", ("owner",), (MODEL_NAME,),
    "Fewer processes serve a model than the registry expects.",
)  # fmt: skip
RESTART_LOOP = Alert(
    "RestartLoop",
    "warning",
    "0m",
    "30m",
    ("owner",),
    _VERSION,
    "A process of a model restarts again and again.",
)
SATURATION = Alert(
    "Saturation", "warning", "10m", "10m", ("owner",), (MODEL_NAME,),
    "A model has almost as many calls in flight as it can take.",
)  # fmt: skip
CONFIDENCE_SHIFT = Alert(
    "ConfidenceShift", "warning", "30m", "1h", ("owner",), _VERSION,
    "The confidence of a model is not what it was in the week before.", by_stage=True, range_="7d",
)  # fmt: skip
SIGNAL_DRIFT = Alert(
    "ModelSignalDrift", "warning", "2m", "2h", ("owner",), _SIGNAL,
    "A signal of a model is not what it was in the two days before.", by_stage=True, range_="3d",
    board="drift",
)  # fmt: skip
SIGNAL_FAR_FROM_BASELINE = Alert(
    "ModelSignalFarFromBaseline", "critical", "10m", "30m", ("owner",), _SIGNAL,
    "A signal of a model is far from what it was in training.", by_stage=True, range_="3d",
    board="drift",
)  # fmt: skip
DATA_CONTRACT = Alert(
    "DataContract", "warning", "15m", "30m", ("owner",), (*_VERSION, "reason"),
    "Calls break the data contract, so that what is measured is incomplete.", by_stage=True, range_="6h",
)  # fmt: skip
BASELINE_MISSING = Alert(
    "BaselineMissing", "warning", "30m", "30m", ("owner",), _VERSION,
    "A version in production has no training baseline, though others of its model have.", range_="6h",
    board="drift",
)  # fmt: skip
TENANT_OVER_BUDGET = Alert(
    "TenantOverBudget", "warning", "1h", "6h", ("tenant",), (TENANT_ID, "currency"),
    "At the pace of the last week a tenant spends more in a month than its budget.", range_="7d",
    board="cost",
)  # fmt: skip
UNPRICED_USE = Alert(
    "UnpricedUse", "warning", "1h", "1h", ("platform",), ("device_type",),
    "Devices without a price are in use, so that costs are incomplete.", range_="6h", board="cost",
)  # fmt: skip
CARDINALITY_OVERFLOW = Alert(
    "CardinalityOverflow", "warning", "15m", "1h", ("platform",), (*_VERSION, "label"),
    "A label has too many values; the surplus is counted under __overflow__.", range_="6h", board="plane",
)  # fmt: skip
TARGET_DOWN = Alert(
    "TargetDown",
    "warning",
    "5m",
    "5m",
    ("platform",),
    ("job",),
    "Targets of a job cannot be scraped.",
    board="plane",
)
RULE_FAILING = Alert(
    "RuleFailing", "critical", "10m", "15m", ("platform",), ("rule_group",),
    "Rules cannot be evaluated, so that alerts are missing.", board="plane",
)  # fmt: skip
ALERT_DELIVERY = Alert(
    "AlertDelivery", "critical", "10m", "15m", ("platform",), ("job", "integration"),
    "Alerts do not reach Alertmanager or a receiver.", board="plane",
)  # fmt: skip
STORE_FAILING = Alert(
    "StoreFailing", "critical", "5m", "15m", ("platform",), ("job",),
    "The backend cannot store notifications, so that the history of alerts has gaps.", board="plane",
)  # fmt: skip
WATCHDOG = Alert(
    "Watchdog", "info", "0m", "0m", ("platform",), (),
    "Always fires: when it does not arrive, alerts do not either.", board="plane",
)  # fmt: skip

ALERTS: tuple[Alert, ...] = (
    MODEL_DOWN,
    ERROR_RATIO_HIGH,
    LATENCY_HIGH,
    SLO_BURN,
    SLO_BURN_SLOW,
    SLO_WITHOUT_DATA,
    NO_TRAFFIC,
    CANCELLED_STORM,
    REPLICAS_MISSING,
    RESTART_LOOP,
    SATURATION,
    CONFIDENCE_SHIFT,
    SIGNAL_DRIFT,
    SIGNAL_FAR_FROM_BASELINE,
    DATA_CONTRACT,
    BASELINE_MISSING,
    TENANT_OVER_BUDGET,
    UNPRICED_USE,
    CARDINALITY_OVERFLOW,
    TARGET_DOWN,
    RULE_FAILING,
    ALERT_DELIVERY,
    STORE_FAILING,
    WATCHDOG,
)

# The name of the test alert of ``modelplane doctor``: it tells nothing about any model.
PROBE_ALERT = "ModelplaneDoctorProbe"
