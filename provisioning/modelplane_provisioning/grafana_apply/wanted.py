"""What a Grafana shall have, from the registry: one frozen thing for each organisation. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

import modelplane_dashboards
from modelplane_dashboards import ApiAccess, Folder, PerEntity
from modelplane_provisioning.bundle import grafana_sources
from modelplane_provisioning.bundle.grafana_sources import DataSource
from modelplane_provisioning.grafana_apply.boards import WantedBoard
from modelplane_schema.grafana_section import DataSourceChoices, TenantOrganisation
from modelplane_schema.registry import Registry
from modelplane_schema.uids import OPERATORS

OPERATORS_NAME = "operators"
_SHARED = modelplane_dashboards.FOLDERS["all"]


@dataclass(frozen=True, slots=True)
class Addresses:
    """URLs as Grafana itself reaches the parts; None leaves their data sources out."""

    prometheus: str | None = None
    backend: str | None = None
    alertmanager: str | None = None
    scrape_interval_seconds: int = 15


@dataclass(frozen=True, slots=True)
class WantedOrganisation:
    """``number`` is None until it is known. ``paths`` maps a board's path to the uid of its folder."""

    name: str
    number: str | None
    folders: tuple[Folder, ...]
    sources: tuple[DataSource, ...]
    paths: Mapping[str, str]
    files: Mapping[str, bytes] = field(repr=False)
    is_default: bool | None = None

    @property
    def is_operators(self) -> bool:
        return self.number == OPERATORS

    def boards(self) -> Iterator[WantedBoard]:
        """Each board, made when it is wanted."""
        for path, folder in self.paths.items():
            yield WantedBoard(PurePosixPath(path).stem, folder, self.files[path])

    @property
    def board_uids(self) -> frozenset[str]:
        return frozenset(PurePosixPath(path).stem for path in self.paths)


def wanted_organisations(
    registry: Registry,
    addresses: Addresses,
    tokens: Mapping[str, str],
    api: ApiAccess = "plugin",
    per_entity: PerEntity = "auto",
) -> list[WantedOrganisation]:
    """The operators' organisation, then those of tenants.

    ``tokens`` has a token of the backend for ``OPERATORS_NAME`` and for the uid of each organisation.
    """
    files = modelplane_dashboards.files(registry, api, per_entity)
    section = registry.grafana
    choices = section.data_sources if section else grafana_sources.NO_CHOICES
    organisations = [_operators(files, addresses, tokens, api, choices)]
    for organisation in section.tenant_organisations if section else ():
        organisations.append(_of_tenants(organisation, files, addresses, tokens, api, choices))
    return organisations


def _operators(
    files: Mapping[str, bytes],
    addresses: Addresses,
    tokens: Mapping[str, str],
    api: ApiAccess,
    choices: DataSourceChoices,
) -> WantedOrganisation:
    sources = []
    if addresses.prometheus:
        seconds = addresses.scrape_interval_seconds
        sources.append(grafana_sources.prometheus(addresses.prometheus, seconds, choices))
    if addresses.backend and api != "none":
        sources.append(grafana_sources.backend(addresses.backend, api, tokens[OPERATORS_NAME]))
    if addresses.alertmanager:
        sources.append(grafana_sources.alertmanager(addresses.alertmanager))
    by_name = {folder.name: folder for folder in modelplane_dashboards.FOLDERS.values()}
    paths = {path: by_name[path.partition("/")[0]].uid for path in files}
    folders = tuple(folder for folder in by_name.values() if folder.uid in paths.values())
    return WantedOrganisation(
        OPERATORS_NAME, OPERATORS, folders, tuple(sources), paths, files, choices.is_default
    )


def _of_tenants(
    organisation: TenantOrganisation,
    files: Mapping[str, bytes],
    addresses: Addresses,
    tokens: Mapping[str, str],
    api: ApiAccess,
    choices: DataSourceChoices,
) -> WantedOrganisation:
    """The boards with menus, and data sources that go through the backend with a token of its own."""
    sources = []
    if addresses.backend:
        token, seconds = tokens[organisation.uid], addresses.scrape_interval_seconds
        sources.append(grafana_sources.scoped_prometheus(addresses.backend, seconds, token, choices))
        if api != "none":
            sources.append(grafana_sources.backend(addresses.backend, api, token))
    folder = Folder(_SHARED.name, organisation.uid, _SHARED.title)
    paths = {path: folder.uid for path in files if path.startswith(f"{_SHARED.name}/")}
    return WantedOrganisation(organisation.name, organisation.number, (folder,), tuple(sources), paths, files)
