"""The recorded detector of drift in NumPy: the same limits and the same decision at each evaluation.

Values have shape (signals, evaluations), NaN for none. Evaluations are evenly spaced, and the first is at a
whole hour, when Prometheus takes samples of the past.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from modelplane_datasource.drift.calibration import (
    has_moved,
    is_warming_up,
    psi_limit,
    two_sided_distance,
    two_sided_limits,
)
from modelplane_schema.calibration import ARMS, PAST_HOURS, PSI, TWO_SIDED_ARMS

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


class Values(NamedTuple):
    """What is recorded of signals over one window."""

    psi: Floats
    noise: Floats
    mean_shift: Floats
    variance_ratio: Floats
    missing_shift: Floats

    def of(self, method: str) -> Floats:
        values: Floats = getattr(self, method)
        return values


class Detector(NamedTuple):
    """Limits by method, each low and high of the shape of values, and which of ``ARMS`` have moved."""

    warming_up: Bools
    limits: dict[str, tuple[Floats, Floats]]
    moved: Bools


def detect(values: Values, per_hour: int, window_hours: int = 1, since: int = 0, every: int = 1) -> Detector:
    """What is said at evaluations from the one numbered ``since`` on; ``per_hour`` are made in an hour."""
    window = window_hours * per_hour
    steps = [_at(values, step, per_hour, window) for step in range(since, values.psi.shape[1], every)]
    return Detector(
        np.stack([step.warming_up for step in steps], axis=-1),
        {
            method: (
                np.stack([step.limits[method][0] for step in steps], axis=-1),
                np.stack([step.limits[method][1] for step in steps], axis=-1),
            )
            for method in ARMS
        },
        np.stack([step.moved for step in steps], axis=-1),
    )


def _at(values: Values, step: int, per_hour: int, window: int) -> Detector:
    newest = (step - 2 * window) // per_hour * per_hour
    hours = newest - per_hour * np.arange(PAST_HOURS - 1, -1, -1)

    def past(method: str) -> Floats:
        return np.where(hours >= 0, values.of(method)[:, np.maximum(hours, 0)], np.nan)

    def at(method: str, place: int) -> Floats:
        return values.of(method)[:, place] if place >= 0 else np.full(len(values.psi), np.nan)

    psi = psi_limit(past(PSI), values.noise[:, step])
    judged = ~np.isnan(psi)
    limits, moved = {PSI: (psi, psi)}, [has_moved(at(PSI, step) / psi, at(PSI, step - window) / psi)]
    for arm in TWO_SIDED_ARMS:
        both = two_sided_limits(arm, past(arm.method))
        now, before = (
            two_sided_distance(arm, at(arm.method, place), both) for place in (step, step - window)
        )
        limits[arm.method] = (both.low, both.high)
        moved.append(has_moved(now, before) & judged)
    return Detector(is_warming_up(past(PSI)), limits, np.stack(moved))
