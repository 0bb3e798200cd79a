"""The bundle for Kubernetes: a kustomize base, two overlays, the Secrets apart, and values for Helm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import yaml

from modelplane_alerts.integrations import parse_version
from modelplane_dashboards import ApiAccess
from modelplane_provisioning.bundle.credentials import GrafanaTrust
from modelplane_provisioning.bundle.files import REGISTRY_PATH, bundle_files, registry_targets, retention_days
from modelplane_provisioning.bundle.grafana import root_url, trust
from modelplane_provisioning.bundle.scrape_config import MODELS_JOB
from modelplane_provisioning.bundle.site import PRODUCTION_TIMES, Site
from modelplane_provisioning.bundle.yaml_text import to_yaml
from modelplane_provisioning.images import build_files
from modelplane_provisioning.images import table as images
from modelplane_provisioning.kubernetes import backend, boards, monitoring, objects, values
from modelplane_provisioning.kubernetes.objects import KubernetesError, Object, generator
from modelplane_provisioning.kubernetes.readme import readme
from modelplane_provisioning.kubernetes.scraping import scrape_configs
from modelplane_provisioning.kubernetes.secrets import SECRETS_FOLDER, secret_generators
from modelplane_schema.registry import Registry
from modelplane_schema.uids import PLUGIN_APP_ID

# The operator's own names for its servers, whatever the release is called.
SITE = Site(
    prometheus="prometheus-operated:9090",
    alertmanager="alertmanager-operated:9093",
    backend=f"{objects.BACKEND}:{backend.PORT}",
    backend_link=f"http://localhost:{backend.PORT}",  # of `kubectl port-forward`
    prometheus_directory="/prometheus",
    prometheus_secrets=SECRETS_FOLDER,
    alertmanager_secrets=SECRETS_FOLDER,
    grafana=f"{values.GRAFANA_SERVICE}:80",
    grafana_root="http://localhost:3000/",  # of `kubectl port-forward`
    grafana_secrets=values.GRAFANA_SECRETS,
    grafana_dashboards="",
    database_url="",
    alertmanager_version=parse_version(images.ALERTMANAGER.release),
)
BASE = "base"
_DATABASE_SIZE = "5Gi"
_REPLICAS = 2
BUILD_FOLDER = "image"


@dataclass(frozen=True, slots=True)
class Installation:
    """What is the operators' choice: the namespace of all, and the image of the backend with its tag."""

    namespace: str
    image: str
    api: ApiAccess = "plugin"


def kubernetes_files(
    registry: Registry, named_files: Mapping[str, bytes], installation: Installation
) -> dict[str, bytes]:
    """Map relative path to content; ``named_files`` are the files that the registry names.

    KubernetesError for what cannot be said to the operator, or what no ConfigMap or Secret can hold.
    """
    objects.check_namespace(installation.namespace)
    objects.check_image(installation.image)
    # The default data source is that of the chart.
    guest = replace(SITE, starts_grafana=False)
    common = bundle_files(registry, guest, PRODUCTION_TIMES, registry_targets(registry), installation.api)
    _check_registry(common[REGISTRY_PATH])
    texts = {
        **_base(registry, common, installation),
        **_overlays(installation.namespace),
        "secrets/kustomization.yaml": _kustomization(
            installation.namespace, secretGenerator=_secret_generators(registry, named_files, common)
        ),
        **_values(registry, common, installation),
        ".gitignore": "/secrets/\n",
        "README.md": readme(installation.namespace, installation.image),
    }
    built = build_files.files(BUILD_FOLDER)
    return {path: text.encode() for path, text in texts.items()} | _copied(common) | built


def grafana_trust(registry: Registry, api: ApiAccess, no_grafana: bool) -> GrafanaTrust:
    """Whom the backend believes about who asks; with ``no_grafana`` the chart's Grafana is not installed."""
    return trust(registry, replace(SITE, starts_grafana=not no_grafana), api)


def _check_registry(text: bytes) -> None:
    if len(text) > objects.MOST_BYTES:
        raise KubernetesError(
            f"the registry takes {len(text)} bytes, and a ConfigMap holds {objects.MOST_BYTES}: split it "
            "into planes of a namespace each, or run the backend outside with --target existing"
        )


