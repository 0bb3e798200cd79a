"""The boards of SLOs, drift and cost: what they ask, and what their expressions say of made-up series."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from dashboards_support.panels import api_queries, check, expressions, series
from generations import Servers
from modelplane_dashboards.boards.cost import cost
from modelplane_dashboards.boards.drift import drift
from modelplane_dashboards.boards.slo import slo
from modelplane_dashboards.kit.access import reachable
from modelplane_dashboards.kit.api import api_url
from modelplane_dashboards.kit.board import Board, PromQuery
from modelplane_dashboards.kit.context import BoardContext, board_context
from modelplane_dashboards.kit.layout import widths
from modelplane_dashboards.kit.render import render
from modelplane_dashboards.kit.titles import title_letters
from modelplane_dashboards.queries import expand, panel_queries
from modelplane_schema.registry import Registry

ANSWERS = json.loads(
    (Path(__file__).parents[3] / "plugin" / "src" / "testing" / "answers.json").read_text(encoding="utf-8")
)
SOURCES = {
    "series": {metric["name"]: metric for metric in ANSWERS["metrics"]["data"]["metrics"]},
    "table": {table["name"]: table for table in ANSWERS["tables"]["data"]["tables"]},
}
BOARDS = (slo, drift, cost)
CLUSTERLESS = BoardContext(clusters=())
ALL = {"tenant": ".+", "model": ".+", "version": ".+"}
OF_A = {"model": "a", "version": "v1", "tenant": "__all__", "kind": "input", "signal": "age"}


@pytest.fixture(scope="module", params=BOARDS, ids=lambda template: template.__name__)
def board(request: pytest.FixtureRequest, registry: Registry) -> Board:
    built: Board = request.param(board_context(registry))
    return built


def test_every_query_is_promql_once_its_variables_have_values(board: Board) -> None:
    values = {"__rate_interval": "1m", "__interval": "1m"}
    queries = [query for query in panel_queries([board]) if query.datasource == "prometheus"]
    texts = [query.text for query in queries] + [mark.expr for mark in board.annotations]
    assert len(texts) > 10
    for text in texts:
        promql_parser.parse(expand(text, dict(queries[0].defaults) | values))


def test_the_backend_has_what_the_boards_ask_for(board: Board) -> None:
    for query in api_queries(board):
        source = SOURCES[query.kind][query.name]
        known = {parameter["name"] for parameter in source["parameters"]}
        assert {name for name, _ in query.parameters} | set(query.times) <= known
        if query.kind == "table":
            assert (query.path or query.name, query.root) == (source["path"], source["rows"])
            labels = {"kind", "signal", "tenant", "model"}
            assert {field.selector for field in query.fields} <= labels | {
                column["name"] for column in source["columns"]
            }


def test_titles_are_not_cut(board: Board) -> None:
    rows = [row for section in board.sections for row in section.rows]
    for panel, width in (pair for row in rows for pair in zip(row.panels, widths(row), strict=True)):
        assert len(panel.title) <= title_letters(width), panel.title


def test_a_quantity_has_one_window(board: Board) -> None:
    """Burn rates alone have four, each in a panel that names its own."""
    texts = [query.expr for p in board.panels for query in p.queries if isinstance(query, PromQuery)]
    windows: dict[str, set[str]] = {}
    for name, window in re.findall(r"modelplane:(\w+:(?:[a-z]*?))(\d+[mhd])\b", " ".join(texts)):
        windows.setdefault(name, set()).add(window)
    burn = windows.pop("slo_burn_rate:", {"1h"})
    assert burn in ({"1h"}, {"5m", "1h", "6h", "3d"})
    assert windows
    assert all(len(found) == 1 for found in windows.values()), windows


def test_without_the_backend_each_section_still_has_something_to_say(board: Board) -> None:
    alone = reachable(board, "none")
    assert {query.datasource for panel in alone.panels for query in panel.queries} == {"prometheus"}
    assert len(list(alone.panels)) >= 8
    assert render(alone, "none")["uid"] == board.uid


def test_only_drift_and_slo_are_about_one_model(registry: Registry) -> None:
    context = board_context(registry)
    for template, section, selected in (
        (slo, "model", 'model_name="$model"'),
        (drift, "signal", '"$signal"'),
    ):
        panels = next(part for part in template(context).sections if part.key == section).panels
        for query in (query for panel in panels for query in panel.queries if isinstance(query, PromQuery)):
            for selector in re.findall(r"modelplane:[\w:]+\{[^}]*\}", query.expr):
                assert selected in selector or ":config{" in selector, query.expr


def test_a_route_gets_the_times_that_it_takes() -> None:
    urls = {query.name: api_url(query) for query in api_queries(cost(CLUSTERLESS))}
    assert "from=" not in urls["cost_forecast"]
    assert urls["cost_forecast"].endswith("to=${__to}")
    assert urls["costs"].endswith("from=${__from}&to=${__to}")


def constant(name: str, value: float, **labels: str) -> dict[str, Any]:
    """A series that has one value for two hours."""
    return series(name, f"{value}x120", **labels)


def signal(name: str, value: float, **others: str) -> dict[str, Any]:
    labels = {"model_name": "a", "model_version": "v1", "tenant_id": "__all__", "framework": "jax"}
    return constant(f"modelplane:signal_{name}", value, **labels, kind="input", baseline="b", **others)


AGE = {"signal": "age"}
ROWS = signal("observations:increase1h", 500, **AGE)
BY_PSI, BY_MEAN = (signal("moved:1h", 0.4, method=method, **AGE) for method in ("psi", "mean_shift"))
STATES = {
    "moved": ([ROWS, signal("warming_up:1h", 0, **AGE), BY_PSI, BY_MEAN], 3),
    "warming up": ([ROWS, signal("warming_up:1h", 1, **AGE)], 1),
    "as before": ([ROWS, signal("warming_up:1h", 0, **AGE)], 0),
    "too few rows": ([ROWS], 2),
    "another signal": ([signal("moved:1h", 1, method="psi", signal="sex")], None),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_the_state_of_a_signal(servers: Servers, tmp_path: Path, state: str) -> None:
    data, value = STATES[state]
    (expression,) = expressions(drift(CLUSTERLESS), "signal-state-now", **(ALL | OF_A))
    check(servers, tmp_path, data, {expression: [] if value is None else [("{}", value)]}, at="2h")


def test_signals_that_moved_are_listed_with_their_arms(servers: Servers, tmp_path: Path) -> None:
    """Not one that did not move, nor an arm within its limits; n and noise are there for each."""
    data = [
        signal("moved:1h", 0.4, signal="age", method="psi"),
        signal("moved:1h", 2.5, signal="size", method="variance_ratio"),
        *(signal("psi_noise:1h", 0.01, signal=name) for name in ("age", "size", "quiet")),
        *(signal("observations:increase1h", 500, signal=name) for name in ("age", "size", "quiet")),
    ]
    psi, mean, variance, missing, noise, rows, since = expressions(drift(CLUSTERLESS), "moved-signals", **ALL)
    age, size = (
        f'{{model_name="a",model_version="v1",tenant_id="__all__",kind="input",signal="{name}"}}'
        for name in ("age", "size")
    )
    check(servers, tmp_path, data, {
        psi: [(age, 0.4)], mean: [], variance: [(size, 2.5)], missing: [],
        noise: [(age, 0.01), (size, 0.01)], rows: [(age, 500), (size, 500)],
        since: [(age, 0), (size, 0)],
    }, at="2h")  # fmt: skip


def test_budgets_come_with_their_burn_and_against_their_factor(servers: Servers, tmp_path: Path) -> None:
    def of(tenant: str) -> dict[str, str]:
        return {"tenant_id": tenant, "model_name": "a", "model_version": "v1", "slo": "errors"}

    data = [
        constant("modelplane:slo_budget_remaining:ratio", -0.5, **of("x")),
        constant("modelplane:slo_budget_remaining:ratio", 0.9, **of("y")),
        constant("modelplane:slo_burn_rate:1h", 5, **of("x")),
        constant("modelplane:slo_burn_rate:1h", 0.5, **of("y")),
        constant("modelplane:slo_burn_factor:config", 10, model_name="a", slo="errors", long_window="1h"),
        constant("modelplane:slo_burn_factor:config", 1, model_name="a", slo="errors", long_window="3d"),
    ]
    board = slo(CLUSTERLESS)
    left, burn, *_ = expressions(board, "least-left", **ALL)
    labels = [
        f'{{tenant_id="{tenant}",model_name="a",model_version="v1",slo="errors"}}' for tenant in ("x", "y")
    ]
    check(servers, tmp_path, data, {
        left: [(labels[0], -0.5), (labels[1], 0.9)], burn: [(labels[0], 5), (labels[1], 0.5)],
        expressions(board, "burn-against-limit", **ALL)[0]: [("{}", 0.5)],
        expressions(board, "burn-against-limit", **(ALL | {"tenant": "y"}))[0]: [("{}", 0.05)],
        expressions(board, "budgets-spent-now", **ALL)[0]: [("{}", 1)],
        expressions(board, "budgets-spent-now", **(ALL | {"tenant": "y"}))[0]: [("{}", 0)],
    }, at="2h")  # fmt: skip


def test_costs_of_tenants_are_devices_and_tokens_against_the_whole_budget(
    servers: Servers, tmp_path: Path
) -> None:
    """A model that is selected narrows what was spent, and not the pace of a budget that is of all."""

    def of(tenant: str, model: str) -> dict[str, str]:
        version = {"model_name": model, "model_version": "v1", "framework": "jax"}
        return {"tenant_id": tenant, **version, "currency": "EUR"}

    data = [
        constant("modelplane:cost_per_second:rate1h", 0.75, **of("x", "a")),
        constant("modelplane:cost_per_second:rate1h", 0.25, **of("x", "b")),
        constant("modelplane:device_cost:rate1h", 0.25, **of("x", "a")),
        constant("modelplane:budget:config", 30 * 86_400, tenant_id="x", currency="EUR"),
    ]
    board, x = cost(CLUSTERLESS), '{tenant_id="x",currency="EUR"}'
    hour, devices, tokens, budget, pace = expressions(board, "cost-of-tenants", **(ALL | {"model": "a"}))
    check(servers, tmp_path, data, {
        hour: [(x, 2_700)], devices: [(x, 900)], tokens: [(x, 1_800)], budget: [(x, 30 * 86_400)],
        pace: [(x, 1)],
        expressions(board, "pace-now", **ALL)[0]: [("{}", 1)],
    }, at="2h")  # fmt: skip
