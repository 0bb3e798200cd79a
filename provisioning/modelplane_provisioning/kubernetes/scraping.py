"""Jobs of ``prometheus.yml`` as ScrapeConfigs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from modelplane_provisioning.kubernetes.objects import MOST_BYTES, KubernetesError, Object, build
from modelplane_provisioning.kubernetes.secrets import path_reference, username_reference

Job = Mapping[str, Any]
_PLAIN = {
    "job_name": "jobName",
    "metrics_path": "metricsPath",
    "scrape_interval": "scrapeInterval",
    "scrape_timeout": "scrapeTimeout",
    "body_size_limit": "bodySizeLimit",
    "sample_limit": "sampleLimit",
    "label_limit": "labelLimit",
    "label_name_length_limit": "labelNameLengthLimit",
    "label_value_length_limit": "labelValueLengthLimit",
    # Lists whose entries have the same fields in both.
    "dns_sd_configs": "dnsSDConfigs",
    "http_sd_configs": "httpSDConfigs",
}
_ROLES = {"pod": "Pod", "endpoints": "Endpoints", "endpointslice": "EndpointSlice"}
_TLS = {"server_name": "serverName", "insecure_skip_verify": "insecureSkipVerify"}


def scrape_configs(jobs: Sequence[Job], target_files: Mapping[str, bytes]) -> list[Object]:
    """A ScrapeConfig for each job that has targets; those of ``target_files``, by path, stand in it.

    KubernetesError for jobs that a ScrapeConfig cannot say.
    """
    objects, problems = [], []
    for number, job in enumerate(jobs, 1):
        name = "modelplane-models" if number == 1 else f"modelplane-models-{number}"
        try:
            spec = dict(_fields(job, target_files))
        except KubernetesError as error:
            problems.append(str(error))
            continue
        if spec.get("staticConfigs") == []:
            continue
        size = len(json.dumps(spec))
        if size > MOST_BYTES:
            problems.append(
                f"the targets of the job {job['job_name']!r} take {size} bytes, and an object of a cluster "
                f"holds {MOST_BYTES}: let Prometheus discover them"
            )
        objects.append(build("monitoring.coreos.com/v1alpha1", "ScrapeConfig", name, "scraping", spec=spec))
    if problems:
        raise KubernetesError("\n".join(problems))
    return objects


def _fields(job: Job, target_files: Mapping[str, bytes]) -> Iterator[tuple[str, Any]]:
    converters: dict[str, tuple[str, Callable[[Any], Any]]] = {
        "scheme": ("scheme", str.upper),
        "file_sd_configs": ("staticConfigs", lambda configs: _static(job, configs, target_files)),
        "relabel_configs": ("relabelings", lambda rules: [_relabelling(rule) for rule in rules]),
        "kubernetes_sd_configs": ("kubernetesSDConfigs", lambda configs: [_kubernetes(job, configs[0])]),
        "basic_auth": ("basicAuth", lambda settings: _basic_auth(job, settings)),
        "authorization": ("authorization", _authorization),
        "tls_config": ("tlsConfig", _tls),
    }
    for name, value in job.items():
        if name in _PLAIN:
            yield _PLAIN[name], value
        elif name in converters:
            field, converted = converters[name]
            yield field, converted(value)
        else:
            raise KubernetesError(_cannot(job, name))


def _static(job: Job, configs: list[Any], target_files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    groups = []
    for pattern in (pattern for each in configs for pattern in each["files"]):
        chosen = [path for path in sorted(target_files) if _matches(path, pattern)]
        if not chosen and "*" not in pattern.rpartition("/")[2]:
            raise KubernetesError(_cannot(job, f"targets in the file {pattern}"))
        groups += [group for path in chosen for group in json.loads(target_files[path])]
    return [group for group in groups if group["targets"]]


def _matches(path: str, pattern: str) -> bool:
    """As a shell would: a star stays within its folder."""
    return path.rpartition("/")[0] == pattern.rpartition("/")[0] and fnmatchcase(path, pattern)


def _kubernetes(job: Job, config: Mapping[str, Any]) -> dict[str, Any]:
    if "kubeconfig_file" in config:
        raise KubernetesError(_cannot(job, "a kubeconfig_file"))
    selectors = [{**each, "role": _ROLES[each["role"]]} for each in config["selectors"]]
    return {**config, "role": _ROLES[config["role"]], "selectors": selectors}


def _basic_auth(job: Job, settings: Mapping[str, str]) -> dict[str, Any]:
    password = path_reference(settings["password_file"])
    return {"username": username_reference(job["job_name"]), "password": password}


def _authorization(settings: Mapping[str, str]) -> dict[str, Any]:
    return {"type": settings["type"], "credentials": path_reference(settings["credentials_file"])}


def _tls(settings: Mapping[str, Any]) -> dict[str, Any]:
    converted: dict[str, Any] = {name: settings[field] for field, name in _TLS.items() if field in settings}
    for field in ("ca", "cert"):
        if f"{field}_file" in settings:
            converted[field] = {"secret": path_reference(settings[f"{field}_file"])}
    if "key_file" in settings:
        converted["keySecret"] = path_reference(settings["key_file"])
    return converted


def _relabelling(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {re.sub(r"_(\w)", lambda match: match[1].upper(), name): value for name, value in rule.items()}


def _cannot(job: Job, what: str) -> str:
    return (
        f"the job {job['job_name']!r} of Prometheus has {what}, which --target kubernetes does not write: "
        "write a ScrapeConfig of your own for these models, which relabels job to models, and leave their "
        "targets out"
    )
