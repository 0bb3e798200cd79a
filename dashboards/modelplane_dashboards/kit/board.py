"""What a board is: frozen data, without any of Grafana's JSON."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from modelplane_dashboards.kit.menu import Menu
from modelplane_dashboards.kit.views import Table, Text, View

DatasourceKind = Literal["prometheus", "api"]
ColumnType = Literal["string", "number", "timestamp_epoch"]
LineStyle = Literal["solid", "dotted", "limit"]

COLUMNS = 24
MAX_API_POINTS = 500
MAX_SERIES = 20
REF_IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DEFAULT_HEIGHT = 8


@dataclass(frozen=True, slots=True)
class PromQuery:
    """A PromQL query; ``legend`` is Grafana's template with ``{{label}}``.

    ``style`` is how its lines look in a graph: a ``limit`` is dashed and red. In a table a query that is not
    instant becomes a trend, and ``may_be_empty`` says of a column that no data is no fault.
    """

    expr: str
    legend: str = ""
    instant: bool = False
    style: LineStyle = "solid"
    may_be_empty: bool = False

    @property
    def datasource(self) -> DatasourceKind:
        return "prometheus"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an API row: its key, the name it gets in Grafana and its type."""

    selector: str
    text: str
    type: ColumnType = "string"


@dataclass(frozen=True, slots=True)
class BoardVariable:
    """The selected value of a variable of the board, as the value of a parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class ApiQuery:
    """A metric or a table of the backend's catalogue, by name, with values of its parameters.

    ``path`` is where a table lies below ``/api/v1``, ``root`` the key of its list of rows, and ``fields`` are
    those of a row that the panel shows. ``times`` are the parameters of the time range that its route takes.
    """

    kind: Literal["series", "table"]
    name: str
    parameters: tuple[tuple[str, str | BoardVariable], ...]
    root: str
    fields: tuple[Field, ...]
    path: str = ""
    instant: bool = False
    times: tuple[Literal["from", "to"], ...] = ("from", "to")

    @property
    def datasource(self) -> DatasourceKind:
        return "api"


Query = PromQuery | ApiQuery


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. ``key`` names it within its kind of board and never changes, because its id derives from it.

    ``unit`` is a Grafana unit id. ``empty`` is what the panel says where it has no data and that is no fault,
    such as ``No alert fires``; without it, no data is a fault. ValueError when a part is missing or does not
    fit the others.
    """

    key: str
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    view: View
    decimals: int | None = None
    empty: str = ""

    def __post_init__(self) -> None:
        required = (
            ("key",) if isinstance(self.view, Text) else ("key", "title", "description", "unit", "queries")
        )
        for name in required:
            if not getattr(self, name):
                raise ValueError(f"panel {self.key!r}: {name} is missing")
        if len({query.datasource for query in self.queries}) > 1:
            raise ValueError(f"panel {self.key!r}: all queries of a panel need the same data source")
        if len(self.queries) > len(REF_IDS):
            raise ValueError(f"panel {self.key!r}: at most {len(REF_IDS)} queries")

    @property
    def may_be_empty(self) -> bool:
        """Whether a query that returns nothing is no fault."""
        return bool(self.empty)

    @property
    def named_queries(self) -> tuple[tuple[str, Query], ...]:
        """The queries with their reference ids."""
        return tuple(zip(REF_IDS, self.queries, strict=False))

    @property
    def columns(self) -> tuple[str, ...]:
        """The headings of a table that are seen."""
        if not isinstance(self.view, Table):
            return ()
        return tuple(column.title for column in self.view.columns if not column.hidden)


@dataclass(frozen=True, slots=True)
class Row:
    """Panels side by side that fill the width; ``widths`` are relative, all equal where there are none.

    ``height`` is in units of 30 px.
    """

    panels: tuple[Panel, ...]
    widths: tuple[int, ...] = ()
    height: int = DEFAULT_HEIGHT

    def __post_init__(self) -> None:
        if not self.panels:
            raise ValueError("a row needs a panel")
        if self.widths and len(self.widths) != len(self.panels):
            raise ValueError(f"row of {self.panels[0].key!r}: as many widths as panels")


@dataclass(frozen=True, slots=True)
class Section:
    """A titled group of rows; ``key`` never changes."""

    key: str
    title: str
    rows: tuple[Row, ...]

    @property
    def panels(self) -> Iterator[Panel]:
        return (panel for row in self.rows for panel in row.panels)


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that a menu fills. ``all_value`` is what All means in a matcher, if there is one.

    A ``ranked`` menu has the order of its query, others that of the alphabet.
    """

    name: str
    label: str
    menu: Menu
    all_value: str = ""
    ranked: bool = False

    @property
    def default(self) -> str:
        """What stands for the variable when the board is opened with All, else empty."""
        return self.all_value


@dataclass(frozen=True, slots=True)
class Annotation:
    """Thin marks on every graph: one for each series that ``expr`` returns, at each point."""

    name: str
    expr: str
    title: str
    text: str
    tags: tuple[str, ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. ``question`` is what it answers, in a sentence; ``advice`` says what to do next.

    ``kind`` is a word that stands in its uid and its tag.
    ``entity`` is the tenant or model that a board is about by itself, empty for the board of all.
    ``examples`` are values for variables without All, for those who ask its queries outside Grafana.
    """

    kind: str
    uid: str
    title: str
    question: str
    advice: str
    variables: tuple[Variable, ...]
    annotations: tuple[Annotation, ...]
    sections: tuple[Section, ...]
    entity: str = ""
    examples: tuple[tuple[str, str], ...] = ()
    start: str = "now-6h"

    def __post_init__(self) -> None:
        keys = ["intro", *(f"row:{section.key}" for section in self.sections)]
        keys += [panel.key for panel in self.panels]
        _no_duplicates(f"board {self.uid}: panel keys", keys)
        _no_duplicates(f"board {self.uid}: panel ids", [panel_id(self.kind, key) for key in keys])
        _no_duplicates(
            f"board {self.uid}: panel titles", [panel.title for panel in self.panels if panel.title]
        )

    @property
    def panels(self) -> Iterator[Panel]:
        """The panels with data, in reading order."""
        return (panel for section in self.sections for panel in section.panels)


def panel_id(kind: str, key: str) -> int:
    """The id of a panel: from 1 to 2^24, and independent of every other panel."""
    digest = hashlib.sha256(f"{kind}/{key}".encode()).digest()
    return int.from_bytes(digest[:3]) + 1


def _no_duplicates(what: str, values: Iterable[str | int]) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise ValueError(f"{what}: {repeated[0]!r} occurs more than once")
