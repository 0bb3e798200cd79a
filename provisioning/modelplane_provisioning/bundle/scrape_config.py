"""Render ``prometheus.yml``: what Prometheus scrapes, and where its rules and Alertmanager are.

Targets that need no more than an address, a scheme, a path and labels share the job ``models``, whose files
Prometheus reads again without a reload. All others have jobs of their own, whose series carry the same label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelplane_provisioning.bundle import credentials
from modelplane_provisioning.bundle.site import Site, Times
from modelplane_provisioning.bundle.yaml_text import to_yaml
from modelplane_schema.registry import Model, Registry
from modelplane_schema.targets import TAKEN_LABELS, KubernetesDiscovery, Targets
from modelplane_schema.uids import dashboard_uid

MODELS_JOB = "models"
# A Prometheus before 3 that is reloaded keeps the targets of a job whose files are all gone.
_NO_TARGETS_FILE = "mp-models.json"
Hosts = Mapping[str, Sequence[str]]
Job = dict[str, Any]
_LOOPBACK = re.compile(r"localhost:|127\.|\[::1\]")
_LATE_SAMPLES = "2h"
# What says in other stores that samples came from here. Alerts go without: each place would know them anew.
_EXTERNAL_LABELS = {"monitor": "modelplane"}
# A target beyond one of these is as good as down, so they are far above what an exporter has: some 40 samples
# for each tenant of a model, and labels of at most MAX_LABEL_LENGTH characters, each of up to 4 bytes.
_LIMITS = {
    "sample_limit": 1_000_000,
    "body_size_limit": "512MB",
    "label_limit": 64,
    "label_name_length_limit": 256,
    "label_value_length_limit": 2048,
}
# What a discovered target may be called; the exporter says the rest, and ``job`` is set for all.
_REPLACED_LABELS = sorted(TAKEN_LABELS - {"job", "instance"})
_PORT_NAMES = {
    "pod": "__meta_kubernetes_pod_container_port_name",
    "endpoints": "__meta_kubernetes_endpoint_port_name",
    "endpointslice": "__meta_kubernetes_endpointslice_port_name",
}


def prometheus_config(registry: Registry, site: Site, times: Times) -> str:
    """``prometheus.yml``: scrapes the models of the registry, and the plane's own parts."""
    authorization = {"credentials_file": f"{site.prometheus_secrets}/{credentials.PROMETHEUS.file}"}
    jobs = model_jobs(registry, f"{site.prometheus_directory}/targets", site.prometheus_secrets)
    content = {
        "global": {
            "scrape_interval": f"{times.scrape_interval_seconds}s",
            "scrape_timeout": f"{min(times.scrape_interval_seconds, 10)}s",
            "evaluation_interval": f"{times.evaluation_interval_seconds}s",
            "external_labels": _EXTERNAL_LABELS,
        },
        "rule_files": [f"{site.prometheus_directory}/rules/*.yml"],
        "alerting": {
            "alert_relabel_configs": [{"action": "labeldrop", "regex": "|".join(_EXTERNAL_LABELS)}],
            "alertmanagers": [{"static_configs": [{"targets": [site.alertmanager]}]}],
        },
        "storage": {
            "tsdb": {"out_of_order_time_window": _LATE_SAMPLES},
            "exemplars": {"max_exemplars": 100_000},
        },
        "scrape_configs": [
            *({**job, **_LIMITS} for job in jobs),
            _plane_job("prometheus", site.prometheus),
            _plane_job("alertmanager", site.alertmanager),
            {**_plane_job("modelplane-backend", site.backend), "authorization": authorization},
        ],
    }
    return to_yaml(content)


def model_jobs(registry: Registry, targets: str, secrets: str) -> list[Job]:
    """The scrape jobs of all models, for a Prometheus that sees ``target_files`` below ``targets``.

    ``secrets`` is the folder in which it sees the files that the registry names.
    """
    shared = {"job_name": MODELS_JOB, "file_sd_configs": [{"files": [f"{targets}/*.json"]}]}
    groups: list[list[Model]] = []
    for model in registry.models:
        if _needs_job(model.scrape):
            # Prometheus scrapes a target once in a job, though two models are in one process.
            alike = (group for group in groups if group[0].scrape.settings == model.scrape.settings)
            group = next(alike, [])
            if not group:
                groups.append(group)
            group.append(model)
    return [shared, *(_job(group, targets, secrets) for group in groups)]


def target_files(registry: Registry, hosts: Hosts) -> dict[str, str]:
    """Files of targets by path below the folder of targets; ``hosts`` has those of each model."""
    files = {}
    for model in registry.models:
        if model.scrape.discovery is None:
            group: dict[str, Any] = {"targets": list(hosts[model.name])}
            labels = {} if _needs_job(model.scrape) else _target_labels(model.scrape)
            groups = [{**group, "labels": labels} if labels else group]
            files[_file(model)] = json.dumps(groups, indent=2) + "\n"
    if all(_needs_job(model.scrape) for model in registry.models):
        files[_NO_TARGETS_FILE] = json.dumps([{"targets": []}], indent=2) + "\n"
    return files


