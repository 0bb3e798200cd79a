"""The boards of alerts, devices, LLMs and the plane: what they ask, and what they say of made-up series."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import promql_parser
import pytest

from dashboards_support.panels import (
    GRAFANA,
    api_queries,
    check,
    expressions,
    panel_of,
    read_series,
    series,
)
from generations import Servers
from modelplane_dashboards.boards.alerts import alerts
from modelplane_dashboards.boards.devices import devices
from modelplane_dashboards.boards.llm import llm
from modelplane_dashboards.boards.plane import plane
from modelplane_dashboards.kit.access import reachable
from modelplane_dashboards.kit.api import api_url
from modelplane_dashboards.kit.board import ApiQuery, Board
from modelplane_dashboards.kit.context import BoardContext, board_context
from modelplane_dashboards.kit.layout import widths
from modelplane_dashboards.kit.render import render
from modelplane_dashboards.kit.titles import title_letters
from modelplane_dashboards.kit.views import Table
from modelplane_dashboards.queries import expand, panel_queries
from modelplane_schema.registry import Registry

ROOT = Path(__file__).parents[3]
ANSWERS = json.loads((ROOT / "plugin" / "src" / "testing" / "answers.json").read_text(encoding="utf-8"))
TABLES = {table["name"]: table for table in ANSWERS["tables"]["data"]["tables"]}
BOARDS = (alerts, devices, llm, plane)
CLUSTERLESS = BoardContext(clusters=())


@pytest.fixture(scope="module", params=BOARDS, ids=lambda template: template.__name__)
def board(request: pytest.FixtureRequest, registry: Registry) -> Board:
    built: Board = request.param(board_context(registry))
    return built


def test_every_query_is_promql_once_its_variables_have_values(board: Board) -> None:
    queries = [query for query in panel_queries([board]) if query.datasource == "prometheus"]
    for text in [query.text for query in queries] + [mark.expr for mark in board.annotations]:
        promql_parser.parse(expand(text, dict(queries[0].defaults) | GRAFANA))


def test_the_backend_has_what_the_boards_ask_for(board: Board) -> None:
    for query in api_queries(board):
        table = TABLES[query.name]
        known = {parameter["name"] for parameter in table["parameters"]}
        assert {name for name, _ in query.parameters} | set(query.times) <= known
        assert (query.path or query.name, query.root) == (table["path"], table["rows"])
        columns = {column["name"] for column in table["columns"]} | {
            "device_type"
        }  # what costs are grouped by
        assert {field.selector for field in query.fields} <= columns


def test_a_table_shows_fields_that_it_asks_for(board: Board) -> None:
    for panel in board.panels:
        if isinstance(panel.view, Table) and isinstance(panel.queries[0], ApiQuery):
            fields = {field.text for field in panel.queries[0].fields}
            assert {column.field for column in panel.view.columns} == fields, panel.key


def test_titles_are_not_cut(board: Board) -> None:
    rows = [row for section in board.sections for row in section.rows]
    for panel, width in (pair for row in rows for pair in zip(row.panels, widths(row), strict=True)):
        assert len(panel.title) <= title_letters(width), panel.title


def test_without_the_backend_only_prometheus_is_read(board: Board) -> None:
    alone = reachable(board, "none")
    assert {query.datasource for panel in alone.panels for query in panel.queries} == {"prometheus"}
    assert render(alone, "none")["uid"] == board.uid


def test_a_stat_of_the_backend_shows_its_field_alone() -> None:
    panels = {panel["title"]: panel for panel in render(alerts(CLUSTERLESS))["panels"]}
    shown = [
        panels[title]["options"]["reduceOptions"]["fields"] for title in ("Acknowledged in", "Resolved in")
    ]
    assert shown == ["/^(mean_time_to_acknowledge_seconds)$/", "/^(mean_time_to_resolve_seconds)$/"]
    assert panels["Firing alerts"]["options"]["reduceOptions"]["fields"] == ""


def test_statistics_are_one_route_and_silences_have_no_range() -> None:
    paths = {query.name: urlsplit(api_url(query)) for query in api_queries(alerts(CLUSTERLESS))}
    assert (
        paths["noisiest_alerts"].path == paths["incident_statistics"].path == "/api/v1/incidents/statistics"
    )
    assert paths["silences"].query == "tenant-id=${tenant:percentencode}&limit=50"


def test_an_incident_leads_to_its_page_of_the_plugin() -> None:
    view = panel_of(alerts(CLUSTERLESS), "incidents").view
    assert isinstance(view, Table)
    columns = {column.title: column for column in view.columns}
    assert columns["Incident"].hidden
    link = columns["Alerts"].link
    assert link is not None
    assert link.url.startswith(
        '/a/modelplane-monitoring-app/incidents/${__data.fields["Incident"]:percentencode}'
    )
    pages = (ROOT / "plugin" / "src" / "app" / "pages.ts").read_text(encoding="utf-8")
    assert "path: 'incidents/:id'" in pages


def test_without_the_plugin_nothing_leads_to_its_pages() -> None:
    by_infinity = reachable(alerts(CLUSTERLESS), "infinity")
    assert "/a/modelplane" in json.dumps(render(alerts(CLUSTERLESS)))
    assert "/a/modelplane" not in json.dumps(render(by_infinity, "infinity"))
    assert [panel.key for panel in by_infinity.panels] == [panel.key for panel in alerts(CLUSTERLESS).panels]


def test_only_device_time_of_the_ledger_is_shown() -> None:
    panel = next(
        panel
        for panel in render(devices(CLUSTERLESS))["panels"]
        if panel["title"] == "Time against the inventory"
    )
    condition = panel["transformations"][0]["options"]["filters"][0]
    assert (condition["fieldName"], condition["config"]["options"]["value"]) == ("unit", "device_seconds")


def test_the_menu_of_llms_has_models_with_tokens_alone() -> None:
    menus = {variable.name: variable for variable in llm(BoardContext()).variables}
    assert menus["model"].menu.query == (
        'label_values(modelplane:version_tokens:rate5m{cluster=~"$cluster"}, model_name)'
    )
    assert not menus["model"].all_value
    assert menus["version"].all_value


def test_a_model_without_tokens_is_told_so_everywhere(registry: Registry) -> None:
    without = [panel.key for panel in llm(board_context(registry)).panels if not panel.empty]
    assert without == []


def test_no_device_is_read_with_its_tenants() -> None:
    """Identities times devices are as many series as are scraped."""
    assert "model_inference_device_seconds_total" not in read_series(devices(CLUSTERLESS))


def test_devices_are_those_of_calls_and_of_the_driver(servers: Servers, tmp_path: Path) -> None:
    """An idle GPU counts, once for all processes that show it, and a device charged twice is busy once."""
    seconds = "modelplane:device_device_seconds:rate5m"
    data = [
        series(seconds, "0.5x60", device="G1", device_type="h200", model_name="a"),
        series(seconds, "0.75x60", device="G1", device_type="h200", model_name="b"),
        series(seconds, "0.5x60", device="vm/a.py", device_type="cpu-process", model_name="a"),
        *(
            series(f"model_device_{name}", value, device=device, device_type="h200", instance=instance)
            for name, value in (
                ("utilization_ratio", "0.5x60"),
                ("power_watts", "100x60"),
                ("memory_used_bytes", "30x60"),
                ("memory_total_bytes", "120x60"),
            )
            for device in ("G1", "G2")
            for instance in ("p1", "p2")
        ),
    ]
    board = devices(CLUSTERLESS)
    busy, used, memory, power, models = expressions(board, "devices")
    one, two, process = (
        f'{{device="{device}",device_type="{kind}"}}'
        for device, kind in (("G1", "h200"), ("G2", "h200"), ("vm/a.py", "cpu-process"))
    )
    check(
        servers,
        tmp_path,
        data,
        {
            expressions(board, "devices-now")[0]: [("{}", 3)],
            expressions(board, "busy-now")[0]: [("{}", 0.5)],
            expressions(board, "utilisation-now")[0]: [("{}", 0.5)],
            expressions(board, "power-now")[0]: [("{}", 200)],
            busy: [(one, 1), (process, 0.5), (two, 0)],
            used: [(one, 0.5), (two, 0.5)],
            memory: [(one, 0.25), (two, 0.25)],
            power: [(one, 100), (two, 100)],
            models: [(one, 2), (process, 1)],
        },
    )


def test_without_a_gpu_devices_are_processes(servers: Servers, tmp_path: Path) -> None:
    data = [
        series(
            "modelplane:device_device_seconds:rate5m", "0.25x60", device="p", device_type="cpu-process",
            model_name="a",
        )
    ]  # fmt: skip
    board = devices(CLUSTERLESS)
    check(
        servers,
        tmp_path,
        data,
        {
            expressions(board, "devices-now")[0]: [("{}", 1)],
            expressions(board, "busy-now")[0]: [("{}", 0.25)],
            expressions(board, "utilisation-now")[0]: [],
        },
    )
    assert panel_of(board, "utilisation-now").empty == "Not reported here: no GPU is monitored"


def test_the_cost_of_a_million_tokens_is_weighted_by_tokens(servers: Servers, tmp_path: Path) -> None:
    """A tenant with 1 token per second at 30 and one with 9 at 10 pay 12; one without a price counts not."""

    def of(tenant: str, **others: str) -> dict[str, str]:
        return {"model_name": "a", "model_version": "v1", "tenant_id": tenant, "framework": "jax", **others}

    cost = "modelplane:token_cost_per_million:ratio1h"
    data = [
        *(series(cost, "30x60", **of("x", kind=kind, currency="EUR")) for kind in ("output", "all")),
        *(series(cost, "10x60", **of("y", kind=kind, currency="EUR")) for kind in ("output", "all")),
        series("modelplane:tokens:rate1h", "1x60", **of("x", kind="output")),
        series("modelplane:tokens:rate1h", "9x60", **of("y", kind="output")),
        series("modelplane:tokens:rate1h", "5x60", **of("unpriced", kind="output")),
    ]
    board = llm(CLUSTERLESS)
    (now,) = expressions(board, "cost-per-million-now")
    check(
        servers,
        tmp_path,
        data,
        {
            now: [('{currency="EUR"}', 12)],
        },
    )


def test_tokens_in_and_out_partition_the_kinds(servers: Servers, tmp_path: Path) -> None:
    rates = {"input": 1, "cached_input": 3, "output": 2, "reasoning": 1}
    data = [
        series("modelplane:version_tokens:rate5m", f"{rate}x60", model_name="a", model_version="v", kind=kind)
        for kind, rate in rates.items()
    ]
    board = llm(CLUSTERLESS)
    expected = {"tokens-in-now": 4, "tokens-out-now": 3, "cached-input-now": 0.75}
    check(
        servers,
        tmp_path,
        data,
        {expressions(board, key)[0]: [("{}", value)] for key, value in expected.items()},
    )


def test_a_timeline_has_what_is_over_at_its_end(servers: Servers, tmp_path: Path) -> None:
    """An hour of a critical alert is more than that of thirty warnings, which alone fire two hours later."""
    firing = {"alertstate": "firing", "tenant_id": "x", "model_name": "a"}
    data = [
        series("ALERTS", "1x120", alertname="Over", severity="critical", **firing),
        *(
            series("ALERTS", "_x110 1x70", alertname=f"A{number}", severity="warning", **firing)
            for number in range(30)
        ),
    ]
    (timeline,) = expressions(alerts(CLUSTERLESS), "alert-timeline")
    over = '{alertname="Over",model_name="a"}'
    check(servers, tmp_path, data, {timeline.replace("@ end()", "@ 10800"): [(over, 3)]})
