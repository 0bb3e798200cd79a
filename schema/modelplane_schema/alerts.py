"""Alert names, severities and texts that do not depend on the instance; the mixin adds expressions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelplane_schema.metrics import IDENTITY, VERSION_IDENTITY

Severity = Literal["critical", "warning", "info"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. ``labels`` are those that an instance carries besides ``alertname`` and ``severity``.

    ``pending`` is how long its condition must hold before it fires, a PromQL duration.
    """

    name: str
    severity: Severity
    pending: str
    labels: tuple[str, ...]
    summary: str


MODEL_DOWN = Alert(
    "ModelDown", "critical", "5m", VERSION_IDENTITY, "A production model version is not loaded anywhere."
)
ERROR_RATIO_HIGH = Alert(
    "ModelErrorRatioHigh", "critical", "2m", IDENTITY, "A model fails too large a share of a tenant's calls."
)
LATENCY_HIGH = Alert(
    "ModelLatencyHigh", "warning", "5m", IDENTITY, "A model answers a tenant more slowly than its SLO allows."
)

ALERTS: tuple[Alert, ...] = (MODEL_DOWN, ERROR_RATIO_HIGH, LATENCY_HIGH)

# The name of the test alert of ``modelplane doctor``: it tells nothing about any model.
PROBE_ALERT = "ModelplaneDoctorProbe"
