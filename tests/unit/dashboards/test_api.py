"""Panels that read the backend: by our data source, by Infinity, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from modelplane_dashboards import API_ACCESSES, ApiAccess, Board, build, files, panel_queries, render
from modelplane_dashboards.kit.api import api_target, api_url
from modelplane_dashboards.kit.board import ApiQuery, BoardVariable
from modelplane_schema.registry import Registry

ANSWERS = json.loads(
    (Path(__file__).parents[3] / "plugin" / "src" / "testing" / "answers.json").read_text(encoding="utf-8")
)
METRICS = {metric["name"]: metric for metric in ANSWERS["metrics"]["data"]["metrics"]}
TABLES = {table["name"]: table for table in ANSWERS["tables"]["data"]["tables"]}
UIDS = {"plugin": "modelplane-monitoring-datasource", "infinity": "yesoreyeram-infinity-datasource"}


def api_queries(boards: tuple[Board, ...]) -> list[ApiQuery]:
    panels = [panel for board in boards for panel in board.panels]
    return [query for panel in panels for query in panel.queries if isinstance(query, ApiQuery)]


def targets(registry: Registry, api: ApiAccess) -> list[dict[str, Any]]:
    boards = [render(board, api) for board in build(registry, api)]
    panels = [panel for board in boards for panel in board["panels"]]
    return [target for panel in panels for target in panel.get("targets", ())]


def read_by(target: dict[str, Any]) -> str:
    kind: str = target["datasource"]["type"]
    return kind


def test_the_backend_has_what_panels_ask_for(boards: tuple[Board, ...]) -> None:
    """By name in its catalogue, with the parameters that it knows and the columns that are shown."""
    queries = api_queries(boards)
    assert {query.name for query in queries} >= {"triage", "alerts"}
    for query in queries:
        source = METRICS[query.name] if query.kind == "series" else TABLES[query.name]
        known = {parameter["name"] for parameter in source["parameters"]}
        assert {name for name, _ in query.parameters} <= known
        assert set(query.times) == {"from", "to"} & known
        if query.kind == "table":
            assert query.root == source["rows"]
            assert (query.path or query.name) == source["path"]
            grouped = {
                text
                for name, value in query.parameters
                if name == "group-by"
                for text in str(value).strip("{}").split(",")
            }
            columns = {column["name"] for column in source["columns"]} | grouped
            assert {field.selector for field in query.fields} <= columns


@pytest.mark.parametrize("api", ["plugin", "infinity"])
def test_each_access_has_its_own_data_source_and_the_same_panels(registry: Registry, api: ApiAccess) -> None:
    kinds = [read_by(target) for target in targets(registry, api)]
    assert set(kinds) == {"prometheus", UIDS[api]}
    assert kinds.count(UIDS[api]) == len(api_queries(build(registry)))


def test_without_access_only_prometheus_is_read(registry: Registry) -> None:
    assert {read_by(target) for target in targets(registry, "none")} == {"prometheus"}
    boards = build(registry, "none")
    assert [board.uid for board in boards] == [board.uid for board in build(registry)]
    assert {query.datasource for query in panel_queries(boards)} == {"prometheus"}
    assert all(section.panels for board in boards for section in board.sections)
    for content in files(registry, "none").values():
        assert b"${api}" not in content


def test_every_access_has_the_same_panels_of_prometheus(registry: Registry) -> None:
    of_prometheus = [
        [target for target in targets(registry, api) if read_by(target) == "prometheus"]
        for api in API_ACCESSES
    ]
    assert of_prometheus[0] == of_prometheus[1] == of_prometheus[2]


def test_tables_show_the_columns_of_the_panel_alone(registry: Registry) -> None:
    """Our data source gives all columns that the backend has."""
    for board in (render(board) for board in build(registry)):
        for panel in board["panels"]:
            if panel["type"] == "table" and panel["datasource"]["type"] == UIDS["plugin"]:
                shown, ordered = panel["transformations"][-2:]
                assert (shown["id"], ordered["id"]) == ("filterFieldsByName", "organize")
                assert shown["options"]["include"]["names"] == list(ordered["options"]["renameByName"])


QUERY = ApiQuery("series", "latency", (("tenant-id", BoardVariable("tenant")),), "rows", ())


def test_a_query_of_our_data_source_is_data() -> None:
    assert api_target("A", QUERY, "plugin") == {
        "refId": "A",
        "datasource": {"type": "modelplane-monitoring-datasource", "uid": "${api}"},
        "kind": "series",
        "name": "latency",
        "format": "time_series",
        "params": {"tenant-id": ["$tenant"]},
    }


@pytest.mark.parametrize("name", ["$tenant", "${tenant}", "[[tenant]]", "a$b", ".+", ".*", "$__all"])
def test_a_name_that_looks_like_a_variable_is_none(name: str) -> None:
    query = ApiQuery("table", "alerts", (("model-name", name), ("limit", "5")), "alerts", ())
    target = api_target("A", query, "plugin")
    assert (target["params"], target["fixed"]) == ({"limit": ["5"]}, {"model-name": [name]})
    assert parse_qs(urlsplit(api_url(query)).query)["model-name"] == [name]
    assert "$tenant" not in api_url(query)
