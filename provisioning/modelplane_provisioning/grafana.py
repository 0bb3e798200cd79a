"""What a Grafana needs to show the plane: provisioning of data sources, folders of boards and plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import modelplane_dashboards
from modelplane_dashboards import INFINITY_ID, ApiAccess
from modelplane_datasource.tenancy.grafana_identity import KEYS_PATH
from modelplane_provisioning import credentials
from modelplane_provisioning.credentials import GrafanaTrust
from modelplane_provisioning.grafana_plugin import PLUGIN_IDS
from modelplane_provisioning.site import Site
from modelplane_schema.grafana_access import GrafanaAccess
from modelplane_schema.registry import Registry
from modelplane_schema.uids import (
    API_DATASOURCE_UID,
    PLUGIN_APP_ID,
    PLUGIN_DATASOURCE_ID,
    PROMETHEUS_DATASOURCE_UID,
)

# For a Grafana of our own: no line twice, nothing fetched from the internet, no errors where there is none.
# The toggle looks for patterns of plugins in a framework that Grafana has dropped.
SETTINGS: Mapping[str, str] = {
    "GF_LOG_MODE": "console",
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
    "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
    "GF_FEATURE_TOGGLES_pluginsDynamicAngularDetectionPatterns": "false",
    "GF_FEATURE_TOGGLES_idForwarding": "true",  # Grafana 11 signs identities only with it
}
# With the plugin of the bundle nothing is installed at start.
_PLUGIN_SETTINGS: Mapping[str, str] = {
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    "GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS": ",".join(PLUGIN_IDS),
}
_PREINSTALLED_APPS = (
    "grafana-exploretraces-app",
    "grafana-lokiexplore-app",
    "grafana-metricsdrilldown-app",
    "grafana-pyroscope-app",
)
_INFINITY_SETTINGS: Mapping[str, str] = {
    "GF_PLUGINS_PREINSTALL_SYNC": f"{INFINITY_ID}@3.11.1",
    "GF_PLUGINS_PREINSTALL_AUTO_UPDATE": "false",
    # Preinstallation as a whole cannot be off: it is what installs Infinity.
    "GF_PLUGINS_DISABLE_PLUGINS": ",".join(_PREINSTALLED_APPS),
}
_LEAST_SCAN_SECONDS = 30
_BOARDS_A_SECOND = 2  # a scan costs 10 ms of CPU a board, for ever


def settings(api: ApiAccess, plugins: str, root_url: str) -> dict[str, str]:
    """The environment of a Grafana of ours; ``plugins`` is the bundle's folder of plugins as it sees it."""
    of_plugins = {
        "plugin": {"GF_PATHS_PLUGINS": plugins, **_PLUGIN_SETTINGS},
        "infinity": _INFINITY_SETTINGS,
        "none": {"GF_PLUGINS_PREINSTALL_DISABLED": "true"},
    }
    return {**SETTINGS, "GF_SERVER_ROOT_URL": root_url, **of_plugins[api]}


def root_url(registry: Registry, site: Site) -> str:
    """What a Grafana of ours names as its address, also in the identities that it signs."""
    return registry.grafana.issuer if registry.grafana else site.grafana_root


def trust(registry: Registry, site: Site, api: ApiAccess) -> GrafanaTrust:
    """Whom the backend believes about who asks: everybody in a Grafana of ours sees every tenant."""
    declared, default = registry.grafana, None
    if site.starts_grafana:
        keys_url = f"http://{site.grafana}{KEYS_PATH}"
        default = GrafanaAccess(issuer=site.grafana_root, keys_url=keys_url, organisations={"1": "all"})
        if declared and declared.keys_url is None:
            declared = declared.model_copy(update={"keys_url": keys_url})
    return GrafanaTrust(declared, default, sends_identity=api == "plugin")


def provisioning(
    site: Site, scrape_interval_seconds: int, boards: Iterable[str], api: ApiAccess = "plugin"
) -> dict[str, dict[str, Any]]:
    """Map path below ``provisioning/`` to content; ``boards`` are paths below the folder of boards."""
    apps = [{"type": PLUGIN_APP_ID, "org_id": 1, "disabled": False}] if api == "plugin" else []
    return {
        "datasources/modelplane.yaml": _datasources(site, scrape_interval_seconds, api),
        "dashboards/modelplane.yaml": _dashboard_providers(site, tuple(boards)),
        "plugins/modelplane.yaml": {"apiVersion": 1, "apps": apps},
    }


def _datasources(site: Site, scrape_interval_seconds: int, api: ApiAccess) -> dict[str, Any]:
    prometheus = {
        "name": "Modelplane Prometheus",
        "uid": PROMETHEUS_DATASOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": f"http://{site.prometheus}",
        "isDefault": site.starts_grafana,
        "editable": False,
        "jsonData": {"httpMethod": "POST", "timeInterval": f"{scrape_interval_seconds}s"},
    }
    sources = [prometheus]
    if api != "none":
        common = {
            "name": "Modelplane",
            "uid": API_DATASOURCE_UID,
            "access": "proxy",
            "url": f"http://{site.backend}",
            "isDefault": False,
            "editable": False,
        }
        sources.append({**common, **(_plugin(site) if api == "plugin" else _infinity(site))})
    return {"apiVersion": 1, "prune": True, "datasources": sources}


def _plugin(site: Site) -> dict[str, Any]:
    return {
        "type": PLUGIN_DATASOURCE_ID,
        "jsonData": {"backend": f"http://{site.backend}"},
        "secureJsonData": {"token": _token(site)},
    }


def _infinity(site: Site) -> dict[str, Any]:
    backend = f"http://{site.backend}"
    return {
        "type": INFINITY_ID,
        "jsonData": {
            "auth_method": "bearerToken",
            # A prefix of the whole URL: without the slash "http://backend:8090@elsewhere/" has it, too.
            "allowedHosts": [f"{backend}/"],
            "timeoutInSeconds": 30,
            "customHealthCheckEnabled": True,
            "customHealthCheckUrl": f"{backend}/readyz",
        },
        "secureJsonData": {"bearerToken": _token(site)},
    }


def _token(site: Site) -> str:
    """``$__file`` lets Grafana read the token where it is mounted."""
    return f"$__file{{{site.grafana_secrets}/{credentials.GRAFANA.file}}}"


def _dashboard_providers(site: Site, boards: tuple[str, ...]) -> dict[str, Any]:
    """One provider for each folder that has boards: Grafana logs an error for a path that is absent."""
    seconds = max(_LEAST_SCAN_SECONDS, len(boards) // _BOARDS_A_SECOND)
    providers = [
        {
            "name": folder.uid,
            "type": "file",
            "folder": folder.title,
            "folderUid": folder.uid,
            "disableDeletion": False,
            "allowUiUpdates": False,
            "updateIntervalSeconds": seconds,
            "options": {"path": f"{site.grafana_dashboards}/{folder.name}"},
        }
        for folder in modelplane_dashboards.FOLDERS.values()
        if any(path.startswith(f"{folder.name}/") for path in boards)
    ]
    return {"apiVersion": 1, "providers": providers}
