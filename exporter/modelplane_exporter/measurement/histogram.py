"""Counting values into the cells of a histogram."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from modelplane_exporter.layout.calls import MetricCells

# From this many values on, sorting them and bisecting the bounds is quicker than bisecting each value:
# at 128 values 0.08 us a value instead of 0.17 us (CPython 3.11).
_MANY = 24


def count(cells: list[int], histogram: MetricCells, values: Sequence[float]) -> None:
    """Add values, in the unit of the histogram, to its cells."""
    count_ordered(cells, histogram, sorted(values), sum(values))


def count_ordered(cells: list[int], histogram: MetricCells, ordered: Sequence[float], total: float) -> None:
    """The same for values in ascending order, whose sum is ``total``."""
    bounds, start = histogram.metric.buckets, histogram.start
    cells[histogram.sum_cell] += round(total * histogram.scale)
    if len(ordered) < _MANY:
        for value in ordered:
            cells[start + bisect_left(bounds, value)] += 1
        return
    below = 0
    for bucket, bound in enumerate(bounds):
        up_to = bisect_right(ordered, bound, below)
        cells[start + bucket] += up_to - below
        below = up_to
        if below == len(ordered):
            return
    cells[start + len(bounds)] += len(ordered) - below
