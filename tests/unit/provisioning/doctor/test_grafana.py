"""What doctor says of a Grafana: a double that answers as a real one was seen to, and parts behind it."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import PurePosixPath
from typing import Any

import pytest

import modelplane_dashboards
from modelplane_dashboards import INFINITY_ID, ApiAccess
from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.doctor.finding import Finding
from modelplane_provisioning.doctor.parts import Grafana, Parts
from modelplane_provisioning.doctor.running import NamedCheck, run_checks
from modelplane_provisioning.doctor.table import CHECKS
from modelplane_provisioning.processes import free_port
from modelplane_schema.registry import Registry, parse_registry
from modelplane_schema.uids import PLUGIN_APP_ID, PLUGIN_DATASOURCE_ID
from provisioning_support.grafana_double import serving
from provisioning_support.grafana_state import GrafanaState
from provisioning_support.plane_doubles import BackendDouble, PrometheusDouble, no_answer, serving_part

REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: a}]
models: [{name: m, framework: jax, owner: o, tenants: [a], versions: [{version: v1}]}]
"""
GRAFANA = [check for check in CHECKS if "Grafana" in check.name and "bundle" not in check.name]
QUICK, BOARDS, PANELS = GRAFANA[:-2], GRAFANA[-2:-1], GRAFANA[-1:]
Scene = tuple[GrafanaState, str]


@cache
def registry() -> Registry:
    return parse_registry(REGISTRY)


@cache
def specs(api: ApiAccess) -> dict[str, dict[str, Any]]:
    """The boards as they are generated, by uid."""
    boards = {}
    for path, content in modelplane_dashboards.files(registry(), api).items():
        board = json.loads(content)
        del board["uid"]
        boards[PurePosixPath(path).stem] = board
    return boards


def fill(state: GrafanaState, api: ApiAccess, prometheus: str, backend: str) -> None:
    """Everything as `modelplane bundle` provisions it."""
    organisation = state.organisations[1]
    organisation.enabled.add(PLUGIN_APP_ID)
    for uid, spec in specs(api).items():
        metadata = {"name": uid, "annotations": {"grafana.app/updatedBy": "access-policy:service"}}
        organisation.boards[uid] = {"metadata": metadata, "spec": copy.deepcopy(spec)}
    kinds = {"plugin": PLUGIN_DATASOURCE_ID, "infinity": INFINITY_ID}
    source = {"id": 2, "uid": "modelplane", "type": kinds[api], "url": backend}
    source["jsonData"] = {"backend": backend, "allowedHosts": [f"{backend}/"]}
    source["secureJsonData"] = {"token": "t", "bearerToken": "t"}
    organisation.sources["modelplane"] = source
    of_prometheus = {"id": 1, "uid": "modelplane-prometheus", "type": "prometheus", "url": prometheus}
    organisation.sources["modelplane-prometheus"] = {**of_prometheus, "jsonData": {}}


@pytest.fixture
def prometheus() -> PrometheusDouble:
    return PrometheusDouble()


@pytest.fixture
def backend() -> BackendDouble:
    return BackendDouble()


@pytest.fixture
def scene(prometheus: PrometheusDouble, backend: BackendDouble) -> Iterator[Scene]:
    """A Grafana that is as it should be, and its URL."""
    state = GrafanaState()
    with ExitStack() as stack:
        urls = [stack.enter_context(serving_part(part)) for part in (prometheus, backend)]
        fill(state, "plugin", *urls)
        yield state, stack.enter_context(serving(state))


def doctor(
    scene: Scene, api: ApiAccess = "plugin", token: str | None = None, checks: Sequence[NamedCheck] = QUICK
) -> dict[str, Finding]:
    """The findings about Grafana, by the name of the check; by default of the checks without boards."""
    state, url = scene
    key = state.add_token("Viewer") if token is None else token
    parts = Parts(given_grafana=Grafana(Connection("Grafana", url, key)), given_registry=registry(), api=api)
    return {finding.check: finding for finding in run_checks(checks, parts)}


def problems(findings: dict[str, Finding]) -> list[str]:
    return [problem.sentence for finding in findings.values() for problem in finding.problems]


@pytest.mark.slow
def test_a_viewer_sees_that_all_is_well(scene: Scene) -> None:
    findings = doctor(scene, checks=GRAFANA)
    assert problems(findings) == []
    summaries = [finding.summary for finding in findings.values()]
    assert summaries[:4] == [
        "Grafana 12.4.0",
        f"{PLUGIN_APP_ID} 0.1.0",
        "2 of 2 data sources are ours",
        f"{len(specs('plugin'))} of {len(specs('plugin'))} boards",
    ]
    assert int(summaries[4].split()[0]) > 200
    assert scene[0].writes
    assert {path.partition("?")[0] for _, path in scene[0].writes} == {"/api/ds/query"}


