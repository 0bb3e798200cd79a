"""Bring a Grafana to what the registry says: look at everything, ask for the rights, then change it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from modelplane_provisioning.clients.grafana import (
    AbsentOrganisation,
    GrafanaClient,
    GrafanaError,
    expected,
    odd_answers,
    rows_of,
)
from modelplane_provisioning.grafana_apply.changes import Change
from modelplane_provisioning.grafana_apply.data_sources import surplus_sources
from modelplane_provisioning.grafana_apply.kubernetes_api import check_versions
from modelplane_provisioning.grafana_apply.organisations import create_organisation, organisation_number
from modelplane_provisioning.grafana_apply.plan import (
    Choices,
    OrganisationPlan,
    check_rights,
    organisation_plan,
)
from modelplane_provisioning.grafana_apply.rights import Right
from modelplane_provisioning.grafana_apply.wanted import WantedOrganisation
from modelplane_schema.uids import OPERATORS

Tell = Callable[[str, Change], None]
_ORGANISATION = "organisation"
_ORGANISATIONS_LISTED = 1000


@dataclass(frozen=True, slots=True)
class Identities:
    """Who works in the operators' organisation, and the server admin, who alone can make organisations."""

    operators: GrafanaClient
    admin: GrafanaClient | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was changed (in a dry run: what would be), what was left, and the number of each organisation."""

    changed: int
    left: int
    numbers: dict[str, str]


def apply(
    identities: Identities,
    wanted: Sequence[WantedOrganisation],
    choices: Choices,
    backend_url: str | None,
    tell: Tell,
    *,
    dry_run: bool = False,
) -> Outcome:
    """Make what is missing and mend what differs; ``tell`` hears of each change once it is made.

    Everything that is there is read first, and every right is asked for, so that a refusal changes nothing.
    GrafanaError says how far it came when Grafana refuses later.
    """
    with odd_answers(identities.operators):
        version = identities.operators.version()
        if choices.with_boards:
            check_versions(identities.operators, version)
        numbers = {each.name: _number(identities.admin, each) for each in wanted}
        plans = [plan for each in wanted for plan in _plans(identities, each, numbers[each.name], choices)]
        plans += _leftovers(identities.admin, set(filter(None, numbers.values())), choices, backend_url)
        check_rights(plans)
    if dry_run:
        outcome = _announced(plans, tell)
    else:
        outcome = _made(identities, wanted, plans, choices, tell)
        with odd_answers(identities.operators):
            numbers = {each.name: _number(identities.admin, each) for each in wanted}
    return Outcome(*outcome, {name: number for name, number in numbers.items() if number})


def _number(admin: GrafanaClient | None, wanted: WantedOrganisation) -> str | None:
    if wanted.is_operators or admin is None:
        return wanted.number
    return organisation_number(admin, wanted.name, wanted.number)


def _plans(
    identities: Identities, wanted: WantedOrganisation, number: str | None, choices: Choices
) -> Iterator[OrganisationPlan]:
    """The plan of one organisation, after the one that makes it."""
    admin = identities.admin
    if wanted.is_operators:
        yield organisation_plan(wanted, identities.operators, choices)
    elif admin is None:
        note = "only the server admin can look into it: pass --admin-password-file"
        change = Change("leave", _ORGANISATION, wanted.name, note)
        yield OrganisationPlan(wanted.name, identities.operators, (change,))
    elif number:
        yield organisation_plan(wanted, admin.of(number), choices)
    else:
        create = partial(create_organisation, admin, wanted.name)
        made = Change("create", _ORGANISATION, wanted.name, "", Right("orgs:create"), create)
        yield OrganisationPlan(wanted.name, admin, (made,))
        yield organisation_plan(wanted, AbsentOrganisation(admin.login), choices)


def _leftovers(
    admin: GrafanaClient | None, numbers: set[str], choices: Choices, backend_url: str | None
) -> Iterator[OrganisationPlan]:
    """Organisations that the registry does not name and that still read by our backend."""
    if admin is None or backend_url is None:
        return
    answer = admin.request("GET", "/api/orgs", params={"perpage": _ORGANISATIONS_LISTED})
    for row in rows_of(expected(answer, admin.login, "list organisations"), "organisations"):
        number = str(row["id"])
        if number == OPERATORS or number in numbers:
            continue
        organisation = admin.of(number)
        try:
            changes = tuple(surplus_sources(organisation, backend_url, choices.prune))
        except GrafanaError as error:
            note = f"it could not be looked into: {error}"
            changes = (Change("leave", _ORGANISATION, row["name"], note),)
        if changes:
            yield OrganisationPlan(row["name"], organisation, changes)


def _announced(plans: Sequence[OrganisationPlan], tell: Tell) -> tuple[int, int]:
    changes = [(plan.name, change) for plan in plans for change in plan.changes]
    for name, change in changes:
        tell(name, change)
    left = sum(change.run is None for _, change in changes)
    return len(changes) - left, left


def _made(
    identities: Identities,
    wanted: Sequence[WantedOrganisation],
    plans: Sequence[OrganisationPlan],
    choices: Choices,
    tell: Tell,
) -> tuple[int, int]:
    """What lies in a new organisation is looked at anew, once it has a number."""
    made = left = 0
    by_name = {each.name: each for each in wanted}
    try:
        for plan in plans:
            for change in _plan_now(identities, plan, by_name, choices).changes:
                if change.run is None:
                    left += 1
                else:
                    with odd_answers(identities.operators):
                        change.run()
                    made += 1
                tell(plan.name, change)
    except GrafanaError as error:
        raise GrafanaError(
            f"{error}\n{made} changes were made before that, each of them whole; running it again goes on "
            "from there and makes nothing twice"
        ) from error
    return made, left


def _plan_now(
    identities: Identities,
    plan: OrganisationPlan,
    wanted: dict[str, WantedOrganisation],
    choices: Choices,
) -> OrganisationPlan:
    """A plan, made anew for an organisation that did not exist yet."""
    if plan.organisation.number:
        return plan
    with odd_answers(identities.operators):
        number = _number(identities.admin, wanted[plan.name])
        if not number:
            raise GrafanaError(f"the organisation {plan.name!r} is gone: somebody deletes it; run it again")
        (made,) = _plans(identities, wanted[plan.name], number, choices)
        check_rights([made])
        return made
