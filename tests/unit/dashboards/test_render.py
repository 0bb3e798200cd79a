"""Invariants over every panel of every rendered board."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units as grafana_units
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards_support.grafana_variables import variables_in
from modelplane_dashboards import Board

Json = dict[str, Any]

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
API = {"type": "modelplane-monitoring-datasource", "uid": "modelplane"}
GRAFANA_VARIABLES = {
    "__rate_interval",
    "__interval",
    "__from",
    "__to",
    "__all",
    "__url_time_range",
    "__value",
    "__data",
}
UNITS = {value for name, value in vars(grafana_units).items() if isinstance(value, str) and name[0].isupper()}
# Read by Grafana's Prometheus data source from its annotations; the dashboard schema does not list them.
ANNOTATION_KEYS = {"step", "tagKeys", "textFormat", "titleFormat"}


@pytest.fixture(params=range(10))
def board(rendered: tuple[Json, ...], request: pytest.FixtureRequest) -> Json:
    content: Json = rendered[request.param]
    return content


def data_panels(board: Json) -> list[Json]:
    return [panel for panel in board["panels"] if panel["type"] not in ("row", "text")]


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for member in value.values():
            yield from strings(member)
    elif isinstance(value, list):
        for member in value:
            yield from strings(member)


def dropped(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """Paths of ``before`` that ``after`` lacks or has changed."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key, value in before.items():
            if key in after:
                yield from dropped(value, after[key], f"{path}/{key}")
            else:
                yield f"{path}/{key}"
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, value in enumerate(before):
            yield from dropped(value, after[index], f"{path}/{index}")
    elif before != after:
        yield path


def test_the_fixture_covers_every_board(rendered: tuple[Json, ...]) -> None:
    assert len(rendered) == 10


def test_grafanas_typed_models_drop_nothing(board: Json) -> None:
    register_default_plugins()
    encoded = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    lost = set(dropped(board, encoded))
    allowed = {f"/annotations/list/{index}/{key}" for index in range(2) for key in ANNOTATION_KEYS}
    assert lost == allowed


def test_the_typed_models_would_notice_an_unknown_key(board: Json) -> None:
    register_default_plugins()
    changed = json.loads(json.dumps(board))
    panel = data_panels(changed)[0]
    panel["span"] = panel["options"]["unknown"] = panel["targets"][0]["step"] = 1
    lost = set(dropped(changed, json.loads(json.dumps(Dashboard.from_json(changed), cls=JSONEncoder))))
    assert {path.rsplit("/", 1)[1] for path in lost} >= {"span", "unknown", "step"}


def test_board_settings(board: Json) -> None:
    assert board["editable"] is False
    assert (board["schemaVersion"], board["graphTooltip"], board["timezone"]) == (39, 1, "browser")
    assert "modelplane" in board["tags"]


def test_uids_and_titles_are_unique_and_valid(rendered: tuple[Json, ...]) -> None:
    uids = [board["uid"] for board in rendered]
    assert len(set(uids)) == len(uids)
    assert len({board["title"] for board in rendered}) == len(rendered)
    assert all(re.fullmatch(r"[a-z0-9-]{1,40}", uid) for uid in uids)


def test_a_text_panel_at_the_top_says_which_question_the_board_answers(board: Json) -> None:
    first = board["panels"][0]
    assert first["type"] == "text"
    assert first["options"]["content"].endswith("?")
    assert first["gridPos"]["y"] == 0


def test_panels_have_title_description_and_a_known_unit(board: Json) -> None:
    for panel in data_panels(board):
        assert panel["title"], panel
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS, panel["title"]


def test_panels_have_one_datasource_object_and_unique_ref_ids(board: Json) -> None:
    for panel in data_panels(board):
        assert panel["datasource"] in (PROMETHEUS, API), panel["title"]
        assert panel["targets"], panel["title"]
        assert all(target["datasource"] == panel["datasource"] for target in panel["targets"])
        ref_ids = [target["refId"] for target in panel["targets"]]
        assert len(set(ref_ids)) == len(ref_ids), panel["title"]


