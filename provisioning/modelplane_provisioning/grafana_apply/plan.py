"""The changes of one organisation, in the order in which they can be made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelplane_dashboards import FOLDERS
from modelplane_provisioning.clients.grafana import GrafanaError, Organisation
from modelplane_provisioning.grafana_apply.boards import board_change, surplus_boards
from modelplane_provisioning.grafana_apply.changes import Change
from modelplane_provisioning.grafana_apply.data_sources import app_changes, source_changes
from modelplane_provisioning.grafana_apply.folders import folder_changes, folder_exists
from modelplane_provisioning.grafana_apply.rights import missing_sentence, permissions_of
from modelplane_provisioning.grafana_apply.service_account import account_changes
from modelplane_provisioning.grafana_apply.wanted import WantedOrganisation


@dataclass(frozen=True, slots=True)
class OrganisationPlan:
    """``changes`` of the organisation ``name``, made in ``organisation``."""

    name: str
    organisation: Organisation
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """``boards_token_file`` asks for a service account that may write boards; ``prune`` may remove ours."""

    prune: bool = False
    with_boards: bool = True
    boards_token_file: Path | None = None


def organisation_plan(
    wanted: WantedOrganisation, organisation: Organisation, choices: Choices
) -> OrganisationPlan:
    """What makes an organisation as it is wanted; GrafanaError when it cannot be. Nothing is changed."""
    return OrganisationPlan(wanted.name, organisation, tuple(_changes(wanted, organisation, choices)))


def check_rights(plans: Sequence[OrganisationPlan]) -> None:
    """GrafanaError that says every right that is missing, of all organisations that exist."""
    problems = []
    for plan in plans:
        needed = [change for change in plan.changes if change.right]
        if not needed or not plan.organisation.number:
            continue
        permissions = permissions_of(plan.organisation)
        missing = [
            f"{change.text}: {change.right.action} on {' or '.join(change.right.scopes) or 'anything'}"
            for change in needed
            if change.right and not change.right.is_in(permissions)
        ]
        if missing:
            problems.append(missing_sentence(plan.organisation.login, plan.name, missing))
    if problems:
        raise GrafanaError("\n".join(problems))


def _changes(wanted: WantedOrganisation, organisation: Organisation, choices: Choices) -> Iterator[Change]:
    """Folders before what lies in them, data sources before the boards that read by them."""
    new_folders = list(folder_changes(organisation, wanted.folders if choices.with_boards else ()))
    yield from new_folders
    yield from app_changes(organisation, wanted.sources)
    yield from source_changes(organisation, wanted.sources, wanted.is_default)
    if wanted.is_operators and choices.boards_token_file:
        yield from account_changes(organisation, wanted.folders, choices.boards_token_file)
    if not choices.with_boards:
        return
    absent = {change.name for change in new_folders}
    ours = frozenset(folder.uid for folder in (*wanted.folders, *FOLDERS.values()))
    for board in wanted.boards():
        change = board_change(organisation, board, ours, board.folder in absent)
        if change:
            yield change
    present = frozenset(uid for uid in ours - absent if folder_exists(organisation, uid))
    yield from surplus_boards(organisation, present, wanted.board_uids, choices.prune)
