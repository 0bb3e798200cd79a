"""From a board to Grafana's JSON; pure."""

from __future__ import annotations

from typing import Any

from modelplane_dashboards.kit import grafana
from modelplane_dashboards.kit.api import ApiAccess
from modelplane_dashboards.kit.board import COLUMNS, Board, Section, panel_id
from modelplane_dashboards.kit.layout import HEADER_HEIGHT, GridPosition, placed

_INTRO_HEIGHT = 2


def render(board: Board, api: ApiAccess = "plugin") -> dict[str, Any]:
    """The dashboard as Grafana reads it, with stable panel ids and computed places."""
    intro = GridPosition(0, 0, COLUMNS, _INTRO_HEIGHT)
    panels = [grafana.text(f"**{board.question}** {board.advice}", panel_id(board.kind, "intro"), intro)]
    y = _INTRO_HEIGHT
    for section in board.sections:
        content, y = _section(board, section, y, api)
        panels += content
    return grafana.encode(grafana.dashboard(board, panels, api))


def _section(board: Board, section: Section, top: int, api: ApiAccess) -> tuple[list[Any], int]:
    """The header and panels of a section, and the first free y below them."""
    header = GridPosition(0, top, COLUMNS, HEADER_HEIGHT)
    panels = [grafana.row(section.title, panel_id(board.kind, f"row:{section.key}"), header)]
    y = top + HEADER_HEIGHT
    for row in section.rows:
        panels += [
            grafana.panel(panel, panel_id(board.kind, panel.key), position, api)
            for panel, position in placed(row, y)
        ]
        y += row.height
    return panels, y
