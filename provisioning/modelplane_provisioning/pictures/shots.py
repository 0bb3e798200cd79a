"""Which pictures are taken: boards, widths, themes; their addresses and file names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import quote, urlencode, urlsplit

from modelplane_provisioning.pictures.selectors import NO_DATA

Theme = Literal["dark", "light"]
THEMES: Final[tuple[Theme, ...]] = ("dark", "light")
WIDTHS: Final = (1280, 1920)
TAG: Final = "modelplane"
OUR_UID: Final = re.compile(r"mp-[A-Za-z0-9_-]{1,37}")
UNIT_PIXELS: Final = 38  # of a unit of height in Grafana's grid, with the gap below it
HEADER_PIXELS: Final = 160  # what stands above the first panel, at most, where variables have one line
MOST_PIXELS: Final = 16_000  # the height up to which Chromium takes pictures


@dataclass(frozen=True, slots=True)
class Board:
    """A board, by its JSON: ``panels`` that are open, its height in units of the grid.

    ``reasons`` are texts that panels show, because their author said so, in the place of data. ``problem``
    says why its JSON could not be read.
    """

    uid: str
    title: str
    panels: int = 0
    height: int = 0
    reasons: frozenset[str] = frozenset()
    problem: str = ""

    @property
    def pixels(self) -> int:
        """The height of a window that shows all of it."""
        return min(self.height * UNIT_PIXELS + HEADER_PIXELS, MOST_PIXELS)


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture of a board."""

    uid: str
    width: int
    theme: Theme

    @property
    def file(self) -> str:
        """The same name each time."""
        return f"{self.uid}-{self.width}-{self.theme}.png"


@dataclass(frozen=True, slots=True)
class Choice:
    """What a board is opened with: values of variables, and the range of time where it is not the board's."""

    variables: tuple[tuple[str, str], ...] = ()
    start: str = ""
    end: str = ""


def board_of(uid: str, dashboard: Mapping[str, Any]) -> Board:
    """From Grafana's classic JSON; panels of rows that are closed do not count."""
    panels = [panel for panel in dashboard.get("panels") or () if isinstance(panel, dict)]
    places = [panel.get("gridPos") or {} for panel in panels]
    defaults = ((panel.get("fieldConfig") or {}).get("defaults") or {} for panel in panels)
    reasons = {" ".join(str(default.get("noValue") or "").split()) for default in defaults}
    return Board(
        uid=uid,
        title=str(dashboard.get("title") or uid),
        panels=sum(panel.get("type") != "row" for panel in panels),
        height=max((int(place.get("y", 0)) + int(place.get("h", 0)) for place in places), default=0),
        reasons=frozenset(reasons - {"", NO_DATA}),
    )


def shots_of(boards: Iterable[Board], widths: Sequence[int], themes: Sequence[Theme]) -> list[Shot]:
    """Every board in every width and theme."""
    return [Shot(board.uid, width, theme) for board in boards for width in widths for theme in themes]


def board_url(grafana: str, shot: Shot, choice: Choice) -> str:
    """The board alone on the page; it does not refresh by itself."""
    query = [(f"var-{name}", value) for name, value in choice.variables]
    query += [(name, value) for name, value in (("from", choice.start), ("to", choice.end)) if value]
    query += [("theme", shot.theme), ("refresh", "")]
    return f"{grafana}/d/{quote(shot.uid, safe='')}?{urlencode(query)}&kiosk"


def origin_of(url: str) -> str:
    """Scheme, host and port of an address, as browsers compare them; nothing when it has none."""
    parts = urlsplit(url)
    try:
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ""
    return f"{parts.scheme}://{parts.hostname}:{port}" if parts.hostname and port else ""
