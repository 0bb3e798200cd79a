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
from modelplane_dashboards.boards import TEMPLATES
from modelplane_dashboards.kit.context import BoardContext
from modelplane_dashboards.kit.titles import title_letters

Json = dict[str, Any]

PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
API = {"type": "modelplane-monitoring-datasource", "uid": "${api}"}
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


BOARDS = (*(template(BoardContext()).kind for template in TEMPLATES), "tenant of its own", "model of its own")


@pytest.fixture(params=range(len(BOARDS)), ids=BOARDS)
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
    assert len(rendered) == len(BOARDS)


def test_grafanas_typed_models_drop_nothing(board: Json) -> None:
    register_default_plugins()
    encoded = json.loads(json.dumps(Dashboard.from_json(board), cls=JSONEncoder))
    lost = set(dropped(board, encoded))
    allowed = {
        f"/annotations/list/{index}/{key}"
        for index in range(len(board["annotations"]["list"]))
        for key in ANNOTATION_KEYS
    }
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
    assert (first["type"], first["gridPos"]["y"]) == ("text", 0)
    question, _, advice = first["options"]["content"].removeprefix("**").partition("?** ")
    assert board["description"] == f"{question}?"
    assert advice.endswith(".")


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
        for target in panel["targets"]:
            if panel["datasource"] != PROMETHEUS:
                assert target["format"] == ("table" if target["kind"] == "table" else "time_series")
                continue
            is_trend = panel["type"] == "table" and target.get("range", False)
            allowed = {
                "table": "time_series" if is_trend else "table",
                "heatmap": "heatmap",
                "barchart": "table",
            }
            assert target["format"] == allowed.get(panel["type"], "time_series"), panel["title"]


def test_rows_fill_24_columns(board: Json) -> None:
    by_top: dict[int, list[Json]] = {}
    for panel in board["panels"]:
        by_top.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
    for places in by_top.values():
        assert sum(place["w"] for place in places) == 24, places
        assert len({place["h"] for place in places}) == 1, places


def test_titles_fit_their_panels_at_1280_px(board: Json) -> None:
    for panel in data_panels(board):
        assert len(panel["title"]) <= title_letters(panel["gridPos"]["w"]), panel["title"]


def test_titles_are_unique_on_a_board(board: Json) -> None:
    titles = [panel["title"] for panel in data_panels(board)]
    assert sorted(set(titles)) == sorted(titles)


def test_no_two_panels_of_a_board_show_the_same(board: Json) -> None:
    shown: dict[str, str] = {}
    for panel in data_panels(board):
        targets = [{key: target[key] for key in target if key != "refId"} for target in panel["targets"]]
        fields = panel.get("options", {}).get("reduceOptions", {}).get("fields")
        question = json.dumps([targets, fields, panel.get("transformations")], sort_keys=True)
        assert question not in shown, f"{panel['title']} shows what {shown[question]} does"
        shown[question] = panel["title"]


def test_a_legend_that_is_a_table_has_room(board: Json) -> None:
    for panel in data_panels(board):
        legend = panel["options"].get("legend", {})
        if legend.get("displayMode") == "table":
            assert panel["gridPos"]["w"] >= 16, panel["title"]
        assert not legend.get("calcs"), panel["title"]


def test_a_cell_has_at_most_one_link(board: Json) -> None:
    for panel in data_panels(board):
        for entry in panel["fieldConfig"]["overrides"]:
            links = [item["value"] for item in entry["properties"] if item["id"] == "links"]
            assert all(len(value) == 1 for value in links), panel["title"]


def test_links_lead_to_boards_that_exist_and_keep_time(board: Json, rendered: tuple[Json, ...]) -> None:
    variables = {item["uid"]: {v["name"] for v in item["templating"]["list"]} for item in rendered}
    for text in strings(board):
        if text.startswith("/d/") and "?" in text:
            uid, _, query = text.removeprefix("/d/").partition("?")
            assert query.endswith("${datasource:queryparam}&${__url_time_range}"), text
            given = {
                part.removeprefix("var-").partition("=")[0] for part in query.split("&") if "var-" in part
            }
            kept = set(re.findall(r"\$\{(\w+):queryparam\}", query))
            assert given | kept <= variables[uid], text


# Shares that can be below 0: differences, and what is left of a budget that is overspent.
SIGNED = {"Missing shift", "Budget left by tenant and version"}


def test_axes_of_shares_stay_within_0_and_1(board: Json) -> None:
    for panel in data_panels(board):
        defaults = panel["fieldConfig"]["defaults"]
        if panel["type"] == "timeseries" and defaults["unit"] == "percentunit":
            assert (panel["title"] in SIGNED) == ("min" not in defaults), panel["title"]
            assert defaults.get("max", defaults["custom"].get("axisSoftMax")) <= 1, panel["title"]


