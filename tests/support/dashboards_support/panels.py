"""What panels ask, and what their expressions say of made-up series."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generations import Servers
from modelplane_dashboards.kit.board import ApiQuery, Board, Panel, PromQuery
from modelplane_dashboards.queries import expand, panel_queries
from modelplane_schema.series_labels import SERIES_LABELS
from promtool import complaints

GRAFANA = {"__rate_interval": "5m", "__interval": "1m"}
SELECTED = GRAFANA | {"tenant": ".+", "model": "a", "version": ".+"}


def api_queries(board: Board) -> Iterator[ApiQuery]:
    return (query for panel in board.panels for query in panel.queries if isinstance(query, ApiQuery))


def panel_of(board: Board, key: str) -> Panel:
    return next(panel for panel in board.panels if panel.key == key)


def expressions(board: Board, key: str, **values: str) -> list[str]:
    queries = panel_of(board, key).queries
    return [expand(query.expr, SELECTED | values) for query in queries if isinstance(query, PromQuery)]


def read_series(board: Board) -> set[str]:
    text = " ".join(query.text for query in panel_queries([board]) if query.datasource == "prometheus")
    return {name for name in re.findall(r"[\w:]+", text) if name in SERIES_LABELS}


def series(name: str, values: str, **labels: str) -> dict[str, Any]:
    inner = ",".join(f'{label}="{text}"' for label, text in labels.items())
    return {"series": f"{name}{{{inner}}}", "values": values}


def check(
    servers: Servers,
    folder: Path,
    data: list[dict[str, Any]],
    expected: Mapping[str, list[tuple[str, float]]],
    at: str = "1h",
) -> None:
    """Fails unless each expression gives its samples, of labels and value, so long after ``data`` begins."""
    tests = [
        {
            "expr": expression,
            "eval_time": at,
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples],
        }
        for expression, samples in expected.items()
    ]
    content = {"tests": [{"interval": "1m", "input_series": data, "promql_expr_test": tests}]}
    assert complaints(servers.promtool, folder, [], content) == ""
