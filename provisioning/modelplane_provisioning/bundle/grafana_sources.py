"""The data sources that Grafana gets, for its files of provisioning and for its API alike.

A token is a text that Grafana keeps to itself: the token, or ``$__file{path}`` where a file provisions it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelplane_dashboards import INFINITY_ID, ApiAccess
from modelplane_schema.grafana_section import DataSourceChoices
from modelplane_schema.uids import (
    ALERTMANAGER_DATASOURCE_UID,
    API_DATASOURCE_UID,
    PLUGIN_DATASOURCE_ID,
    PROMETHEUS_DATASOURCE_UID,
)

NO_CHOICES = DataSourceChoices()


@dataclass(frozen=True, slots=True)
class DataSource:
    """``secure`` holds what Grafana never shows again; ``may_be_default`` is what boards are made with."""

    name: str
    uid: str
    type: str
    url: str
    settings: Mapping[str, Any]
    secure: Mapping[str, str] = field(default_factory=dict, repr=False)
    may_be_default: bool = False


def prometheus(
    url: str, scrape_interval_seconds: int, choices: DataSourceChoices = NO_CHOICES, token: str | None = None
) -> DataSource:
    """A Prometheus as it is, or with a ``token`` what the backend shows of it to the token's tenants."""
    settings: dict[str, Any] = {
        "httpMethod": "POST",
        "timeInterval": f"{scrape_interval_seconds}s",
        "manageAlerts": choices.manage_alerts,
        "allowAsRecordingRulesTarget": False,  # nothing can be written to it
    }
    if choices.exemplars:
        destination = {"name": choices.exemplars.label, "datasourceUid": choices.exemplars.data_source}
        settings["exemplarTraceIdDestinations"] = [destination]
    secure = {}
    if token is not None:
        settings["httpHeaderName1"] = "Authorization"
        secure["httpHeaderValue1"] = f"Bearer {token}"
    return DataSource(
        "Modelplane Prometheus", PROMETHEUS_DATASOURCE_UID, "prometheus", url, settings, secure, True
    )


def scoped_prometheus(
    backend_url: str, scrape_interval_seconds: int, token: str, choices: DataSourceChoices = NO_CHOICES
) -> DataSource:
    """What the backend shows of Prometheus to the tenants of a token."""
    return prometheus(f"{backend_url}/prometheus", scrape_interval_seconds, choices, token)


def backend(backend_url: str, api: ApiAccess, token: str) -> DataSource:
    """The backend, read by our plugin or by Infinity."""
    if api == "plugin":
        kind, settings, key = PLUGIN_DATASOURCE_ID, {"backend": backend_url}, "token"
    else:
        kind, settings, key = INFINITY_ID, _infinity(backend_url), "bearerToken"
    return DataSource("Modelplane", API_DATASOURCE_UID, kind, backend_url, settings, {key: token})


def alertmanager(url: str) -> DataSource:
    """For the operators alone: whoever may query it reads all tenants' alerts."""
    settings = {"implementation": "prometheus", "handleGrafanaManagedAlerts": False}
    return DataSource("Modelplane Alertmanager", ALERTMANAGER_DATASOURCE_UID, "alertmanager", url, settings)


def file_entry(source: DataSource, is_default: bool, organisation: str | None = None) -> dict[str, Any]:
    """A data source as a file of provisioning has it; ``organisation`` is a number."""
    secure = {"secureJsonData": dict(source.secure)} if source.secure else {}
    return {
        "name": source.name,
        "uid": source.uid,
        **({"orgId": int(organisation)} if organisation else {}),
        "type": source.type,
        "access": "proxy",
        "url": source.url,
        "isDefault": is_default and source.may_be_default,
        "editable": False,
        "jsonData": dict(source.settings),
        **secure,
    }


def _infinity(backend_url: str) -> dict[str, Any]:
    return {
        "auth_method": "bearerToken",
        # A prefix of the whole URL: without the slash "http://backend:8090@elsewhere/" has it, too.
        "allowedHosts": [f"{backend_url}/"],
        "timeoutInSeconds": 30,
        "customHealthCheckEnabled": True,
        "customHealthCheckUrl": f"{backend_url}/readyz",
    }
