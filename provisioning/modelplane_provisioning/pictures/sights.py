"""What the browser saw of a board, as frozen data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from modelplane_provisioning.pictures.shots import Board, Shot


@dataclass(frozen=True, slots=True)
class PanelSight:
    """A panel. ``status`` is what its corner says: error, warning, info or nothing.

    ``status_text`` is the text behind that corner, ``crash`` that of a panel which broke, ``message`` what
    stands in the place of a graph. ``texts`` are the short texts on the panel.
    """

    title: str
    is_loading: bool
    is_drawn: bool
    is_cut: bool
    status: str = ""
    status_text: str = ""
    crash: str = ""
    message: str = ""
    texts: frozenset[str] = frozenset()

    @property
    def has_answered(self) -> bool:
        """Whether it shows something, be it an error."""
        return not self.is_loading and (self.is_drawn or bool(self.status))


@dataclass(frozen=True, slots=True)
class PageSight:
    """The page of a board at a moment: its panels, and in pixels its height and where the last panel ends."""

    panels: tuple[PanelSight, ...]
    height: int
    bottom: int
    theme: str  # nothing where the page does not say it
    is_login: bool

    def is_complete(self, panels: int) -> bool:
        """Whether ``panels`` panels are there, at least one in any case, and all have answered."""
        return len(self.panels) >= max(panels, 1) and all(panel.has_answered for panel in self.panels)


@dataclass(frozen=True, slots=True)
class BoardSight:
    """A board in one width and theme. ``failure`` says why it was not seen, ``page`` is the last look at it.

    ``is_complete`` is False when the time was over before all panels had answered; ``failed_requests`` and
    ``console_errors`` are lines.
    """

    board: Board
    shot: Shot
    page: PageSight | None = None
    is_complete: bool = False
    failure: str = ""
    failed_requests: tuple[str, ...] = ()
    console_errors: tuple[str, ...] = ()


def page_sight(seen: dict[str, Any]) -> PageSight:
    """From what ``look.js`` returns."""
    return PageSight(
        panels=tuple(map(_panel_sight, seen["panels"])),
        height=int(seen["height"]),
        bottom=int(seen["bottom"]),
        theme=seen["theme"],
        is_login=seen["isLogin"],
    )


def _panel_sight(seen: dict[str, Any]) -> PanelSight:
    return PanelSight(
        title=single_line(seen["title"]),
        is_loading=seen["isLoading"],
        is_drawn=seen["isDrawn"],
        is_cut=seen["isCut"],
        status=seen["status"],
        crash=single_line(seen["crash"]),
        message=single_line(seen["message"]),
        texts=frozenset(map(single_line, seen["texts"])),
    )


def single_line(text: str) -> str:
    """A text of a page on one line, without what a terminal would obey."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())