@pytest.mark.slow
def test_through_infinity_all_is_well_too(scene: Scene, backend: BackendDouble) -> None:
    state = scene[0]
    sources = state.organisations[1].sources
    fill(state, "infinity", sources["modelplane-prometheus"]["url"], sources["modelplane"]["url"])
    assert problems(doctor(scene, "infinity", checks=GRAFANA)) == []
    assert any("tenant-id=.%2B" in path for path in backend.paths), "as the browser writes All"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("version", "state", "part"),
    [
        ("11.6.0", "ok", ""),
        ("13.2.1", "ok", ""),
        ("11.5.9", "error", "Grafana 11.5.9 is not supported"),
        ("14.0.0", "warning", "Grafana 14.0.0 is not supported"),
        ("", "ok", ""),
    ],
)
def test_versions(scene: Scene, version: str, state: str, part: str) -> None:
    scene[0].version = version
    finding = doctor(scene)["Grafana answers and is a supported version"]
    assert finding.state == state
    assert all(part in problem.text for problem in finding.problems)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failing", "sentence"),
    [
        (
            (401, "application/json", '{"message": "bad key"}'),
            "with status 401 (bad key): it takes",
        ),
        (
            (403, "application/json", '{"message": "Access denied"}'),
            "with status 403 (Access denied): the token may",
        ),
        ((200, "text/html", "<html>Sign in</html>"), "did not answer with JSON"),
        ((200, "application/json", "[]"), "answers, but not as Grafana does"),
        ((502, "text/html", "<html>Bad gateway"), "with status 502: <html>Bad gateway"),
    ],
)
def test_what_is_no_grafana_or_refuses_is_said(
    scene: Scene, failing: tuple[int, str, str], sentence: str
) -> None:
    scene[0].failing = failing
    assert sentence in problems(doctor(scene))[0]


def test_a_page_for_a_login_is_said(scene: Scene) -> None:
    scene[0].redirect = "https://login.example.org/oauth"
    (sentence,) = problems(doctor(scene))
    assert "sends /api/" in sentence
    assert "on to https://login.example.org/oauth: name its own address" in sentence


def test_nothing_there_is_one_problem() -> None:
    findings = doctor((GrafanaState(), f"http://127.0.0.1:{free_port()}"), checks=GRAFANA)
    (sentence,) = problems(findings)
    assert "the connection is refused; is it running" in sentence
    assert all(not finding.ok for finding in findings.values())


def test_a_wrong_token_is_one_problem_and_its_name_is_said(scene: Scene) -> None:
    (sentence,) = problems(doctor(scene, token="glsa_wrong"))
    assert "with status 401 (Invalid API key)" in sentence


def test_a_token_without_a_role_sees_no_board(scene: Scene) -> None:
    findings = doctor(scene, token=scene[0].add_token("None"), checks=GRAFANA[-3:-1])
    assert any("with status 403" in sentence for sentence in problems(findings))
    assert "the token may not see the boards" in findings[BOARDS[0].name].problems[0].text


def test_the_plugin_is_absent_disabled_or_old(scene: Scene) -> None:
    state = scene[0]
    state.plugin_version = "0.0.9"
    difference = "version 0.0.9 of the plugin, and the backend has 0.1.0"
    assert any(difference in each for each in problems(doctor(scene)))
    state.organisations[1].enabled.clear()
    assert any("is not enabled" in each for each in problems(doctor(scene)))
    state.plugins.clear()
    (absent,) = (each for each in problems(doctor(scene)) if "has not loaded the plugin" in each)
    assert "GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS=modelplane-monitoring-app," in absent


