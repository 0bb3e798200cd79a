"""Where panels go: left to right in 24 columns, section below section."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from modelplane_dashboards.board import COLUMNS, Panel

ROW_HEIGHT = 1


@dataclass(frozen=True, slots=True)
class GridPosition:
    """A rectangle on the board: x and width in columns, y and height in units of 30 px."""

    x: int
    y: int
    width: int
    height: int


def flow(panels: Iterable[Panel], top: int) -> tuple[tuple[tuple[Panel, GridPosition], ...], int]:
    """GridPositions for ``panels`` from ``top`` down, and the first free y below them."""
    placed: list[tuple[Panel, GridPosition]] = []
    x, y, below = 0, top, top
    for panel in panels:
        if x + panel.width > COLUMNS:
            x, y = 0, below
        placed.append((panel, GridPosition(x, y, panel.width, panel.height)))
        x, below = x + panel.width, max(below, y + panel.height)
    return tuple(placed), below
