"""Options of commands about a Grafana that runs: its address, and who asks it."""

from __future__ import annotations

from pathlib import Path

import click

from modelplane_provisioning.commands.options import Command, address

grafana_option = click.option(
    "--grafana", "url", required=True, callback=address("http://localhost:3000"), help="Grafana's address."
)


def admin_options(command: Command) -> Command:
    """``--admin-user`` and ``--admin-password-file``: Grafana's server admin."""
    user = click.option(
        "--admin-user", default="admin", show_default=True, help="Name of Grafana's server admin."
    )
    password = click.option(
        "--admin-password-file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="File with the server admin's password: only the server admin can make and enter organisations.",
    )
    return user(password(command))
