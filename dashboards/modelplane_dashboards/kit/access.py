"""Boards without what they cannot reach: the backend, or pages of a plugin that need not be there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from modelplane_dashboards.kit.api import ApiAccess
from modelplane_dashboards.kit.board import Board, Panel, Row, Section
from modelplane_dashboards.kit.links import is_plugin_page, without_api
from modelplane_dashboards.kit.views import Link, Table

_PLUGIN_LINK = re.compile(r"\[([^\]]*)\]\(/a/[^)]*\)")


def reachable(board: Board, api: ApiAccess) -> Board:
    """The board without what it cannot read, and without links to a plugin that need not be there."""
    if api == "plugin":
        return board
    sections = board.sections if api == "infinity" else tuple(_prometheus_sections(board))
    advice = _PLUGIN_LINK.sub(r"\1", board.advice)
    return replace(board, advice=advice, sections=tuple(_with_links(part, api) for part in sections))


def _with_links(section: Section, api: ApiAccess) -> Section:
    """The section without links to pages of the plugin, and without ``api`` in links where it is none."""
    rows = (
        replace(row, panels=tuple(_with_links_to_boards(panel, api) for panel in row.panels))
        for row in section.rows
    )
    return replace(section, rows=tuple(rows))


def _with_links_to_boards(panel: Panel, api: ApiAccess) -> Panel:
    if not isinstance(panel.view, Table):
        return panel
    columns = (replace(column, link=_link(column.link, api)) for column in panel.view.columns)
    return replace(panel, view=replace(panel.view, columns=tuple(columns)))


def _link(link: Link | None, api: ApiAccess) -> Link | None:
    if link is None or is_plugin_page(link):
        return None
    return without_api(link) if api == "none" else link


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
