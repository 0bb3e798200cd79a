"""A board as text: its question, its rows, and what each panel shows of which series."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelplane_dashboards.grid import GridPanel, grid_rows

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~$&])")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s")


def outline(dashboard: Mapping[str, Any]) -> str:
    """Markdown of a dashboard in Grafana's classic JSON: its description, then a list for each row.

    A panel is a line: title, kind, units, the first sentence of its description, the series it reads.
    A text panel is left out where it says the description again.
    """
    question = " ".join(str(dashboard.get("description") or "").split())
    blocks = [markdown(question)] if question else []
    for row in grid_rows(dashboard):
        panels = [panel for panel in row.panels if not _repeats(panel, question)]
        if row.title:
            blocks.append(f"**{markdown(row.title)}**")
        if panels:
            blocks.append("\n".join(map(_item, panels)))
    return "\n\n".join(blocks) + "\n"


def _repeats(panel: GridPanel, question: str) -> bool:
    return panel.kind == "text" and panel.title == question


def _item(panel: GridPanel) -> str:
    return f"- {markdown(panel.title)} ({', '.join(_about(panel))}){_sentence(panel)}{_read(panel)}"


def _about(panel: GridPanel) -> Iterator[str]:
    yield markdown(panel.kind)
    yield from map(markdown, panel.units)
    if panel.repeat:
        yield f"for each {markdown(panel.repeat)}"


def _sentence(panel: GridPanel) -> str:
    first = _SENTENCE_END.split(panel.description, maxsplit=1)[0]
    return f": {markdown(first)}" if first else ""


def _read(panel: GridPanel) -> str:
    names = [f"`{name}`" for name in panel.series]
    names += [f"`{name}` of the API" for name in panel.answers]
    return f" Reads {', '.join(names)}." if names else ""


def markdown(text: str) -> str:
    """``text`` as Markdown that shows it as it is."""
    return _MARKDOWN.sub(r"\\\1", text)
