"""The page that says how to add a board: its example is a board like ours."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser

from modelplane_dashboards import Board, expand, panel_queries, render
from modelplane_dashboards.kit.board import Row, Section
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.scope import several
from modelplane_dashboards.kit.variables import variables
from modelplane_dashboards.measures import alerts, calls

NAMES = {
    "Board": Board,
    "BoardContext": BoardContext,
    "Row": Row,
    "Section": Section,
    "alerts": alerts,
    "calls": calls,
    "several": several,
    "variables": variables,
}


def test_the_example_of_the_page_is_a_board(root: Path) -> None:
    page = (root / "docs" / "boards.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^## Add a board$.*?```python\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    scope = dict(NAMES)
    exec(example, scope)  # noqa: S102 - the page's own example
    board = scope["regions"](BoardContext())  # type: ignore[operator]
    queries = [query.text for query in panel_queries([board])]
    assert len(queries) == 3
    for text in queries:
        promql_parser.parse(expand(text, {"tenant": ".+", "cluster": ".*", "__rate_interval": "1m"}))
    content = render(board)
    assert [variable["name"] for variable in content["templating"]["list"]] == [
        "datasource", "api", "cluster", "tenant",
    ]  # fmt: skip
    assert [panel["gridPos"]["w"] for panel in content["panels"] if panel["type"] != "row"] == [
        24,
        12,
        12,
        24,
    ]
