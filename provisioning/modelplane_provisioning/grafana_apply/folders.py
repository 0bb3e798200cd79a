"""Folders of boards by Grafana's API, known by uid: a title can be somebody else's, or be changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import requests

from modelplane_dashboards import Folder, folder_resource
from modelplane_provisioning.clients.grafana import Organisation, expected
from modelplane_provisioning.grafana_apply.changes import Change
from modelplane_provisioning.grafana_apply.kubernetes_api import folder_path
from modelplane_provisioning.grafana_apply.rights import Right

TOP = "folders:uid:general"


def folder_changes(organisation: Organisation, folders: Sequence[Folder]) -> Iterator[Change]:
    """Create the folders that are not there; one that people called otherwise stays as it is."""
    for folder in folders:
        if not folder_exists(organisation, folder.uid):
            right = Right("folders:create", (TOP,))
            yield Change("create", "folder", folder.uid, "", right, partial(_create, organisation, folder))


def folder_exists(organisation: Organisation, uid: str) -> bool:
    """Whether there is a folder of this uid; GrafanaError when the identity may not see it."""
    answer = organisation.request("GET", folder_path(organisation.number, uid))
    expected(answer, organisation.login, f"read the folder {uid}", requests.codes.not_found)
    return answer.is_success


def _create(organisation: Organisation, folder: Folder) -> None:
    answer = organisation.request("POST", folder_path(organisation.number), folder_resource(folder))
    # Grafana answers 412, not 409, for a folder that somebody else has made meanwhile.
    made = (requests.codes.precondition_failed, requests.codes.conflict)
    if answer.status in made and folder_exists(organisation, folder.uid):
        return
    expected(answer, organisation.login, f"create the folder {folder.uid}")
