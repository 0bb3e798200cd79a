"""The registry's section ``grafana``: who sees what, and the organisations that are made for tenants.

Needs pydantic (extra ``registry``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from modelplane_schema.fields import Declaration, Name, raise_all, repetitions, uid_collisions
from modelplane_schema.grafana_access import GrafanaAccess, Organisation, TenantId
from modelplane_schema.uids import OPERATORS, dashboard_uid

ORGANISATION_PREFIX = "mp-org-"  # of what belongs to an organisation of tenants
_NAME_IS_TAKEN = "Main Org."  # by that organisation


class TenantOrganisation(Declaration):
    """An organisation of Grafana for some tenants, known by its name.

    ``number`` is what Grafana gave it; it is known once the organisation was made.
    """

    name: Name
    tenants: Annotated[tuple[TenantId, ...], Field(min_length=1)]
    number: Organisation | None = None

    @property
    def uid(self) -> str:
        """The uid of its folder of boards, and the name of its token: ``mp-org-<slug>``."""
        return dashboard_uid("org", self.name)

    @property
    def token_file(self) -> str:
        """Name of the file with its token of the backend."""
        return f"{self.uid}-token"


class Exemplars(Declaration):
    """Where exemplars lead: the label that names a trace, and the uid of a data source of traces."""

    label: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$")] = "trace_id"
    data_source: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class DataSourceChoices(Declaration):
    """What a Prometheus data source of ours does in Grafana besides answering queries.

    ``is_default`` left out: ours is the default where nothing else is. ``manage_alerts`` lists its rules
    among Grafana's.
    """

    is_default: bool | None = None
    manage_alerts: bool = True
    exemplars: Exemplars | None = None


class GrafanaSection(GrafanaAccess):
    """What the backend believes of a Grafana, and what ``modelplane grafana apply`` makes there."""

    tenant_organisations: tuple[TenantOrganisation, ...] = ()
    data_sources: DataSourceChoices = DataSourceChoices()

    @model_validator(mode="after")
    def _somebody_sees_something(self) -> GrafanaSection:
        if not (self.organisations or self.roles or self.users or self.tenant_organisations):
            raise ValueError(
                "organisations, roles, users or tenant_organisations must name an organisation of Grafana"
            )
        return self

    @model_validator(mode="after")
    def _organisations_are_distinct(self) -> GrafanaSection:
        names = [organisation.name for organisation in self.tenant_organisations]
        problems = repetitions("name", names) + uid_collisions("org", "name", names)
        numbers = [organisation.number for organisation in self.tenant_organisations]
        problems += repetitions("number", filter(None, numbers))
        for position, organisation in enumerate(self.tenant_organisations):
            place = f"[{position}]"
            if organisation.name == _NAME_IS_TAKEN:
                problems.append(f"{place}.name: {_NAME_IS_TAKEN!r} is the operators' organisation")
            if organisation.number == OPERATORS:
                problems.append(f"{place}.number: {OPERATORS} is the operators' organisation")
            elif organisation.number in self.organisations:
                problems.append(
                    f"{place}.number: {organisation.number} stands under organisations, too; "
                    "allowed: one of both"
                )
        raise_all([f"tenant_organisations{problem}" for problem in problems])
        return self

    @property
    def access(self) -> GrafanaAccess | None:
        """Who sees what, as the token file has it; None while no organisation has a number."""
        numbered = {each.number: each.tenants for each in self.tenant_organisations if each.number}
        organisations = {**self.organisations, **numbered}
        if not (organisations or self.roles or self.users):
            return None
        return GrafanaAccess(
            issuer=self.issuer,
            keys_url=self.keys_url,
            organisations=organisations,
            roles=self.roles,
            users=self.users,
        )

    @property
    def named_tenants(self) -> Iterator[tuple[str, str]]:
        """Every tenant that is named, each with its place below the section."""
        yield from super().named_tenants
        for position, organisation in enumerate(self.tenant_organisations):
            for tenant in organisation.tenants:
                yield f"tenant_organisations[{position}].tenants", tenant
