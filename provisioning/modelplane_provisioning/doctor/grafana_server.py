"""Grafana itself: whether it answers, its version, and the plugin by which boards read the backend."""

from __future__ import annotations

import re
from typing import Any

from modelplane_dashboards import INFINITY_ID
from modelplane_provisioning.bundle.grafana_plugin import PLUGIN_IDS
from modelplane_provisioning.clients.plane_errors import NoRouteError, WrongAddressError
from modelplane_provisioning.doctor.finding import Finding, Problem, Severity
from modelplane_provisioning.doctor.parts import Parts, required
from modelplane_schema.uids import PLUGIN_APP_ID

GRAFANA_IS_SUPPORTED = "Grafana answers and is a supported version"
PLUGIN_IS_LOADED = "Grafana has loaded the plugin of the boards"
_OLDEST, _NEWEST_MAJOR = (11, 6), 13


def check_server(parts: Parts) -> Finding:
    """Grafana answers, can use its database, and has a version for which boards are made."""
    health = required(parts.grafana.connection, "/api/health")
    if not isinstance(health, dict) or "database" not in health:
        address = parts.grafana.connection.url
        raise WrongAddressError("Grafana", f"{address} answers, but not as Grafana does; check --grafana")
    version = str(health.get("version", ""))
    problems = []
    if health["database"] != "ok":
        text = f"Grafana cannot use its database: {health['database']}"
        problems.append(Problem("error", "grafana-database:", text, "its log says why"))
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and not _is_supported(int(numbers[1]), int(numbers[2])):
        text = f"Grafana {version} is not supported: boards are made for 11.6 to {_NEWEST_MAJOR}"
        advice = "use a version between them: older ones lack parts of the boards, newer ones were not tried"
        severity: Severity = "error" if (int(numbers[1]), int(numbers[2])) < _OLDEST else "warning"
        problems.append(Problem(severity, "grafana-version:", text, advice))
    return Finding(GRAFANA_IS_SUPPORTED, f"Grafana {version or 'of a hidden version'}", tuple(problems))


def _is_supported(major: int, minor: int) -> bool:
    return (major, minor) >= _OLDEST and major <= _NEWEST_MAJOR


def check_plugin(parts: Parts) -> Finding:
    """The plugin that the data source of the API needs is there, and enabled."""
    if parts.api == "none":
        return Finding(PLUGIN_IS_LOADED, "boards read no backend, and need none")
    plugin = PLUGIN_APP_ID if parts.api == "plugin" else INFINITY_ID
    try:
        settings = parts.grafana.get(f"/api/plugins/{plugin}/settings")
    except NoRouteError:
        return Finding(PLUGIN_IS_LOADED, f"{plugin} is absent", (_absent(plugin),))
    version = settings["info"]["version"]
    problems: tuple[Problem, ...] = ()
    if parts.api == "plugin" and not settings["enabled"]:
        text, advice = f"the app {plugin} is not enabled", "enable it under Administration, Plugins"
        problems = (Problem("error", "plugin-disabled:", text, advice),)
    return Finding(PLUGIN_IS_LOADED, f"{plugin} {version}", problems)


def _absent(plugin: str) -> Problem:
    text = f"Grafana has not loaded the plugin {plugin}"
    if plugin == INFINITY_ID:
        advice = "install it (GF_PLUGINS_PREINSTALL_SYNC), or make the boards with --api plugin or none"
        return Problem("error", "plugin-absent:", text, advice)
    ids = ",".join(PLUGIN_IDS)
    advice = (
        "mount the bundle's grafana/plugins at GF_PATHS_PLUGINS, and, since it is not signed, set "
        f"GF_PLUGINS_ALLOW_LOADING_UNSIGNED_PLUGINS={ids}; Grafana's log names plugins that it refuses"
    )
    return Problem("error", "plugin-absent:", text, advice)


def identity_problems(parts: Parts, identity: dict[str, Any]) -> tuple[Problem, ...]:
    """What is wrong although the backend answers Grafana: who asks, and which version."""
    problems = []
    if identity["role"] == "grafana" and identity["user"] is None:
        text = "Grafana sends no identity (X-Grafana-Id), so that nobody can acknowledge through it"
        advice = "Grafana 11 sends it with the feature toggle idForwarding alone"
        problems.append(Problem("warning", "identity-absent:", text, advice))
    version = parts.grafana.get(f"/api/plugins/{PLUGIN_APP_ID}/settings")["info"]["version"]
    if version != identity["version"]:
        text = (
            f"Grafana has loaded version {version} of the plugin, and the backend has {identity['version']}"
        )
        problems.append(Problem("warning", "plugin-version:", text, "start Grafana again"))
    return tuple(problems)
