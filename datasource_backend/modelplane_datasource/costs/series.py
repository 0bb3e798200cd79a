"""Cost over time: one series for each group, kind of charge and currency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from modelplane_datasource.context import AppContext
from modelplane_datasource.costs.ledger.allocation import MICRO
from modelplane_datasource.costs.ledger.cells import CellGrid
from modelplane_datasource.costs.ledger.lines import DIRECT, KINDS, SIGNS
from modelplane_datasource.costs.ledger.report import CostRow
from modelplane_datasource.costs.ledger_source import (
    LONGEST_RANGE,
    cells_of,
    ledger_of,
)
from modelplane_datasource.costs.rows import groups_of, notices_of, selected_rows
from modelplane_datasource.series.model import Series, SeriesResult
from modelplane_datasource.series.selection import Selection
from modelplane_datasource.tenancy.notices import note
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import DAY
from modelplane_schema.metrics import TOKEN_KINDS

# Steps that hold whole cells and divide a day.
_STEPS = tuple(minutes * 60_000 for minutes in (5, 10, 15, 30, 60, 120, 180, 240, 360, 480, 720, 1440))


def compute(context: AppContext, selection: Selection, grid: Grid) -> SeriesResult:
    """Cost of each group in each step: series whose values add up to the cost of all capacity.

    A step holds whole cells, so it may be larger than that of ``grid``. One point stands for the step before
    it, as it does for a rate. What is unpriced has no value, but a quantity.
    """
    step, cells = steps_of(grid, context.now())
    ledger = ledger_of(context, cells, selection.options)
    note(notices_of(ledger, selection))
    steps = Grid(cells.start, cells.end - 1, step or cells.end - cells.start)
    rows = selected_rows(ledger, selection, step, context.settings.max_points)
    return SeriesResult(steps, tuple(_lines((row for row in rows if SIGNS[row.kind]), selection, steps)))


def steps_of(grid: Grid, now: int) -> tuple[int | None, CellGrid]:
    """The step, None where all cells are one step, and the cells of a grid."""
    if len(grid) == 1:
        return None, cells_of(TimeRange(grid.end - grid.step, grid.end), now)
    step = next((step for step in _STEPS if step >= grid.step), -(-grid.step // DAY) * DAY)
    time_range = TimeRange(grid.start - grid.start % step, grid.end)
    return step, cells_of(time_range, now, LONGEST_RANGE + step)


class _Key(NamedTuple):
    """By what series of cost differ."""

    group: tuple[str | None, ...]
    kind: str
    currency: str | None
    unit: str

    @property
    def name(self) -> str:
        """How people call it: a direct charge by its group, unless that reads as a kind of charge."""
        group = " ".join(value for value in self.group if value)
        kind = "" if self.kind == DIRECT and group and group not in KINDS else self.kind
        return " ".join(part for part in (group, kind, "" if self.currency else "unpriced") if part)


def _lines(rows: Iterable[CostRow], selection: Selection, grid: Grid) -> list[Series]:
    by_key: dict[_Key, dict[int, CostRow]] = {}
    for row in rows:
        by_key.setdefault(_Key(row.group, row.kind, row.currency, row.unit), {})[row.start] = row
    names = Counter(key.name for key in by_key)
    ordered = sorted(by_key.items(), key=lambda item: tuple(map(str, item[0])))
    return [_line(key, names[key.name] > 1, by_start, selection, grid) for key, by_start in ordered]


def _line(
    key: _Key, ambiguous: bool, by_start: dict[int, CostRow], selection: Selection, grid: Grid
) -> Series:
    rows = [by_start.get(instant) for instant in grid.times]
    return Series(
        f"{key.name} {key.currency}" if ambiguous and key.currency else key.name,
        {
            **{label: value or "" for label, value in zip(groups_of(selection), key.group, strict=True)},
            "kind": key.kind,
            "unit": key.unit,
            "currency": key.currency or "",
            "state": "priced" if key.currency else "unpriced",
        },
        tuple(_amount(row, key.kind) for row in rows),
        {"quantity": tuple(None if row is None else _quantity(row) for row in rows)},
    )


def _amount(row: CostRow | None, kind: str) -> float | None:
    if row is None or row.amount is None:
        return None
    return SIGNS[kind] * row.amount / MICRO


def _quantity(row: CostRow) -> float:
    return row.quantity if row.kind in TOKEN_KINDS else row.quantity / MICRO
