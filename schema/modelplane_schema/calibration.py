"""Limits of drift from a signal's own past, for alerts, boards and the backend alike.

Rows of real traffic depend on each other: those of one user, or of one hour of the day. A fixed limit on what
they add up to is then crossed always or never. So each value is compared with those that the same signal had,
once an hour, in the two days before the last two windows. It has moved when it is beyond its limit in both
windows, or so far beyond in the last that it need not be seen twice. ``docs/signals.md`` has the rates of
false claims, from ``tests/unit/datasource/drift/test_claims.py``.
"""

from __future__ import annotations

from dataclasses import dataclass

from modelplane_schema.recorded import (
    SIGNAL_MEAN_SHIFT,
    SIGNAL_MEAN_SHIFT_HIGH_LIMIT,
    SIGNAL_MEAN_SHIFT_HOURLY,
    SIGNAL_MEAN_SHIFT_LOW_LIMIT,
    SIGNAL_MISSING_SHIFT,
    SIGNAL_MISSING_SHIFT_HIGH_LIMIT,
    SIGNAL_MISSING_SHIFT_HOURLY,
    SIGNAL_MISSING_SHIFT_LOW_LIMIT,
    SIGNAL_PSI,
    SIGNAL_VARIANCE_RATIO,
    SIGNAL_VARIANCE_RATIO_HIGH_LIMIT,
    SIGNAL_VARIANCE_RATIO_HOURLY,
    SIGNAL_VARIANCE_RATIO_LOW_LIMIT,
)
from modelplane_schema.recorded_types import WindowedSeries

PAST_HOURS = 48
# How many windows that do not overlap a past must hold to tell what is usual. Longer windows have no limits
# of their own: by two or three days one signal in ten would move every day (20 equal rows of each user).
LEAST_WINDOWS = 8
# Until the past has so many values, and one that is so many hours old, a signal is warming up. Quiet nights
# and short breaks of scraping leave gaps.
LEAST_VALUES = 12
LEAST_AGE_HOURS = 42
# How many times as far as its limit a value is in one window for that window to be enough.
CERTAIN = 3.0

# The limit of psi: PSI_FACTOR times its largest value, and PSI_MARGIN above what chance explains.
PSI_FACTOR = 1.5
PSI_MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class TwoSidedArm:
    """A value that may move up or down; its limits are ``SPREAD`` times as far from its mean as it ever was.

    They are at least ``margin`` from its mean. ``is_ratio`` takes logarithms of all of them, also of what is
    recorded ``hourly``.
    """

    method: str
    series: WindowedSeries
    hourly: WindowedSeries
    low: WindowedSeries
    high: WindowedSeries
    margin: float
    is_ratio: bool = False


SPREAD = 2.0
LEAST_RATIO = 1e-12  # a variance of 0 has no logarithm
PSI = "psi"
PSI_SERIES = SIGNAL_PSI
TWO_SIDED_ARMS = (
    TwoSidedArm(
        "mean_shift", SIGNAL_MEAN_SHIFT, SIGNAL_MEAN_SHIFT_HOURLY, SIGNAL_MEAN_SHIFT_LOW_LIMIT,
        SIGNAL_MEAN_SHIFT_HIGH_LIMIT, margin=0.1,
    ),
    TwoSidedArm(
        "variance_ratio", SIGNAL_VARIANCE_RATIO, SIGNAL_VARIANCE_RATIO_HOURLY,
        SIGNAL_VARIANCE_RATIO_LOW_LIMIT, SIGNAL_VARIANCE_RATIO_HIGH_LIMIT, margin=1.25, is_ratio=True,
    ),
    TwoSidedArm(
        "missing_shift", SIGNAL_MISSING_SHIFT, SIGNAL_MISSING_SHIFT_HOURLY, SIGNAL_MISSING_SHIFT_LOW_LIMIT,
        SIGNAL_MISSING_SHIFT_HIGH_LIMIT, margin=0.01,
    ),
)  # fmt: skip
ARMS = (PSI, *(arm.method for arm in TWO_SIDED_ARMS))
