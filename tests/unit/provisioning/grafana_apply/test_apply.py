"""``modelplane grafana apply`` against a double of Grafana: what it makes, leaves, and says."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelplane_provisioning.clients.grafana import GrafanaError
from modelplane_provisioning.grafana_apply.plan import Choices
from modelplane_provisioning.grafana_apply.wanted import Addresses, wanted_organisations
from provisioning_support.grafana_double import serving
from provisioning_support.grafana_state import GrafanaState
from provisioning_support.grafana_wanted import BACKEND, SECTION, registry, run, wanted

NO_TENANTS = ""


@pytest.fixture
def state() -> GrafanaState:
    return GrafanaState()


@pytest.fixture
def url(state: GrafanaState) -> Iterator[str]:
    with serving(state) as served:
        yield served


def specs(state: GrafanaState, number: int) -> dict[str, Any]:
    return {uid: board["spec"] for uid, board in state.organisations[number].boards.items()}


@pytest.mark.slow
def test_an_empty_grafana_gets_everything_and_a_second_run_changes_nothing(
    state: GrafanaState, url: str
) -> None:
    outcome, lines = run(url, wanted())
    operators, clinics = state.organisations[1], state.organisation("Clinics")
    assert lines[0] == "operators: create folder 'modelplane'"
    assert lines.index("Clinics: create organisation 'Clinics'") < lines.index(
        "Clinics: create board 'mp-fleet'"
    )
    assert outcome.numbers == {"operators": "1", "Clinics": "2"}
    assert outcome.changed == len(lines)
    assert list(operators.folders) == ["modelplane"]
    assert list(clinics.folders) == [wanted()[1].folders[0].uid]
    assert clinics.folders.keys().isdisjoint(operators.folders)
    assert len(operators.boards) == len(clinics.boards) == 10
    assert all(source["name"].startswith("Modelplane") for source in operators.sources.values())
    assert set(operators.sources) - set(clinics.sources) == {"modelplane-alertmanager"}
    assert operators.enabled == clinics.enabled == {"modelplane-monitoring-app"}
    assert {board["metadata"]["annotations"]["grafana.app/folder"] for board in clinics.boards.values()} == {
        wanted()[1].folders[0].uid
    }

    before = len(state.writes)
    again, lines_again = run(url, wanted())
    assert (again.changed, again.left, lines_again) == (0, 0, [])
    assert len(state.writes) == before


@pytest.mark.slow
def test_real_boards_come_back_as_they_were_written(state: GrafanaState, url: str) -> None:
    (operators,) = wanted_organisations(registry(NO_TENANTS), Addresses(), {}, "none", "never")
    run(url, [operators])
    written = {json.loads(content)["uid"]: json.loads(content) for content in operators.files.values()}
    assert {uid: {**spec, "uid": uid} for uid, spec in specs(state, 1).items()} == written
    assert run(url, [operators])[0].changed == 0


@pytest.mark.slow
def test_the_search_that_lags_behind_makes_no_second_board(state: GrafanaState, url: str) -> None:
    run(url, wanted())
    assert state.organisations[1].indexed == set()
    assert run(url, wanted())[0].changed == 0


@pytest.mark.slow
def test_a_dry_run_says_the_same_and_changes_nothing(state: GrafanaState, url: str) -> None:
    would, lines = run(url, wanted(), dry_run=True)
    assert state.writes == []
    made, lines_then = run(url, wanted())
    assert sorted(lines) == sorted(lines_then)
    assert would.changed == made.changed


@pytest.mark.slow
def test_data_sources_of_tenants_go_through_the_backend_with_their_token(
    state: GrafanaState, url: str
) -> None:
    run(url, wanted())
    sources = state.organisation("Clinics").sources
    prometheus = sources["modelplane-prometheus"]
    assert prometheus["url"] == f"{BACKEND}/prometheus"
    assert prometheus["jsonData"]["httpHeaderName1"] == "Authorization"
    assert prometheus["secureJsonData"] == {"httpHeaderValue1": "Bearer the-clinics-secret"}
    assert sources["modelplane"]["secureJsonData"] == {"token": "the-clinics-secret"}
    ours = state.organisations[1].sources
    assert ours["modelplane-prometheus"]["url"] == "http://prometheus:9090"
    assert "secret" not in str([source["jsonData"] for source in (*ours.values(), *sources.values())])
    assert ours["modelplane-alertmanager"]["jsonData"] == {
        "implementation": "prometheus",
        "handleGrafanaManagedAlerts": False,
    }


@pytest.mark.slow
def test_an_exchanged_token_is_written_though_grafana_shows_none(state: GrafanaState, url: str) -> None:
    run(url, wanted())
    _, lines = run(url, wanted(token="another"))
    assert lines == [
        "Clinics: update data source 'Modelplane Prometheus' (jsonData differ)",
        "Clinics: update data source 'Modelplane' (jsonData differ)",
    ]
    assert state.organisation("Clinics").sources["modelplane"]["secureJsonData"] == {"token": "another"}
    assert run(url, wanted(token="another"))[0].changed == 0


@pytest.mark.slow
def test_a_default_of_somebody_elses_stays_unless_the_registry_wants_ours(
    state: GrafanaState, url: str
) -> None:
    theirs = {"id": 90, "uid": "theirs", "name": "Prometheus", "type": "prometheus", "url": "http://x"}
    state.organisations[1].sources["theirs"] = {**theirs, "isDefault": True, "readOnly": False}
    run(url, wanted())
    sources = state.organisations[1].sources
    assert [source["uid"] for source in sources.values() if source["isDefault"]] == ["theirs"]
    assert state.organisation("Clinics").sources["modelplane-prometheus"]["isDefault"]
    assert run(url, wanted())[0].changed == 0
    run(url, wanted(SECTION + "  data_sources: {is_default: true}\n"))
    assert [source["uid"] for source in sources.values() if source["isDefault"]] == ["modelplane-prometheus"]


@pytest.mark.slow
def test_what_others_set_of_a_data_source_stays(state: GrafanaState, url: str) -> None:
    run(url, wanted())
    source = state.organisations[1].sources["modelplane-prometheus"]
    source["jsonData"]["queryTimeout"] = "40s"
    assert run(url, wanted())[0].changed == 0
    source["url"] = "http://elsewhere"
    _, lines = run(url, wanted())
    assert lines == ["operators: update data source 'Modelplane Prometheus' (url differ)"]
    assert state.organisations[1].sources["modelplane-prometheus"]["jsonData"]["queryTimeout"] == "40s"


def test_a_name_that_is_taken_is_said_before_anything_is_changed(state: GrafanaState, url: str) -> None:
    state.organisations[1].sources["x"] = {"id": 90, "uid": "x", "name": "Modelplane", "readOnly": False}
    with pytest.raises(GrafanaError, match=r"of the uid x, is called 'Modelplane': rename that one"):
        run(url, wanted())
    assert state.writes == []


@pytest.mark.slow
def test_a_board_that_somebody_changed_or_moved_is_restored_and_the_others_are_not_written(
    state: GrafanaState, url: str
) -> None:
    run(url, wanted())
    expected = copy.deepcopy(specs(state, 1))
    boards = state.organisations[1].boards
    # A save in the browser drops labels and annotations of others than Grafana's.
    boards["mp-fleet"]["spec"]["title"] = "Hacked"
    boards["mp-fleet"]["metadata"]["labels"] = {}
    boards["mp-slo"]["metadata"]["annotations"]["grafana.app/folder"] = "theirs"
    boards["mp-slo"]["metadata"]["annotations"]["example.org/note"] = "theirs"
    generations = {uid: board["metadata"]["generation"] for uid, board in boards.items()}
    _, lines = run(url, wanted())
    assert lines == [
        "operators: update board 'mp-fleet' (its content differs)",
        "operators: update board 'mp-slo' (it is in the folder 'theirs')",
    ]
    assert specs(state, 1) == expected
    changed = {uid for uid, board in boards.items() if board["metadata"]["generation"] != generations[uid]}
    assert changed == {"mp-fleet"}
    assert boards["mp-slo"]["metadata"]["annotations"]["example.org/note"] == "theirs"


def test_a_board_of_somebody_else_with_our_uid_is_not_overwritten(state: GrafanaState, url: str) -> None:
    metadata = {"name": "mp-fleet", "labels": {}, "annotations": {"grafana.app/folder": "theirs"}}
    state.organisations[1].boards["mp-fleet"] = {"metadata": metadata, "spec": {"title": "Theirs"}}
    with pytest.raises(GrafanaError, match=r"uid mp-fleet that modelplane did not write is in the folder"):
        run(url, wanted())
    assert state.writes == []


@pytest.mark.slow
def test_boards_of_files_are_left_and_a_difference_is_said(state: GrafanaState, url: str) -> None:
    """By ``/apis`` an Editor can overwrite a provisioned board for good: that is to be seen."""
    run(url, wanted())
    for board in state.organisations[1].boards.values():
        board["metadata"]["annotations"]["grafana.app/managedBy"] = "classic-file-provisioning"
    assert run(url, wanted())[0].left == 0
    state.organisations[1].boards["mp-slo"]["spec"]["title"] = "Hacked"
    before = len(state.writes)
    outcome, lines = run(url, wanted())
    assert lines == [
        "operators: leave board 'mp-slo' (it comes from a file, but its content differs: correct it there)"
    ]
    assert (outcome.changed, outcome.left, len(state.writes)) == (0, 1, before)


@pytest.mark.slow
def test_data_sources_of_files_are_left(state: GrafanaState, url: str) -> None:
    run(url, wanted())
    source = state.organisations[1].sources["modelplane"]
    source.update(readOnly=True, isDefault=True)
    assert run(url, wanted())[0].changed == 0
    source["url"] = "http://old:8090"
    outcome, lines = run(url, wanted())
    assert lines == [
        "operators: leave data source 'Modelplane' (it comes from a file that differs: correct it there)"
    ]
    assert outcome.changed == 0


@pytest.mark.slow
def test_who_writes_at_the_same_time_is_read_again(state: GrafanaState, url: str) -> None:
    run(url, wanted())
    board = state.organisations[1].boards["mp-fleet"]
    board["spec"]["title"] = "Hacked"
    races = iter(range(2))

    def somebody_else(method: str, path: str) -> None:
        if method == "PUT" and next(races, None) is not None:
            state.organisations[1].boards["mp-fleet"]["metadata"]["resourceVersion"] += "1"

    state.before = somebody_else
    assert run(url, wanted())[0].changed == 1
    assert state.organisations[1].boards["mp-fleet"]["spec"]["title"] == "mp-fleet"


@pytest.mark.slow
def test_a_race_without_end_is_said(state: GrafanaState, url: str) -> None:
    run(url, wanted())
    state.organisations[1].boards["mp-fleet"]["spec"]["title"] = "Hacked"

    def somebody_else(method: str, path: str) -> None:
        if method == "PUT":
            state.organisations[1].boards["mp-fleet"]["metadata"]["resourceVersion"] += "1"

    state.before = somebody_else
    with pytest.raises(GrafanaError, match="changes the board mp-fleet at the same time, 4 times"):
        run(url, wanted())


@pytest.mark.slow
def test_a_folder_and_an_organisation_that_somebody_else_makes_first_are_taken(
    state: GrafanaState, url: str
) -> None:
    def somebody_else(method: str, path: str) -> None:
        if method == "POST" and path == "/api/orgs":
            state.add_organisation("Clinics")
        if method == "POST" and path.endswith("default/folders"):
            state.organisations[1].folders["modelplane"] = {"spec": {"title": "Modelplane"}}

    state.before = somebody_else
    run(url, wanted())
    state.before = lambda _method, _path: None
    assert run(url, wanted())[0].changed == 0


@pytest.mark.slow
def test_a_failure_in_the_middle_says_how_far_it_came_and_the_next_run_goes_on(
    state: GrafanaState, url: str
) -> None:
    def breaks(method: str, path: str) -> None:
        if len(state.organisations[1].boards) == 4:
            state.failing = (502, "text/html", "<html>Bad gateway")

    state.before = breaks
    with pytest.raises(GrafanaError) as failure:
        run(url, wanted())
    assert "answered 502 with something that is not Grafana's" in str(failure.value)
    (count,) = re.findall(r"(\d+) changes were made before that", str(failure.value))
    assert int(count) == len(state.writes) > 4
    state.failing, state.before = None, lambda _method, _path: None
    run(url, wanted())
    assert run(url, wanted())[0].changed == 0
    assert len(state.organisations[1].boards) == 10


@pytest.mark.slow
def test_surplus_boards_are_listed_and_removed_with_prune_alone(state: GrafanaState, url: str) -> None:
    run(url, wanted())
    operators = state.organisations[1]
    gone = copy.deepcopy(operators.boards["mp-fleet"])
    gone["metadata"]["name"] = "mp-tenant-gone"
    theirs = copy.deepcopy(gone)
    theirs["metadata"].update(name="theirs", labels={})
    operators.boards |= {"mp-tenant-gone": gone, "theirs": theirs}
    assert run(url, wanted())[0].left == 0  # the search does not know of it yet
    state.reindex()
    outcome, lines = run(url, wanted())
    assert lines == [
        "operators: leave board 'mp-tenant-gone' (the registry has it no more; --prune removes it)"
    ]
    assert outcome.changed == 0
    assert run(url, wanted(), choices=Choices(prune=True))[0].changed == 1
    assert set(operators.boards) - specs(state, 2).keys() == {"theirs"}


@pytest.mark.slow
def test_an_organisation_that_the_registry_names_no_more_loses_its_access_with_prune(
    state: GrafanaState, url: str
) -> None:
    run(url, wanted())
    theirs = {"id": 91, "uid": "theirs", "name": "Theirs", "type": "loki", "url": "http://loki"}
    state.organisation("Clinics").sources["theirs"] = {**theirs, "readOnly": False}
    state.add_organisation("Somebody's", has_admin=False)
    outcome, lines = run(url, wanted(NO_TENANTS))
    assert outcome.changed == 0
    assert (
        "Clinics: leave data source 'Modelplane' (the registry does not name this organisation; " in lines[1]
    )
    assert lines[2].startswith("Somebody's: leave organisation \"Somebody's\" (it could not be looked into")
    run(url, wanted(NO_TENANTS), choices=Choices(prune=True))
    assert list(state.organisation("Clinics").sources) == ["theirs"]


def test_a_number_that_differs_from_the_registrys_is_said(state: GrafanaState, url: str) -> None:
    state.add_organisation("Other")
    state.add_organisation("Clinics")
    section = SECTION.replace("clinic]}", "clinic], number: 2}")
    with pytest.raises(GrafanaError, match="'Clinics' has the number 3 in this Grafana, and 2 in the"):
        run(url, wanted(section))
    assert state.writes == []


@pytest.mark.slow
def test_the_account_for_boards_may_write_boards_and_nothing_else(
    state: GrafanaState, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "boards-token"
    choices = Choices(boards_token_file=file)
    run(url, wanted(NO_TENANTS), choices=choices)
    assert file.stat().st_mode & 0o777 == 0o600
    token = file.read_text(encoding="ascii").strip()
    account = state.tokens[token]
    assert (account.role, account.edits) == ("Viewer", {"modelplane"})
    assert run(url, wanted(NO_TENANTS), choices=choices)[0].changed == 0
    assert file.read_text(encoding="ascii").strip() == token

    state.organisations[1].boards["mp-fleet"]["spec"]["title"] = "Hacked"
    assert run(url, wanted(NO_TENANTS), token, with_admin=False)[0].changed == 1
    del state.organisations[1].sources["modelplane"]
    before = len(state.writes)
    with pytest.raises(GrafanaError) as refusal:
        run(url, wanted(NO_TENANTS), token, with_admin=False)
    assert "create data source 'Modelplane': datasources:create" in str(refusal.value)
    assert "Nothing was changed" in str(refusal.value)
    assert len(state.writes) == before
