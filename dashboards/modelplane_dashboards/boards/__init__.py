"""The boards: one file each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from modelplane_dashboards.boards.alerts import alerts
from modelplane_dashboards.boards.cost import cost
from modelplane_dashboards.boards.devices import devices
from modelplane_dashboards.boards.drift import drift
from modelplane_dashboards.boards.fleet import fleet
from modelplane_dashboards.boards.llm import llm
from modelplane_dashboards.boards.model import model
from modelplane_dashboards.boards.plane import plane
from modelplane_dashboards.boards.slo import slo
from modelplane_dashboards.boards.tenant import tenant
from modelplane_dashboards.kit.api import ApiAccess
from modelplane_dashboards.kit.board import Board, Panel, Row, Section
from modelplane_dashboards.kit.context import BoardContext, board_context
from modelplane_dashboards.kit.links import is_plugin_page
from modelplane_dashboards.kit.subject import Entity
from modelplane_dashboards.kit.views import Table
from modelplane_schema.errors import UserError
from modelplane_schema.registry import Model, Registry, Tenant

# In the order of a reader: from all to one, then by subject.
TEMPLATES: tuple[Callable[[BoardContext], Board], ...] = (
    fleet,
    tenant,
    model,
    drift,
    cost,
    slo,
    alerts,
    devices,
    llm,
    plane,
)


class BoardError(UserError, ValueError):
    """The registry's names cannot all have a board; the message says which and what to do."""


def build(registry: Registry, api: ApiAccess = "plugin") -> tuple[Board, ...]:
    """The boards of all tenants and models, which choose one of them by variables.

    With ``api="none"`` panels that read the backend are left out.
    """
    context = board_context(registry)
    return tuple(reachable(template(context), api) for template in TEMPLATES)


def tenant_board(registry: Registry, entity: Tenant, api: ApiAccess = "plugin") -> Board:
    """The board of one tenant: that of all, with the tenant fixed."""
    return reachable(tenant(board_context(registry), Entity(entity.id, entity.full_title)), api)


def model_board(registry: Registry, entity: Model, api: ApiAccess = "plugin") -> Board:
    """The board of one model: that of all, with the model fixed."""
    return reachable(model(board_context(registry), Entity(entity.name, entity.name)), api)


def reachable(board: Board, api: ApiAccess) -> Board:
    """The board without what it cannot read, and without links to a plugin that need not be there."""
    if api == "plugin":
        return board
    sections = board.sections if api == "infinity" else tuple(_prometheus_sections(board))
    return replace(board, sections=tuple(map(_without_plugin_pages, sections)))


def _without_plugin_pages(section: Section) -> Section:
    rows = (
        replace(row, panels=tuple(_with_links_to_boards(panel) for panel in row.panels))
        for row in section.rows
    )
    return replace(section, rows=tuple(rows))


def _with_links_to_boards(panel: Panel) -> Panel:
    if not isinstance(panel.view, Table):
        return panel
    columns = (
        replace(column, link=None) if column.link and is_plugin_page(column.link) else column
        for column in panel.view.columns
    )
    return replace(panel, view=replace(panel.view, columns=tuple(columns)))


def _prometheus_sections(board: Board) -> Iterator[Section]:
    for section in board.sections:
        rows = tuple(row for source in section.rows if (row := _prometheus_row(source)) is not None)
        if rows:
            yield replace(section, rows=rows)


def _prometheus_row(row: Row) -> Row | None:
    kept = [index for index, panel in enumerate(row.panels) if panel.queries[0].datasource == "prometheus"]
    if not kept:
        return None
    widths = tuple(row.widths[index] for index in kept) if row.widths else ()
    return Row(tuple(row.panels[index] for index in kept), widths, row.height)
