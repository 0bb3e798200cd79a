"""Every query of every panel, and what it becomes once Grafana's variables have values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from modelplane_dashboards.kit.api import ALL_VALUES, ApiAccess, api_url
from modelplane_dashboards.kit.board import (
    MAX_API_POINTS,
    ApiQuery,
    Board,
    BoardVariable,
    DatasourceKind,
    Panel,
    PromQuery,
    Query,
)

_VARIABLE = re.compile(r"\$\{(?P<braced>\w+)(?::(?P<format>\w+))?\}|\$(?P<bare>\w+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class PanelQuery:
    """One query of one panel.

    ``text`` is PromQL, or the path of a backend route with parameters that gives the same as rows.
    ``defaults`` are the values of the board's variables when it is opened; together with Grafana's own
    (``__rate_interval``, ``__from``, ``__to``) they are all that ``expand`` needs. ``root`` is the key of the
    rows in the answer of a route.
    """

    board_uid: str
    board_title: str
    panel_title: str
    ref_id: str
    datasource: DatasourceKind
    text: str
    instant: bool
    may_be_empty: bool
    root: str
    defaults: tuple[tuple[str, str], ...]
    api: ApiQuery | None = None


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """What a data source asks of the backend: path and parameters. ``rows`` is the key of the rows.

    Where ``rows`` is empty the whole answer is one row.
    """

    path: str
    rows: str


def panel_queries(boards: Iterable[Board]) -> Iterator[PanelQuery]:
    """The queries of ``boards`` in reading order."""
    for board in boards:
        for panel in board.panels:
            yield from _queries(board, panel)


def expand(text: str, values: Mapping[str, str]) -> str:
    """``text`` with every Grafana variable replaced by its value.

    A value is what Grafana would put in: for several selected values the pattern ``(a|b)``.
    ``${name:percentencode}`` encodes it for a URL. ValueError for a variable without a value and for
    any other format than ``raw``, ``csv`` and ``percentencode``.
    """
    return _VARIABLE.sub(lambda match: _value(match, values), text)


def api_request(query: ApiQuery, access: ApiAccess, values: Mapping[str, str]) -> ApiRequest:
    """What ``query`` becomes in the data source of ``access``, with ``values`` as for ``expand``.

    Infinity puts values into a URL. Our data source leaves a parameter out of which All is chosen, asks the
    route of a metric for its series, and adds the times that the route takes.
    """
    if access == "infinity":
        return ApiRequest(expand(api_url(query), values), query.root)
    pairs = [(name, _selected(value, values)) for name, value in query.parameters]
    pairs = [(name, value) for name, value in pairs if value is not None]
    pairs += [(name, values[f"__{name}"]) for name in query.times]
    if query.kind == "series":
        path, rows = f"metrics/{quote(query.name, safe='')}", "data"
        pairs.append(("maxDataPoints", str(MAX_API_POINTS)))
    else:
        path, rows = query.path or query.name, query.root
    return ApiRequest(f"/api/v1/{path}?{urlencode(pairs)}", rows)


def default_values(board: Board) -> dict[str, str]:
    """The values of a board's variables when it is opened."""
    return {variable.name: variable.default for variable in board.variables} | dict(board.examples)


def _selected(value: str | BoardVariable, values: Mapping[str, str]) -> str | None:
    """The value of a parameter, None where All is chosen."""
    if not isinstance(value, BoardVariable):
        return value
    return None if values[value.name] in ALL_VALUES else values[value.name]


def _queries(board: Board, panel: Panel) -> Iterator[PanelQuery]:
    defaults = default_values(board)
    for ref_id, query in panel.named_queries:
        yield PanelQuery(
            board_uid=board.uid,
            board_title=board.title,
            panel_title=panel.title,
            ref_id=ref_id,
            datasource=query.datasource,
            text=api_url(query) if isinstance(query, ApiQuery) else query.expr,
            instant=query.instant,
            may_be_empty=panel.may_be_empty or _may_be_empty(query),
            root=query.root if isinstance(query, ApiQuery) else "",
            defaults=tuple(defaults.items()),
            api=query if isinstance(query, ApiQuery) else None,
        )


def _may_be_empty(query: Query) -> bool:
    """Whether a query may return nothing where its panel has others: a limit need not be in the registry."""
    return isinstance(query, PromQuery) and (query.may_be_empty or query.style == "limit")


def _value(match: re.Match[str], values: Mapping[str, str]) -> str:
    name, form = match["braced"] or match["bare"], match["format"] or "raw"
    if name not in values:
        raise ValueError(f"no value for the variable {name!r}")
    if form == "percentencode":
        return quote(values[name], safe="")
    if form not in ("raw", "csv"):
        raise ValueError(f"{match[0]}: the format {form!r} is not supported")
    return values[name]
