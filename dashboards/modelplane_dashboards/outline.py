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

    A panel is a line: title, kind, units, the first sentence of its description, the series it reads. What a
    text panel holds is a paragraph, and takes the place of the description where it says that, too.
    """
    question = " ".join(str(dashboard.get("description") or "").split())
    rows = grid_rows(dashboard)
    is_repeated = any(question in panel.title for row in rows for panel in row.panels if panel.text)
    blocks = [] if is_repeated else [markdown(question)]
    for row in rows:
        if row.title:
            blocks.append(f"**{markdown(row.title)}**")
        blocks += [panel.text for panel in row.panels if panel.text]
        blocks.append("\n".join(_item(panel) for panel in row.panels if not panel.text))
    return "\n\n".join(filter(None, blocks)) + "\n"


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
