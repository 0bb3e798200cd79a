"""Grafana dashboards generated from the metric schema and the registry."""

from modelplane_dashboards.board import Board
from modelplane_dashboards.boards import build
from modelplane_dashboards.output import Changes, check, files, write
from modelplane_dashboards.queries import PanelQuery, expand, panel_queries
from modelplane_dashboards.render import render

__all__ = [
    "Board",
    "Changes",
    "PanelQuery",
    "build",
    "check",
    "expand",
    "files",
    "panel_queries",
    "render",
    "write",
]
