"""Recorded series: what the mixin's recording rules write, named ``modelplane:<what>:<operation><window>``.

Series whose operation is ``config`` are constants rendered from the registry, so that the rules
which use them are the same for one tenant and for ten thousand.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelplane_schema.metrics import IDENTITY, MODEL_NAME, VERSION_IDENTITY, Unit

LATENCY_QUANTILES = (0.5, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class RecordedSeries:
    """One recorded series; ``window`` is empty for constants, ``per_second`` marks rates."""

    name: str
    unit: Unit
    labels: tuple[str, ...]
    help: str
    window: str = ""
    per_second: bool = False


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
LATENCY_THRESHOLD = RecordedSeries(
    "modelplane:latency_threshold_seconds:config", "seconds", (MODEL_NAME,),
    "Latency above which a model counts as slow: the threshold of its latency SLO.",
)  # fmt: skip

RECORDED: tuple[RecordedSeries, ...] = (
    REQUEST_RATE,
    FAILURE_RATE,
    ERROR_RATIO,
    LATENCY_QUANTILE,
    PRODUCTION_VERSION,
    LATENCY_THRESHOLD,
)
