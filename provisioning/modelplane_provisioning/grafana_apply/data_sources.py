"""Data sources by Grafana's API: what is set by us is compared, what others set besides stays."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import requests

from modelplane_provisioning.bundle.grafana_sources import DataSource
from modelplane_provisioning.clients.grafana import GrafanaError, Organisation, expected, rows_of
from modelplane_provisioning.grafana_apply.changes import Change
from modelplane_provisioning.grafana_apply.rights import Right
from modelplane_schema.uids import (
    ALERTMANAGER_DATASOURCE_UID,
    API_DATASOURCE_UID,
    PLUGIN_APP_ID,
    PLUGIN_DATASOURCE_ID,
    PROMETHEUS_DATASOURCE_UID,
)

OUR_UIDS = (PROMETHEUS_DATASOURCE_UID, API_DATASOURCE_UID, ALERTMANAGER_DATASOURCE_UID)
# Grafana never shows a token again: by the start of its hash an exchanged one is noticed.
_FINGERPRINT = "tokenFingerprint"
_WITHOUT_PLUGIN = ("prometheus", "alertmanager")  # part of every Grafana
Present = Mapping[str, Any]


def present_sources(organisation: Organisation) -> list[Present]:
    """The data sources of an organisation; GrafanaError."""
    answer = organisation.request("GET", "/api/datasources")
    content = expected(answer, organisation.login, "list data sources", requests.codes.not_found)
    return rows_of(content, "data sources") if answer.is_success else []


def source_changes(
    organisation: Organisation, wanted: Sequence[DataSource], is_default: bool | None
) -> Iterator[Change]:
    """What makes the data sources as they are wanted; GrafanaError for a name or uid that is taken.

    ``is_default`` says whether boards' data source is the default one; None lets it be where nothing else is.
    """
    present = present_sources(organisation)
    by_uid = {source["uid"]: source for source in present}
    someone_elses = any(source.get("isDefault") and source["uid"] not in OUR_UIDS for source in present)
    for source in wanted:
        _refuse_taken_name(source, present)
        before = by_uid.get(source.uid)
        default = not someone_elses if is_default is None else is_default
        body = _body(source, before, default and source.may_be_default)
        change = _change(organisation, source, before, body)
        if change:
            yield change


def app_changes(organisation: Organisation, wanted: Sequence[DataSource]) -> Iterator[Change]:
    """Enable our app where its data source is wanted; GrafanaError when a plugin is not installed."""
    for source in wanted:
        if source.type in _WITHOUT_PLUGIN:
            continue
        plugin_id = PLUGIN_APP_ID if source.type == PLUGIN_DATASOURCE_ID else source.type
        path = f"/api/plugins/{plugin_id}/settings"
        is_enabled = _is_enabled(organisation, plugin_id, path)
        if plugin_id == PLUGIN_APP_ID and not is_enabled:
            right = Right("plugins:write", (f"plugins:id:{plugin_id}",))
            enable = partial(_enable, organisation, path)
            yield Change("update", "app", plugin_id, "it is not enabled here", right, enable)


def _is_enabled(organisation: Organisation, plugin_id: str, path: str) -> bool:
    answer = organisation.request("GET", path)
    settings = expected(answer, organisation.login, "read settings of plugins", requests.codes.not_found)
    if answer.is_success:
        return bool(settings["enabled"])
    if organisation.number:  # an organisation that is yet to be made has no settings, whatever is installed
        raise GrafanaError(
            f"this Grafana has no plugin {plugin_id}: install it (docs/plugin.md), or choose another --api"
        )
    return False


def surplus_sources(organisation: Organisation, url: str, prune: bool) -> Iterator[Change]:
    """Data sources of ours that lead to the backend at ``url``, in an organisation that should have none."""
    for source in present_sources(organisation):
        uid, name = source["uid"], source["name"]
        is_ours = uid in OUR_UIDS and str(source.get("url", "")).startswith(url)
        if is_ours and not prune:
            note = "the registry does not name this organisation; --prune removes it"
            yield Change("leave", "data source", name, note)
        elif is_ours:
            right = Right("datasources:delete", (f"datasources:uid:{uid}",))
            yield Change(
                "delete", "data source", name, "the registry does not name this organisation", right,
                partial(_delete, organisation, uid, name),
            )  # fmt: skip


def _refuse_taken_name(source: DataSource, present: Sequence[Present]) -> None:
    for other in present:
        if other["name"] == source.name and other["uid"] != source.uid:
            raise GrafanaError(
                f"another data source, of the uid {other['uid']}, is called {source.name!r}: rename that one"
            )


def _body(source: DataSource, before: Present | None, is_default: bool) -> dict[str, Any]:
    settings = dict(source.settings)
    if source.secure:
        secrets = "\n".join(f"{key}={value}" for key, value in sorted(source.secure.items()))
        settings[_FINGERPRINT] = hashlib.sha256(secrets.encode()).hexdigest()[:12]
    others = dict(before.get("jsonData") or {}) if before and before.get("type") == source.type else {}
    return {
        "name": source.name,
        "uid": source.uid,
        "type": source.type,
        "access": "proxy",
        "url": source.url,
        "isDefault": is_default,
        "jsonData": {**others, **settings},
    }


def _change(
    organisation: Organisation, source: DataSource, before: Present | None, body: dict[str, Any]
) -> Change | None:
    secret_body = {**body, "secureJsonData": dict(source.secure)}
    if before is None:
        return Change(
            "create", "data source", source.name, "", Right("datasources:create"),
            partial(_send, organisation, "POST", "/api/datasources", secret_body),
        )  # fmt: skip
    differing = sorted(key for key in body if (before.get(key) or None) != (body[key] or None))
    if before.get("readOnly"):
        # A file has no fingerprint of its token, and chooses the default itself.
        if before.get("type") == body["type"] and before.get("url") == body["url"]:
            return None
        return Change(
            "leave", "data source", source.name, "it comes from a file that differs: correct it there"
        )
    if not differing:
        return None
    path = f"/api/datasources/uid/{source.uid}"
    return Change(
        "update", "data source", source.name, f"{', '.join(differing)} differ",
        Right("datasources:write", (f"datasources:uid:{source.uid}",)),
        partial(_send, organisation, "PUT", path, secret_body),
    )  # fmt: skip


def _send(organisation: Organisation, method: str, path: str, body: dict[str, Any]) -> None:
    answer = organisation.request(method, path, body)
    expected(answer, organisation.login, f"write the data source {body['name']!r}")


def _enable(organisation: Organisation, path: str) -> None:
    answer = organisation.request("POST", path, {"enabled": True, "pinned": True})
    expected(answer, organisation.login, "enable the app")


def _delete(organisation: Organisation, uid: str, name: str) -> None:
    answer = organisation.request("DELETE", f"/api/datasources/uid/{uid}")
    expected(answer, organisation.login, f"delete the data source {name!r}", requests.codes.not_found)
