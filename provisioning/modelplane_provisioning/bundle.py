"""Render and write the bundle: all that a Grafana, a Prometheus and an Alertmanager mount."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

import modelplane_dashboards
from modelplane_alerts.render import cluster_labels, rule_files
from modelplane_alerts.routing import Routing, alertmanager_config
from modelplane_dashboards import ApiAccess
from modelplane_provisioning import credentials, grafana, grafana_plugin
from modelplane_provisioning.credentials import GrafanaTrust
from modelplane_provisioning.receiver_secrets import receiver_secrets
from modelplane_provisioning.site import Site, Times
from modelplane_schema.errors import UserError
from modelplane_schema.files import replace_files, surplus_files
from modelplane_schema.receivers import SECRETS_FOLDER
from modelplane_schema.registry import RUNBOOKS_IN_REPOSITORY, Registry, dump_registry
from modelplane_schema.uids import PLUGIN_APP_ID, dashboard_uid

REGISTRY_FILE = "modelplane.yaml"
SECRETS = "secrets"
RECEIVER_SECRETS = f"{SECRETS}/{SECRETS_FOLDER}"
# In these every file is generated: others are removed.
GENERATED_FOLDERS = (
    "grafana/dashboards",
    f"grafana/plugins/{PLUGIN_APP_ID}",
    "prometheus/rules",
    "prometheus/targets",
    RECEIVER_SECRETS,
)
# Grafana logs an error for a folder of provisioning that is absent, and Alertmanager's container mounts one.
EMPTY_FOLDERS = ("grafana/provisioning/alerting", RECEIVER_SECRETS)
Targets = Mapping[str, Sequence[str]]
_LATE_SAMPLES = "2h"
_LEAST_RETENTION_DAYS = 31


class BundleError(UserError, RuntimeError):
    """The bundle cannot be written; the message says where and what to do."""


def bundle_files(
    registry: Registry, site: Site, times: Times, targets: Targets, api: ApiAccess = "plugin"
) -> dict[str, bytes]:
    """Map relative path to content, without ``secrets/``.

    ``targets`` maps a model to its ``host:port``s; ``api`` says how boards reach the backend.
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
        REGISTRY_FILE: dump_registry(registry),
        "prometheus/prometheus.yml": prometheus_config(site, times),
        "alertmanager/alertmanager.yml": alertmanager_config(registry, routing),
    }
    for name, text in rule_files(registry, times.rules).items():
        texts[f"prometheus/rules/{name}"] = text
    for model in registry.models:
        groups = [{"targets": list(targets[model.name])}]
        texts[f"prometheus/targets/{dashboard_uid('model', model.name)}.json"] = (
            json.dumps(groups, indent=2) + "\n"
        )
    boards = modelplane_dashboards.files(registry, api)
    for path, content in grafana.provisioning(site, times.scrape_interval_seconds, boards, api).items():
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
    """Each model's targets as the registry declares them."""
    return {model.name: model.targets for model in registry.models}


def prometheus_config(site: Site, times: Times) -> str:
    """``prometheus.yml``: scrapes models by file, and the plane's own parts."""
    directory = site.prometheus_directory
    authorization = {"credentials_file": f"{site.prometheus_secrets}/{credentials.PROMETHEUS.file}"}
    content = {
        "global": {
            "scrape_interval": f"{times.scrape_interval_seconds}s",
            "scrape_timeout": f"{min(times.scrape_interval_seconds, 10)}s",
            "evaluation_interval": f"{times.evaluation_interval_seconds}s",
        },
        "rule_files": [f"{directory}/rules/*.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [site.alertmanager]}]}]},
        "storage": {
            "tsdb": {"out_of_order_time_window": _LATE_SAMPLES},
            "exemplars": {"max_exemplars": 100_000},
        },
        "scrape_configs": [
            {"job_name": "models", "file_sd_configs": [{"files": [f"{directory}/targets/*.json"]}]},
            _plane_job("prometheus", site.prometheus),
            _plane_job("alertmanager", site.alertmanager),
            {**_plane_job("modelplane-backend", site.backend), "authorization": authorization},
        ],
    }
    return to_yaml(content)


def retention_days(registry: Registry) -> int:
    """Days of samples to keep: at least the longest SLO window and a day."""
    windows = (int(slo.window.removesuffix("d")) + 1 for model in registry.models for slo in model.slos)
    return max([_LEAST_RETENTION_DAYS, *windows])


def write_bundle(
    out: Path,
    files: Mapping[str, bytes],
    registry: Registry,
    registry_directory: Path,
    trust: GrafanaTrust = credentials.NO_TRUST,
) -> None:
    """Write ``files`` and the secrets below ``out``; generated folders hold nothing else afterwards.

    A part that runs from the bundle meets each file as it was or as it is, and folders that stay.
    BundleError; before anything is written ReceiverSecretError, and ConfigurationError for a token file that
    is not valid.
    """
    secrets = receiver_secrets(registry, registry_directory)
    copies = {f"{SECRETS}/{path}": secret for path, secret in secrets.items()}
    try:
        credentials.ensure_credentials(out / SECRETS, trust)
        for folder in EMPTY_FOLDERS:
            (out / folder).mkdir(parents=True, exist_ok=True)
        replace_files(out, copies, credentials.PRIVATE)
        replace_files(out, files)
        for surplus in surplus_files(out, GENERATED_FOLDERS, {**files, **copies}):
            surplus.unlink()
    except OSError as error:
        raise BundleError(
            f"{out}: cannot be written: {error.strerror}: {error.filename}; choose another folder with --out"
        ) from error


def _plane_job(job: str, address: str) -> dict[str, Any]:
    return {"job_name": job, "static_configs": [{"targets": [address]}]}


def to_yaml(content: dict[str, Any]) -> str:
    """The text of a generated YAML file, its keys in the order given."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=1000)
