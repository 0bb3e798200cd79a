"""From a board to Grafana's JSON; pure."""

from __future__ import annotations

from typing import Any

from modelplane_dashboards import grafana
from modelplane_dashboards.api import ApiAccess
from modelplane_dashboards.board import COLUMNS, Board, panel_id
from modelplane_dashboards.layout import ROW_HEIGHT, GridPosition, flow

_INTRO_HEIGHT = 2


def render(board: Board, api: ApiAccess = "plugin") -> dict[str, Any]:
    """The dashboard as Grafana reads it, with stable panel ids and computed places."""
    intro = GridPosition(0, 0, COLUMNS, _INTRO_HEIGHT)
    panels = [grafana.text(board.question, panel_id(board.kind, "intro"), intro)]
    y = _INTRO_HEIGHT
    for section in board.sections:
        header = GridPosition(0, y, COLUMNS, ROW_HEIGHT)
        panels.append(grafana.row(section.title, panel_id(board.kind, f"row:{section.key}"), header))
        placed, y = flow(section.panels, y + ROW_HEIGHT)
        panels += [
            grafana.panel(panel, panel_id(board.kind, panel.key), position, api) for panel, position in placed
        ]
    dashboard = grafana.dashboard(
        uid=board.uid,
        title=board.title,
        description=board.question,
        tags=["modelplane", f"modelplane-{board.kind}"],
        variables=[grafana.datasource_variable(), *map(grafana.query_variable, board.variables)],
        annotations=[grafana.annotation(source) for source in board.annotations],
        panels=panels,
    )
    return grafana.encode(dashboard)
