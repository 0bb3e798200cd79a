"""What is no Grafana, or refuses, is one sentence that shows no secret, and nothing is changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from modelplane_provisioning.clients.grafana import GrafanaClient, GrafanaError, Login
from modelplane_provisioning.grafana_apply.plan import Choices
from modelplane_provisioning.grafana_apply.rights import Right
from modelplane_provisioning.grafana_apply.wanted import WantedOrganisation
from modelplane_provisioning.processes import free_port
from provisioning_support.grafana_double import serving
from provisioning_support.grafana_state import ADMIN, GrafanaState
from provisioning_support.grafana_wanted import run, wanted

SECRETS = ("glsa_", "a password of the test", "the-operators-secret", "the-clinics-secret")


@pytest.fixture
def state() -> GrafanaState:
    return GrafanaState()


@pytest.fixture
def url(state: GrafanaState) -> Iterator[str]:
    with serving(state) as served:
        yield served


def sentence_of(
    url: str, token: str | None = None, organisations: list[WantedOrganisation] | None = None
) -> str:
    with pytest.raises(GrafanaError) as failure:
        run(url, organisations or wanted(), token)
    text = str(failure.value)
    assert not any(secret in text for secret in SECRETS)
    return text


@pytest.mark.parametrize(
    ("failing", "sentence"),
    [
        ((200, "text/html", "<html>Sign in"), "answered 200 with something that is not Grafana's: check"),
        ((502, "text/html", "<html>Bad gateway"), "answered 502 with something that is not Grafana's"),
        ((200, "application/json", '{"a": 1}'), "answers, but not as Grafana does: check --grafana"),
        ((200, "application/json", "[]"), "answers, but not as Grafana does: check --grafana"),
        ((503, "application/json", '{"database": "failing"}'), "refuses to ask for Grafana's health (503"),
        ((401, "application/json", '{"message": "no"}'), "does not accept the user admin (401: no)"),
        ((403, "application/json", '{"message": "no"}'), "the user admin may not ask for Grafana's health"),
        ((204, "application/json", ""), "answers, but not as Grafana does"),
    ],
)
def test_what_is_no_grafana_is_said(
    failing: tuple[int, str, str], sentence: str, state: GrafanaState, url: str
) -> None:
    state.failing = failing
    assert sentence in sentence_of(url)
    assert state.writes == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("failing", "sentence"),
    [
        (
            (412, "application/json", '{"message": "changed by someone else", "status": "version-mismatch"}'),
            "Grafana refuses to create the folder modelplane (412: changed by someone else); somebody else "
            "changed it meanwhile: run it again",
        ),
        (
            (403, "application/json", '{"kind": "Status"}'),
            "the user admin may not create the folder modelplane",
        ),
        ((401, "application/json", '{"message": "no"}'), "Grafana does not accept the user admin (401: no)"),
        ((422, "application/json", '{"message": "bad"}'), "Grafana refuses to create the folder modelplane"),
        ((200, "text/html", "<html>"), "answered 200 with something that is not Grafana's"),
    ],
)
def test_a_write_that_is_refused_is_said_and_how_far_it_came(
    failing: tuple[int, str, str], sentence: str, state: GrafanaState, url: str
) -> None:
    def refuse(method: str, _path: str) -> None:
        state.failing = failing if method == "POST" else None

    state.before = refuse
    text = sentence_of(url)
    assert text.startswith((sentence, f"{url} {sentence}"))
    assert "0 changes were made before that" in text


def test_a_redirect_to_a_login_is_not_followed(state: GrafanaState, url: str) -> None:
    state.redirect = "/login?redirect=%2Fapi"
    assert f"{url} sends to {url}/login, as to a login: name Grafana's own address" in sentence_of(url)
    assert len(state.requests) == 1


def test_no_answer_is_said() -> None:
    assert "gives no answer (ConnectionError): is Grafana running there?" in sentence_of(
        f"http://127.0.0.1:{free_port()}"
    )


@pytest.mark.parametrize("version", ["11.5.9", "9.0.0", "10.4.1+security-01"])
def test_an_old_grafana_is_said(version: str, state: GrafanaState, url: str) -> None:
    state.version = version
    assert sentence_of(url) == f"{url} is Grafana {version}; modelplane needs 11.6 or newer: upgrade it"


@pytest.mark.slow
@pytest.mark.parametrize("version", ["12.4.0", "13.0.0-pre", ""])
def test_a_new_grafana_and_one_that_hides_its_version_are_taken(
    version: str, state: GrafanaState, url: str
) -> None:
    state.version = version
    run(url, wanted(), dry_run=True)


def test_a_grafana_without_the_api_of_boards_is_said(state: GrafanaState, url: str) -> None:
    state.version, state.api_versions = "11.6.0", ("dashboard.grafana.app/v1alpha1",)
    assert "does not serve dashboard.grafana.app/v0alpha1 and folder.grafana.app/v1beta1" in sentence_of(url)


def test_organisations_and_data_sources_need_no_api_of_boards(state: GrafanaState, url: str) -> None:
    state.version, state.api_versions = "11.6.0", ()
    run(url, wanted(), choices=Choices(with_boards=False))
    assert state.organisation("Clinics").sources
    assert not state.organisations[1].folders


def test_a_certificate_that_is_not_trusted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise requests.exceptions.SSLError

    monkeypatch.setattr(requests.Session, "request", refuse)
    assert "has a certificate that is not trusted here" in sentence_of("https://grafana.example.org")


def test_a_token_that_could_not_be_written_is_not_made(state: GrafanaState, url: str, tmp_path: Path) -> None:
    choices = Choices(boards_token_file=tmp_path / "none" / "token")
    with pytest.raises(GrafanaError, match="is no folder; --boards-token-file must lie in one"):
        run(url, wanted(), choices=choices)
    assert state.writes == []


def test_a_wrong_token_and_one_of_another_organisation_are_said(state: GrafanaState, url: str) -> None:
    assert "does not accept the token of --token-file (401: Invalid API key)" in sentence_of(url, "glsa_x")
    state.add_organisation("Other")
    assert "does not accept the token of --token-file (401: " in sentence_of(url, state.add_token("Admin", 2))
    assert state.writes == []


def test_all_missing_rights_are_said_at_once_and_nothing_is_changed(state: GrafanaState, url: str) -> None:
    token = state.add_token("Viewer")
    text = sentence_of(url, token)
    for line in (
        "the token of --token-file lacks rights in the organisation 'operators':",
        "create folder 'modelplane': folders:create on folders:uid:general",
        "create data source 'Modelplane Prometheus': datasources:create",
        "update app 'modelplane-monitoring-app' (it is not enabled here): plugins:write",
    ):
        assert line in text
    assert state.writes == []


def test_who_may_see_no_folder_is_told_so(state: GrafanaState, url: str) -> None:
    text = sentence_of(url, state.add_token("None"))
    assert text.startswith("the token of --token-file may not read the folder modelplane (403: ")


def test_an_edit_right_on_one_folder_makes_no_other(state: GrafanaState, url: str) -> None:
    text = sentence_of(url, state.add_token("Viewer", edits=["theirs"]))
    assert "create folder 'modelplane': folders:create" in text


def test_organisations_need_the_server_admin(state: GrafanaState, url: str) -> None:
    """Whose password it is matters: an organisation's admin has one, too."""
    state.admin_permissions = ADMIN
    assert "create organisation 'Clinics': orgs:create" in sentence_of(url)
    assert state.writes == []


