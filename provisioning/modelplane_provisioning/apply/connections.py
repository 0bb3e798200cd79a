"""Where the parts of a running plane are, and who asks them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelplane_provisioning.apply.parts import (
    AlertmanagerPart,
    BackendPart,
    GrafanaPart,
    Part,
    PrometheusPart,
)
from modelplane_provisioning.apply.rendered import Rendered
from modelplane_provisioning.bundle.credentials import GRAFANA_PASSWORD, OPERATOR
from modelplane_provisioning.bundle.files import retention_days
from modelplane_provisioning.bundle.layout import SECRETS
from modelplane_provisioning.clients.grafana import GrafanaClient, Login
from modelplane_provisioning.clients.plane import Connection, Plane
from modelplane_provisioning.secret_files import read_password, read_token
from modelplane_schema.owned_files import Changes


@dataclass(frozen=True, slots=True)
class Addresses:
    """Base URLs without a slash at the end; ``grafana`` is None where none is to be asked.

    ``admin_password_file`` holds the password of Grafana's server admin, by default that of the bundle.
    """

    prometheus: str = "http://127.0.0.1:9090"
    alertmanager: str = "http://127.0.0.1:9093"
    backend: str = "http://127.0.0.1:8090"
    grafana: str | None = "http://127.0.0.1:3000"
    admin_user: str = "admin"
    admin_password_file: Path | None = None

    @classmethod
    def of_plane(cls, plane: Plane) -> Addresses:
        """Those of the plane on this machine."""
        return cls(plane.prometheus_url, plane.alertmanager_url, plane.backend_url, plane.grafana_url)

    def parts(self, rendered: Rendered, changes: Changes) -> Sequence[Part]:
        """The parts that read what is rendered."""
        secrets = rendered.out / SECRETS
        token = read_token(secrets / OPERATOR.secret.path)
        parts: list[Part] = [
            PrometheusPart(
                Connection("Prometheus", self.prometheus),
                rendered.files,
                changes.removed,
                retention_days(rendered.registry),
            ),
            AlertmanagerPart(Connection("Alertmanager", self.alertmanager), rendered.files),
            BackendPart(Connection("the backend", self.backend, token), rendered.files, rendered.out),
        ]
        if self.grafana is not None:
            password = read_password(self.admin_password_file or secrets / GRAFANA_PASSWORD.path)
            client = GrafanaClient(self.grafana, Login.of_user(self.admin_user, password))
            parts.append(GrafanaPart(client, rendered.files, changes.removed))
        return parts
