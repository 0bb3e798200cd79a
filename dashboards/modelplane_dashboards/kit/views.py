"""How a panel draws its data: one frozen class for each kind of panel of Grafana."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelplane_dashboards.kit.colours import BAD, GOOD, INVISIBLE, NEUTRAL, WARNING

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Step:
    """The colour of values from ``start`` on, up to the next step; None is the lowest step."""

    colour: str
    start: float | None = None


Steps = tuple[Step, ...]
PLAIN: Steps = (Step(NEUTRAL),)


def limit_steps(*, warning: float | None = None, bad: float | None = None, base: str = GOOD) -> Steps:
    """Good, from ``warning`` on orange, from ``bad`` on red."""
    higher = ((WARNING, warning), (BAD, bad))
    return (Step(base), *(Step(colour, start) for colour, start in higher if start is not None))


def remaining_steps(*, warning: float, bad: float = 0.0) -> Steps:
    """Red below ``bad``, orange below ``warning``, else good: for what is left of something."""
    return (Step(BAD), Step(WARNING, bad), Step(GOOD, warning))


def highlight_steps(*, warning: float | None = None, bad: float | None = None) -> Steps:
    """Colour for what needs attention alone: cells of a table, lines of a graph."""
    return limit_steps(warning=warning, bad=bad, base=INVISIBLE)


@dataclass(frozen=True, slots=True)
class ValueText:
    """What is shown for a value: a text, a colour, or both."""

    value: str
    text: str = ""
    colour: str = ""


@dataclass(frozen=True, slots=True)
class TimeSeries:
    """Lines or bars over time.

    ``steps`` are drawn as dashed lines. ``colours`` maps names of lines to colours; all others get theirs by
    name, so that a version has one colour on the whole board. Axes start at ``minimum``, and reach at least
    ``soft_maximum`` and at most ``maximum``.
    """

    stacked: bool = False
    bars: bool = False
    minimum: float | None = 0.0
    maximum: float | None = None
    soft_maximum: float | None = None
    steps: Steps = PLAIN
    colours: Pairs = ()
    legend: Literal["bottom", "right", "hidden"] = "bottom"


@dataclass(frozen=True, slots=True)
class Stat:
    """The last value, large; ``filled`` colours the background, ``shows_name`` adds the legend."""

    steps: Steps = PLAIN
    trend: bool = False
    filled: bool = False
    shows_name: bool = False
    texts: tuple[ValueText, ...] = ()


@dataclass(frozen=True, slots=True)
class Gauge:
    """The last value on a scale from 0 to ``maximum``."""

    steps: Steps
    maximum: float = 1.0


@dataclass(frozen=True, slots=True)
class BarGauge:
    """A bar for each series, longest first where the query sorts them."""

    steps: Steps
    minimum: float = 0.0
    maximum: float | None = None


@dataclass(frozen=True, slots=True)
class Heatmap:
    """Observations by bucket of a histogram over time."""

    scheme: Literal["Oranges", "Blues"] = "Oranges"


@dataclass(frozen=True, slots=True)
class StateTimeline:
    """A strip for each series, in the colour of its value; equal neighbours are one region."""

    steps: Steps
    texts: tuple[ValueText, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusHistory:
    """A row of cells for each series, in the colour of its value; at most 60 cells wide."""

    steps: Steps


@dataclass(frozen=True, slots=True)
class BarChart:
    """Groups of bars: one group for each value of ``category``, one bar for each value of ``series``."""

    category: str
    series: str
    value: str
    colours: Pairs = ()


@dataclass(frozen=True, slots=True)
class Link:
    """A data link; ``url`` may hold Grafana's variables."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the field it shows, its heading, and how its cells look.

    ``cell`` is ``text``, ``colour`` (the text in the colour of its step), ``fill`` (the background),
    ``gauge`` (a bar up to ``maximum``) or ``trend`` (a sparkline). A click follows
    ``link``; a hidden column is there for links.
    """

    field: str
    title: str
    unit: str = ""
    link: Link | None = None
    hidden: bool = False
    cell: Literal["text", "colour", "fill", "gauge", "trend"] = "text"
    steps: Steps = ()
    maximum: float | None = None
    decimals: int | None = None
    width: int | None = None
    texts: tuple[ValueText, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """Rows. Instant queries are merged on their labels, or joined on ``join``, as they must be with a trend.

    Sorted by the column with the title ``sort_by``. ``totals`` are the titles of columns to sum below.
    ``only`` is a field and the value that it must have.
    """

    columns: tuple[Column, ...]
    sort_by: str = ""
    descending: bool = True
    join: str = ""
    totals: tuple[str, ...] = ()
    only: tuple[str, str] | None = None

    def __post_init__(self) -> None:
        titles = [column.title for column in self.columns]
        unknown = {self.sort_by, *self.totals} - {"", *titles}
        if unknown:
            raise ValueError(
                f"a table has no column {sorted(unknown)[0]!r}; its columns: {', '.join(titles)}"
            )
        if any(column.cell == "trend" for column in self.columns) and not self.join:
            raise ValueError("a table with a trend is joined on a field; join names it")


@dataclass(frozen=True, slots=True)
class Text:
    """Markdown, without data."""

    markdown: str


View = (
    TimeSeries | Stat | Gauge | BarGauge | Heatmap | StateTimeline | StatusHistory | BarChart | Table | Text
)
