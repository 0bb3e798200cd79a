"""What a Grafana needs to show the plane: provisioning of data sources, folders of boards and plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import modelplane_dashboards
from modelplane_provisioning import credentials
from modelplane_provisioning.site import Site
from modelplane_schema.uids import API_DATASOURCE_UID, PROMETHEUS_DATASOURCE_UID

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
}
_LEAST_SCAN_SECONDS = 30
_BOARDS_A_SECOND = 2  # a scan costs 10 ms of CPU a board, for ever


def provisioning(
    site: Site, scrape_interval_seconds: int, boards: Iterable[str]
) -> dict[str, dict[str, Any]]:
    """Map path below ``provisioning/`` to content; ``boards`` are paths below the folder of boards."""
    return {
        "datasources/modelplane.yaml": _datasources(site, scrape_interval_seconds),
        "dashboards/modelplane.yaml": _dashboard_providers(site, tuple(boards)),
        "plugins/modelplane.yaml": {"apiVersion": 1, "apps": []},
    }


def _datasources(site: Site, scrape_interval_seconds: int) -> dict[str, Any]:
    """``$__file`` lets Grafana read the token where it is mounted."""
    backend = f"http://{site.backend}"
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
    api = {
        "name": "Modelplane",
        "uid": API_DATASOURCE_UID,
        "type": "yesoreyeram-infinity-datasource",
        "access": "proxy",
        "url": backend,
        "isDefault": False,
        "editable": False,
        "jsonData": {
            "auth_method": "bearerToken",
            # A prefix of the whole URL: without the slash "http://backend:8090@elsewhere/" has it, too.
            "allowedHosts": [f"{backend}/"],
            "timeoutInSeconds": 30,
            "customHealthCheckEnabled": True,
            "customHealthCheckUrl": f"{backend}/readyz",
        },
        "secureJsonData": {"bearerToken": f"$__file{{{site.grafana_secrets}/{credentials.GRAFANA.file}}}"},
    }
    return {"apiVersion": 1, "prune": True, "datasources": [prometheus, api]}


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
