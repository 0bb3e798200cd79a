"""Render ``compose.yaml``: the bundle as containers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from modelplane_dashboards import ApiAccess
from modelplane_provisioning import credentials, grafana
from modelplane_provisioning.bundle import RECEIVER_SECRETS, REGISTRY_FILE
from modelplane_provisioning.site import ALERTMANAGER_RELEASE, CONTAINERS, Site
from modelplane_schema.receivers import SECRETS_FOLDER

PROMETHEUS_IMAGE = "prom/prometheus:v3.5.0"
ALERTMANAGER_IMAGE = f"prom/alertmanager:v{ALERTMANAGER_RELEASE}"
GRAFANA_IMAGE = "grafana/grafana:11.6.0"
_GRAFANA_PLUGINS = "/etc/grafana/plugins"
_REGISTRY = f"/etc/modelplane/{REGISTRY_FILE}"

# What tenants get to see of shared cost is the operator's choice.
_COST_POLICIES = {
    "MODELPLANE_DATASOURCE_IDLE_POLICY": "keep",
    "MODELPLANE_DATASOURCE_SHARED_POLICY": "keep",
}

Service = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ExampleContainer:
    """One example service: its script below ``examples/services`` and the port it serves metrics on."""

    script: str
    port: int


def compose_file(
    site: Site,
    user: str,
    retention_days: int,
    scrape_interval_seconds: int,
    examples: Sequence[ExampleContainer] = (),
    api: ApiAccess = "plugin",
    root_url: str = CONTAINERS.grafana_root,
) -> str:
    """The Compose file. ``user`` is the ``uid:gid`` that owns the bundle: only it can read the secrets.

    ``root_url`` is that of Grafana.
    """
    services = {
        "prometheus": _prometheus(retention_days),
        "alertmanager": _alertmanager(),
        "backend": _backend(scrape_interval_seconds),
    }
    if site.starts_grafana:
        services["grafana"] = _grafana(grafana.settings(api, _GRAFANA_PLUGINS, root_url))
    for example in examples:
        services[_service_name(example)] = _example(example)
    for service in services.values():
        service.update({"user": user, "restart": "unless-stopped"})
    content = {"name": "modelplane", "services": services}
    return yaml.safe_dump(content, sort_keys=False, width=110)


def grafana_on_host(bundle: str, root_url: str) -> str:
    """A Compose file with only Grafana, on the host's network, for a plane that runs from ``bundle``."""
    service = _grafana(grafana.settings("plugin", f"{bundle}/grafana/plugins", root_url))
    service["network_mode"] = "host"
    service["user"] = f"{os.getuid()}:{os.getgid()}"
    service["volumes"] = ["./grafana/provisioning:/etc/grafana/provisioning:ro", f".:{bundle}:ro"]
    service["environment"] = {
        **service["environment"],
        "GF_SECURITY_ADMIN_PASSWORD__FILE": f"{bundle}/secrets/{credentials.GRAFANA_PASSWORD_FILE}",
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_PATHS_DATA": "/tmp/grafana",  # noqa: S108 - inside the container
    }
    del service["ports"], service["depends_on"]
    return yaml.safe_dump(
        {"name": "modelplane", "services": {"grafana": service}}, sort_keys=False, width=110
    )


def example_host(example: ExampleContainer) -> str:
    """The host name under which Prometheus reaches an example service's container."""
    return _service_name(example)


def _prometheus(retention_days: int) -> Service:
    return {
        "image": PROMETHEUS_IMAGE,
        "command": [
            "--config.file=/etc/prometheus/prometheus.yml",
            "--storage.tsdb.path=/prometheus",
            f"--storage.tsdb.retention.time={retention_days}d",
            "--enable-feature=exemplar-storage",
        ],
        "ports": ["127.0.0.1:9090:9090"],
        "volumes": [
            "./prometheus:/etc/prometheus:ro",
            "./data/prometheus:/prometheus",
            _secret(credentials.PROMETHEUS.file),
        ],
    }


