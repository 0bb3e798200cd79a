"""UTC cells, and how much of each a device is there for and is seen."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

DAY = 86_400_000
DEFAULT_CELL = 300_000


class Span(NamedTuple):
    """Milliseconds from ``start`` until before ``end``."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Window:
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
                f"the window holds no whole cell of {self.cell} ms; "
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


def snapped(start: int, end: int, cell: int = DEFAULT_CELL) -> Window:
    """The window of a query: both ends go down to the beginning of their cell.

    So adjacent queries neither overlap nor leave a gap whatever their ends are, and a cell that is not over
    is not in the answer. ValueError when no whole cell is left.
    """
    if cell <= 0:
        raise ValueError(f"cell must be positive (got {cell})")
    return Window(start - start % cell, end - end % cell, cell)


def month_of(instant: int) -> Span:
    """The calendar month, in UTC, of a time in milliseconds."""
    first = datetime.datetime.fromtimestamp(instant // 1000, datetime.UTC).date().replace(day=1)
    following = (first + datetime.timedelta(days=31)).replace(day=1)
    return Span(midnight(first), midnight(following))


def midnight(day: datetime.date) -> int:
    """00:00 UTC of ``day`` in milliseconds since 1970."""
    return (day - datetime.date(1970, 1, 1)).days * DAY


def time_in_cells(spans: Iterable[Span], window: Window) -> IntArray:
    """Milliseconds of each cell that lie in ``spans``, which do not overlap."""
    total = np.zeros(len(window), dtype=np.int64)
    for start, end in spans:
        edges: IntArray = np.clip(window.edges, start, end)
        total += edges[1:] - edges[:-1]
    return total


def seen_in_cells(sightings: IntArray, hold: int, spans: Iterable[Span], window: Window) -> IntArray:
    """Milliseconds of each cell that lie in ``spans`` and at most ``hold`` after one of ``sightings``.

    ``sightings`` are ascending times. What comes after a cell does not change it.
    """
    total = np.zeros(len(window), dtype=np.int64)
    if not len(sightings):
        return total
    held = np.minimum(np.diff(sightings, append=np.iinfo(np.int64).max), hold)
    before = np.concatenate(([0], np.cumsum(held)))
    for start, end in spans:
        edges = np.clip(window.edges, start, end)
        last = np.searchsorted(sightings, edges, side="right") - 1
        seen = before[last] + np.minimum(edges - sightings[last], held[last])
        total += np.diff(np.where(last < 0, 0, seen))
    return total


def held_spans(sightings: IntArray, hold: int) -> tuple[Span, ...]:
    """The time at most ``hold`` after one of ``sightings`` (ascending times), as spans that do not touch."""
    if not len(sightings):
        return ()
    breaks = np.flatnonzero(np.diff(sightings) > hold)
    starts = sightings[np.concatenate(([0], breaks + 1))]
    ends = sightings[np.concatenate((breaks, [len(sightings) - 1]))] + hold
    return tuple(Span(int(start), int(end)) for start, end in zip(starts, ends, strict=True))
