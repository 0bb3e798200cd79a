"""Grafana dashboards generated from the metric schema and the registry."""

from modelplane_dashboards.boards import BoardError, build, model_board, tenant_board
from modelplane_dashboards.kit.api import API_ACCESSES, INFINITY_ID, ApiAccess
from modelplane_dashboards.kit.board import Board
from modelplane_dashboards.kit.render import render
from modelplane_dashboards.output.compare import BoardDifference, adopted_difference, differences
from modelplane_dashboards.output.content import (
    BOARD_FORMATS,
    FOLDERS,
    PER_ENTITY,
    BoardFormat,
    Folder,
    PerEntity,
    files,
    to_text,
)
from modelplane_dashboards.output.dashboard_file import read_dashboard, stripped
from modelplane_dashboards.output.manifest import MANIFEST, OutputError, manifest_content
from modelplane_dashboards.output.writer import Changes, check, write
from modelplane_dashboards.queries import PanelQuery, expand, panel_queries

__all__ = [
    "API_ACCESSES",
    "BOARD_FORMATS",
    "FOLDERS",
    "INFINITY_ID",
    "MANIFEST",
    "PER_ENTITY",
    "ApiAccess",
    "Board",
    "BoardDifference",
    "BoardError",
    "BoardFormat",
    "Changes",
    "Folder",
    "OutputError",
    "PanelQuery",
    "PerEntity",
    "adopted_difference",
    "build",
    "check",
    "differences",
    "expand",
    "files",
    "manifest_content",
    "model_board",
    "panel_queries",
    "read_dashboard",
    "render",
    "stripped",
    "tenant_board",
    "to_text",
    "write",
]
