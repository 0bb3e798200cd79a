"""Between which bounds of buckets a latency quantile lies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import orjson

from modelplane_datasource.timeline.json_columns import JsonColumn, Number
from modelplane_schema import metrics

_EDGES = np.array([0.0, *metrics.LATENCY.buckets])
# Of no estimate, of each bucket by its upper edge, and of the open one: low, high and whether it is open.
_BOUNDS = np.array(
    [
        [None, *_EDGES.tolist()],
        [None, *_EDGES[1:].tolist(), None],
        [None, *[0] * (len(_EDGES) - 1), 1],
    ],
    dtype=object,
)
_TEXTS = np.array([[orjson.dumps(bound) for bound in bounds] for bounds in _BOUNDS], dtype=object)
_ROUNDING = 1e-9  # an interpolation that ends at a bound may miss it by the last digit


def latency_bounds(values: Sequence[Number]) -> Mapping[str, Sequence[Number]]:
    """``low`` and ``high`` of the bucket of each estimate, in seconds, and ``open``: 1 in the last, else 0.

    The estimate is an interpolation inside of its bucket, so the bucket follows from it: the quantile of the
    calls is above ``low`` and at most ``high``. Prometheus gives the last bound for one above it; ``high`` is
    then null. All three are null where there is no estimate.
    """
    estimates = np.array([np.nan if value is None else value for value in values], float)
    uppers = np.clip(np.searchsorted(_EDGES, estimates * (1 - _ROUNDING), side="left"), 1, len(_EDGES) - 1)
    uppers[estimates >= _EDGES[-1] * (1 - _ROUNDING)] = len(_EDGES)
    uppers[np.isnan(estimates)] = 0
    columns = (JsonColumn.of_texts(texts[uppers].tolist()) for texts in _TEXTS)
    return dict(zip(("low", "high", "open"), columns, strict=True))
