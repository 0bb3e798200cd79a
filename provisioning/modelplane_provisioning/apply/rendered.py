"""The bundle that a registry gives: for containers, or for the plane that runs on this machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from modelplane_dashboards import ApiAccess
from modelplane_provisioning.bundle.credentials import GrafanaTrust
from modelplane_provisioning.bundle.files import REGISTRY_FILE, registry_targets
from modelplane_provisioning.bundle.grafana import for_new_grafana, trust
from modelplane_provisioning.bundle.layout import entity_boards
from modelplane_provisioning.bundle.owner import Owner, bundle_owner
from modelplane_provisioning.bundle.site import DEMO_TIMES, GRAFANA_PORT, PRODUCTION_TIMES, local_site
from modelplane_provisioning.bundle.writer import plan_bundle, write_bundle
from modelplane_provisioning.clients.plane import Plane
from modelplane_provisioning.compose.containers import container_files, container_site, prepare_data
from modelplane_provisioning.data_folder import is_demo
from modelplane_provisioning.images.lock import read_lock
from modelplane_provisioning.local.stack import (
    ALERTMANAGER_BINARIES,
    alertmanager_version,
    find_binary,
    local_files,
)
from modelplane_schema.errors import UserError
from modelplane_schema.owned_files import Changes
from modelplane_schema.registry import Registry, load_registry


class RegistryPlaceError(UserError):
    """There is no registry in a folder."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is to be below ``out``: ``files`` by relative path. ``registry_folder`` has the files it names.

    ``owner`` is the user of the containers, None where there are none.
    """

    out: Path
    files: Mapping[str, bytes]
    registry: Registry
    registry_folder: Path
    trust: GrafanaTrust
    owner: Owner | None = None

    def changes(self) -> Changes:
        """What ``write`` would change now; a UserError with every reason why it would refuse."""
        return plan_bundle(self.out, self.files, self.registry, self.registry_folder, self.trust)

    def write(self) -> Changes:
        """Write the bundle; what the containers read and write belongs to their ``owner`` then."""
        changes = write_bundle(self.out, self.files, self.registry, self.registry_folder, self.trust)
        if self.owner is not None:
            prepare_data(self.out, self.owner)
        return changes


@dataclass(frozen=True, slots=True)
class ContainerChoices:
    """How a bundle for containers is rendered: as ``modelplane bundle`` was told."""

    examples: Path | None = None
    starts_grafana: bool = True
    api: ApiAccess = "plugin"


def registry_file(place: Path) -> Path:
    """The file of a registry that is named by itself or by its folder, such as that of a ConfigMap."""
    if not place.is_dir():
        return place
    if not (place / REGISTRY_FILE).is_file():
        raise RegistryPlaceError(
            f"{place}: is a folder without a {REGISTRY_FILE}; name the file of the registry"
        )
    return place / REGISTRY_FILE


def for_containers(place: Path, out: Path, choices: ContainerChoices) -> Rendered:
    """The bundle of ``modelplane bundle``."""
    file = registry_file(place)
    registry, owner = load_registry(file), bundle_owner(out)
    files = container_files(
        registry,
        str(owner),
        choices.examples,
        starts_grafana=choices.starts_grafana,
        api=choices.api,
        digests=read_lock(out),
        per_entity=entity_boards(out),
    )
    believed = trust(registry, container_site(starts_grafana=choices.starts_grafana), choices.api)
    return Rendered(out, files, registry, file.parent, believed, owner)


def for_local_plane(place: Path, data: Path) -> Rendered:
    """The bundle of the plane that ``modelplane up`` or ``demo`` runs from ``data``, or PlaneError."""
    data, plane, file = data.resolve(), Plane.load(data), registry_file(place)
    registry = for_new_grafana(load_registry(file))
    bundle = data / "bundle"
    site = local_site(
        str(bundle),
        str(data),
        prometheus=urlsplit(plane.prometheus_url).netloc,
        alertmanager=urlsplit(plane.alertmanager_url).netloc,
        backend=urlsplit(plane.backend_url).netloc,
        alertmanager_version=alertmanager_version(find_binary("Alertmanager", ALERTMANAGER_BINARIES)),
        grafana_port=urlsplit(plane.grafana_url or "").port or GRAFANA_PORT,
    )
    times = DEMO_TIMES if is_demo(data) else PRODUCTION_TIMES
    files = local_files(registry, bundle, site, times, registry_targets(registry))
    return Rendered(bundle, files, registry, file.parent, trust(registry, site, "plugin"))
