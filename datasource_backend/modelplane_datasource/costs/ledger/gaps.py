"""Gaps in scraping, and spans of time as arrays.

Ranges are arrays (ranges, 2) of starts and ends in milliseconds, ascending, that do not touch.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.timeline.arrays import BoolArray, IntArray

FOREVER = 2**61  # after every time

NO_RANGES: IntArray = np.zeros((0, 2), dtype=np.int64)


class Gaps(NamedTuple):
    """Times in which processes were not scraped: of which row of use, from the last scrape before to the
    first sample after, and whether its use is known and spread over it (``bridged``). That of another is
    hidden by a restart, or by the length of the gap."""

    rows: IntArray
    starts: IntArray
    ends: IntArray
    bridged: BoolArray

    def bridged_ranges(self) -> IntArray:
        """The time over which use is spread."""
        return merged(self._chosen(self.bridged))

    def hidden_ranges(self, hold: int, rows: IntArray | None = None) -> IntArray:
        """The time whose use is hidden, of some ``rows``: from ``hold`` after the last scrape."""
        chosen = ~self.bridged if rows is None else ~self.bridged & np.isin(self.rows, rows)
        return merged(self._chosen(chosen) + np.array([hold, 0]))

    def hidden_rows(self) -> IntArray:
        """The rows of which use is hidden."""
        return np.unique(self.rows[~self.bridged])

    def _chosen(self, chosen: BoolArray) -> IntArray:
        return np.column_stack((self.starts[chosen], self.ends[chosen]))


def merged(*ranges: IntArray) -> IntArray:
    """What lies in any of ``ranges``, which may touch, overlap and be in any order."""
    every = np.concatenate((NO_RANGES, *ranges))
    if not len(every):
        return every
    every = every[np.argsort(every[:, 0], kind="stable")]
    ends = np.maximum.accumulate(every[:, 1])
    firsts = np.flatnonzero(np.append(True, every[1:, 0] > ends[:-1]))
    return np.column_stack((every[firsts, 0], ends[np.append(firsts[1:], len(every)) - 1]))


def complement(ranges: IntArray) -> IntArray:
    """All time that does not lie in ``ranges``."""
    starts = np.append(-FOREVER, ranges[:, 1])
    ends = np.append(ranges[:, 0], FOREVER)
    return np.column_stack((starts, ends))[starts < ends]


def common(first: IntArray, second: IntArray) -> IntArray:
    """What lies in both."""
    return complement(merged(complement(first), complement(second)))


def held_ranges(seen_at: IntArray, hold: int) -> IntArray:
    """The time at most ``hold`` after one of ``seen_at`` (ascending times)."""
    if not len(seen_at):
        return NO_RANGES
    breaks = np.diff(seen_at) > hold
    return np.column_stack((seen_at[np.append(True, breaks)], seen_at[np.append(breaks, True)] + hold))


def time_in_cells(ranges: IntArray, cells: CellGrid) -> IntArray:
    """Milliseconds of each cell that lie in ``ranges``."""
    if not len(ranges):
        return np.zeros(len(cells), dtype=np.int64)
    starts, edges = ranges[:, 0], cells.edges
    lengths = ranges[:, 1] - starts
    before = np.append(0, np.cumsum(lengths))
    last = np.searchsorted(starts, edges, side="right") - 1
    covered = before[last] + np.clip(edges - starts[last], 0, lengths[last])
    return np.diff(np.where(last < 0, 0, covered))


def spread_over_cells(
    starts: IntArray, ends: IntArray, cells: CellGrid
) -> tuple[IntArray, IntArray, IntArray]:
    """Each cell that a range lies in: range, cell and the milliseconds in both."""
    first = np.maximum(starts - cells.start, 0) // cells.cell
    behind = -(-np.minimum(ends - cells.start, cells.end - cells.start) // cells.cell)
    counts = np.where(ends > starts, np.maximum(behind - first, 0), 0)
    range_of = np.repeat(np.arange(len(starts)), counts)
    cell = np.arange(len(range_of)) - np.repeat(np.cumsum(counts) - counts, counts) + first[range_of]
    begin = cells.start + cell * cells.cell
    time = np.minimum(ends[range_of], begin + cells.cell) - np.maximum(starts[range_of], begin)
    return range_of, cell, time
