"""Where the parts of a plane find each other, and how fast it beats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelplane_alerts.integrations import Version, parse_version
from modelplane_alerts.render import DEMO_CONFIG
from modelplane_provisioning.bundle.customary_ports import CUSTOMARY_PORTS
from modelplane_provisioning.images import table as images

GRAFANA_PORT = CUSTOMARY_PORTS["grafana"]


@dataclass(frozen=True, slots=True)
class Times:
    """Every interval of a plane; ``rules`` is patched onto the mixin's configuration."""

    scrape_interval_seconds: int = 15
    evaluation_interval_seconds: int = 15
    group_wait: str = "30s"
    group_interval: str = "5m"
    repeat_interval: str = "4h"
    watchdog_interval: str = "30s"
    rules: Mapping[str, Any] = field(default_factory=dict)


PRODUCTION_TIMES = Times()
DEMO_TIMES = Times(
    scrape_interval_seconds=2,
    # Hundreds of rules every 2 s take half a core.
    evaluation_interval_seconds=4,
    group_wait="1s",
    group_interval="5s",
    watchdog_interval="5s",
    rules=DEMO_CONFIG,
)


@dataclass(frozen=True, slots=True)
class Site:
    """Addresses and paths as the parts see them: inside containers, or on this machine.

    Addresses are ``host:port``; ``backend_link`` is the backend's URL for people's browsers, and
    ``grafana_root`` that of Grafana, with its slash at the end. Paths name where a part finds a folder of the
    bundle. ``starts_grafana`` is False for a Grafana that is somebody else's.
    """

    prometheus: str
    alertmanager: str
    backend: str
    backend_link: str
    prometheus_directory: str
    prometheus_secrets: str
    alertmanager_secrets: str
    grafana: str
    grafana_root: str
    grafana_secrets: str
    grafana_dashboards: str
    database_url: str
    alertmanager_version: Version
    starts_grafana: bool = True


CONTAINERS = Site(
    prometheus="prometheus:9090",
    alertmanager="alertmanager:9093",
    backend="backend:8090",
    backend_link="http://localhost:8090",  # compose.yaml publishes its port there
    prometheus_directory="/etc/prometheus",
    prometheus_secrets="/run/secrets",
    alertmanager_secrets="/run/secrets",
    grafana="grafana:3000",
    grafana_root="http://localhost:3000/",  # compose.yaml publishes its port there
    grafana_secrets="/run/secrets",
    grafana_dashboards="/etc/grafana/dashboards",
    database_url="sqlite:////data/modelplane.db",
    alertmanager_version=parse_version(images.ALERTMANAGER.release),
)


def local_site(
    bundle: str,
    data: str,
    prometheus: str,
    alertmanager: str,
    backend: str,
    alertmanager_version: Version,
    grafana_port: int = GRAFANA_PORT,
) -> Site:
    """The site of processes on this machine that read the bundle where it was written (absolute paths)."""
    return Site(
        prometheus=prometheus,
        alertmanager=alertmanager,
        backend=backend,
        backend_link=f"http://{backend}",
        prometheus_directory=f"{bundle}/prometheus",
        prometheus_secrets=f"{bundle}/secrets/prometheus",
        alertmanager_secrets=f"{bundle}/secrets/alertmanager",
        grafana=f"127.0.0.1:{grafana_port}",
        grafana_root=f"http://localhost:{grafana_port}/",
        grafana_secrets=f"{bundle}/secrets/grafana",
        grafana_dashboards=f"{bundle}/grafana/dashboards",
        database_url=f"sqlite:///{data}/modelplane.db",
        alertmanager_version=alertmanager_version,
    )
