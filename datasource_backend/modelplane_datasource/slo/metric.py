"""Service level objectives as a metric of the catalogue."""

from __future__ import annotations

from modelplane_datasource.series.metric import Derived, SeriesMetric
from modelplane_datasource.slo.parameters import SLO_OPTIONS
from modelplane_datasource.slo.series import compute

SLO = SeriesMetric(
    "slo", "SLO", "number",
    "Burn rate or remaining error budget of each objective of the registry.",
    Derived(compute), SLO_OPTIONS,
)  # fmt: skip
