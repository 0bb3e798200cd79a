"""Values of the Helm chart kube-prometheus-stack: what the plane needs of its servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from modelplane_dashboards import FOLDERS, ApiAccess
from modelplane_provisioning.bundle import grafana
from modelplane_provisioning.images import table as images
from modelplane_provisioning.kubernetes.boards import (
    BOARD_LABEL,
    DATASOURCE_LABEL,
    FOLDER_ANNOTATION,
    PLUGIN_LABEL,
)
from modelplane_provisioning.kubernetes.objects import PART_OF, PLUGIN, secret_key
from modelplane_provisioning.kubernetes.secrets import (
    ADMIN_USER_KEY,
    GRAFANA_PASSWORD,
    GRAFANA_SECRET_KEY,
    GRAFANA_TOKEN,
)
from modelplane_schema.uids import FLEET_UID, PLUGIN_APP_ID

Values = dict[str, Any]

GRAFANA_SERVICE = "modelplane-grafana"
GRAFANA_SECRETS = "/run/secrets/modelplane"
PLUGINS_FOLDER = "/etc/grafana/plugins"
# Where the chart's sidecar puts boards.
_BOARDS_FOLDER = "/tmp/dashboards"  # noqa: S108 - inside the pod
_HOME_BOARD = f"{_BOARDS_FOLDER}/{FOLDERS['all'].title}/{FLEET_UID}.json"
_HOME = {"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": _HOME_BOARD}
_GIB_BY_DAY = 1


def stack_values(
    prometheus: Mapping[str, Any],
    retention_days: int,
    namespace: str,
    api: ApiAccess,
    root_url: str,
    plugin_paths: list[str],
) -> Values:
    """The values of every installation.

    ``prometheus`` is the content of ``prometheus.yml``, and ``plugin_paths`` are those of the plugin's files
    below its folder.
    """
    return {
        "prometheus": {"prometheusSpec": _prometheus(prometheus, retention_days)},
        "alertmanager": _alertmanager(namespace),
        "grafana": _grafana(api, root_url, plugin_paths),
    }


def production_values() -> Values:
    """What is added where the loss of a node must not be noticed."""
    return {
        "prometheus": {"prometheusSpec": {"replicas": 2, "podAntiAffinity": "hard"}},
        "alertmanager": {"alertmanagerSpec": {"replicas": 3, "podAntiAffinity": "hard"}},
    }


def _prometheus(configuration: Mapping[str, Any], retention_days: int) -> Values:
    storage = configuration["storage"]
    nothing_by_release = {
        f"{kind}SelectorNilUsesHelmValues": False
        for kind in ("rule", "serviceMonitor", "podMonitor", "probe", "scrapeConfig")
    }
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": f"{retention_days * _GIB_BY_DAY}Gi"}},
    }
    return {
        "scrapeInterval": configuration["global"]["scrape_interval"],
        "evaluationInterval": configuration["global"]["evaluation_interval"],
        "retention": f"{retention_days}d",
        "tsdb": {"outOfOrderTimeWindow": storage["tsdb"]["out_of_order_time_window"]},
        "enableFeatures": ["exemplar-storage"],
        "exemplars": {"maxSize": storage["exemplars"]["max_exemplars"]},
        # Without these the operator reads only objects with the label of the release.
        **nothing_by_release,
        "storageSpec": {"volumeClaimTemplate": {"spec": claim}},
    }


def _alertmanager(namespace: str) -> Values:
    """The chart's own inhibitions, held off our alerts.

    By them one tenant's critical alert would silence the warnings of all others, as all are in one namespace.
    """
    others = f'namespace != "{namespace}"'

    def inhibition(source: str, targets: str, *equal: str) -> Values:
        return {"source_matchers": [source], "target_matchers": [targets, others], "equal": list(equal)}

    rules = [
        inhibition("severity = critical", "severity =~ warning|info", "namespace", "alertname"),
        inhibition("severity = warning", "severity = info", "namespace", "alertname"),
        inhibition("alertname = InfoInhibitor", "severity = info", "namespace"),
        {"target_matchers": ["alertname = InfoInhibitor"]},
    ]
    return {
        "config": {"inhibit_rules": rules},
        "alertmanagerSpec": {"alertmanagerConfigSelector": {"matchLabels": PART_OF}},
    }


def _grafana(api: ApiAccess, root_url: str, plugin_paths: list[str]) -> Values:
    settings = grafana.settings(api, PLUGINS_FOLDER, "", root_url) | _HOME
    plugins = settings.pop("GF_PATHS_PLUGINS", None) if api == "plugin" else None  # the chart sets it
    if api == "infinity":
        # The image is Grafana's own: it installs the plugin at its start.
        del settings["GF_PATHS_PLUGINS"], settings["GF_PLUGINS_PREINSTALL_DISABLED"]
        infinity = images.INFINITY
        settings["GF_PLUGINS_PREINSTALL_SYNC"] = f"{infinity.name}@{infinity.release}"
        settings["GF_PLUGINS_PREINSTALL_AUTO_UPDATE"] = "false"
    values: Values = {
        "fullnameOverride": GRAFANA_SERVICE,
        "admin": {
            "existingSecret": GRAFANA_PASSWORD.name,
            "userKey": ADMIN_USER_KEY,
            "passwordKey": GRAFANA_PASSWORD.key,
        },
        "env": settings,
        "envValueFrom": {
            "GF_SECURITY_SECRET_KEY": {
                "secretKeyRef": {"name": GRAFANA_SECRET_KEY.name, "key": GRAFANA_SECRET_KEY.key}
            }
        },
        "sidecar": {
            "dashboards": {
                "enabled": True,
                "label": BOARD_LABEL,
                "labelValue": "1",
                "folderAnnotation": FOLDER_ANNOTATION,
                "provider": {"foldersFromFilesStructure": True, "allowUiUpdates": False},
            },
            "datasources": {"enabled": True, "label": DATASOURCE_LABEL, "labelValue": "1"},
            "plugins": {"enabled": True, "label": PLUGIN_LABEL, "labelValue": "1"},
        },
        "extraSecretMounts": [
            {
                "name": "modelplane-token",
                "secretName": GRAFANA_TOKEN.name,
                "defaultMode": 0o440,
                "mountPath": GRAFANA_SECRETS,
                "readOnly": True,
            }
        ],
    }
    if plugins:
        values["grafana.ini"] = {"paths": {"plugins": plugins}}
        values["extraConfigmapMounts"] = [_plugin_mount(plugin_paths)]
    return values


def _plugin_mount(paths: list[str]) -> Values:
    return {
        "name": PLUGIN,
        "configMap": PLUGIN,
        "mountPath": f"{PLUGINS_FOLDER}/{PLUGIN_APP_ID}",
        "readOnly": True,
        "items": [{"key": plugin_key(path), "path": path} for path in paths],
    }


def plugin_key(path: str) -> str:
    """The key of the plugin's ConfigMap for a file below the plugin's folder."""
    return secret_key(PurePosixPath(path).as_posix().replace("/", "__"))
