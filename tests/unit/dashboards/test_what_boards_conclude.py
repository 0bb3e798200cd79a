"""What a reader concludes from a panel: how many, of whom, and against which limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dashboards_support.panels import api_queries, check, expressions, panel_of, series
from generations import Servers
from modelplane_dashboards.boards.alerts import alerts
from modelplane_dashboards.boards.fleet import fleet
from modelplane_dashboards.boards.llm import llm
from modelplane_dashboards.boards.model import model
from modelplane_dashboards.boards.tenant import tenant
from modelplane_dashboards.kit.access import reachable
from modelplane_dashboards.kit.api import ApiAccess
from modelplane_dashboards.kit.board import Board, BoardVariable
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.render import render
from modelplane_dashboards.kit.views import Table, TimeSeries

CLUSTERLESS = BoardContext(clusters=())
ALL = {"tenant": ".+", "model": ".+", "version": ".+"}
OF_A = {"model_name": "a", "model_version": "v1", "tenant_id": "x"}


@pytest.mark.slow
def test_alerts_of_one_name_are_counted_one_by_one(servers: Servers, tmp_path: Path) -> None:
    firing = {**OF_A, "alertstate": "firing", "alertname": "Burn", "severity": "critical"}
    data = [series("ALERTS", "1x60", **firing, slo=slo) for slo in ("availability", "latency")]
    (now,) = expressions(fleet(CLUSTERLESS), "firing-alerts-now")
    (critical,) = expressions(alerts(CLUSTERLESS), "critical-alerts-now", **ALL)
    (of_models, *_) = expressions(fleet(CLUSTERLESS), "models")
    (rows,) = expressions(alerts(CLUSTERLESS), "firing-alerts", **ALL)
    row = '{alertname="Burn",model_name="a",model_version="v1",severity="critical",tenant_id="x"}'
    wanted = {now: ("{}", 2.0), critical: ("{}", 2.0), of_models: ('{model_name="a"}', 2.0), rows: (row, 3.0)}
    check(servers, tmp_path, data, {text: [sample] for text, sample in wanted.items()})


def burns(rates: dict[tuple[str, str], float]) -> list[dict[str, Any]]:
    labels = {"model_name": "a", "framework": "jax", "slo": "availability"}
    return [
        series("modelplane:slo_burn_rate:1h", f"{rate}x60", **labels, tenant_id=who, model_version=version)
        for (who, version), rate in rates.items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("rate", [2, 0.5])
def test_a_tenant_that_burns_on_two_versions_is_one_tenant(
    servers: Servers, tmp_path: Path, rate: float
) -> None:
    data = burns({("x", "v1"): rate, ("x", "v2"): rate, ("y", "v1"): 0.5})
    *_, burning = expressions(fleet(CLUSTERLESS), "slo-states")
    count = 1 if rate > 1 else 0
    check(servers, tmp_path, data, {burning: [('{model_name="a",slo="availability"}', count)]})


@pytest.mark.slow
def test_a_signal_has_one_bar_for_what_its_name_says(servers: Servers, tmp_path: Path) -> None:
    labels = {"model_name": "a", "tenant_id": "__all__", "kind": "input", "signal": "age"}
    data = [
        series(f"modelplane:signal_{name}:1h", f"{value}x60", **labels, model_version=version)
        for name, values in (("psi", {"v1": 0.5, "v2": 0.75}), ("psi_noise", {"v1": 0, "v2": 0}))
        for version, value in values.items()
    ]
    (of_fleet,) = expressions(fleet(CLUSTERLESS), "top-movers")
    (of_model,) = expressions(model(CLUSTERLESS), "top-movers", model="a", version=".+")
    named = '{kind="input",signal="age"'
    wanted = {
        of_fleet: [(f'{named},model_name="a"}}', 0.75)],
        of_model: [(f'{named},model_version="{v}"}}', value) for v, value in (("v2", 0.75), ("v1", 0.5))],
    }
    check(servers, tmp_path, data, wanted)


def test_lines_of_two_versions_have_two_names() -> None:
    (course, *_) = panel_of(model(CLUSTERLESS), "psi-of-top").queries
    assert "model_version" in getattr(course, "legend", "")


@pytest.mark.parametrize("board", [model(CLUSTERLESS), llm(CLUSTERLESS)], ids=lambda board: board.kind)
def test_versions_share_the_capacity_of_their_model(board: Board) -> None:
    views = [panel.view for panel in board.panels if panel.title == "In flight against capacity"]
    assert len(views) == 1
    assert isinstance(views[0], TimeSeries)
    assert views[0].stacked


def test_stored_alerts_of_a_tenant_are_those_of_the_selected_models() -> None:
    (stored,) = (query for query in api_queries(tenant(CLUSTERLESS)) if query.name == "alerts")
    assert dict(stored.parameters)["model-name"] == BoardVariable("model")


@pytest.mark.parametrize("api", ["plugin", "infinity", "none"])
def test_links_keep_the_backend_where_boards_have_one(api: ApiAccess) -> None:
    board = reachable(fleet(CLUSTERLESS), api)
    names = {variable["name"] for variable in render(board, api)["templating"]["list"]}
    tables = [panel.view for panel in board.panels if isinstance(panel.view, Table)]
    urls = [column.link.url for table in tables for column in table.columns if column.link]
    assert urls
    for url in urls:
        assert ("${api:queryparam}" in url) == ("api" in names), url
        assert "&&" not in url
        assert "?&" not in url
