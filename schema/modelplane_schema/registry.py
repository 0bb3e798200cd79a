"""The registry ``modelplane.yaml``: tenants, models, versions, SLOs and devices, validated on load.

Needs pydantic and PyYAML (extra ``registry``).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Set
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    AfterValidator,
    Field,
    JsonValue,
    PositiveInt,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from modelplane_schema.documents import raised_as, read_text
from modelplane_schema.errors import UserError
from modelplane_schema.fields import (
    Declaration,
    Name,
    Url,
    http_url,
    joined,
    no_duplicates,
    raise_all,
    repetitions,
    uid_collisions,
)
from modelplane_schema.grafana_section import GrafanaSection
from modelplane_schema.metrics import FRAMEWORK_PATTERN, RESERVED_TENANTS
from modelplane_schema.mixin_settings import checked_settings
from modelplane_schema.receivers import Email, Named, Owner, Platform, Recipient
from modelplane_schema.recorded import DEFAULT_MIN_OBSERVATIONS
from modelplane_schema.slos import Slo
from modelplane_schema.targets import DeclaredTargets, Targets, as_targets, disagreements
from modelplane_schema.validation import parse_model

# Where the runbooks are until an organisation hosts its own.
RUNBOOKS_IN_REPOSITORY = "docs/runbooks.md"


class RegistryError(UserError, ValueError):
    """The registry cannot be used; the message names the file, the place in it and what is allowed."""


def _runbooks(text: str) -> str:
    return text if text == RUNBOOKS_IN_REPOSITORY else http_url(text)


Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Amount = Annotated[Decimal, Field(ge=0)]
PriceAmount = Annotated[Decimal, Field(ge=0, le=1_000_000_000)]  # sums stay exact in 64 bits


class Urls(Declaration):
    """Where people reach Grafana, the runbooks and Prometheus; used in links inside alerts and boards."""

    grafana: Url = "http://localhost:3000"
    prometheus: Url | None = None
    runbooks: Annotated[str, AfterValidator(_runbooks)] = RUNBOOKS_IN_REPOSITORY


class Budget(Declaration):
    amount: Amount
    currency: Currency
    period: Literal["month"] = "month"


class Tenant(Recipient, Named):
    """Whose calls are counted, and who hears of them."""

    budget: Budget | None = None

    @field_validator("id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_TENANTS:
            raise ValueError(f"is reserved; choose any other text than {', '.join(RESERVED_TENANTS)}")
        return value


class Version(Declaration):
    version: Name
    stage: Literal["production", "canary", "shadow", "development"] = "production"


class PsiThresholds(Declaration):
    warning: Annotated[float, Field(gt=0)] = 0.1
    critical: Annotated[float, Field(gt=0)] = 0.25

    @model_validator(mode="after")
    def _ordered(self) -> PsiThresholds:
        if self.warning >= self.critical:
            raise ValueError("warning must be below critical")
        return self


class Drift(Declaration):
    """``visible_to_tenants``: its tenants see the signals that are counted for all of them together."""

    psi: PsiThresholds = PsiThresholds()
    min_observations: PositiveInt = DEFAULT_MIN_OBSERVATIONS
    visible_to_tenants: bool = False


class TokenPrice(Declaration):
    """What a million tokens of one kind cost from 00:00 UTC of ``effective_from`` on."""

    kind: Literal["input", "cached_input", "output", "reasoning"]
    amount: PriceAmount
    currency: Currency
    per: Literal["million"] = "million"
    effective_from: datetime.date


class Model(Declaration):
    name: Name
    framework: str
    owner: Name
    tenants: Annotated[tuple[Name, ...], Field(min_length=1)]
    targets: DeclaredTargets = ()
    replicas: PositiveInt | None = None
    max_in_flight: PositiveInt | None = None
    versions: Annotated[tuple[Version, ...], Field(min_length=1)]
    slos: tuple[Slo, ...] = ()
    drift: Drift = Drift()
    token_prices: tuple[TokenPrice, ...] = ()

    @field_validator("framework")
    @classmethod
    def _framework_pattern(cls, value: str) -> str:
        if not FRAMEWORK_PATTERN.fullmatch(value):
            raise ValueError(f"must match {FRAMEWORK_PATTERN.pattern}, for example pytorch or scikit_learn")
        return value

    @model_validator(mode="after")
    def _distinct(self) -> Model:
        no_duplicates("versions", (version.version for version in self.versions))
        no_duplicates("slos", (slo.name for slo in self.slos))
        no_duplicates("tenants", self.tenants)
        no_duplicates(
            "token_prices", (f"{price.kind} from {price.effective_from}" for price in self.token_prices)
        )
        return self

    @property
    def production_versions(self) -> tuple[str, ...]:
        """Versions whose stage is ``production``, in the order of the file."""
        return tuple(version.version for version in self.versions if version.stage == "production")

    @property
    def scrape(self) -> Targets:
        """The targets in their long form."""
        return as_targets(self.targets)

    @property
    def expected_replicas(self) -> int | None:
        """How many processes should serve the model: ``replicas``, else the number of hosts.

        None where nobody says, and where discovery may find any number.
        """
        if self.replicas or self.scrape.discovery:
            return self.replicas
        return len(self.scrape.hosts) or None


class Device(Declaration):
    """A device that is there from 00:00 UTC of ``from`` until 00:00 UTC of ``to``."""

    device: Name
    device_type: Name
    from_: Annotated[datetime.date, Field(alias="from")]
    to: datetime.date | None = None

    @model_validator(mode="after")
    def _ends_after_start(self) -> Device:
        if self.to is not None and self.to <= self.from_:
            raise ValueError(f"to must be after from ({self.from_})")
        return self


class Price(Declaration):
    device_type: Name
    amount: PriceAmount
    currency: Currency
    per: Literal["hour"] = "hour"
    effective_from: datetime.date


class Devices(Declaration):
    inventory: tuple[Device, ...] = ()
    prices: tuple[Price, ...] = ()

    @model_validator(mode="after")
    def _unambiguous(self) -> Devices:
        no_duplicates("prices", (f"{price.device_type} from {price.effective_from}" for price in self.prices))
        entries = sorted(self.inventory, key=lambda entry: (entry.device, entry.from_))
        for before, after in pairwise(entries):
            if before.device == after.device and (before.to is None or before.to > after.from_):
                raise ValueError(
                    f"inventory: {before.device!r} is listed twice on {after.from_}; "
                    f"allowed: one entry for each day (end the entry from {before.from_} with 'to')"
                )
        return self


def _unknown(place: str, what: str, ids: Iterable[str], known: Set[str]) -> list[str]:
    """A problem for each of ``ids`` that is not known."""
    return [
        f"{place}: {wrong!r} is not the id of {what}; allowed: {joined(sorted(known))}"
        for wrong in ids
        if wrong not in known
    ]


class Registry(Declaration):
    """Everything the platform team declares; ``tenants`` and ``models`` keep the order of the file.

    ``alerts`` sets what the mixin of rules and alerts lets one set, by its names. ``grafana`` says which
    tenants the people of a Grafana see through the backend.
    """

    apiVersion: Literal["modelplane/v1"]  # noqa: N815 - the key in the file
    urls: Urls = Urls()
    platform: Platform = Platform()
    owners: tuple[Owner, ...] | None = None
    tenants: Annotated[tuple[Tenant, ...], Field(min_length=1)]
    models: Annotated[tuple[Model, ...], Field(min_length=1)]
    devices: Devices = Devices()
    grafana: GrafanaSection | None = None
    alerts: Annotated[dict[str, JsonValue], Field(default_factory=dict)]

    @field_validator("alerts")
    @classmethod
    def _known_settings(cls, settings: dict[str, JsonValue]) -> dict[str, JsonValue]:
        try:
            return checked_settings(settings)
        except ValueError as error:
            raise ValueError("\n".join(f".{line}" for line in str(error).splitlines())) from error

    @field_validator("owners", "tenants")
    @classmethod
    def _distinct_ids(cls, entries: tuple[Owner | Tenant, ...] | None) -> tuple[Owner | Tenant, ...] | None:
        problems = repetitions("id", (entry.id for entry in entries or ()))
        # Boards have these titles, and Grafana tells boards apart by them.
        raise_all(problems or repetitions("name", (entry.full_title for entry in entries or ())))
        return entries

    @field_validator("tenants")
    @classmethod
    def _distinct_uids(cls, tenants: tuple[Tenant, ...]) -> tuple[Tenant, ...]:
        raise_all(uid_collisions("tenant", "id", (tenant.id for tenant in tenants)))
        return tenants

    @field_validator("models")
    @classmethod
    def _known_people(cls, models: tuple[Model, ...], info: ValidationInfo) -> tuple[Model, ...]:
        """Fields that are not valid are absent from ``info.data``, and nothing is compared with them."""
        names = [model.name for model in models]
        problems = repetitions("name", names) + uid_collisions("model", "name", names)
        if "tenants" in info.data:
            tenants = {tenant.id for tenant in info.data["tenants"]}
            for position, model in enumerate(models):
                problems += _unknown(f"[{position}].tenants", "a tenant", model.tenants, tenants)
        if info.data.get("owners") is not None:
            owners = {owner.id for owner in info.data["owners"]}
            for position, model in enumerate(models):
                problems += _unknown(f"[{position}].owner", "an owner", [model.owner], owners)
        raise_all(problems)
        return models

    @field_validator("models")
    @classmethod
    def _scraped_in_one_way(cls, models: tuple[Model, ...]) -> tuple[Model, ...]:
        raise_all(disagreements([model.scrape for model in models]))
        return models

    @field_validator("grafana")
    @classmethod
    def _known_tenants(cls, access: GrafanaSection | None, info: ValidationInfo) -> GrafanaSection | None:
        if access is not None and "tenants" in info.data:
            known = {tenant.id for tenant in info.data["tenants"]}
            raise_all(
                [
                    problem
                    for place, tenant in access.named_tenants
                    for problem in _unknown(f".{place}", "a tenant", [tenant], known)
                ]
            )
        return access

    @model_validator(mode="after")
    def _mail_has_a_server(self) -> Registry:
        if self.platform.smtp is None:
            raise_all(
                [
                    f"{place}.receivers[{position}]: e-mail needs a mail server; declare platform.smtp"
                    for place, recipient in self.recipients
                    for position, receiver in enumerate(recipient.receivers)
                    if isinstance(receiver, Email)
                ]
            )
        return self

    @property
    def recipients(self) -> Iterator[tuple[str, Recipient]]:
        """Everybody who may hear of alerts, each with its place in the registry."""
        yield "platform", self.platform
        for position, owner in enumerate(self.owners or ()):
            yield f"owners[{position}]", owner
        for position, tenant in enumerate(self.tenants):
            yield f"tenants[{position}]", tenant


def load_registry(path: Path) -> Registry:
    """Read and validate a registry file; RegistryError says everything that is wrong with it."""
    with raised_as(RegistryError):
        return parse_model(Registry, read_text(path, "pass --registry FILE"), str(path))


def parse_registry(text: str, source: str = "modelplane.yaml") -> Registry:
    """Validate registry text; ``source`` names it in errors."""
    with raised_as(RegistryError):
        return parse_model(Registry, text, source)


def dump_registry(registry: Registry) -> str:
    """Registry text that ``parse_registry`` reads back as an equal registry."""
    content = registry.model_dump(mode="json", by_alias=True, exclude_none=True)
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=110)
