"""Grafana dashboards generated from the metric schema and the registry."""

from modelplane_dashboards.boards import BoardError, build, model_board, tenant_board
from modelplane_dashboards.kit.api import API_ACCESSES, INFINITY_ID, ApiAccess
from modelplane_dashboards.kit.board import Board
from modelplane_dashboards.kit.render import render
from modelplane_dashboards.output import FOLDERS, Changes, Folder, check, files, write
from modelplane_dashboards.queries import PanelQuery, expand, panel_queries

__all__ = [
    "API_ACCESSES",
    "FOLDERS",
    "INFINITY_ID",
    "ApiAccess",
    "Board",
    "BoardError",
    "Changes",
    "Folder",
    "PanelQuery",
    "build",
    "check",
    "expand",
    "files",
    "model_board",
    "panel_queries",
    "render",
    "tenant_board",
    "write",
]