def test_null_is_a_gap(board: Json) -> None:
    for panel in data_panels(board):
        if panel["type"] == "timeseries":
            assert panel["fieldConfig"]["defaults"]["custom"]["spanNulls"] is False, panel["title"]


# Amounts of work, money and time, of which more is neither good nor bad, or for which there is no limit.
NEUTRAL = {
    *("Acknowledged in", "Resolved in", "Cost per hour", "Cost per million", "Requests", "In flight"),
    *("Confidence", "Devices", "Devices busy", "Busy with calls", "Least busy with calls", "GPU power"),
    *("GPU utilisation", "Warming up", "Too few rows", "Noise of psi", "psi of activations", "Cached input"),
    *("Tokens in", "Tokens out", "First token p95", "Per token p95"),
}


def test_a_stat_of_what_can_be_bad_says_when_it_is(board: Json) -> None:
    for panel in data_panels(board):
        steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", ())
        if panel["type"] in ("stat", "gauge", "bargauge") and panel["title"] not in NEUTRAL:
            assert len(steps) > 1, panel["title"]


def test_an_empty_panel_says_why(board: Json) -> None:
    for panel in data_panels(board):
        assert panel["fieldConfig"]["defaults"]["noValue"], panel["title"]


def test_nothing_repeats_and_nothing_is_of_angular(board: Json) -> None:
    core = {"barchart", "bargauge", "gauge", "heatmap", "row", "stat", "state-timeline", "status-history"}
    for panel in board["panels"]:
        assert "repeat" not in panel
        assert panel["type"] in core | {"table", "text", "timeseries"}, panel


def test_alerts_are_regions_in_timelines_alone(board: Json) -> None:
    """An annotation of firing alerts would fill the graph just when somebody looks."""
    assert all("ALERTS" not in item["expr"] for item in board["annotations"]["list"])


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

    assert all(path.endswith("/steps/0/value") for path in nulls(board, ""))


def test_no_placeholder_of_a_template_is_left_over(board: Json) -> None:
    for text in strings(board):
        assert not re.search(r"%\(|\{\}|(?<![{$])\{[a-z_]+\}(?!\})|None\b", text), text


def test_every_variable_used_is_declared(board: Json) -> None:
    declared = {variable["name"] for variable in board["templating"]["list"]} | GRAFANA_VARIABLES
    for text in strings(board):
        used = {re.split(r"[.:]", name)[0] for name in re.findall(r"\$\{([^}]+)\}", text)}
        assert used | variables_in(text) <= declared, text


def test_the_data_sources_are_chosen_first(board: Json) -> None:
    first, second = board["templating"]["list"][:2]
    assert (first["name"], first["type"], first["query"]) == ("datasource", "datasource", "prometheus")
    assert (second["name"], second["type"], second["query"]) == ("api", "datasource", API["type"])


def test_query_variables_reload_with_the_time_range(board: Json) -> None:
    for variable in board["templating"]["list"][2:]:
        is_ranked = variable["query"].startswith("query_result(sort_desc(")
        assert (variable["type"], variable["refresh"]) == ("query", 2)
        assert variable["sort"] == (0 if is_ranked else 1)
        assert variable["datasource"] == PROMETHEUS
        assert variable["multi"] == variable["includeAll"]
        if variable["multi"]:
            assert variable["current"] == {"selected": True, "text": ["All"], "value": ["$__all"]}
            assert variable["allValue"] == (".*" if variable["name"] == "cluster" else ".+")


def test_variables_are_in_one_order_on_all_boards(board: Json) -> None:
    order = ("datasource", "api", "cluster", "tenant", "model", "version", "kind", "signal", "slo", "device")
    names = [variable["name"] for variable in board["templating"]["list"]]
    assert names == sorted(names, key=order.index)


def test_a_tenant_cannot_be_all(rendered: tuple[Json, ...]) -> None:
    boards = {board["uid"]: board for board in rendered}
    for uid, name in (("mp-tenant", "tenant"), ("mp-model", "model")):
        (variable,) = (item for item in boards[uid]["templating"]["list"] if item["name"] == name)
        assert (variable["multi"], variable["includeAll"]) == (False, False)


def test_links_between_boards_keep_time_and_variables(board: Json) -> None:
    assert board["links"]
    assert all(link["keepTime"] and link["includeVars"] for link in board["links"])


def test_a_list_of_boards_is_never_cut(board: Json, rendered: tuple[Json, ...]) -> None:
    """Grafana shows 100 boards of a tag: the tag is that of the boards of all tenants and models alone."""
    (tag,) = {tag for link in board["links"] for tag in link.get("tags", ())} or {"modelplane-board"}
    assert tag == "modelplane-board"
    assert [item["uid"] for item in rendered if tag in item["tags"]] == [f"mp-{kind}" for kind in BOARDS[:-2]]
