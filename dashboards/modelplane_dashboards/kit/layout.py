"""Where panels go: rows that fill 24 columns, one below the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from modelplane_dashboards.kit.board import COLUMNS, Panel, Row

HEADER_HEIGHT = 1


@dataclass(frozen=True, slots=True)
class GridPosition:
    """A rectangle on the board: x and width in columns, y and height in units of 30 px."""

    x: int
    y: int
    width: int
    height: int


def placed(row: Row, top: int) -> Iterator[tuple[Panel, GridPosition]]:
    """The panels of a row with their rectangles, side by side from ``top`` down."""
    x = 0
    for panel, width in zip(row.panels, widths(row), strict=True):
        yield panel, GridPosition(x, top, width, row.height)
        x += width


def widths(row: Row) -> tuple[int, ...]:
    """The widths of a row's panels in columns; they fill the row, whatever the relative widths."""
    relative = row.widths or (1,) * len(row.panels)
    edges = [round(COLUMNS * sum(relative[:count]) / sum(relative)) for count in range(len(relative) + 1)]
    return tuple(right - left for left, right in pairwise(edges))
