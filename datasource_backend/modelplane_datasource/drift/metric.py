"""Drift as a metric of the catalogue."""

from __future__ import annotations

from modelplane_datasource.drift.parameters import DRIFT_OPTIONS, DRIFT_SELECTION
from modelplane_datasource.drift.series import compute
from modelplane_datasource.series.metric import Derived, SeriesMetric

DRIFT = SeriesMetric(
    "drift", "Drift", "number",
    "How far signals are from their training baseline, an earlier time or another version.",
    Derived(compute), DRIFT_OPTIONS, DRIFT_SELECTION,
)  # fmt: skip
