"""Between which bounds of buckets a latency quantile lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from modelplane_datasource.timeline.json_columns import Number, columns_of
from modelplane_schema import metrics

_EDGES = np.array([0.0, *metrics.LATENCY.buckets])
_ROUNDING = 1e-9  # an interpolation that ends at a bound may miss it by the last digit


def latency_bounds(values: Sequence[Number]) -> Mapping[str, Sequence[Number]]:
    """``low`` and ``high`` of the bucket of each estimate, in seconds, and ``open``: 1 in the last, else 0.

    The estimate is an interpolation inside of its bucket, so the bucket follows from it: the quantile of the
    calls is above ``low`` and at most ``high``. Prometheus gives the last bound for one above it; ``high`` is
    then null. All three are null where there is no estimate.
    """
    estimates = np.array([np.nan if value is None else value for value in values], float)
    uppers = np.clip(np.searchsorted(_EDGES, estimates * (1 - _ROUNDING), side="left"), 1, len(_EDGES) - 1)
    is_open = estimates >= _EDGES[-1] * (1 - _ROUNDING)
    low = np.where(is_open, _EDGES[-1], _EDGES[uppers - 1])
    high = np.where(is_open, np.nan, _EDGES[uppers])
    missing = np.isnan(estimates)
    rows = np.where(missing, np.nan, np.stack([low, high, is_open.astype(float)]))
    return dict(zip(("low", "high", "open"), columns_of(rows), strict=True))
