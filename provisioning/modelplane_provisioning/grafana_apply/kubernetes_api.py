"""Grafana's Kubernetes-style API: its addresses, and which versions a Grafana serves."""

from __future__ import annotations

from urllib.parse import quote

from modelplane_dashboards import FOLDER_VERSION
from modelplane_provisioning.clients.grafana import GrafanaClient, GrafanaError, expected
from modelplane_schema.uids import OPERATORS

# The one version that gives a board back as it was written: newer ones convert it.
BOARDS = "dashboard.grafana.app/v0alpha1"
MANAGER_ANNOTATION = "grafana.app/managedBy"
FILE_MANAGER = "classic-file-provisioning"


def board_path(number: str, uid: str = "") -> str:
    """Where a board of an organisation is, or all of them."""
    return _path(BOARDS, number, "dashboards", uid)


def folder_path(number: str, uid: str = "") -> str:
    """Where a folder of an organisation is, or all of them."""
    return _path(FOLDER_VERSION, number, "folders", uid)


def check_versions(grafana: GrafanaClient, version: str) -> None:
    """GrafanaError when a Grafana does not serve what boards and folders are written by."""
    answer = grafana.request("GET", "/apis")
    content = expected(answer, grafana.login, "ask for Grafana's APIs", 404)
    groups = content.get("groups", ()) if isinstance(content, dict) else ()
    served = {each.get("groupVersion") for group in groups for each in group.get("versions", ())}
    missing = [name for name in (BOARDS, FOLDER_VERSION) if name not in served]
    if missing:
        raise GrafanaError(
            f"{grafana.url} is Grafana {version or 'of a hidden version'} and does not serve "
            f"{' and '.join(missing)}, by which boards and folders are written: use Grafana 12, or "
            "let it read the boards as files (`modelplane bundle`)"
        )


def _path(group: str, number: str, kind: str, uid: str) -> str:
    namespace = "default" if number == OPERATORS else f"org-{number}"
    path = f"/apis/{group}/namespaces/{namespace}/{kind}"
    return f"{path}/{quote(uid, safe='')}" if uid else path
