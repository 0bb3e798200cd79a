"""A board from the browser: what Grafana adds is no difference, what somebody changed is one."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from modelplane_dashboards import (
    OutputError,
    adopted_difference,
    files,
    read_dashboard,
    stripped,
)
from modelplane_schema.registry import Registry

BUILT_IN = {
    "builtIn": 1,
    "datasource": {"type": "grafana", "uid": "-- Grafana --"},
    "enable": True,
    "hide": True,
    "iconColor": "rgba(0, 211, 255, 1)",
    "name": "Annotations & Alerts",
    "type": "dashboard",
}


def from_classic_api(board: dict[str, Any]) -> dict[str, Any]:
    return {"dashboard": board | {"id": 12, "version": 3}, "meta": {"provisioned": True}}


def from_browser(board: dict[str, Any]) -> dict[str, Any]:
    """As Grafana converts a board to v1beta1, which is what its browser loads and exports."""
    board = copy.deepcopy(board)
    board |= {"id": 12, "version": 3, "schemaVersion": 42, "fiscalYearStartMonth": 0, "timepicker": {}}
    board |= {"weekStart": "", "preload": False}
    board["annotations"]["list"].insert(0, BUILT_IN)
    for variable in board["templating"]["list"]:
        variable |= {"current": {"text": "b", "value": "b"}, "options": []}
    for panel in board["panels"]:
        panel["pluginVersion"] = "12.4.0"
        for key, value in (("links", []), ("transformations", []), ("transparent", False), ("title", "")):
            if panel.get(key) == value:
                del panel[key]
        for step in panel.get("fieldConfig", {}).get("defaults", {}).get("thresholds", {}).get("steps", ()):
            if step.get("value", 0) is None:
                del step["value"]
    return board


def resource(board: dict[str, Any]) -> dict[str, Any]:
    spec = from_browser(board)
    metadata = {"name": spec.pop("uid"), "generation": 2, "annotations": {"grafana.app/folder": "modelplane"}}
    version = "dashboard.grafana.app/v1beta1"
    return {"apiVersion": version, "kind": "Dashboard", "metadata": metadata, "spec": spec, "status": {}}


@pytest.fixture(scope="module")
def generated(registry: Registry) -> dict[str, bytes]:
    return dict(files(registry))


@pytest.mark.slow
@pytest.mark.parametrize("export", [dict, from_classic_api, from_browser, resource])
def test_what_grafana_adds_is_no_difference(generated: dict[str, bytes], tmp_path: Path, export: Any) -> None:
    for text in generated.values():
        path = tmp_path / "export.json"
        path.write_text(json.dumps(export(json.loads(text))))
        board = read_dashboard(path)
        assert adopted_difference(generated, board, str(path)) is None
        assert adopted_difference(generated, stripped(board), str(path)) is None


@pytest.mark.parametrize("export", [dict, from_classic_api, from_browser, resource])
def test_what_somebody_changed_is_told_by_panel(
    generated: dict[str, bytes], tmp_path: Path, export: Any
) -> None:
    board = json.loads(generated["boards/mp-fleet.json"])
    changed, removed = [panel for panel in board["panels"] if panel.get("targets")][:2]
    changed["description"] = "Mine"
    board["panels"].remove(removed)
    path = tmp_path / "export.json"
    path.write_text(json.dumps(export(board)))
    difference = adopted_difference(generated, read_dashboard(path), str(path))
    assert difference is not None
    assert difference.changes == ()
    assert [(panel.state, panel.id) for panel in difference.panels] == [
        ("changed", changed["id"]),
        ("removed", removed["id"]),
    ]
    assert [change.key for change in difference.panels[0].changes] == ["description"]


def test_stripped_keeps_what_is_not_of_the_server(generated: dict[str, bytes]) -> None:
    board = json.loads(generated["boards/mp-fleet.json"])
    content = stripped(from_browser(board))
    added = {"id", "version", "fiscalYearStartMonth", "timepicker", "weekStart", "preload"}
    assert set(board) - {"__inputs"} == set(content)
    assert added.isdisjoint(content)
    assert content["schemaVersion"] == 42
    assert BUILT_IN not in content["annotations"]["list"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("{", "is not JSON"),
        ("[]", "has no list of panels; allowed: a dashboard of Grafana as classic JSON"),
        ('{"panels": {}}', "has no list of panels"),
        ('{"panels": [1], "uid": "x"}', "has no list of panels"),
        ('{"panels": []}', "has no uid"),
        ('{"spec": {"elements": {}}}', "is a dashboard of version 2"),
        ('{"spec": {"panels": []}}', "has no uid"),
        ('{"spec": {"panels": []}, "metadata": 1}', "has no uid"),
        ('{"panels": [], "uid": "x", "annotations": {"list": "x"}}', "annotations.list has a shape"),
        ('{"panels": [], "uid": "x", "annotations": [1]}', "annotations has a shape"),
        ('{"panels": [], "uid": "x", "templating": {"list": [null]}}', "templating.list has a shape"),
        ('{"panels": [{"id": []}], "uid": "x"}', r"panels\[0\].id has a shape"),
        ('{"panels": [{"panels": [2]}], "uid": "x"}', r"panels\[0\].panels has a shape"),
        ('{"panels": [{"fieldConfig": [2]}], "uid": "x"}', r"panels\[0\].fieldConfig has a shape"),
        (
            '{"panels": [{"fieldConfig": {"defaults": {"thresholds": {"steps": [1]}}}}], "uid": "x"}',
            r"panels\[0\].fieldConfig.defaults.thresholds.steps has a shape",
        ),
    ],
)
def test_files_that_are_no_board(tmp_path: Path, content: str, problem: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(content)
    with pytest.raises(OutputError, match=rf"export\.json: {problem}"):
        read_dashboard(path)


def test_a_file_that_is_absent_and_a_board_that_is_not_ours(
    generated: dict[str, bytes], tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="absent: cannot be read: No such file"):
        read_dashboard(tmp_path / "absent")
    with pytest.raises(OutputError, match="mine: the registry has no board of the uid 'mp-marketing'"):
        adopted_difference(generated, {"uid": "mp-marketing", "panels": []}, "mine")