def test_without_an_identity_nobody_can_acknowledge(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = {"version": "0.1.0", "role": "grafana", "user": None}
    monkeypatch.setattr("provisioning_support.plane_doubles.IDENTITY", identity)
    assert any("idForwarding" in each for each in problems(doctor(scene)))


def test_data_sources_that_are_absent_or_of_another_type(scene: Scene) -> None:
    sources = scene[0].organisations[1].sources
    sources["modelplane"]["type"] = INFINITY_ID
    del sources["modelplane-prometheus"]
    told = problems(doctor(scene))
    assert any("no data source with the uid 'modelplane-prometheus';" in each for each in told)
    assert any("is of the type 'yesoreyeram-infinity-datasource', and boards need" in each for each in told)


def test_a_data_source_whose_health_may_be_well_does_not_answer(scene: Scene, backend: BackendDouble) -> None:
    backend.failing, backend.failure = "/identity", no_answer("x")
    (sentence,) = problems(doctor(scene))
    assert sentence.startswith("the data source 'modelplane' does not answer: ")


def test_a_host_without_a_slash_gives_the_token_away(scene: Scene) -> None:
    state = scene[0]
    sources = state.organisations[1].sources
    fill(state, "infinity", sources["modelplane-prometheus"]["url"], sources["modelplane"]["url"])
    hosts = state.organisations[1].sources["modelplane"]["jsonData"]["allowedHosts"]
    hosts[0] = hosts[0].rstrip("/")
    (sentence,) = problems(doctor(scene, "infinity"))
    assert "lets any viewer send its token to another host" in sentence
    assert "end each of its allowed hosts with a slash" in sentence


def test_alertmanager_is_asked_for_its_status(scene: Scene) -> None:
    sources = scene[0].organisations[1].sources
    alertmanager = {
        **sources["modelplane"],
        "id": 3,
        "uid": "modelplane-alertmanager",
        "type": "alertmanager",
    }
    sources["modelplane-alertmanager"] = alertmanager
    assert problems(doctor(scene)) == []
    alertmanager["url"] = sources["modelplane-prometheus"]["url"] + "/wrong"
    assert any("'modelplane-alertmanager' does not answer" in each for each in problems(doctor(scene)))


@pytest.mark.slow
def test_a_board_that_somebody_wrote_over_is_told_with_the_panel(scene: Scene) -> None:
    board = scene[0].organisations[1].boards["mp-fleet"]
    panel = next(panel for panel in board["spec"]["panels"] if panel.get("targets"))
    panel["targets"][0]["expr"] = "vector(1)"
    board["metadata"]["annotations"] = {
        "grafana.app/updatedBy": "user:eve", "grafana.app/managedBy": "classic-file-provisioning"
    }  # fmt: skip
    (problem,) = doctor(scene, checks=BOARDS)[BOARDS[0].name].problems
    assert problem.severity == "warning"
    assert f"mp-fleet (panel {panel['title']!r}, last changed by user:eve)" in problem.text


@pytest.mark.slow
def test_boards_that_are_absent_are_named_and_none_at_all_means_an_empty_mount(scene: Scene) -> None:
    boards = scene[0].organisations[1].boards
    del boards["mp-cost"], boards["mp-model-m"]
    (some,) = doctor(scene, checks=BOARDS)[BOARDS[0].name].problems
    assert some.text == "Grafana lacks the boards mp-cost, mp-model-m"
    assert "one uid in two files" in some.advice
    boards.clear()
    (none,) = doctor(scene, checks=BOARDS)[BOARDS[0].name].problems
    assert none.text == f"Grafana has none of the {len(specs('plugin'))} boards"
    assert "is mounted empty, or not at all" in none.advice


@pytest.mark.slow
def test_an_older_grafana_gives_boards_by_its_older_api(scene: Scene) -> None:
    scene[0].api_versions = ()
    assert problems(doctor(scene, checks=BOARDS)) == []


@pytest.mark.slow
def test_a_panel_that_grafana_cannot_fill_is_at_fault(scene: Scene, prometheus: PrometheusDouble) -> None:
    prometheus.vectors = {
        "fleet_calls": (),
        "increase(": ({"model_name": "m", "tenant_id": "a"},),
        "model_info": ({"model_name": "m"},),
    }
    prometheus.names = ("modelplane:x",)
    finding = doctor(scene, checks=PANELS)[PANELS[0].name]
    (fleet,) = (state for state in finding.boards if state.title == "Fleet")
    assert fleet.faulty == 2
    assert finding.state == "error"


@pytest.mark.slow
def test_an_organisation_of_tenants_has_the_boards_with_menus_alone(scene: Scene) -> None:
    state, url = scene
    organisation = state.add_organisation("Clinics")
    organisation.boards = {
        uid: board for uid, board in state.organisations[1].boards.items() if uid.count("-") == 1
    }
    token = state.add_token("Viewer", organisation.number)
    grafana = Grafana(Connection("Grafana", url, token), organisation=organisation.number)
    parts = Parts(given_grafana=grafana, given_registry=registry())
    boards, panels = run_checks([*BOARDS, *PANELS], parts)
    assert (boards.state, boards.summary) == ("ok", "10 of 10 boards")
    assert (panels.state, "organisation of tenants" in panels.not_checked) == ("not checked", True)
