"""Limits above which calls alert where no SLO says so: defaults, and what a registry's ``alerts:`` sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class AlertLimits:
    """Shares are from 0 to 1; ``latency_threshold`` is a bound of the latency histogram in seconds."""

    error_ratio_threshold: float = 0.05
    latency_threshold: str = "10"
    latency_ratio_threshold: float = 0.05
    saturation_threshold: float = 0.9
    cancelled_ratio_threshold: float = 0.5
    data_contract_threshold: float = 0.01


DEFAULT_LIMITS = AlertLimits()
# The names that the mixin and the registry have for them.
_SETTINGS = {
    "error_ratio_threshold": "errorRatioThreshold",
    "latency_threshold": "latencyThreshold",
    "latency_ratio_threshold": "latencyRatioThreshold",
    "saturation_threshold": "saturationThreshold",
    "cancelled_ratio_threshold": "cancelledRatioThreshold",
    "data_contract_threshold": "dataContractThreshold",
}


def limit_settings(limits: AlertLimits = DEFAULT_LIMITS) -> dict[str, Any]:
    """The limits by their names in the mixin."""
    return {_SETTINGS[name]: value for name, value in asdict(limits).items()}


def alert_limits(settings: Mapping[str, Any]) -> AlertLimits:
    """The limits of a registry's ``alerts:``, which has been checked; what it leaves out is the default."""
    given = {name: settings[setting] for name, setting in _SETTINGS.items() if setting in settings}
    return AlertLimits(**given)