def test_a_server_admin_who_is_not_in_an_organisation_is_told_so(state: GrafanaState, url: str) -> None:
    state.add_organisation("Clinics", has_admin=False)
    text = sentence_of(url)
    assert text.endswith("it must be a member of the organisation with the number 2: add it as Admin")
    assert state.writes == []


def test_a_plugin_that_is_not_installed_is_said(state: GrafanaState, url: str) -> None:
    state.plugins.clear()
    assert "this Grafana has no plugin modelplane-monitoring-app: install it" in sentence_of(url)
    assert state.writes == []


def test_without_the_server_admin_organisations_are_left(state: GrafanaState, url: str) -> None:
    outcome, lines = run(url, wanted(), state.add_token("Admin"), with_admin=False)
    assert lines[-1] == (
        "Clinics: leave organisation 'Clinics' (only the server admin can look into it: pass "
        "--admin-password-file)"
    )
    assert outcome.left == 1
    assert list(state.organisations) == [1]
    assert len(state.organisations[1].boards) == 10


def test_a_board_that_grafana_finds_invalid_is_said(state: GrafanaState, url: str) -> None:
    (operators, _) = wanted()
    content = b'{"uid": "mp-bad", "panels": [{"gridPos": {"x": "a"}}]}'
    path = "boards/mp-bad.json"
    bad = dataclasses.replace(operators, paths={path: "modelplane"}, files={path: content})
    assert "refuses to write the board mp-bad (422: Dashboard" in sentence_of(url, organisations=[bad])


@pytest.mark.parametrize(
    ("granted", "scopes", "is_allowed"),
    [
        (["*"], ("folders:uid:a",), True),
        (["folders:*"], ("folders:uid:a",), True),
        (["folders:uid:*"], ("folders:uid:a",), True),
        (["folders:uid:ab"], ("folders:uid:a",), False),
        (["folders:uid:a"], ("folders:uid:ab",), False),
        (["dashboards:uid:x"], ("folders:uid:a", "dashboards:uid:x"), True),
        ([""], ("folders:uid:a",), True),
        ([], ("folders:uid:a",), False),
        ([], ("",), True),
        (["folders:uid:b"], ("",), True),
        (None, ("",), False),
    ],
)
def test_scopes_are_compared_as_grafana_does(
    granted: list[str] | None, scopes: tuple[str, ...], is_allowed: bool
) -> None:
    permissions = {} if granted is None else {"a:b": granted}
    assert Right("a:b", scopes).is_in(permissions) is is_allowed


def test_a_login_is_never_printed() -> None:
    login = Login.of_user("admin", SECRETS[1])
    assert "Basic" not in repr(login)
    assert "Basic" not in repr(GrafanaClient("http://x", login).login)
