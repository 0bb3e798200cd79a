"""UTC cells, days and months."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

import numpy as np

from modelplane_datasource.timeline.arrays import IntArray
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import DAY

DEFAULT_CELL = 300_000


@dataclass(frozen=True, slots=True)
class CellGrid:
    """Whole cells of ``cell`` milliseconds from ``start`` until before ``end``.

    A cell divides a day and cells begin at midnight UTC, so prices and inventory, which change at midnight,
    never change inside a cell.
    """

    start: int
    end: int
    cell: int = DEFAULT_CELL

    def __post_init__(self) -> None:
        if self.cell <= 0 or DAY % self.cell:
            raise ValueError(
                f"cell must divide a day ({DAY} ms), for example 300000 or 3600000 (got {self.cell})"
            )
        if self.start % self.cell or self.end % self.cell:
            raise ValueError(f"start and end must be multiples of the cell of {self.cell} ms; use snapped()")
        if self.start >= self.end:
            raise ValueError(
                f"the range holds no whole cell of {self.cell} ms; "
                "allowed: a start at least one cell before the end"
            )

    def __len__(self) -> int:
        return (self.end - self.start) // self.cell

    @property
    def edges(self) -> IntArray:
        """Where cells begin and end: one more than there are cells."""
        return np.arange(self.start, self.end + 1, self.cell, dtype=np.int64)

    @property
    def starts(self) -> IntArray:
        """Where cells begin."""
        return self.edges[:-1]

    def first_of_each(self, step: int | None) -> IntArray:
        """The cell at which each UTC period of ``step`` milliseconds begins; one period without a step.

        ValueError when a period does not hold whole cells.
        """
        if step is None:
            return np.zeros(1, dtype=np.int64)
        if step <= 0 or step % self.cell:
            raise ValueError(f"step must be a multiple of the cell of {self.cell} ms (got {step})")
        return np.unique(self.starts // step, return_index=True)[1].astype(np.int64)


def snapped(start: int, end: int, cell: int = DEFAULT_CELL) -> CellGrid:
    """The cells of a query: both ends go down to the beginning of their cell.

    So adjacent queries neither overlap nor leave a gap whatever their ends are, and a cell that is not over
    is not in the answer. ValueError when no whole cell is left.
    """
    if cell <= 0:
        raise ValueError(f"cell must be positive (got {cell})")
    return CellGrid(start - start % cell, end - end % cell, cell)


def month_of(instant: int) -> TimeRange:
    """The calendar month, in UTC, of a time in milliseconds."""
    first = datetime.datetime.fromtimestamp(instant // 1000, datetime.UTC).date().replace(day=1)
    following = (first + datetime.timedelta(days=31)).replace(day=1)
    return TimeRange(midnight(first), midnight(following))


def midnight(day: datetime.date) -> int:
    """00:00 UTC of ``day`` in milliseconds since 1970."""
    return (day - datetime.date(1970, 1, 1)).days * DAY
