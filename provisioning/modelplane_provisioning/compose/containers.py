"""The bundle for containers: the common files, with addresses of the Compose network, and compose.yaml."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from modelplane_dashboards import ApiAccess, PerEntity
from modelplane_provisioning.bundle.credentials import PARTS
from modelplane_provisioning.bundle.files import bundle_files, registry_targets, retention_days
from modelplane_provisioning.bundle.grafana import root_url
from modelplane_provisioning.bundle.layout import DATA, SECRETS, count_boards
from modelplane_provisioning.bundle.owner import Owner, give
from modelplane_provisioning.bundle.site import CONTAINERS, PRODUCTION_TIMES, Site
from modelplane_provisioning.compose import (
    BUILD_FOLDER,
    PROMETHEUS_LINK,
    ComposeChoices,
    ExampleContainer,
    compose_file,
)
from modelplane_provisioning.examples import read_catalogue
from modelplane_provisioning.images import build_files
from modelplane_schema.registry import Registry

DATA_FOLDERS = ("prometheus", "alertmanager", "backend", "grafana")
_EXAMPLE_PORT = 8000


def container_site(*, starts_grafana: bool = True) -> Site:
    """Where containers find each other, with a Grafana of ours or somebody else's."""
    return replace(CONTAINERS, starts_grafana=starts_grafana)


def prepare_data(out: Path, owner: Owner) -> None:
    """Make the folders of the databases, and give them and the secrets to the containers: OwnerError."""
    for part in DATA_FOLDERS:
        (out / DATA / part).mkdir(mode=0o700, parents=True, exist_ok=True)
    given = (_ours(out / SECRETS, PARTS), _ours(out / DATA, DATA_FOLDERS))
    give((folder for folders in given for folder in folders), owner)


def _ours(folder: Path, parts: Iterable[str]) -> Iterator[Path]:
    """A folder of ours; behind one that is a link, where others have files, only its parts."""
    return (folder / part for part in parts) if folder.is_symlink() else iter((folder,))


def container_files(
    registry: Registry,
    user: str,
    examples: Path | None = None,
    *,
    starts_grafana: bool = True,
    api: ApiAccess = "plugin",
    digests: Mapping[str, str] | None = None,
    per_entity: PerEntity = "auto",
) -> dict[str, bytes]:
    """Map relative path to content. ``user`` is the ``uid:gid`` that owns the bundle.

    With a folder of ``examples`` each example service is a container, and its model's target. Without
    ``starts_grafana`` the provisioning files are for a Grafana of somebody else's. ``digests`` pins images,
    by their ``repository:tag``.
    """
    site = container_site(starts_grafana=starts_grafana)
    targets = {name: list(addresses) for name, addresses in registry_targets(registry).items()}
    containers = []
    for service in read_catalogue(examples) if examples else ():
        example = ExampleContainer(service.script, _EXAMPLE_PORT)
        containers.append(example)
        if service.model_name in targets:
            targets[service.model_name] = [f"{example.service}:{_EXAMPLE_PORT}"]
    files = bundle_files(registry, site, PRODUCTION_TIMES, targets, api, per_entity)
    choices = ComposeChoices(
        user=user,
        retention_days=retention_days(registry),
        scrape_interval_seconds=PRODUCTION_TIMES.scrape_interval_seconds,
        boards=count_boards(files),
        examples=containers,
        api=api,
        starts_grafana=starts_grafana,
        root_url=root_url(registry, site),
        prometheus_link=registry.urls.prometheus or PROMETHEUS_LINK,
        digests=digests or {},
    )
    return {**files, **build_files.files(BUILD_FOLDER), "compose.yaml": compose_file(choices).encode()}
