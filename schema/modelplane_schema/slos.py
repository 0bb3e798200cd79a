"""Service level objectives, as the registry declares them. Needs pydantic (extra ``registry``)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from modelplane_schema.fields import Declaration, Name
from modelplane_schema.metrics import PORTABLE_LATENCY_BUCKETS

# Burn-rate factors of the SLO alerts, fastest first; a factor that cannot be reached never fires.
BURN_RATE_FACTORS = (14.4, 6.0, 3.0, 1.0)

MOST_SLO_DAYS = 90

Days = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]*d$")]
Ratio = Annotated[float, Field(gt=0, lt=1)]


class ErrorsIndicator(Declaration):
    type: Literal["errors"]


class LatencyIndicator(Declaration):
    type: Literal["latency"]
    threshold_seconds: float

    @field_validator("threshold_seconds")
    @classmethod
    def _is_bucket_bound(cls, value: float) -> float:
        if value not in PORTABLE_LATENCY_BUCKETS:
            allowed = ", ".join(f"{bound:g}" for bound in PORTABLE_LATENCY_BUCKETS)
            raise ValueError(f"must be a bound of the latency histogram: {allowed}")
        return value


class Slo(Declaration):
    name: Name
    objective: Ratio
    window: Days = "30d"
    indicator: Annotated[ErrorsIndicator | LatencyIndicator, Field(discriminator="type")]

    @property
    def counts(self) -> str:
        """Which calls are good, in words."""
        if isinstance(self.indicator, LatencyIndicator):
            return f"latency up to {self.indicator.threshold_seconds:g} s"
        return "errors"

    @field_validator("window")
    @classmethod
    def _window_in_range(cls, value: str) -> str:
        if not 1 <= int(value.removesuffix("d")) <= MOST_SLO_DAYS:
            raise ValueError(f"must be from 1d to {MOST_SLO_DAYS}d")
        return value

    @field_validator("objective")
    @classmethod
    def _factors_reachable(cls, value: float) -> float:
        highest = max(BURN_RATE_FACTORS)
        if highest * (1 - value) >= 1:
            raise ValueError(
                f"must be above {1 - 1 / highest:.4f}: below it a burn rate of {highest:g} cannot occur, "
                "so its alert could never fire"
            )
        return value
