"""Options that name the parts of a plane: a local plane's folder, or the URL of each part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import click

from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.clients.plane_errors import PlaneError
from modelplane_provisioning.commands.options import Command, address
from modelplane_provisioning.secret_files import read_password, read_token


@dataclass(frozen=True, slots=True)
class PlaneOptions:
    """What was given on the command line; URLs have no slash at their end."""

    prometheus: str | None
    prometheus_user: str | None
    prometheus_token_file: Path | None
    prometheus_tenant: str | None
    alertmanager: str | None
    alertmanager_user: str | None
    alertmanager_token_file: Path | None
    backend: str | None
    token_file: Path | None
    grafana: str | None
    grafana_token_file: Path | None
    ca_file: Path | None

    @classmethod
    def of(cls, options: dict[str, Any]) -> PlaneOptions:
        """Take what belongs here out of a command's ``options``."""
        return cls(**{field.name: options.pop(field.name) for field in fields(cls)})

    @property
    def connections(self) -> dict[str, Connection]:
        """A connection to each part that has a URL; PlaneError or SecretFileError without a token."""
        tenant = {"X-Scope-OrgID": self.prometheus_tenant} if self.prometheus_tenant else {}
        given = {
            "prometheus": ("Prometheus", self.prometheus, self.prometheus_user, self.prometheus_token_file),
            "alertmanager": (
                "Alertmanager", self.alertmanager, self.alertmanager_user, self.alertmanager_token_file
            ),
            "backend": ("the backend", self.backend, None, self.token_file),
            "grafana": ("Grafana", self.grafana, None, self.grafana_token_file),
        }  # fmt: skip
        return {
            part: self._connection(name, url, user, file, tenant if part == "prometheus" else {})
            for part, (name, url, user, file) in given.items()
            if url
        }

    def _connection(
        self, name: str, url: str, user: str | None, file: Path | None, headers: Mapping[str, str]
    ) -> Connection:
        """``file`` holds a token, or the password of ``user``."""
        if user is None:
            return Connection(
                name, url, read_token(file) if file else None, ca_file=self.ca_file, headers=headers
            )
        connection = Connection(name, url, ca_file=self.ca_file, headers=headers)
        return connection.below("", (user, _password(user, file)))


def _password(user: str, path: Path | None) -> str:
    if path is None:
        raise PlaneError(f"the user {user} needs a password: name the file that holds it with -token-file")
    return read_password(path)


def _file(name: str, what: str) -> Callable[[Command], Command]:
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option(name, type=kind, help=what)


_OPTIONS = (
    click.option(
        "--prometheus",
        callback=address("https://prometheus.example.org:9090"),
        help="Prometheus, or the root of the Prometheus API of another store.",
    ),
    click.option("--prometheus-user", help="User of Prometheus, where it asks for a password."),
    _file("--prometheus-token-file", "File with a token for it, or with the user's password."),
    click.option("--prometheus-tenant", help="Tenant of Mimir, sent as X-Scope-OrgID."),
    click.option("--alertmanager", callback=address("http://alertmanager:9093"), help="Alertmanager."),
    click.option("--alertmanager-user", help="User of Alertmanager, where it asks for a password."),
    _file("--alertmanager-token-file", "File with a token for it, or with the user's password."),
    click.option("--backend", callback=address("http://backend:8090"), help="modelplane's backend."),
    _file("--token-file", "File with a token of the backend that may read every tenant."),
    click.option("--grafana", callback=address("http://grafana:3000"), help="Grafana."),
    _file("--grafana-token-file", "File with the token of a service account of Grafana; Viewer is enough."),
    _file("--ca-file", "File with the authorities that sign the certificates of the parts."),
)


def plane_options(command: Command) -> Command:
    """Options of ``PlaneOptions``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