def _alertmanager() -> Service:
    return {
        "image": ALERTMANAGER_IMAGE,
        "command": ["--config.file=/etc/alertmanager/alertmanager.yml", "--storage.path=/alertmanager"],
        "ports": ["127.0.0.1:9093:9093"],
        "volumes": [
            "./alertmanager:/etc/alertmanager:ro",
            "./data/alertmanager:/alertmanager",
            _secret(credentials.ALERTMANAGER.file),
            f"./{RECEIVER_SECRETS}:/run/secrets/{SECRETS_FOLDER}:ro",
        ],
    }


def _backend(scrape_interval_seconds: int) -> Service:
    return {
        **_built("backend"),
        "read_only": True,
        "tmpfs": ["/tmp"],  # noqa: S108 - inside the container; bodies of requests wait there
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "environment": {
            "MODELPLANE_DATASOURCE_HOST": "0.0.0.0",  # noqa: S104 - inside the container
            "MODELPLANE_DATASOURCE_PORT": "8090",
            "MODELPLANE_DATASOURCE_PROMETHEUS_URL": f"http://{CONTAINERS.prometheus}",
            "MODELPLANE_DATASOURCE_ALERTMANAGER_URLS": f"http://{CONTAINERS.alertmanager}",
            "MODELPLANE_DATASOURCE_SCRAPE_INTERVAL_SECONDS": str(scrape_interval_seconds),
            "MODELPLANE_DATASOURCE_DATABASE_URL": CONTAINERS.database_url,
            "MODELPLANE_DATASOURCE_TOKEN_FILE": f"/run/secrets/{credentials.TOKENS_FILE}",
            "MODELPLANE_DATASOURCE_REGISTRY_FILE": _REGISTRY,
            # Compose reads them from the environment and from .env beside compose.yaml, which is not ours.
            **{name: f"${{{name}:-{default}}}" for name, default in _COST_POLICIES.items()},
        },
        "ports": ["127.0.0.1:8090:8090"],
        "volumes": [
            "./data/backend:/data",
            f"./{REGISTRY_FILE}:{_REGISTRY}:ro",
            _secret(credentials.TOKENS_FILE),
        ],
    }


def _grafana(settings: Mapping[str, str]) -> Service:
    plugins = [f"./grafana/plugins:{_GRAFANA_PLUGINS}:ro"] if "GF_PATHS_PLUGINS" in settings else []
    return {
        "image": GRAFANA_IMAGE,
        "environment": {
            "GF_SECURITY_ADMIN_PASSWORD__FILE": f"/run/secrets/{credentials.GRAFANA_PASSWORD_FILE}",
            **settings,
        },
        "ports": ["127.0.0.1:3000:3000"],
        "volumes": [
            "./grafana/provisioning:/etc/grafana/provisioning:ro",
            f"./grafana/dashboards:{CONTAINERS.grafana_dashboards}:ro",
            *plugins,
            "./data/grafana:/var/lib/grafana",
            _secret(credentials.GRAFANA.file),
            _secret(credentials.GRAFANA_PASSWORD_FILE),
        ],
        "depends_on": ["prometheus", "backend"],
    }


def _example(example: ExampleContainer) -> Service:
    return {
        **_built("examples"),
        "command": ["python", f"examples/services/{example.script}"],
        "environment": {"MODELPLANE_EXPORTER_PORT": str(example.port)},
    }


def _built(target: str) -> Service:
    """An image built from the modelplane checkout; by default the bundle lies in its ``build/``."""
    return {
        "image": f"modelplane-{target}",
        "build": {
            "context": "${MODELPLANE_SOURCE:-..}",
            "dockerfile": "provisioning/Dockerfile",
            "target": target,
        },
    }


def _secret(name: str) -> str:
    return f"./secrets/{name}:/run/secrets/{name}:ro"


def _service_name(example: ExampleContainer) -> str:
    return "example-" + example.script.removesuffix(".py").replace("_", "-")