def _copied(common: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files that ConfigMaps are generated from, as they are."""
    folders = ("grafana/dashboards/", "grafana/plugins/")
    files = {f"{BASE}/{path}": content for path, content in common.items() if path.startswith(folders)}
    return {**files, f"{BASE}/{REGISTRY_PATH}": common[REGISTRY_PATH]}


def _base(registry: Registry, common: Mapping[str, bytes], installation: Installation) -> dict[str, str]:
    rules = {
        path.rpartition("/")[2]: content.decode()
        for path, content in common.items()
        if path.startswith("prometheus/rules/")
    }
    files = {
        "backend.yaml": _documents(
            backend.backend_objects(SITE, installation.image, PRODUCTION_TIMES.scrape_interval_seconds)
        ),
        "scraping.yaml": _documents([*_model_scrapes(common), monitoring.service_monitor()]),
        "alertmanager-config.yaml": _documents(
            [
                monitoring.alertmanager_config_object(
                    common["alertmanager/alertmanager.yml"].decode(), registry
                )
            ]
        ),
        **{
            f"rules/{name}": text
            for name, text in monitoring.rule_objects(rules, installation.namespace).items()
        },
    }
    provisioned = {
        name: common[f"grafana/provisioning/{name}/modelplane.yaml"].decode()
        for name in ("datasources", "plugins")
    }
    files["kustomization.yaml"] = _kustomization(
        installation.namespace,
        resources=sorted(files),
        configMapGenerator=_generators(registry, common, installation.api),
    )
    files |= {f"grafana/{name}.yaml": text for name, text in provisioned.items()}
    return {f"{BASE}/{path}": text for path, text in files.items()}


def _model_jobs(common: Mapping[str, bytes]) -> list[dict[str, Any]]:
    prometheus = yaml.safe_load(common["prometheus/prometheus.yml"])
    return [job for job in prometheus["scrape_configs"] if job["job_name"].split("/")[0] == MODELS_JOB]


def _secret_generators(
    registry: Registry, named_files: Mapping[str, bytes], common: Mapping[str, bytes]
) -> list[dict[str, Any]]:
    users = {
        job["job_name"]: job["basic_auth"]["username"] for job in _model_jobs(common) if "basic_auth" in job
    }
    return secret_generators(
        named_files, users, registry.grafana.tenant_organisations if registry.grafana else ()
    )


def _model_scrapes(common: Mapping[str, bytes]) -> list[Object]:
    targets = {f"/{path}": text for path, text in common.items() if path.startswith("prometheus/targets/")}
    return scrape_configs(_model_jobs(common), targets)


def _generators(registry: Registry, common: Mapping[str, bytes], api: ApiAccess) -> list[dict[str, Any]]:
    folder = "grafana/dashboards"
    board_files = {
        path.removeprefix(f"{folder}/"): content
        for path, content in common.items()
        if path.startswith(f"{folder}/")
    }
    entries = [
        generator(objects.REGISTRY, "registry", [REGISTRY_PATH]),
        generator(
            "modelplane-datasources",
            "datasources",
            ["modelplane.yaml=grafana/datasources.yaml"],
            boards.DATASOURCE_LABEL,
        ),
    ]
    if api == "plugin":
        plugin = f"grafana/plugins/{PLUGIN_APP_ID}"
        files = [f"{values.plugin_key(path)}={plugin}/{path}" for path in _plugin_paths(common)]
        entries += [
            generator(objects.PLUGIN, "plugin", files),
            generator(
                f"{objects.PLUGIN}-app",
                "plugin",
                ["modelplane.yaml=grafana/plugins.yaml"],
                boards.PLUGIN_LABEL,
            ),
        ]
    return entries + boards.board_generators(board_files, folder, registry)


def _plugin_paths(common: Mapping[str, bytes]) -> list[str]:
    folder = f"grafana/plugins/{PLUGIN_APP_ID}/"
    return sorted(path.removeprefix(folder) for path in common if path.startswith(folder))


def _overlays(namespace: str) -> dict[str, str]:
    deployment = {"target": {"kind": "Deployment", "name": objects.BACKEND}, "path": "deployment.yaml"}

    def overlay(resource: str) -> str:
        return _kustomization(namespace, resources=["../../base", resource], patches=[deployment])

    return {
        "overlays/small/kustomization.yaml": overlay("volume.yaml"),
        "overlays/small/volume.yaml": _documents([backend.volume_claim(_DATABASE_SIZE)]),
        "overlays/small/deployment.yaml": _documents([backend.sqlite_patch()]),
        "overlays/production/kustomization.yaml": overlay("database.yaml"),
        "overlays/production/database.yaml": _documents([backend.database_policy()]),
        "overlays/production/deployment.yaml": _documents([backend.postgresql_patch(_REPLICAS)]),
    }


def _values(registry: Registry, common: Mapping[str, bytes], installation: Installation) -> dict[str, str]:
    content = values.stack_values(
        yaml.safe_load(common["prometheus/prometheus.yml"]),
        retention_days(registry),
        installation.namespace,
        installation.api,
        root_url(registry, SITE),
        _plugin_paths(common),
    )
    return {
        "kube-prometheus-stack/values.yaml": to_yaml(content),
        "kube-prometheus-stack/production.yaml": to_yaml(values.production_values()),
    }


def _kustomization(namespace: str, **content: Any) -> str:
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": namespace,
        # Objects that people and Grafana's sidecar find by their names.
        "generatorOptions": {"disableNameSuffixHash": True},
    }
    return to_yaml({**kustomization, **content})


def _documents(documents: Iterable[Object]) -> str:
    return "---\n".join(to_yaml(document) for document in documents)
