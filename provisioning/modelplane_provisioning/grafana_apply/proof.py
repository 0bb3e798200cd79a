"""The proof run: each organisation of tenants tries to read what is not its own."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from modelplane_provisioning.clients.grafana import (
    Answer,
    GrafanaClient,
    GrafanaError,
    Login,
    odd_answers,
)
from modelplane_provisioning.grafana_apply.answers import has_rows, is_read, tenants_in
from modelplane_provisioning.grafana_apply.attempts import (
    Attempt,
    Place,
    attempts,
    controls,
    operators_query,
)
from modelplane_provisioning.grafana_apply.data_sources import present_sources
from modelplane_provisioning.grafana_apply.service_account import create_account, create_token
from modelplane_provisioning.grafana_apply.token_listener import TokenListener, listening
from modelplane_schema.uids import API_DATASOURCE_UID, OPERATORS

Verdict = Literal["refused", "nothing", "read", "taken", "unproven"]
# Whoever is too busy, or behind something that is down, refuses nobody.
_PROVES_NOTHING = frozenset({429, 503, 504})
_TOKEN_SECONDS = 3600  # if the run is killed before it removes the account
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one attempt.

    ``unproven``: reading their own gave nothing, so refusals say nothing, or the status is no refusal.
    """

    organisation: str
    attempt: Attempt
    verdict: Verdict
    status: int

    @property
    def refuses_nobody(self) -> bool:
        """Whether the status says that Grafana could not answer."""
        return self.verdict == "unproven" and self.status in _PROVES_NOTHING

    @property
    def is_leak(self) -> bool:
        return self.verdict in ("read", "taken")


@dataclass(frozen=True, slots=True)
class Proof:
    """``without_data`` are tenants of whom nothing is there, so that nothing of them could be read."""

    results: tuple[Result, ...]
    without_data: tuple[str, ...]

    @property
    def leaks(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.is_leak)

    @property
    def unproven(self) -> tuple[Result, ...]:
        return tuple(result for result in self.results if result.verdict == "unproven")


def prove(
    admin: GrafanaClient,
    organisations: Mapping[str, tuple[str, tuple[str, ...]]],
    tenants: Sequence[str],
    listen: tuple[str, int],
    tell: Tell,
) -> Proof:
    """Try everything in each of ``organisations``, which maps a name to number and tenants; GrafanaError.

    Each is tried with a service account of the role Viewer, which is made for it and removed.
    """
    with odd_answers(admin):
        places = {name: _place(admin, number, of) for name, (number, of) in organisations.items()}
        operators = _place(admin, OPERATORS, ())
        with_data = _tenants_with_data(admin)
        # Who has data is kept apart, too, when the registry does not know them.
        everybody = dict.fromkeys((*tenants, *sorted(with_data)))
        results: list[Result] = []
        with listening(*listen) as listener:
            for name, place in places.items():
                tell(name)
                foreign = [operators, *(other for other in places.values() if other is not place)]
                others = [tenant for tenant in everybody if tenant not in place.tenants]
                with _viewer(admin, place.number) as viewer:
                    results += _tried(name, viewer, place, others, foreign, listener)
        return Proof(tuple(results), tuple(tenant for tenant in tenants if tenant not in with_data))


def _tried(
    name: str,
    viewer: GrafanaClient,
    place: Place,
    others: Sequence[str],
    foreign: Sequence[Place],
    listener: TokenListener,
) -> Iterator[Result]:
    without_rows = [*_without_rows(name, viewer, controls(place))]
    yield from without_rows
    for attempt in attempts(place, others, foreign, listener.address):
        taken_before = listener.tokens
        answer = _answer(viewer, attempt)
        if listener.tokens > taken_before:
            verdict: Verdict = "taken"
        elif is_read(attempt, answer, others):
            verdict = "read"
        elif answer.status in _PROVES_NOTHING:
            verdict = "unproven"
        else:
            verdict = "nothing" if answer.is_success else "refused"
        yield Result(name, attempt, verdict, answer.status)
    # Whoever is locked out in the middle is refused everything from then on.
    told = [result.attempt for result in without_rows]
    yield from _without_rows(name, viewer, (each for each in controls(place) if each not in told))


def _without_rows(name: str, viewer: GrafanaClient, own: Iterable[Attempt]) -> Iterator[Result]:
    """Of the attempts to read what is ``own``, those that give nothing."""
    for control in own:
        answer = _answer(viewer, control)
        if not has_rows(answer):
            yield Result(name, control, "unproven", answer.status)


def _answer(viewer: GrafanaClient, attempt: Attempt) -> Answer:
    return viewer.attempt(attempt.method, attempt.path, attempt.body, attempt.headers)


def _place(admin: GrafanaClient, number: str, tenants: tuple[str, ...]) -> Place:
    sources = present_sources(admin.of(number))
    api = next((source for source in sources if source["uid"] == API_DATASOURCE_UID), {})
    ids = tuple(int(source["id"]) for source in sources)
    return Place(number, tenants, str(api.get("type", "")), str(api.get("url", "")), ids)


@contextmanager
def _viewer(admin: GrafanaClient, number: str) -> Iterator[GrafanaClient]:
    """A viewer of an organisation, as its people are."""
    organisation = admin.of(number)
    account = create_account(organisation, f"modelplane-proof-{secrets.token_hex(4)}", "Viewer")
    try:
        token = create_token(organisation, account, secondsToLive=_TOKEN_SECONDS)
        yield GrafanaClient(admin.url, Login.of_token(token, "the account of the proof"), number)
    finally:
        _remove(organisation, account)


def _remove(organisation: GrafanaClient, account: Mapping[str, Any]) -> None:
    try:
        answer = organisation.request("DELETE", f"/api/serviceaccounts/{account['id']}")
        reason = "" if answer.is_success else answer.reason
    except GrafanaError as error:
        reason = str(error)
    if reason:
        raise GrafanaError(
            f"the service account {account['name']} of organisation {organisation.number} could not be "
            f"removed ({reason}): remove it in Grafana; its token ends within an hour"
        )


def _tenants_with_data(admin: GrafanaClient) -> frozenset[str]:
    """Tenants of whom the operators see data; none when their data source cannot be asked."""
    return tenants_in(_answer(admin.of(OPERATORS), operators_query()))
