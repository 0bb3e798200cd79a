"""What a Grafana needs to show the plane: provisioning of data sources, folders of boards and plugins."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import modelplane_dashboards
from modelplane_dashboards import ApiAccess
from modelplane_datasource.tenancy.grafana_identity import KEYS_PATH
from modelplane_provisioning.bundle import credentials, grafana_sources
from modelplane_provisioning.bundle.credentials import GrafanaTrust
from modelplane_provisioning.bundle.grafana_plugin import PLUGIN_IDS
from modelplane_provisioning.bundle.site import Site
from modelplane_schema.grafana_access import GrafanaAccess
from modelplane_schema.grafana_section import DataSourceChoices, GrafanaSection, TenantOrganisation
from modelplane_schema.registry import Registry
from modelplane_schema.uids import FLEET_UID, PLUGIN_APP_ID

# For a Grafana of our own: no line twice, nothing fetched from the internet, no errors where there is none.
# The toggle looks for patterns of plugins in a framework that Grafana has dropped.
SETTINGS: Mapping[str, str] = {
    "GF_LOG_MODE": "console",
    "GF_ANALYTICS_REPORTING_ENABLED": "false",
    "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
    "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
    "GF_ANALYTICS_FEEDBACK_LINKS_ENABLED": "false",
    "GF_NEWS_NEWS_FEED_ENABLED": "false",
    "GF_SECURITY_DISABLE_GRAVATAR": "true",
    "GF_SNAPSHOTS_EXTERNAL_ENABLED": "false",
    "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    "GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED": "true",
    "GF_FEATURE_TOGGLES_pluginsDynamicAngularDetectionPatterns": "false",
    "GF_FEATURE_TOGGLES_idForwarding": "true",  # Grafana 11 signs identities only with it
}
_PLUGIN_SETTINGS: Mapping[str, str] = {
    "GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS": ",".join(PLUGIN_IDS),
}
_BUILT_IN_PLUGINS = "/plugins"  # where the image that is built has Infinity
_HOME = f"{modelplane_dashboards.FOLDERS['all'].name}/{FLEET_UID}.json"
_LEAST_SCAN_SECONDS = 30
_BOARDS_A_SECOND = 2  # a scan costs 10 ms of CPU a board, for ever


def settings(api: ApiAccess, plugins: str, boards: str, root_url: str) -> dict[str, str]:
    """The environment of a Grafana of ours, which opens on the board of the fleet.

    ``plugins`` and ``boards`` are the bundle's folders of these as it sees them.
    """
    of_plugins: dict[ApiAccess, dict[str, str]] = {
        "plugin": {"GF_PATHS_PLUGINS": plugins, **_PLUGIN_SETTINGS},
        "infinity": {"GF_PATHS_PLUGINS": _BUILT_IN_PLUGINS},
        "none": {},
    }
    home = {"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": f"{boards}/{_HOME}"}
    return {**SETTINGS, "GF_SERVER_ROOT_URL": root_url, **home, **of_plugins[api]}


def root_url(registry: Registry, site: Site) -> str:
    """What a Grafana of ours names as its address, also in the identities that it signs."""
    return registry.grafana.issuer if registry.grafana else site.grafana_root


def for_new_grafana(registry: Registry) -> Registry:
    """The registry without the numbers of organisations, which a Grafana that begins empty does not know."""
    section = registry.grafana
    if section is None:
        return registry
    organisations = tuple(each.model_copy(update={"number": None}) for each in section.tenant_organisations)
    return registry.model_copy(
        update={"grafana": section.model_copy(update={"tenant_organisations": organisations})}
    )


def trust(registry: Registry, site: Site, api: ApiAccess) -> GrafanaTrust:
    """Whom the backend believes about who asks: everybody in a Grafana of ours sees every tenant."""
    section = registry.grafana
    declared, default = section.access if section else None, None
    organisations = section.tenant_organisations if section else ()
    if site.starts_grafana:
        keys_url = f"http://{site.grafana}{KEYS_PATH}"
        default = GrafanaAccess(issuer=site.grafana_root, keys_url=keys_url, organisations={"1": "all"})
        if declared and declared.keys_url is None:
            declared = declared.model_copy(update={"keys_url": keys_url})
    return GrafanaTrust(declared, default, api == "plugin", organisations)


def provisioning(
    site: Site,
    scrape_interval_seconds: int,
    boards: Iterable[str],
    api: ApiAccess = "plugin",
    section: GrafanaSection | None = None,
) -> dict[str, dict[str, Any]]:
    """Map path below ``provisioning/`` to content; ``boards`` are paths below the folder of boards.

    The organisations of tenants in ``section`` have their part once they have a number: Grafana does not
    start with a number that it does not know.
    """
    organisations = tuple(each for each in section.tenant_organisations if each.number) if section else ()
    choices = section.data_sources if section else grafana_sources.NO_CHOICES
    sources = [
        *_operators_sources(site, scrape_interval_seconds, api, choices),
        *(
            source
            for organisation in organisations
            for source in _tenants_sources(site, scrape_interval_seconds, api, choices, organisation)
        ),
    ]
    numbers = [1, *(int(organisation.number or 0) for organisation in organisations)]
    apps = [
        {"type": PLUGIN_APP_ID, "org_id": number, "disabled": False} for number in numbers if api == "plugin"
    ]
    return {
        "datasources/modelplane.yaml": {"apiVersion": 1, "prune": True, "datasources": sources},
        "dashboards/modelplane.yaml": _dashboard_providers(site, tuple(boards), organisations),
        "plugins/modelplane.yaml": {"apiVersion": 1, "apps": apps},
    }


def _operators_sources(
    site: Site, scrape_interval_seconds: int, api: ApiAccess, choices: DataSourceChoices
) -> list[dict[str, Any]]:
    is_default = site.starts_grafana if choices.is_default is None else choices.is_default
    sources = [grafana_sources.prometheus(f"http://{site.prometheus}", scrape_interval_seconds, choices)]
    if api != "none":
        token = _token(site, credentials.GRAFANA.file)
        sources.append(grafana_sources.backend(f"http://{site.backend}", api, token))
    sources.append(grafana_sources.alertmanager(f"http://{site.alertmanager}"))
    return [grafana_sources.file_entry(source, is_default) for source in sources]


def _tenants_sources(
    site: Site,
    scrape_interval_seconds: int,
    api: ApiAccess,
    choices: DataSourceChoices,
    organisation: TenantOrganisation,
) -> list[dict[str, Any]]:
    backend, token = f"http://{site.backend}", _token(site, organisation.token_file)
    sources = [grafana_sources.scoped_prometheus(backend, scrape_interval_seconds, token, choices)]
    if api != "none":
        sources.append(grafana_sources.backend(backend, api, token))
    # Nothing else is there that could be the default.
    return [grafana_sources.file_entry(source, True, organisation.number) for source in sources]


def _token(site: Site, file: str) -> str:
    """``$__file`` lets Grafana read the token where it is mounted."""
    return f"$__file{{{site.grafana_secrets}/{file}}}"


def seconds_for_boards(boards: int) -> int:
    """Seconds between scans of so many boards; within as many a Grafana that starts has stored them."""
    return max(_LEAST_SCAN_SECONDS, boards // _BOARDS_A_SECOND)


def _dashboard_providers(
    site: Site, boards: tuple[str, ...], organisations: Iterable[TenantOrganisation]
) -> dict[str, Any]:
    """One provider for each folder that has boards: Grafana logs an error for a path that is absent.

    An organisation of tenants has the boards with menus, in a folder whose uid no other organisation has:
    Grafana logs an error for one that is in two.
    """
    folders = [
        folder
        for folder in modelplane_dashboards.FOLDERS.values()
        if any(path.startswith(f"{folder.name}/") for path in boards)
    ]
    shared = modelplane_dashboards.FOLDERS["all"]
    scans = len(boards)
    providers = [(folder, folder.uid, "1") for folder in folders]
    for organisation in organisations:
        scans += sum(path.startswith(f"{shared.name}/") for path in boards)
        providers.append((shared, organisation.uid, organisation.number or ""))
    seconds = seconds_for_boards(scans)
    return {
        "apiVersion": 1,
        "providers": [
            {
                "name": uid,
                "orgId": int(number),
                "type": "file",
                "folder": folder.title,
                "folderUid": uid,
                "disableDeletion": False,
                "allowUiUpdates": False,
                "updateIntervalSeconds": seconds,
                "options": {"path": f"{site.grafana_dashboards}/{folder.name}"},
            }
            for folder, uid, number in providers
        ],
    }
