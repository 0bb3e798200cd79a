"""A drawing of a board's grid, as an SVG that shows what a change moves without a Grafana."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from modelplane_dashboards.grid import Place, grid_rows, places
from modelplane_dashboards.kit.board import COLUMNS

COLUMN_WIDTH, UNIT_HEIGHT = 40, 15  # pixels of a grid column and of a unit of height
GAP = 4  # between panels
MARGIN = 8
HEADING_HEIGHT = 30  # of the board's title
_TITLE_SIZE, _META_SIZE = 12, 11
_TEXT_INSET = 6

# It brings its own background, so that the page around it may be dark or light.
BACKGROUND, TEXT, META, BORDER = "#ffffff", "#1f2328", "#57606a", "#8c959f"
FILLS: Mapping[str, str] = {
    "stat": "#fff4ec",
    "gauge": "#fff4ec",
    "bargauge": "#fff4ec",
    "table": "#f1f3f5",
    "text": "#ffffff",
    "heatmap": "#eaf7ee",
    "state-timeline": "#eaf7ee",
    "status-history": "#eaf7ee",
}
OTHER_FILL = "#eef5ff"  # of graphs


def draw(dashboard: Mapping[str, Any]) -> str:
    """SVG of a dashboard in Grafana's classic JSON: titles, kinds, units, rows.

    The same JSON gives the same bytes. Long texts are shortened, and stand whole in the ``<title>`` of what
    they belong to.
    """
    placed = places(grid_rows(dashboard))
    title = _printable(str(dashboard.get("title") or dashboard.get("uid") or ""))
    width = COLUMNS * COLUMN_WIDTH + 2 * MARGIN
    bottom = max((place.y + place.height for place in placed), default=0)
    height = HEADING_HEIGHT + bottom * UNIT_HEIGHT + 2 * MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" role="img" aria-label={quoteattr(title)}>',
        f'<rect width="{width}" height="{height}" fill="{BACKGROUND}"/>',
        _line(title, MARGIN, MARGIN + 16, 16, COLUMNS * COLUMN_WIDTH, TEXT, bold=True),
        *map(_drawn, placed),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _drawn(place: Place) -> str:
    x = MARGIN + place.x * COLUMN_WIDTH
    y = MARGIN + HEADING_HEIGHT + place.y * UNIT_HEIGHT
    width, height = place.width * COLUMN_WIDTH - GAP, place.height * UNIT_HEIGHT - GAP
    room = width - 2 * _TEXT_INSET
    if place.panel is None:
        heading = _line(place.row.title, x, y + height, _TITLE_SIZE, room, TEXT, bold=True)
        return f"<g><title>{_escaped(place.row.title)}</title>{heading}</g>"
    panel, meta = place.panel, _meta(place)
    whole = "\n".join(filter(None, (panel.title, meta, panel.description)))
    return "".join((
        f"<g><title>{_escaped(whole)}</title>",
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" '
        f'fill="{FILLS.get(panel.kind, OTHER_FILL)}" stroke="{BORDER}"/>',
        _line(panel.title, x + _TEXT_INSET, y + 15, _TITLE_SIZE, room, TEXT),
        _line(meta, x + _TEXT_INSET, y + 30, _META_SIZE, room, META) if height >= 34 else "",
        "</g>",
    ))  # fmt: skip


def _meta(place: Place) -> str:
    """The kind of a panel, its units, and over what it is repeated."""
    panel = place.panel
    if panel is None:
        return ""
    repeated = f"for each {panel.repeat}" if panel.repeat else ""
    return " · ".join(filter(None, (panel.kind, ", ".join(panel.units), repeated)))


def _line(text: str, x: int, y: int, size: int, room: int, colour: str, *, bold: bool = False) -> str:
    weight = ' font-weight="600"' if bold else ""
    shown = _escaped(shortened(text, room / size))
    return f'<text x="{x}" y="{y}" font-size="{size}" fill="{colour}"{weight}>{shown}</text>'


def shortened(text: str, ems: float) -> str:
    """``text``, or its start with an ellipsis where it is wider than ``ems`` times the font's size."""
    if sum(map(_ems, text)) <= ems:
        return text
    left, end = ems - _ems("…"), 0
    for char in text:
        left -= _ems(char)
        if left < 0:
            break
        end += 1
    return text[:end].rstrip() + "…"


def _ems(char: str) -> float:
    """The width of a character, rather too wide: fonts differ."""
    if unicodedata.combining(char):
        return 0.0
    return 1.1 if unicodedata.east_asian_width(char) in "WF" else 0.6


def _printable(text: str) -> str:
    """Without what XML cannot hold: https://www.w3.org/TR/xml/#charsets."""
    return "".join(char if char in "\n\t" or _is_xml(ord(char)) else "�" for char in text)


def _is_xml(code: int) -> bool:
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF


def _escaped(text: str) -> str:
    return escape(_printable(text))