def test_tables_ask_for_tables_and_graphs_for_series(board: Json) -> None:
    for panel in data_panels(board):
        formats = {target["format"] for target in panel["targets"]}
        if panel["type"] == "table":
            assert formats == {"table"}, panel["title"]
        else:
            assert formats == {"time_series"}, panel["title"]


def test_panels_do_not_overlap_and_stay_within_24_columns(board: Json) -> None:
    places = [panel["gridPos"] for panel in board["panels"]]
    for place in places:
        assert place["x"] >= 0
        assert place["w"] > 0
        assert place["x"] + place["w"] <= 24
    for a, b in combinations(places, 2):
        side_by_side = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        above = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert side_by_side or above, (a, b)


def test_panel_ids_are_unique(board: Json) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    assert all(0 < number <= 2**24 for number in ids)


def test_no_null_but_the_base_of_thresholds(board: Json) -> None:
    def nulls(value: Any, path: str) -> Iterator[str]:
        if value is None:
            yield path
        elif isinstance(value, dict):
            for key, member in value.items():
                yield from nulls(member, f"{path}/{key}")
        elif isinstance(value, list):
            for index, member in enumerate(value):
                yield from nulls(member, f"{path}/{index}")

    assert all(path.endswith("/thresholds/steps/0/value") for path in nulls(board, ""))


def test_no_placeholder_of_a_template_is_left_over(board: Json) -> None:
    for text in strings(board):
        assert not re.search(r"%\(|\{\}|(?<![{$])\{[a-z_]+\}(?!\})|None\b", text), text


def test_every_variable_used_is_declared(board: Json) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]} | GRAFANA_VARIABLES
    for text in strings(board):
        used = {re.split(r"[.:]", name)[0] for name in re.findall(r"\$\{([^}]+)\}", text)}
        assert used | variables_in(text) <= declared, text


def test_the_datasource_variable_comes_first(board: Json) -> None:
    first = board["templating"]["list"][0]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert first["label"] == "Data source"


def test_query_variables_take_several_values_and_reload_with_the_time_range(board: Json) -> None:
    for variable in board["templating"]["list"][1:]:
        assert (variable["type"], variable["multi"], variable["includeAll"]) == ("query", True, True)
        assert (variable["allValue"], variable["refresh"]) == (".+", 2)
        assert variable["datasource"] == PROMETHEUS
        assert variable["current"] == {"selected": True, "text": ["All"], "value": ["$__all"]}


def test_variables_of_each_kind_of_board(boards: tuple[Board, ...]) -> None:
    expected = {
        "fleet": ("tenant", "model", "version"),
        "tenant": ("model", "version"),
        "model": ("tenant", "version"),
    }
    for board in boards:
        assert tuple(variable.name for variable in board.variables) == expected[board.kind]


def test_links_between_boards_keep_time_and_variables(board: Json) -> None:
    assert board["links"]
    assert all(link["keepTime"] and link["includeVars"] for link in board["links"])
    titles = [link["title"] for link in board["links"]]
    assert titles == (["Tenants", "Models"] if board["uid"] == "mp-fleet" else ["Fleet", "Tenants", "Models"])


def test_annotations_show_alerts_and_version_changes(board: Json) -> None:
    alerts, versions = board["annotations"]["list"]
    assert 'ALERTS{alertstate="firing"' in alerts["expr"]
    assert "model_info{" in versions["expr"]
    assert alerts["datasource"] == versions["datasource"] == PROMETHEUS
    assert alerts["iconColor"] != versions["iconColor"]


def test_column_overrides_name_columns_that_exist(board: Json) -> None:
    for panel in data_panels(board):
        overrides = panel["fieldConfig"]["overrides"]
        renamed = {
            title
            for step in panel["transformations"]
            if step["id"] == "organize"
            for title in step["options"]["renameByName"].values()
        }
        assert {override["matcher"]["options"] for override in overrides} <= renamed, panel["title"]
        assert all(sort["displayName"] in renamed for sort in panel["options"].get("sortBy", []))
