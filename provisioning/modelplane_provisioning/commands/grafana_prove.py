"""``modelplane grafana prove``: each organisation of tenants tries to read what is not its own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.markup import escape
from rich.table import Table

from modelplane_provisioning.commands.grafana_options import admin_options, grafana_option
from modelplane_provisioning.commands.options import console, registry_option
from modelplane_provisioning.commands.text import print_json

if TYPE_CHECKING:
    from modelplane_provisioning.grafana_apply.proof import Proof, Result
    from modelplane_schema.registry import Registry

UNPROVEN, LEAK = 3, 4
_COLOURS = {"read": "red", "taken": "red", "unproven": "yellow"}


def _address(_context: click.Context, _option: click.Parameter, text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter("must be HOST:PORT, such as 127.0.0.1:0")
    return host, int(port)


@click.command("prove")
@registry_option
@grafana_option
@admin_options
@click.option(
    "--listen", default="127.0.0.1:0", show_default=True, callback=_address, metavar="HOST:PORT",
    help="Where a token is to be taken to: an address of this machine that Grafana reaches.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print every attempt as JSON.")
def grafana_prove(
    registry: Path, url: str, admin_user: str, admin_password_file: Path | None, listen: tuple[str, int],
    as_json: bool,
) -> None:  # fmt: skip
    """Prove that no organisation of tenants reads what is another tenant's.

    In each of them a viewer, made for it and removed, asks for every other tenant's data: through both data
    sources, Grafana's proxy, forged URLs and other organisations, and tries to take the token elsewhere.
    The exit status is 0 when everything was refused, 4 when anything was read or taken, and 3 when a viewer
    cannot read even their own, so that refusals prove nothing.

    Example: modelplane grafana prove --grafana http://localhost:3000
    --admin-password-file build/secrets/grafana/grafana-admin-password
    """
    from modelplane_provisioning.clients.grafana import GrafanaClient, Login, odd_answers
    from modelplane_provisioning.grafana_apply.organisations import organisation_number
    from modelplane_provisioning.grafana_apply.proof import prove
    from modelplane_provisioning.secret_files import read_password
    from modelplane_schema.registry import load_registry

    if admin_password_file is None:
        raise click.UsageError("pass --admin-password-file: the server admin alone enters every organisation")
    declared = load_registry(registry)
    admin = GrafanaClient(url, Login.of_user(admin_user, read_password(admin_password_file)))
    admin.version()
    with odd_answers(admin):
        organisations = {
            each.name: (organisation_number(admin, each.name, each.number, must_exist=True), each.tenants)
            for each in _organisations(declared)
        }
    tell = (lambda _: None) if as_json else (lambda name: console.print(f"trying as {name}", markup=False))
    proof = prove(admin, organisations, [tenant.id for tenant in declared.tenants], listen, tell)
    if as_json:
        print_json(_document(url, proof))
    else:
        _print(proof)
    raise SystemExit(LEAK if proof.leaks else UNPROVEN if proof.unproven else 0)


def _organisations(registry: Registry) -> Any:
    organisations = registry.grafana.tenant_organisations if registry.grafana else ()
    if not organisations:
        raise click.UsageError("the registry has no organisation of tenants: grafana.tenant_organisations")
    return organisations


def _print(proof: Proof) -> None:
    table = Table("organisation", "wants data of", "attempt", "status", "result")
    for result in proof.results:
        colour = _COLOURS.get(result.verdict, "green")
        table.add_row(
            escape(result.organisation), escape(result.attempt.about), escape(result.attempt.name),
            str(result.status), f"[{colour}]{result.verdict}[/{colour}]",
        )  # fmt: skip
    console.print(table)
    for tenant in proof.without_data:
        console.print(f"{tenant}: has no data now, so nothing of it could be read", markup=False)
    for result in (*proof.unproven, *proof.leaks):
        console.print(_sentence(result), markup=False)
    tried = len(proof.results) - len(proof.unproven)
    console.print(f"{tried} attempts, {len(proof.leaks)} of them gave what is not theirs", markup=False)


def _sentence(result: Result) -> str:
    attempt = result.attempt
    where = f"{result.organisation}: {attempt.name} ({attempt.method} {attempt.path})"
    if result.refuses_nobody:
        return f"{where}: was answered with status {result.status}, which refuses nobody: run it again later"
    if result.verdict == "unproven":
        return (
            f"{where}: gives nothing even of their own, so refusals prove nothing: look at that data source"
        )
    done = "took the token to another host" if result.verdict == "taken" else f"read data of {attempt.about}"
    return f"{where}: {done}"


def _document(url: str, proof: Proof) -> dict[str, Any]:
    return {
        "grafana": url,
        "leaks": len(proof.leaks),
        "unproven": len(proof.unproven),
        "without_data": list(proof.without_data),
        "attempts": [
            {
                "organisation": result.organisation,
                "about": result.attempt.about,
                "attempt": result.attempt.name,
                "method": result.attempt.method,
                "path": result.attempt.path,
                "status": result.status,
                "result": result.verdict,
            }
            for result in proof.results
        ],
    }
