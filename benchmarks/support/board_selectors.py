"""Every query of every board as Grafana asks it for the last day, and the series that each selects."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import promql_parser

from modelplane_dashboards import Board, LabelValues, PanelQuery, Variable, expand, panel_queries

RANGE_SECONDS = 86_400
STEP_SECONDS = 120  # Grafana rounds a day in 500 points, 172.8 s, to two minutes

_OPERATORS = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}

QueryKind = Literal["range", "instant", "values"]


@dataclass(frozen=True, slots=True)
class BoardQuery:
    """One query of a board: of a panel, of an annotation or of a menu.

    ``kind`` is ``values`` for the values of ``label`` over the range, of the series that ``text`` selects.
    """

    board: str
    name: str
    kind: QueryKind
    text: str
    may_be_empty: bool
    label: str = ""
    is_menu: bool = False


class Selector(NamedTuple):
    """What a query selects. ``over_range`` marks samples of the whole range, not of its end alone."""

    name: str
    matchers: tuple[tuple[str, str, str], ...]
    over_range: bool

    def allows(self, label: str, value: str) -> bool:
        """Whether a series whose ``label`` has this value, empty for none, may match."""
        return all(_matches(op, wanted, value) for name, op, wanted in self.matchers if name == label)


def board_queries(boards: Iterable[Board], scrape_seconds: int) -> Iterator[BoardQuery]:
    """All PromQL of ``boards``, its variables at their defaults: All, or one that exists."""
    intervals = {
        "__interval": f"{STEP_SECONDS}s",
        "__rate_interval": f"{max(STEP_SECONDS + scrape_seconds, 4 * scrape_seconds)}s",
    }
    for board in boards:
        values = {item.name: item.default for item in board.variables} | dict(board.examples) | intervals
        for query in panel_queries([board]):
            if query.datasource == "prometheus":
                yield _of_panel(query, expand(query.text, values))
        for annotation in board.annotations:
            name = f"annotation {annotation.name}"
            yield BoardQuery(board.uid, name, "range", expand(annotation.expr, values), may_be_empty=True)
        for variable in board.variables:
            yield _of_menu(board.uid, variable, expand(variable.menu.expr, values))


def selectors(query: BoardQuery) -> list[Selector]:
    """The selectors of a query, each once."""
    nodes: list[Any] = []
    promql_parser.walk(promql_parser.parse(query.text), pre_visit=nodes.append)
    over_range = query.kind == "range" or any(isinstance(item, promql_parser.SubqueryExpr) for item in nodes)
    return list(
        dict.fromkeys(
            Selector(item.name or "", tuple(_matchers_of(item)), over_range)
            for item in nodes
            if isinstance(item, promql_parser.VectorSelector)
        )
    )


def _of_panel(query: PanelQuery, text: str) -> BoardQuery:
    name = f"{query.panel_title} ({query.ref_id})"
    return BoardQuery(
        query.board_uid, name, "instant" if query.instant else "range", text, query.may_be_empty
    )


def _of_menu(board: str, variable: Variable, text: str) -> BoardQuery:
    name, menu = f"menu {variable.name}", variable.menu
    if isinstance(menu, LabelValues):
        return BoardQuery(board, name, "values", text, False, menu.label, is_menu=True)
    return BoardQuery(board, name, "instant", text, False, is_menu=True)


def _matchers_of(selector: Any) -> Iterator[tuple[str, str, str]]:
    for matcher in selector.matchers.matchers:
        yield matcher.name, _OPERATORS[str(matcher.op)], matcher.value


def _matches(op: str, wanted: str, value: str) -> bool:
    is_match = re.fullmatch(wanted, value) is not None if op.endswith("~") else wanted == value
    return is_match != op.startswith("!")
