"""Render the bundle: all that a Grafana, a Prometheus and an Alertmanager mount."""

from __future__ import annotations

import modelplane_dashboards
from modelplane_alerts.render import cluster_labels, rule_files
from modelplane_alerts.routing import Routing, alertmanager_config
from modelplane_dashboards import ApiAccess, PerEntity
from modelplane_provisioning.bundle import credentials, grafana, grafana_plugin
from modelplane_provisioning.bundle.scrape_config import Hosts, prometheus_config, target_files
from modelplane_provisioning.bundle.site import Site, Times
from modelplane_provisioning.bundle.yaml_text import to_yaml
from modelplane_schema.registry import RUNBOOKS_IN_REPOSITORY, Registry, dump_registry

REGISTRY_FILE = "modelplane.yaml"
# A folder, which a container mounts: a mount of the file alone would go on showing the one that is replaced.
REGISTRY_FOLDER = "backend"
REGISTRY_PATH = f"{REGISTRY_FOLDER}/{REGISTRY_FILE}"
_LEAST_RETENTION_DAYS = 31


def bundle_files(
    registry: Registry,
    site: Site,
    times: Times,
    targets: Hosts,
    api: ApiAccess = "plugin",
    per_entity: PerEntity = "auto",
) -> dict[str, bytes]:
    """Map relative path to content, without ``secrets/``.

    ``targets`` maps a model to its ``host:port``s; ``api`` says how boards reach the backend, and
    ``per_entity`` whether there is one of each tenant and each model.
    """
    registry = with_served_runbooks(registry, site.backend_link)
    routing = Routing(
        backend_url=f"http://{site.backend}",
        backend_credentials_file=f"{site.alertmanager_secrets}/{credentials.ALERTMANAGER.file}",
        secrets_directory=site.alertmanager_secrets,
        alertmanager_version=site.alertmanager_version,
        cluster_labels=cluster_labels(registry),
        group_wait=times.group_wait,
        group_interval=times.group_interval,
        repeat_interval=times.repeat_interval,
        watchdog_interval=times.watchdog_interval,
    )
    texts = {
        REGISTRY_PATH: dump_registry(registry),
        "prometheus/prometheus.yml": prometheus_config(registry, site, times),
        "alertmanager/alertmanager.yml": alertmanager_config(registry, routing),
    }
    for name, text in rule_files(registry, times.rules).items():
        texts[f"prometheus/rules/{name}"] = text
    for path, text in target_files(registry, targets).items():
        texts[f"prometheus/targets/{path}"] = text
    boards = modelplane_dashboards.files(registry, api, per_entity)
    for path, content in grafana.provisioning(
        site, times.scrape_interval_seconds, boards, api, registry.grafana
    ).items():
        texts[f"grafana/provisioning/{path}"] = to_yaml(content)
    files = {path: text.encode() for path, text in texts.items()}
    files |= {f"grafana/dashboards/{path}": content for path, content in boards.items()}
    return files | (grafana_plugin.files("grafana/plugins") if api == "plugin" else {})


def with_served_runbooks(registry: Registry, backend_link: str) -> Registry:
    """The registry whose alerts link to the backend's runbooks, unless it says where others are."""
    if registry.urls.runbooks != RUNBOOKS_IN_REPOSITORY:
        return registry
    urls = registry.urls.model_copy(update={"runbooks": f"{backend_link}/runbooks"})
    return registry.model_copy(update={"urls": urls})


def registry_targets(registry: Registry) -> dict[str, tuple[str, ...]]:
    """Each model's hosts as the registry declares them."""
    return {model.name: model.scrape.hosts for model in registry.models}


def retention_days(registry: Registry) -> int:
    """Days of samples to keep: at least the longest SLO window and a day."""
    windows = (int(slo.window.removesuffix("d")) + 1 for model in registry.models for slo in model.slos)
    return max([_LEAST_RETENTION_DAYS, *windows])
