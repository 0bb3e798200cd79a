"""The backend: its Deployment, what it is reached by and what it may reach."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modelplane_provisioning.bundle.site import Site
from modelplane_provisioning.kubernetes.objects import BACKEND, REGISTRY, Object, build
from modelplane_provisioning.kubernetes.secrets import BACKEND_TOKENS, DATABASE

PORT = 8090
_USER = 65534
_REGISTRY_FOLDER = "/etc/modelplane"
_SECRETS = "/run/secrets/modelplane"
_SELECTOR = {"app.kubernetes.io/name": BACKEND}
# Labels that the operator and Grafana's chart put on their pods.
_PROMETHEUS, _ALERTMANAGER, _GRAFANA = (
    {"app.kubernetes.io/name": name} for name in ("prometheus", "alertmanager", "grafana")
)
_READ_ONLY_BY_GROUP = 0o440


def backend_objects(site: Site, image: str, scrape_interval_seconds: int) -> list[Object]:
    """All objects of the backend but its storage, which an overlay chooses.

    It reads registry and tokens again when they change: their volumes are folders, which follow the objects.
    """
    settings = {
        "MODELPLANE_DATASOURCE_HOST": "0.0.0.0",  # noqa: S104 - inside the pod
        "MODELPLANE_DATASOURCE_PORT": str(PORT),
        "MODELPLANE_DATASOURCE_PROMETHEUS_URL": f"http://{site.prometheus}",
        "MODELPLANE_DATASOURCE_ALERTMANAGER_URLS": f"http://{site.alertmanager}",
        "MODELPLANE_DATASOURCE_SCRAPE_INTERVAL_SECONDS": str(scrape_interval_seconds),
        "MODELPLANE_DATASOURCE_TOKEN_FILE": f"{_SECRETS}/{BACKEND_TOKENS.key}",
        "MODELPLANE_DATASOURCE_REGISTRY_FILE": f"{_REGISTRY_FOLDER}/modelplane.yaml",
        "MODELPLANE_DATASOURCE_LOG_FORMAT": "json",
    }
    return [
        build("v1", "ServiceAccount", BACKEND, "backend", automountServiceAccountToken=False),
        _deployment(settings, image),
        build(
            "v1", "Service", BACKEND, "backend",
            spec={"selector": _SELECTOR, "ports": [{"name": "http", "port": PORT, "targetPort": "http"}]},
        ),
        build(
            "policy/v1", "PodDisruptionBudget", BACKEND, "backend",
            # Also with one replica a node can be drained.
            spec={"maxUnavailable": 1, "selector": {"matchLabels": _SELECTOR}},
        ),
        _network_policy(),
    ]  # fmt: skip


def _deployment(settings: Mapping[str, str], image: str) -> Object:
    template = {
        "metadata": {"labels": {**_SELECTOR, "app.kubernetes.io/part-of": "modelplane"}},
        "spec": {
            "serviceAccountName": BACKEND,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": _USER,
                "runAsGroup": _USER,
                "fsGroup": _USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [_container(settings, image)],
            "volumes": [
                {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
                {"name": "registry", "configMap": {"name": REGISTRY}},
                {
                    "name": "tokens",
                    "secret": {"secretName": BACKEND_TOKENS.name, "defaultMode": _READ_ONLY_BY_GROUP},
                },
            ],
        },
    }
    spec = {"replicas": 1, "selector": {"matchLabels": _SELECTOR}, "template": template}
    return build("apps/v1", "Deployment", BACKEND, "backend", spec=spec)


def _container(settings: Mapping[str, str], image: str) -> dict[str, Any]:
    return {
        "name": "backend",
        "image": image,
        "env": [{"name": name, "value": value} for name, value in settings.items()],
        "ports": [{"name": "http", "containerPort": PORT}],
        # The first start migrates the store.
        "startupProbe": {**_probe("/healthz"), "failureThreshold": 30},
        "livenessProbe": _probe("/healthz"),
        "readinessProbe": _probe("/readyz"),
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - inside the pod; bodies of requests wait there
            {"name": "registry", "mountPath": _REGISTRY_FOLDER, "readOnly": True},
            {"name": "tokens", "mountPath": _SECRETS, "readOnly": True},
        ],
    }


def _probe(path: str) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http"}, "periodSeconds": 10, "timeoutSeconds": 5}


def _network_policy() -> Object:
    """In: those who read it and tell it of alerts. Out: names, Prometheus, Alertmanager, Grafana's keys."""
    http = [{"port": "http", "protocol": "TCP"}]
    spec = {
        "podSelector": {"matchLabels": _SELECTOR},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": _pods(_PROMETHEUS, _ALERTMANAGER, _GRAFANA), "ports": http}],
        "egress": [
            # Names are resolved by pods in some clusters, by nodes in others.
            {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]},
            {"to": _pods(_PROMETHEUS), "ports": [{"port": 9090, "protocol": "TCP"}]},
            {"to": _pods(_ALERTMANAGER), "ports": [{"port": 9093, "protocol": "TCP"}]},
            {"to": _pods(_GRAFANA), "ports": [{"port": 3000, "protocol": "TCP"}]},
        ],
    }
    return build("networking.k8s.io/v1", "NetworkPolicy", BACKEND, "backend", spec=spec)


def _pods(*selectors: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"podSelector": {"matchLabels": dict(selector)}} for selector in selectors]


def volume_claim(size: str) -> Object:
    """Where SQLite has the alerts of an installation with one backend."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return build("v1", "PersistentVolumeClaim", BACKEND, "backend", spec=spec)


def sqlite_patch() -> Object:
    """One backend, with SQLite on the volume; two processes never open it at once."""
    container = {
        "name": "backend",
        "env": [{"name": "MODELPLANE_DATASOURCE_DATABASE_URL", "value": "sqlite:////data/modelplane.db"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": BACKEND}}
    template = {"spec": {"containers": [container], "volumes": [volume]}}
    return _patch({"replicas": 1, "strategy": {"type": "Recreate"}, "template": template})


def postgresql_patch(replicas: int) -> Object:
    """Several backends on different nodes, with PostgreSQL by the URL in a Secret."""
    url = {"secretKeyRef": {"name": DATABASE.name, "key": DATABASE.key}}
    container = {
        "name": "backend",
        "env": [{"name": "MODELPLANE_DATASOURCE_DATABASE_URL", "valueFrom": url}],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
    }
    spread = {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _SELECTOR},
    }
    template = {"spec": {"containers": [container], "topologySpreadConstraints": [spread]}}
    return _patch({"replicas": replicas, "template": template})


def _patch(spec: Mapping[str, Any]) -> Object:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": BACKEND}, "spec": spec}


def database_policy() -> Object:
    """Lets the backend reach a PostgreSQL, wherever it is."""
    spec = {
        "podSelector": {"matchLabels": _SELECTOR},
        "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": 5432, "protocol": "TCP"}]}],
    }
    return build("networking.k8s.io/v1", "NetworkPolicy", f"{BACKEND}-database", "backend", spec=spec)
