"""``modelplane grafana apply`` and ``prove``: make in a Grafana what files cannot, and prove it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from modelplane_provisioning.commands.grafana_options import admin_options, grafana_option
from modelplane_provisioning.commands.options import address, api_option, console, registry_option
from modelplane_provisioning.commands.text import print_json

if TYPE_CHECKING:
    from modelplane_dashboards import ApiAccess, PerEntity
    from modelplane_provisioning.grafana_apply.apply import Identities, Outcome
    from modelplane_provisioning.grafana_apply.changes import Change
    from modelplane_schema.registry import Registry

_MARKS = {"create": "+", "update": "~", "delete": "-", "leave": "!"}

token_option = click.option(
    "--token-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File with the token of a service account in the operators' organisation.",
)
secrets_option = click.option(
    "--secrets",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("build/secrets/grafana"),
    show_default=True,
    help="Folder with the backend's tokens for Grafana, as `modelplane bundle` writes it.",
)


@click.command("apply")
@registry_option
@grafana_option
@token_option
@admin_options
@api_option
@click.option(
    "--prometheus-url", callback=address("http://prometheus:9090"), help="Prometheus, as Grafana reaches it."
)
@click.option(
    "--backend-url", callback=address("http://backend:8090"), help="The backend, as Grafana reaches it."
)
@click.option(
    "--alertmanager-url",
    callback=address("http://alertmanager:9093"),
    help="Alertmanager, as Grafana reaches it.",
)
@click.option(
    "--scrape-interval", "seconds", type=click.IntRange(min=1), default=15, show_default=True,
    help="Seconds between two scrapes of Prometheus.",
)  # fmt: skip
@secrets_option
@click.option(
    "--per-entity", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True,
    help="Also a board for each tenant and each model.",
)  # fmt: skip
@click.option(
    "--boards/--no-boards", "with_boards", default=True, show_default=True,
    help="Write folders and boards; a Grafana that reads them as files needs it not.",
)  # fmt: skip
@click.option(
    "--boards-token-file", type=click.Path(dir_okay=False, path_type=Path),
    help="Also make a service account that may write boards and nothing else, and write its token there.",
)  # fmt: skip
@click.option("--prune", is_flag=True, help="Remove what is ours and the registry has no more.")
@click.option("--dry-run", is_flag=True, help="Say what would be changed, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def grafana_apply(
    registry: Path, url: str, token_file: Path | None, admin_user: str, admin_password_file: Path | None,
    api: ApiAccess, prometheus_url: str | None, backend_url: str | None, alertmanager_url: str | None,
    seconds: int, secrets: Path, per_entity: PerEntity, with_boards: bool, boards_token_file: Path | None,
    prune: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Make organisations, folders, data sources and boards in a running Grafana.

    A second run changes nothing.

    Everything is read and every right is asked for before anything is changed. What comes from files of
    provisioning, and what somebody else made, is left alone.

    Example: modelplane grafana apply --grafana http://localhost:3000 --token-file grafana-token
    --backend-url http://backend:8090 --prometheus-url http://prometheus:9090 --dry-run
    """
    from modelplane_provisioning.grafana_apply.apply import apply
    from modelplane_provisioning.grafana_apply.plan import Choices
    from modelplane_provisioning.grafana_apply.wanted import Addresses, wanted_organisations
    from modelplane_schema.registry import load_registry

    declared = load_registry(registry)
    if declared.grafana and declared.grafana.tenant_organisations and not backend_url:
        raise click.UsageError("organisations of tenants read by the backend alone: pass --backend-url")
    if boards_token_file and not with_boards:
        raise click.UsageError("--boards-token-file is about folders, which --no-boards leaves out: drop one")
    addresses = Addresses(prometheus_url, backend_url, alertmanager_url, seconds)
    tokens = _tokens(declared, secrets) if backend_url else {}
    wanted = wanted_organisations(declared, addresses, tokens, api, per_entity)
    choices = Choices(prune, with_boards, boards_token_file)
    identities = _identities(url, token_file, admin_user, admin_password_file)
    changes: list[tuple[str, Change]] = []

    def tell(organisation: str, change: Change) -> None:
        changes.append((organisation, change))
        if not as_json:
            console.print(f"{_MARKS[change.action]} {organisation}: {change.text}", markup=False)

    outcome = apply(identities, wanted, choices, backend_url, tell, dry_run=dry_run)
    if as_json:
        print_json(_document(changes, outcome, dry_run))
        return
    _print_numbers(declared, outcome)
    _print_outcome(url, outcome, dry_run)


def _identities(
    url: str, token_file: Path | None, admin_user: str, admin_password_file: Path | None
) -> Identities:
    from modelplane_provisioning.clients.grafana import GrafanaClient, Login
    from modelplane_provisioning.grafana_apply.apply import Identities
    from modelplane_provisioning.secret_files import read_password, read_token

    admin = None
    if admin_password_file:
        admin = GrafanaClient(url, Login.of_user(admin_user, read_password(admin_password_file)))
    if token_file:
        return Identities(GrafanaClient(url, Login.of_token(read_token(token_file))), admin)
    if admin is None:
        raise click.UsageError("pass --token-file, --admin-password-file, or both")
    return Identities(admin, admin)


def _tokens(registry: Registry, folder: Path) -> dict[str, str]:
    from modelplane_provisioning.bundle.credentials import GRAFANA
    from modelplane_provisioning.grafana_apply.wanted import OPERATORS_NAME
    from modelplane_provisioning.secret_files import SecretFileError, read_token

    organisations = registry.grafana.tenant_organisations if registry.grafana else ()
    files = {OPERATORS_NAME: GRAFANA.file, **{each.uid: each.token_file for each in organisations}}
    try:
        return {name: read_token(folder / file) for name, file in files.items()}
    except SecretFileError as error:
        advice = "`modelplane bundle` makes the backend's tokens; name their folder with --secrets"
        raise SecretFileError(f"{error}; {advice}") from error


def _print_numbers(registry: Registry, outcome: Outcome) -> None:
    """An organisation without its number in the registry has no part in files and identities."""
    for organisation in registry.grafana.tenant_organisations if registry.grafana else ():
        number = outcome.numbers.get(organisation.name)
        if number and organisation.number is None:
            console.print(
                f"{organisation.name}: Grafana gave it the number {number}; write `number: {number}` into "
                "the registry, so that files and Grafana's identities know it, too",
                markup=False,
            )


def _print_outcome(url: str, outcome: Outcome, dry_run: bool) -> None:
    left = f"; {outcome.left} left as they are" if outcome.left else ""
    if not outcome.changed:
        console.print(f"{url}: nothing to change{left}", markup=False)
    elif dry_run:
        console.print(f"{url}: {outcome.changed} changes to make, none made{left}", markup=False)
    else:
        console.print(f"{url}: {outcome.changed} changes made{left}", markup=False)


def _document(changes: list[tuple[str, Change]], outcome: Outcome, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "changed": outcome.changed,
        "left": outcome.left,
        "organisations": outcome.numbers,
        "changes": [
            {
                "organisation": organisation,
                "action": change.action,
                "kind": change.kind,
                "name": change.name,
                "note": change.note,
            }
            for organisation, change in changes
        ],
    }
