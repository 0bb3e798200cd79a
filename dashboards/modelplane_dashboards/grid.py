"""What a reader meets on a board's JSON: rows of panels, where Grafana puts each, what each shows."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modelplane_dashboards.kit.board import COLUMNS
from modelplane_dashboards.kit.layout import HEADER_HEIGHT

_SERIES = re.compile(r"(?<![\w:])([a-zA-Z_:][a-zA-Z0-9_:]*)\s*\{")


@dataclass(frozen=True, slots=True)
class GridPanel:
    """A panel as its author wrote it. ``units`` are Grafana's ids: the panel's, then those of columns.

    ``series`` are the names of the series that its queries select, ``answers`` those of what it asks of the
    backend's API, and ``repeat`` the variable over whose values it is repeated, or nothing.
    """

    title: str
    kind: str
    units: tuple[str, ...]
    description: str
    series: tuple[str, ...]
    answers: tuple[str, ...]
    repeat: str
    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class GridRow:
    """A row of a board; panels above the first row have one without a title."""

    title: str
    panels: tuple[GridPanel, ...]


def grid_rows(dashboard: Mapping[str, Any]) -> tuple[GridRow, ...]:
    """The rows of a dashboard in Grafana's classic JSON, collapsed ones as if they were open.

    A missing place is that of Grafana's defaults; what reaches over the 24 columns is cut.
    """
    titles: list[str] = [""]
    panels: list[list[GridPanel]] = [[]]
    for panel in _in_order(dashboard.get("panels")):
        if panel.get("type") == "row":
            titles.append(_text(panel.get("title")))
            panels.append([_grid_panel(inner) for inner in _in_order(panel.get("panels"))])
        else:
            panels[-1].append(_grid_panel(panel))
    rows = (GridRow(title, tuple(members)) for title, members in zip(titles, panels, strict=True))
    return tuple(row for row in rows if row.title or row.panels)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row's heading (``panel`` is None) or a panel lies: in columns, and units of height."""

    row: GridRow
    panel: GridPanel | None
    x: int
    y: int
    width: int
    height: int


def places(rows: Sequence[GridRow]) -> tuple[Place, ...]:
    """Where Grafana puts everything: each as high as what lies above it allows, so that nothing overlaps.

    Source: the vertical compaction of https://github.com/react-grid-layout/react-grid-layout.
    """
    placed: list[Place] = []
    bottoms = [0] * COLUMNS  # by column
    for row in rows:
        if row.title:
            y = max(bottoms)
            placed.append(Place(row, None, 0, y, COLUMNS, HEADER_HEIGHT))
            bottoms = [y + HEADER_HEIGHT] * COLUMNS
        for panel in row.panels:
            columns = slice(panel.x, panel.x + panel.width)
            y = max(bottoms[columns])
            placed.append(Place(row, panel, panel.x, y, panel.width, panel.height))
            bottoms[columns] = [y + panel.height] * panel.width
        bottoms = [max(bottoms)] * COLUMNS
    return tuple(placed)


def _in_order(panels: Any) -> list[dict[str, Any]]:
    """Panels as they are read; the order of a file says nothing about that."""
    known = [panel for panel in panels if isinstance(panel, dict)] if isinstance(panels, list) else []
    return sorted(known, key=lambda panel: (_number(panel, "y", 0), _number(panel, "x", 0)))


def _grid_panel(panel: dict[str, Any]) -> GridPanel:
    x = min(max(_number(panel, "x", 0), 0), COLUMNS - 1)
    return GridPanel(
        title=_text(panel.get("title")) or _text((panel.get("options") or {}).get("content")),
        kind=_text(panel.get("type")),
        units=tuple(dict.fromkeys(_units(panel.get("fieldConfig") or {}))),
        description=_text(panel.get("description")),
        series=tuple(dict.fromkeys(_series(panel))),
        answers=tuple(dict.fromkeys(_answers(panel))),
        repeat=_text(panel.get("repeat")),
        x=x,
        y=_number(panel, "y", 0),
        width=min(max(_number(panel, "w", COLUMNS // 2), 1), COLUMNS - x),
        height=max(_number(panel, "h", 1), 1),
    )


def _units(config: Mapping[str, Any]) -> Iterator[str]:
    default = (config.get("defaults") or {}).get("unit")
    if default:
        yield _text(default)
    for override in config.get("overrides") or ():
        for option in override.get("properties") or ():
            if option.get("id") == "unit" and option.get("value"):
                yield _text(option["value"])


def _series(panel: Mapping[str, Any]) -> Iterator[str]:
    """Names before a selector; every query of ours selects by label."""
    for target in panel.get("targets") or ():
        yield from _SERIES.findall(_text(target.get("expr")))


def _answers(panel: Mapping[str, Any]) -> Iterator[str]:
    """Metrics and tables that targets of our data source name."""
    for target in panel.get("targets") or ():
        if target.get("kind") in ("series", "table"):
            yield _text(target.get("name"))


def _number(panel: Mapping[str, Any], key: str, default: int) -> int:
    value = (panel.get("gridPos") or {}).get(key, default)
    return int(value) if isinstance(value, (int, float)) else default


def _text(value: Any) -> str:
    return " ".join(value.split()) if isinstance(value, str) else ""
