"""``docs/boards.md``: what is generated of it, and the drawings beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from modelplane_dashboards.drawing import draw
from modelplane_dashboards.outline import markdown, outline
from modelplane_provisioning.pages.generated_part import with_generated_part

PAGE = "docs/boards.md"
DRAWINGS = "docs/boards"


def boards_page(page: str, dashboards: Iterable[Mapping[str, Any]]) -> dict[str, bytes]:
    """Path below the checkout to content: ``page`` with all kinds of board, and a drawing of each.

    A kind is shown by its templated board, or by a board of one tenant or model where it has none.
    MarkerError.
    """
    shown = _of_each_kind(dashboards)
    written = with_generated_part(page, "".join(map(_section, shown)), PAGE)
    drawings = {f"{DRAWINGS}/{dashboard['uid']}.svg": draw(dashboard).encode() for dashboard in shown}
    return {PAGE: written.encode(), **drawings}


def _of_each_kind(dashboards: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The uid ``mp-<kind>`` is shorter than that of any other board with the kind's tag."""
    kinds: dict[str, Mapping[str, Any]] = {}
    for dashboard in dashboards:
        kind = next(tag for tag in dashboard["tags"] if tag.startswith("modelplane-"))
        shown = kinds.setdefault(kind, dashboard)
        if (len(dashboard["uid"]), dashboard["uid"]) < (len(shown["uid"]), shown["uid"]):
            kinds[kind] = dashboard
    return list(kinds.values())


def _section(dashboard: Mapping[str, Any]) -> str:
    uid, title = dashboard["uid"], markdown(dashboard["title"])
    picture = f"![The grid of the board {title}](boards/{uid}.svg)"
    return f"### {title}\n\nuid `{uid}`\n\n{picture}\n\n{outline(dashboard)}\n"