def loopback_hosts(registry: Registry) -> Iterator[str]:
    """A line for each model that a Prometheus in a container would look for in its own container."""
    for position, model in enumerate(registry.models):
        hosts = [host for host in model.scrape.hosts if _LOOPBACK.match(host)]
        if hosts:
            yield (
                f"models[{position}].targets: {', '.join(hosts)} of {model.name!r}: a container looks "
                "for that in itself; name an address that containers reach"
            )


def _file(model: Model) -> str:
    folder = "jobs/" if _needs_job(model.scrape) else ""
    return f"{folder}{dashboard_uid('model', model.name)}.json"


def _needs_job(targets: Targets) -> bool:
    return any((targets.discovery, targets.basic_auth, targets.authorization, targets.tls))


def _target_labels(targets: Targets) -> dict[str, str]:
    """What a target says of itself in place of its job."""
    defaults = Targets.model_fields
    settings = {"__scheme__": targets.scheme, "__metrics_path__": targets.metrics_path}
    default = {"__scheme__": defaults["scheme"].default, "__metrics_path__": defaults["metrics_path"].default}
    return {name: value for name, value in settings.items() if value != default[name]} | targets.labels


def _job(models: Sequence[Model], targets: str, secrets: str) -> Job:
    """The job of models with the same settings, which has the name of the first."""
    settings = models[0].scrape
    job: Job = {
        "job_name": f"{MODELS_JOB}/{models[0].name}",
        "scheme": settings.scheme,
        "metrics_path": settings.metrics_path,
    }
    for name, part in (
        ("basic_auth", settings.basic_auth),
        ("authorization", settings.authorization),
        ("tls_config", settings.tls),
    ):
        if part is not None:
            job[name] = _with_files(part.model_dump(exclude_defaults=name == "tls_config"), secrets)
    files = [f"{targets}/{_file(model)}" for model in models]
    return job | _discovery(settings, files, secrets) | {"relabel_configs": list(_relabelling(settings))}


def _with_files(content: dict[str, Any], secrets: str) -> dict[str, Any]:
    """The content, with the paths of files as Prometheus sees them."""
    return {
        name: f"{secrets}/{value}" if name.endswith("_file") else value for name, value in content.items()
    }


def _discovery(settings: Targets, files: Sequence[str], secrets: str) -> Job:
    discovery = settings.discovery
    if discovery and discovery.dns:
        return {"dns_sd_configs": [discovery.dns.model_dump(mode="json", exclude_none=True)]}
    if discovery and discovery.kubernetes:
        return {"kubernetes_sd_configs": [_kubernetes(discovery.kubernetes, secrets)]}
    if discovery and discovery.http:
        return {"http_sd_configs": [{"url": discovery.http.url}]}
    discovered = discovery.file.paths if discovery and discovery.file else files
    return {"file_sd_configs": [{"files": list(discovered)}]}


def _kubernetes(discovery: KubernetesDiscovery, secrets: str) -> dict[str, Any]:
    content: dict[str, Any] = {"role": discovery.role}
    if discovery.kubeconfig_file is not None:
        content["kubeconfig_file"] = f"{secrets}/{discovery.kubeconfig_file}"
    if discovery.namespaces:
        content["namespaces"] = {"names": list(discovery.namespaces)}
    content["selectors"] = [{"role": discovery.role, "label": discovery.label_selector}]
    return content


def _relabelling(settings: Targets) -> Iterator[dict[str, Any]]:
    """What keeps targets to those that are meant, and their labels away from those of the exporter."""
    discovery = settings.discovery
    if discovery and discovery.kubernetes:
        yield from _of_kubernetes(discovery.kubernetes)
    if discovery and (discovery.file or discovery.http):
        # Prometheus would call the exporter's labels exported_model_name and so on.
        yield {"action": "labeldrop", "regex": "|".join(_REPLACED_LABELS)}
    for name, value in {**settings.labels, "job": MODELS_JOB}.items():
        yield {"target_label": name, "replacement": value.replace("$", "$$")}


def _of_kubernetes(discovery: KubernetesDiscovery) -> Iterator[dict[str, Any]]:
    port, address = discovery.port, "__address__"
    if isinstance(port, str):
        yield {"action": "keep", "source_labels": [_PORT_NAMES[discovery.role]], "regex": port}
    elif discovery.role == "pod":  # which need not say that it listens on the port
        of_pod: Job = {"source_labels": ["__meta_kubernetes_pod_ip"], "target_label": address}
        yield {**of_pod, "regex": "([^:]+)", "replacement": f"$1:{port}"}
        yield {**of_pod, "regex": "(.*:.*)", "replacement": f"[$1]:{port}"}
    else:
        yield {"action": "keep", "source_labels": [address], "regex": f".+:{port}"}
    phase = "__meta_kubernetes_pod_phase"
    yield {"action": "drop", "source_labels": [phase], "regex": "Pending|Succeeded|Failed"}
    for name in ("namespace", "pod"):
        source = "__meta_kubernetes_namespace" if name == "namespace" else "__meta_kubernetes_pod_name"
        yield {"source_labels": [source], "target_label": name}


def _plane_job(job: str, address: str) -> Job:
    return {"job_name": job, "static_configs": [{"targets": [address]}]}
