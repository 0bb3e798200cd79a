"""Render ``compose.yaml``: the bundle as containers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from modelplane_dashboards import ApiAccess
from modelplane_provisioning.bundle import credentials, grafana
from modelplane_provisioning.bundle.site import CONTAINERS
from modelplane_provisioning.compose import services
from modelplane_provisioning.compose.hardening import (
    Health,
    Limits,
    Service,
    confined,
    http_check,
    when_healthy,
)
from modelplane_provisioning.compose.services import (
    BUILD_FOLDER,
    GRAFANA_PLUGINS,
    ExampleContainer,
    Images,
)

__all__ = (
    "BUILD_FOLDER",
    "PROMETHEUS_LINK",
    "ComposeChoices",
    "ExampleContainer",
    "compose_file",
    "grafana_on_host",
)

# Parts talk to each other on the first, where nothing else is and nothing goes out. Ports are published on
# the second, by which Prometheus reaches models and Alertmanager receivers.
PLANE, EDGE = "plane", "edge"
_ALERTMANAGER_LINK = "http://localhost:9093"
PROMETHEUS_LINK = "http://localhost:9090"
_LIMITS = {
    "prometheus": Limits("4g", 512),
    "alertmanager": Limits("512m", 256),
    # Bodies of requests wait in its /tmp.
    "backend": Limits("2g", 512, "512m"),
    "grafana": Limits("1g", 512),
}
_EXAMPLE_LIMITS = Limits("2g", 512)
_HEALTH = {
    # Until its log of writes is replayed it is not ready.
    "prometheus": Health(("promtool", "check", "ready", "--url=http://127.0.0.1:9090"), 300),
    "alertmanager": Health(("amtool", "--alertmanager.url=http://127.0.0.1:9093", "cluster", "show")),
    "backend": Health(http_check(8090, "/readyz")),
}
_LEAST_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class ComposeChoices:
    """What a Compose file depends on besides the plane's addresses.

    ``user`` is the ``uid:gid`` that owns the bundle: only it can read the secrets. ``root_url`` is that of
    Grafana, ``prometheus_link`` Prometheus' address for people's browsers. ``digests`` maps an image's
    ``repository:tag`` to its digest.
    """

    user: str
    retention_days: int
    scrape_interval_seconds: int
    boards: int
    examples: Sequence[ExampleContainer] = ()
    api: ApiAccess = "plugin"
    starts_grafana: bool = True
    root_url: str = CONTAINERS.grafana_root
    prometheus_link: str = PROMETHEUS_LINK
    digests: Mapping[str, str] = field(default_factory=dict)


def compose_file(choices: ComposeChoices) -> str:
    """The text of the Compose file."""
    content = {"name": "modelplane", "services": _services(choices), "networks": _networks(choices.examples)}
    return _text(content)


def grafana_on_host(bundle: str, root_url: str, boards: int = 0) -> str:
    """A Compose file with only Grafana, on the host's network, for a plane that runs from ``bundle``."""
    settings = grafana.settings(
        "plugin", f"{bundle}/grafana/plugins", f"{bundle}/grafana/dashboards", root_url
    )
    service = services.grafana(Images({}), settings, "plugin")
    service["volumes"] = [
        services.mount("./grafana", f"{bundle}/grafana"),
        services.mount(
            f"./secrets/{credentials.GRAFANA.name}", f"{bundle}/secrets/{credentials.GRAFANA.name}"
        ),
    ]
    service["environment"] = {
        **service["environment"],
        "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{bundle}/secrets/{credentials.GRAFANA_PASSWORD.path}",
        "GF_SECURITY_SECRET_KEY__FILE": f"{bundle}/secrets/{credentials.GRAFANA_SECRET_KEY.path}",
        "GF_PATHS_PROVISIONING": f"{bundle}/grafana/provisioning",
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_PATHS_DATA": "/tmp/grafana",  # noqa: S108 - inside the container
    }
    del service["ports"]
    user = f"{os.getuid()}:{os.getgid()}"
    limits = Limits("1g", 512, "512m")
    service = confined(service, "grafana", user, (), limits, grafana_health(boards))
    del service["networks"]
    service["network_mode"] = "host"
    return _text({"name": "modelplane", "services": {"grafana": service}})


def grafana_health(boards: int) -> Health:
    """Grafana answers once it has stored all boards, some 20 a second."""
    address = "http://127.0.0.1:3000/api/health"
    seconds = max(_LEAST_START_SECONDS, grafana.seconds_for_boards(boards))
    return Health(("wget", "-q", "-Y", "off", "-O", "/dev/null", address), seconds)


def _services(choices: ComposeChoices) -> dict[str, Service]:
    health = {**_HEALTH, "grafana": grafana_health(choices.boards)}
    scraped = tuple(_scrape_network(container) for container in choices.examples)
    parts = {
        name: confined(
            service,
            name,
            choices.user,
            (PLANE, EDGE, *(scraped if name == "prometheus" else ())),
            _LIMITS[name],
            health[name],
        )
        for name, service in _parts(choices).items()
    }
    return parts | {container.service: _example(container, choices) for container in choices.examples}


def _parts(choices: ComposeChoices) -> dict[str, Service]:
    """The parts of the plane, and after which they start."""
    references = Images(choices.digests)
    parts = {
        "prometheus": services.prometheus(references, choices.retention_days, choices.prometheus_link),
        "alertmanager": services.alertmanager(references, _ALERTMANAGER_LINK),
        "backend": services.backend(references, choices.scrape_interval_seconds)
        | {"depends_on": when_healthy("prometheus", "alertmanager")},
    }
    if choices.starts_grafana:
        settings = grafana.settings(
            choices.api, GRAFANA_PLUGINS, CONTAINERS.grafana_dashboards, choices.root_url
        )
        parts["grafana"] = services.grafana(references, settings, choices.api) | {
            "depends_on": when_healthy("prometheus", "backend")
        }
    return parts


def _example(container: ExampleContainer, choices: ComposeChoices) -> Service:
    return confined(
        services.example(container, Images(choices.digests)),
        "example",
        choices.user,
        (_scrape_network(container),),
        _EXAMPLE_LIMITS,
        Health(http_check(container.port, "/metrics"), 120),
    )


def _networks(examples: Sequence[ExampleContainer]) -> dict[str, dict[str, bool]]:
    """Each example is alone with Prometheus."""
    return {
        PLANE: {"internal": True},
        EDGE: {},
        **{_scrape_network(container): {"internal": True} for container in examples},
    }


def _scrape_network(container: ExampleContainer) -> str:
    return f"scrape-{container.service}"


def _text(content: dict[str, Any]) -> str:
    return yaml.dump(content, Dumper=_PlainDumper, sort_keys=False, width=110)


class _PlainDumper(yaml.SafeDumper):
    """Writes what occurs twice twice: whoever reads the file looks for no anchors."""

    def ignore_aliases(self, data: object) -> bool:
        return True
