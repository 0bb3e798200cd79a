"""The bundle for containers: the common files, with addresses of the Compose network, and compose.yaml."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from modelplane_dashboards import ApiAccess
from modelplane_provisioning.bundle import bundle_files, registry_targets, retention_days
from modelplane_provisioning.compose import ExampleContainer, compose_file, example_host
from modelplane_provisioning.examples import read_catalogue
from modelplane_provisioning.grafana import root_url
from modelplane_provisioning.site import CONTAINERS, PRODUCTION_TIMES, Site
from modelplane_schema.registry import Registry

DATA_FOLDERS = ("prometheus", "alertmanager", "backend", "grafana")
_EXAMPLE_PORT = 8000


def container_site(*, starts_grafana: bool = True) -> Site:
    """Where containers find each other, with a Grafana of ours or somebody else's."""
    return replace(CONTAINERS, starts_grafana=starts_grafana)


def container_files(
    registry: Registry,
    user: str,
    examples: Path | None = None,
    *,
    starts_grafana: bool = True,
    api: ApiAccess = "plugin",
) -> dict[str, bytes]:
    """Map relative path to content. ``user`` is the ``uid:gid`` that owns the bundle.

    With a folder of ``examples`` each example service is a container, and its model's target. Without
    ``starts_grafana`` the provisioning files are for a Grafana of somebody else's.
    """
    site = container_site(starts_grafana=starts_grafana)
    targets = {name: list(addresses) for name, addresses in registry_targets(registry).items()}
    containers = []
    for service in read_catalogue(examples) if examples else ():
        example = ExampleContainer(service.script, _EXAMPLE_PORT)
        containers.append(example)
        if service.model_name in targets:
            targets[service.model_name] = [f"{example_host(example)}:{_EXAMPLE_PORT}"]
    files = bundle_files(registry, site, PRODUCTION_TIMES, targets, api)
    seconds = PRODUCTION_TIMES.scrape_interval_seconds
    root = root_url(registry, site)
    compose = compose_file(site, user, retention_days(registry), seconds, containers, api, root)
    files["compose.yaml"] = compose.encode()
    return files
