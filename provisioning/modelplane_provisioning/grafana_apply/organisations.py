"""Organisations of a Grafana, known by name; their numbers are Grafana's."""

from __future__ import annotations

from typing import Literal, overload
from urllib.parse import quote

import requests

from modelplane_provisioning.clients.grafana import GrafanaClient, GrafanaError, expected


@overload
def organisation_number(
    admin: GrafanaClient, name: str, declared: str | None, *, must_exist: Literal[True]
) -> str: ...
@overload
def organisation_number(admin: GrafanaClient, name: str, declared: str | None) -> str | None: ...
def organisation_number(
    admin: GrafanaClient, name: str, declared: str | None, *, must_exist: bool = False
) -> str | None:
    """The number of an organisation, None while there is none; GrafanaError when the registry has another."""
    answer = admin.request("GET", f"/api/orgs/name/{quote(name, safe='')}")
    content = expected(answer, admin.login, "look for organisations", requests.codes.not_found)
    if not answer.is_success:
        if must_exist:
            raise GrafanaError(f"there is no organisation {name!r}: `modelplane grafana apply` makes it")
        return None
    number = str(content["id"])
    if declared not in (None, number):
        raise GrafanaError(
            f"the organisation {name!r} has the number {number} in this Grafana, and {declared} in the "
            "registry (grafana.tenant_organisations): correct the registry"
        )
    return number


def create_organisation(admin: GrafanaClient, name: str) -> None:
    """Make an organisation; one that somebody else makes at that moment is taken. GrafanaError."""
    answer = admin.request("POST", "/api/orgs", {"name": name})
    expected(answer, admin.login, f"create the organisation {name!r}", requests.codes.conflict)
