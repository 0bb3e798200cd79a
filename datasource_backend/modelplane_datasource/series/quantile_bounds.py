"""Between which bounds of buckets a latency quantile lies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt
import orjson

from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.json_columns import JsonColumn, Number, Texts
from modelplane_schema import metrics

_EDGES = np.array([0.0, *metrics.LATENCY.buckets])
# Of no estimate, of each bucket by its upper edge, and of the open one: low, high and whether it is open.
_BOUNDS: Mapping[str, Sequence[Number]] = {
    "low": [None, *_EDGES.tolist()],
    "high": [None, *_EDGES[1:].tolist(), None],
    "open": [None, *[0] * (len(_EDGES) - 1), 1],
}
_TEXTS = {name: np.array(list(map(orjson.dumps, bounds)), object) for name, bounds in _BOUNDS.items()}
_MEMBERS = np.array(
    [
        b",%b" % orjson.dumps(dict(zip(_BOUNDS, bounds, strict=True)))[1:-1]
        for bounds in zip(*_BOUNDS.values(), strict=True)
    ],
    object,
)
_ROUNDING = 1e-9  # an interpolation that ends at a bound may miss it by the last digit


class LatencyBounds(Mapping[str, Sequence[Number]]):
    """``low`` and ``high`` of the bucket of each estimate, in seconds, and ``open``: 1 in the last, else 0.

    The estimate is an interpolation inside of its bucket, so the bucket follows from it: the quantile of the
    calls is above ``low`` and at most ``high``. Prometheus gives the last bound for one above it; ``high`` is
    then null. All three are null where there is no estimate. They are found when they are first read: lines
    in Grafana have none.
    """

    def __init__(self, values: Sequence[Number]) -> None:
        self._values = values

    def members(self) -> Texts:
        """``,"low":0.1,"high":0.25,"open":0`` of each estimate.

        There are as many such texts as buckets: one for each point rather than three halves the time of
        writing them, half a millisecond for two series of 721 points.
        """
        return self._chosen(_MEMBERS)

    def __getitem__(self, name: str) -> JsonColumn:
        return JsonColumn.of_texts(self._chosen(_TEXTS[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(_TEXTS)

    def __len__(self) -> int:
        return len(_TEXTS)

    def _chosen(self, texts: npt.NDArray[np.object_]) -> Texts:
        chosen: Texts = texts[self._places].tolist()
        return chosen

    @cached_property
    def _places(self) -> IntArray:
        """The place of the bucket of each estimate in the table above."""
        estimates = np.array(self._values[:], float)  # None becomes NaN
        uppers = np.clip(
            np.searchsorted(_EDGES, estimates * (1 - _ROUNDING), side="left"), 1, len(_EDGES) - 1
        )
        uppers[estimates >= _EDGES[-1] * (1 - _ROUNDING)] = len(_EDGES)
        uppers[np.isnan(estimates)] = 0
        return uppers
