"""Who in a Grafana may see which tenants: a section of the registry, and of the backend's token file.

Needs pydantic (extra ``registry``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, model_validator

from modelplane_schema.fields import Declaration, http_url

GrafanaRole = Literal["Viewer", "Editor", "Admin"]
WRITING_ROLES: tuple[GrafanaRole, ...] = ("Editor", "Admin")


def _text_of_number(value: Any) -> Any:
    """YAML reads the key ``2:`` as a number."""
    return str(value) if type(value) is int else value


def _root_url(text: str) -> str:
    """The URL with its slash at the end, if it has one: Grafana signs exactly that text."""
    http_url(text)
    return text


def _subject(text: str) -> str:
    """Grafana's ``sub``: people can change their login, but not this."""
    if not re.fullmatch(r"(user|service-account):[A-Za-z0-9_-]{1,64}", text):
        raise ValueError(
            "must be the id that Grafana signs, such as user:17 or service-account:4: "
            "a login or an e-mail address can become somebody else's"
        )
    return text


RootUrl = Annotated[str, AfterValidator(_root_url)]
Organisation = Annotated[
    str, BeforeValidator(_text_of_number), StringConstraints(pattern=r"^[1-9][0-9]{0,17}$")
]
Subject = Annotated[str, AfterValidator(_subject)]
TenantId = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Tenants = Literal["all"] | Annotated[tuple[TenantId, ...], Field(min_length=1)]


class GrafanaAccess(Declaration):
    """``issuer`` is Grafana's ``root_url`` as configured there; ``keys_url`` where it publishes its keys.

    What ``users`` says of somebody in an organisation outweighs what ``roles`` says of their role, and that
    what ``organisations`` says of everybody in it. Who is in none of them sees nothing.
    """

    refused_keys: ClassVar[Mapping[str, str]] = {
        "teams": "cannot be mapped, because Grafana signs who asks without their teams; map instead "
        "their organisation (organisations), their role in it (roles) or themselves (users)"
    }

    issuer: RootUrl
    keys_url: RootUrl | None = None
    organisations: dict[Organisation, Tenants] = Field(default_factory=dict)
    roles: dict[Organisation, dict[GrafanaRole, Tenants]] = Field(default_factory=dict)
    users: dict[Organisation, dict[Subject, Tenants]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _somebody_sees_something(self) -> GrafanaAccess:
        if not (self.organisations or self.roles or self.users):
            raise ValueError("organisations, roles or users must name an organisation of Grafana")
        return self

    def tenants_of(self, organisation: str, role: str, subject: str) -> Tenants | None:
        """What somebody sees who is in ``organisation`` (its number), None for nothing."""
        roles = self.roles.get(organisation, {}).items()
        return (
            self.users.get(organisation, {}).get(subject)
            or next((tenants for name, tenants in roles if name == role), None)
            or self.organisations.get(organisation)
        )

    @property
    def named_tenants(self) -> Iterator[tuple[str, str]]:
        """Every tenant that is named, each with its place below the section."""
        for organisation, tenants in self.organisations.items():
            yield from _named(f"organisations.{organisation}", tenants)
        for organisation, roles in self.roles.items():
            for role, tenants in roles.items():
                yield from _named(f"roles.{organisation}.{role}", tenants)
        for organisation, users in self.users.items():
            for subject, tenants in users.items():
                yield from _named(f"users.{organisation}.{subject}", tenants)


def _named(place: str, tenants: Tenants) -> Iterator[tuple[str, str]]:
    if tenants != "all":
        yield from ((place, tenant) for tenant in tenants)
