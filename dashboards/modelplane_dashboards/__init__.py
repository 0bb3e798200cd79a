"""Grafana dashboards generated from the metric schema and the registry."""

from modelplane_dashboards.boards import build, model_board, tenant_board
from modelplane_dashboards.kit.api import API_ACCESSES, INFINITY_ID, ApiAccess
from modelplane_dashboards.kit.board import ApiQuery, Board, Variable
from modelplane_dashboards.kit.menu import LabelValues, Menu, QueryResult
from modelplane_dashboards.kit.render import render
from modelplane_dashboards.output.compare import BoardDifference, adopted_difference, differences
from modelplane_dashboards.output.content import (
    BOARD_FORMATS,
    FOLDER_ANNOTATION,
    FOLDER_VERSION,
    FOLDERS,
    PER_ENTITY,
    BoardFormat,
    Folder,
    PerEntity,
    files,
    folder_files,
    folder_resource,
    to_text,
)
from modelplane_dashboards.output.dashboard_file import read_dashboard, stripped
from modelplane_dashboards.output.errors import OutputError
from modelplane_dashboards.output.ownership import (
    is_board_path,
    is_our_board,
    manifest_content,
    recognised_boards,
)
from modelplane_dashboards.output.writer import check, write
from modelplane_dashboards.queries import (
    ApiRequest,
    PanelQuery,
    api_request,
    default_values,
    expand,
    panel_queries,
)

__all__ = [
    "API_ACCESSES",
    "BOARD_FORMATS",
    "FOLDERS",
    "FOLDER_ANNOTATION",
    "FOLDER_VERSION",
    "INFINITY_ID",
    "PER_ENTITY",
    "ApiAccess",
    "ApiQuery",
    "ApiRequest",
    "Board",
    "BoardDifference",
    "BoardFormat",
    "Folder",
    "LabelValues",
    "Menu",
    "OutputError",
    "PanelQuery",
    "PerEntity",
    "QueryResult",
    "Variable",
    "adopted_difference",
    "api_request",
    "build",
    "check",
    "default_values",
    "differences",
    "expand",
    "files",
    "folder_files",
    "folder_resource",
    "is_board_path",
    "is_our_board",
    "manifest_content",
    "model_board",
    "panel_queries",
    "read_dashboard",
    "recognised_boards",
    "render",
    "stripped",
    "tenant_board",
    "to_text",
    "write",
]
