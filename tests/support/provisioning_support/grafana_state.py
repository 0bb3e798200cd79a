"""What a double of Grafana holds: organisations, identities, and what each identity may do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

PASSWORD = "a password of the test"
ADMIN_ID = 1
VIEWER = {
    "dashboards:read": ("dashboards:*", "folders:*"), "folders:read": ("folders:*",),
    "datasources:read": ("datasources:*",), "datasources:query": ("datasources:*",),
}  # fmt: skip
EDITOR = {
    **VIEWER, "dashboards:create": ("folders:*",), "dashboards:write": ("dashboards:*", "folders:*"),
    "dashboards:delete": ("dashboards:*", "folders:*"), "folders:create": ("folders:*",),
    "folders.permissions:read": ("folders:*",),
}  # fmt: skip
ADMIN = {
    **EDITOR, "datasources:create": ("",), "datasources:write": ("datasources:*",),
    "datasources:delete": ("datasources:*",), "serviceaccounts:create": ("",),
    "serviceaccounts:read": ("serviceaccounts:*",), "serviceaccounts:write": ("serviceaccounts:*",),
    "serviceaccounts:delete": ("serviceaccounts:*",), "folders.permissions:write": ("folders:*",),
    "plugins:write": ("plugins:*",),
}  # fmt: skip
SERVER_ADMIN = {**ADMIN, "orgs:create": ("",), "orgs:read": ("",)}
ROLES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "None": {}, "Viewer": VIEWER, "Editor": EDITOR, "Admin": ADMIN,
}  # fmt: skip


@dataclass
class Account:
    """A service account; ``edits`` are the uids of folders that it may edit whatever its role."""

    id: int
    name: str
    role: str
    organisation: int
    edits: set[str] = field(default_factory=set)


@dataclass
class OrganisationState:
    """``indexed`` are the boards that the search knows of."""

    number: int
    name: str
    folders: dict[str, dict[str, Any]] = field(default_factory=dict)
    boards: dict[str, dict[str, Any]] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)
    enabled: set[str] = field(default_factory=set)
    indexed: set[str] = field(default_factory=set)
    has_admin: bool = True


@dataclass(frozen=True)
class Identity:
    """Who asks, in which organisation; ``account`` is None for the server admin."""

    organisation: OrganisationState
    account: Account | None
    admin_permissions: Mapping[str, Sequence[str]] = field(default_factory=lambda: SERVER_ADMIN)

    @property
    def permissions(self) -> dict[str, list[str]]:
        if self.account is None:
            return {action: list(scopes) for action, scopes in self.admin_permissions.items()}
        granted = {action: list(scopes) for action, scopes in ROLES[self.account.role].items()}
        for folder in self.account.edits:
            for action in ("dashboards:create", "dashboards:write", "dashboards:delete", "folders:create"):
                granted.setdefault(action, []).append(f"folders:uid:{folder}")
        return granted

    def may(self, action: str, *scopes: str) -> bool:
        granted = self.permissions.get(action)
        if granted is None:
            return False
        return not scopes or any(
            scope in ("", wanted) or (scope.endswith("*") and wanted.startswith(scope[:-1]))
            for scope in granted
            for wanted in scopes
        )


@dataclass
class GrafanaState:
    """``before`` is called with method and path before each answer: somebody else at work.

    ``leaks`` break what keeps organisations apart: ``ids`` lets data sources of others be asked by their
    number, ``header`` lets a token ask in any organisation. ``failing`` answers everything instead: status,
    content type, body; ``redirect`` sends elsewhere.
    """

    version: str = "12.4.0"
    plugin_version: str = "0.1.0"
    api_versions: tuple[str, ...] = ("dashboard.grafana.app/v0alpha1", "folder.grafana.app/v1beta1")
    admin_permissions: Mapping[str, Sequence[str]] = field(default_factory=lambda: SERVER_ADMIN)
    plugins: set[str] = field(
        default_factory=lambda: {"modelplane-monitoring-app", "yesoreyeram-infinity-datasource"}
    )
    organisations: dict[int, OrganisationState] = field(default_factory=dict)
    tokens: dict[str, Account] = field(default_factory=dict)
    accounts: dict[int, Account] = field(default_factory=dict)
    before: Callable[[str, str], None] = lambda _method, _path: None
    leaks: frozenset[str] = frozenset()
    failing: tuple[int, str, str] | None = None
    redirect: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    ids: Any = field(default_factory=lambda: count(2))

    def __post_init__(self) -> None:
        self.organisations[1] = OrganisationState(1, "Main Org.")

    @property
    def writes(self) -> list[tuple[str, str]]:
        """What came that was no question."""
        return [(method, path) for method, path in self.requests if method != "GET"]

    def organisation(self, name: str) -> OrganisationState:
        return next(each for each in self.organisations.values() if each.name == name)

    def add_organisation(self, name: str, has_admin: bool = True) -> OrganisationState:
        number = max(self.organisations) + 1
        self.organisations[number] = OrganisationState(number, name, has_admin=has_admin)
        return self.organisations[number]

    def add_account(self, name: str, role: str, organisation: int) -> Account:
        account = Account(next(self.ids), name, role, organisation)
        self.accounts[account.id] = account
        return account

    def add_token(self, role: str, organisation: int = 1, edits: Sequence[str] = ()) -> str:
        """The token of a new service account."""
        account = self.add_account(f"account-{len(self.accounts)}", role, organisation)
        account.edits.update(edits)
        return self.token_of(account)

    def token_of(self, account: Account) -> str:
        key = f"glsa_{len(self.tokens)}_of-the-test"
        self.tokens[key] = account
        return key

    def reindex(self) -> None:
        """The search catches up, some seconds after a write."""
        for organisation in self.organisations.values():
            organisation.indexed = set(organisation.boards)
