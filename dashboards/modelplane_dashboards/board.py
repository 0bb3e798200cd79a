"""What a board is: frozen data, without any of Grafana's JSON."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

BoardKind = Literal["fleet", "tenant", "model"]
PanelKind = Literal["timeseries", "stat", "table"]
DatasourceKind = Literal["prometheus", "api"]
ColumnType = Literal["string", "number", "timestamp_epoch"]

ALL_VALUE = ".+"
COLUMNS = 24
MAX_API_POINTS = 500
REF_IDS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, slots=True)
class PromQuery:
    """A PromQL query; ``legend`` is Grafana's template with ``{{label}}``."""

    expr: str
    legend: str = ""
    instant: bool = False

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

    ``root`` is the key of the list of rows, and ``fields`` are those of a row that the panel shows.
    """

    kind: Literal["series", "table"]
    name: str
    parameters: tuple[tuple[str, str | BoardVariable], ...]
    root: str
    fields: tuple[Field, ...]
    instant: bool = False

    @property
    def datasource(self) -> DatasourceKind:
        return "api"


Query = PromQuery | ApiQuery


@dataclass(frozen=True, slots=True)
class Link:
    """A data link; ``url`` may hold Grafana's variables."""

    title: str
    url: str


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the field it shows, its heading, and what is special about it."""

    field: str
    title: str
    unit: str = ""
    links: tuple[Link, ...] = ()
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """Draw a panel once per value of ``variable``; ``example`` stands for it outside Grafana."""

    variable: str
    example: str


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel. ``key`` names it within its kind of board and never changes, because its id derives from it.

    ``unit`` is a Grafana unit id, ``width`` is in 24ths of the board and ``height`` in units of 30 px.
    ``alarm_from`` is the value from which a stat turns red. ``may_be_empty`` says that a query which
    returns nothing is no fault. ValueError when a part is missing or does not fit the others.
    """

    key: str
    kind: PanelKind
    title: str
    description: str
    unit: str
    queries: tuple[Query, ...]
    width: int = 12
    height: int = 8
    columns: tuple[Column, ...] = ()
    sort_by: str = ""
    alarm_from: float | None = None
    repeat: Repeat | None = None
    may_be_empty: bool = False

    def __post_init__(self) -> None:
        for name in ("key", "title", "description", "unit", "queries"):
            if not getattr(self, name):
                raise ValueError(f"panel {self.key!r}: {name} is missing")
        if len({query.datasource for query in self.queries}) > 1:
            raise ValueError(f"panel {self.key!r}: all queries of a panel need the same data source")
        if len(self.queries) > len(REF_IDS):
            raise ValueError(f"panel {self.key!r}: at most {len(REF_IDS)} queries")
        if not 0 < self.width <= COLUMNS:
            raise ValueError(f"panel {self.key!r}: width must be from 1 to {COLUMNS}")
        if (self.kind == "table") != bool(self.columns):
            raise ValueError(f"panel {self.key!r}: a table has columns, and nothing else has")

    @property
    def named_queries(self) -> tuple[tuple[str, Query], ...]:
        """The queries with their reference ids."""
        return tuple(zip(REF_IDS, self.queries, strict=False))


@dataclass(frozen=True, slots=True)
class Section:
    """A titled row of panels; ``key`` never changes."""

    key: str
    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable with several values and All, filled by a ``label_values`` query."""

    name: str
    label: str
    query: str


@dataclass(frozen=True, slots=True)
class Annotation:
    """Marks on every graph: one for each point that ``expr`` returns."""

    name: str
    expr: str
    title: str
    text: str
    tags: tuple[str, ...]
    colour: str


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard. ``question`` is the question that it answers, in a sentence."""

    kind: BoardKind
    uid: str
    title: str
    question: str
    variables: tuple[Variable, ...]
    annotations: tuple[Annotation, ...]
    sections: tuple[Section, ...]

    def __post_init__(self) -> None:
        keys = ["intro", *(f"row:{section.key}" for section in self.sections)]
        keys += [panel.key for panel in self.panels]
        _no_duplicates(f"board {self.uid}: panel keys", keys)
        _no_duplicates(f"board {self.uid}: panel ids", [panel_id(self.kind, key) for key in keys])

    @property
    def panels(self) -> Iterator[Panel]:
        """The panels with data, in reading order."""
        return (panel for section in self.sections for panel in section.panels)


def panel_id(kind: BoardKind, key: str) -> int:
    """The id of a panel: from 1 to 2^24, and independent of every other panel."""
    digest = hashlib.sha256(f"{kind}/{key}".encode()).digest()
    return int.from_bytes(digest[:3]) + 1


def _no_duplicates(what: str, values: Iterable[str | int]) -> None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    if repeated:
        raise ValueError(f"{what}: {repeated[0]!r} occurs more than once")
