"""Answers at any moment that no Grafana gives: one sentence each, and never taken for a success."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from http_servers import serving_by
from modelplane_provisioning.clients.grafana import GrafanaClient, GrafanaError, Login
from modelplane_provisioning.grafana_apply.plan import Choices
from modelplane_provisioning.grafana_apply.proof import Proof, prove
from provisioning_support.grafana_double import Handler
from provisioning_support.grafana_state import PASSWORD, GrafanaState
from provisioning_support.grafana_wanted import run, wanted

Nasty = tuple[int, str, tuple[tuple[str, str], ...]]
NASTY: dict[str, Nasty] = {
    "null": (200, "null", ()),
    "an object": (200, "{}", ()),
    "a list": (200, "[null]", ()),
    "nested too deeply": (200, "[" * 100_000, ()),
    "a number too long for Python": (200, "1" * 5000, ()),
    "nothing": (204, "", ()),
    "a redirect without an address": (302, "", ()),
    "a redirect to no address": (302, "", (("Location", "http://["),)),
}
READS = (
    "/api/health",
    "/apis",
    "/api/orgs",
    "/api/datasources",
    "/api/plugins",
    "/api/serviceaccounts/search",
    "/api/access-control",
    "/apis/dashboard",
)


def serving(state: GrafanaState, start: str, nasty: Nasty, after: int = 0) -> AbstractContextManager[str]:
    """A Grafana that answers paths that begin with ``start`` as it should ``after`` times, then nastily."""

    class Hostile(Handler):
        seen = 0

        def do_GET(self) -> None:  # noqa: N802 - the name is that of the library
            if not self.path.startswith(start):
                super().do_GET()
                return
            Hostile.seen += 1
            if Hostile.seen <= after:
                super().do_GET()
                return
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, text, headers = nasty
            self._send(status, "application/json", text.encode(), *headers)

    Hostile.state = state
    return serving_by(Hostile)


@pytest.mark.slow
@pytest.mark.parametrize("start", READS)
@pytest.mark.parametrize("nasty", NASTY)
def test_what_is_no_answer_to_a_question_changes_nothing(nasty: str, start: str, tmp_path: Path) -> None:
    state = GrafanaState()
    with serving(state, start, NASTY[nasty]) as url, pytest.raises(GrafanaError):
        run(url, wanted(), choices=Choices(prune=True, boards_token_file=tmp_path / "token"))
    assert state.writes == []


@pytest.mark.parametrize("nasty", ["a redirect without an address", "a redirect to no address"])
def test_a_redirect_is_no_success_of_a_write(nasty: str) -> None:
    state = GrafanaState()
    path = "/apis/folder.grafana.app/v1beta1/namespaces/default/folders"
    with serving(state, path, NASTY[nasty]) as url, pytest.raises(GrafanaError):
        run(url, wanted())
    assert state.organisations[1].boards == {}


def test_an_organisation_that_vanishes_once_it_is_made_is_said() -> None:
    state = GrafanaState()
    answer: Nasty = (404, '{"message": "Organization not found"}', ())
    with serving(state, "/api/orgs/name/", answer) as url, pytest.raises(GrafanaError) as refusal:
        run(url, wanted())
    assert "the organisation 'Clinics' is gone" in str(refusal.value)
    assert "changes were made before that" in str(refusal.value)


@pytest.mark.parametrize(
    ("status", "advice"), [(429, "limits requests: run it again later"), (502, "its log says why")]
)
def test_what_to_do_next_is_said(status: int, advice: str) -> None:
    answer: Nasty = (status, "{}", ())
    with serving(GrafanaState(), "/api/orgs", answer) as url, pytest.raises(GrafanaError, match=advice):
        run(url, wanted())


def proof_of(url: str) -> Proof:
    admin = GrafanaClient(url, Login.of_user("admin", PASSWORD))
    organisations = {"Clinics": ("2", ("north-clinic",))}
    return prove(admin, organisations, ["north-clinic", "vision-lab"], ("127.0.0.1", 0), lambda _: None)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["/api/datasources", "/api/serviceaccounts"])
@pytest.mark.parametrize("nasty", NASTY)
def test_a_proof_ends_with_a_sentence(nasty: str, start: str) -> None:
    state = GrafanaState()
    state.add_organisation("Clinics")
    with serving(state, start, NASTY[nasty]) as url, pytest.raises(GrafanaError):
        proof_of(url)


@pytest.mark.slow
@pytest.mark.parametrize("status", [429, 503, 504])
def test_a_grafana_that_cannot_answer_has_refused_nothing(status: int) -> None:
    state = GrafanaState()
    state.add_organisation("Clinics")
    with serving(state, "/api/datasources/proxy", (status, "{}", ())) as url:
        proof = proof_of(url)
    asked = [each for each in proof.results if each.attempt.path.startswith("/api/datasources/proxy")]
    assert asked
    assert all(each.refuses_nobody for each in asked)


@pytest.mark.slow
def test_an_account_that_cannot_be_removed_is_named() -> None:
    state = GrafanaState()
    state.add_organisation("Clinics")
    answer: Nasty = (302, "", (("Location", "http://localhost/login"),))
    with (
        serving(state, "/api/serviceaccounts/", answer, after=1) as url,
        pytest.raises(GrafanaError, match=r"the service account modelplane-proof-.* could not be removed"),
    ):
        proof_of(url)
