"""What an identity may do in an organisation: asked first, for a dry run of Grafana's checks no rights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from modelplane_provisioning.clients.grafana import Login, Organisation, expected

# Action to scopes, as Grafana lists them.
Permissions = Mapping[str, Sequence[str]]
ANY_SCOPE = ""


@dataclass(frozen=True, slots=True)
class Right:
    """An action on any one of ``scopes``."""

    action: str
    scopes: tuple[str, ...] = (ANY_SCOPE,)

    def is_in(self, permissions: Permissions) -> bool:
        """Whether an identity with these permissions has it."""
        granted = permissions.get(self.action)
        if not granted:  # an action without scopes is listed with an empty one, or with none
            return granted is not None and ANY_SCOPE in self.scopes
        return any(_covers(scope, wanted) for scope in granted for wanted in self.scopes)


def permissions_of(organisation: Organisation) -> Permissions:
    """What the identity may do there; GrafanaError."""
    answer = organisation.request("GET", "/api/access-control/user/permissions")
    content = expected(answer, organisation.login, "ask for its own permissions")
    return {str(action): tuple(scopes or ()) for action, scopes in dict(content).items()}


def missing_sentence(login: Login, organisation: str, lines: Iterable[str]) -> str:
    """One text that says all that may not be done, each with the right that is missing."""
    listed = "\n".join(f"  {line}" for line in lines)
    return (
        f"{login.name} lacks rights in the organisation {organisation!r}:\n{listed}\nNothing was changed. "
        "Give its service account these rights or the role Admin, or pass --admin-password-file"
    )


def _covers(granted: str, wanted: str) -> bool:
    if wanted == ANY_SCOPE or granted in (ANY_SCOPE, wanted):
        return True
    return granted.endswith("*") and wanted.startswith(granted[:-1])
