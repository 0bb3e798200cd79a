"""Boards by Grafana's API: compared as they were written, and written only where they differ."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import requests

from modelplane_dashboards import FOLDER_ANNOTATION
from modelplane_provisioning.clients.grafana import GrafanaError, Organisation, expected
from modelplane_provisioning.grafana_apply.changes import Change
from modelplane_provisioning.grafana_apply.kubernetes_api import (
    BOARDS,
    FILE_MANAGER,
    MANAGER_ANNOTATION,
    board_path,
)
from modelplane_provisioning.grafana_apply.rights import Right
from modelplane_provisioning.pictures.shots import OUR_UID

OUR_LABELS = {"app.kubernetes.io/managed-by": "modelplane"}
_WRITES = 4  # tries while somebody else writes, too
_SEARCH_ROWS = 500


@dataclass(frozen=True, slots=True)
class WantedBoard:
    """``text`` is the board's JSON; ``folder`` the uid of its folder."""

    uid: str
    folder: str
    text: bytes = field(repr=False)

    @property
    def spec(self) -> dict[str, Any]:
        """The board without its uid, read anew each time: a plan of 10,000 boards holds their texts alone."""
        return {key: value for key, value in json.loads(self.text).items() if key != "uid"}


def board_change(
    organisation: Organisation, board: WantedBoard, our_folders: frozenset[str], folder_is_new: bool
) -> Change | None:
    """What makes the board as it is wanted, None when it is; GrafanaError for one that is somebody else's."""
    present = _read(organisation, board.uid)
    if present is None:
        right = None if folder_is_new else Right("dashboards:create", _folder_scopes(board.folder))
        return Change("create", "board", board.uid, "", right, partial(_write, organisation, board))
    manager = _annotations(present).get(MANAGER_ANNOTATION)
    differences = _differences(present, board)
    if manager:
        source = "a file" if manager == FILE_MANAGER else manager
        problem = f", but {' and '.join(differences)}: correct it there" if differences else ""
        return Change("leave", "board", board.uid, f"it comes from {source}{problem}") if problem else None
    if not is_ours(present, our_folders):
        raise GrafanaError(
            f"a board with the uid {board.uid} that modelplane did not write is in the folder "
            f"{_annotations(present).get(FOLDER_ANNOTATION) or 'at the top'!r}: move or delete it"
        )
    if not differences:
        return None
    scopes = (f"dashboards:uid:{board.uid}", *_folder_scopes(_annotations(present).get(FOLDER_ANNOTATION)))
    note, right = " and ".join(differences), Right("dashboards:write", scopes)
    return Change("update", "board", board.uid, note, right, partial(_write, organisation, board))


def surplus_boards(
    organisation: Organisation, our_folders: frozenset[str], wanted: frozenset[str], prune: bool
) -> Iterator[Change]:
    """Boards of ours that nobody wants any more.

    The search knows of a board some seconds late; what it then misses is met by the next run.
    """
    for uid in _uids_in(organisation, our_folders) - wanted:
        present = _read(organisation, uid)
        if (
            present is None
            or not is_ours(present, our_folders)
            or _annotations(present).get(MANAGER_ANNOTATION)
        ):
            continue
        if not prune:
            yield Change("leave", "board", uid, "the registry has it no more; --prune removes it")
            continue
        scopes = (f"dashboards:uid:{uid}", *_folder_scopes(_annotations(present).get(FOLDER_ANNOTATION)))
        version = present["metadata"]["resourceVersion"]
        yield Change(
            "delete", "board", uid, "the registry has it no more", Right("dashboards:delete", scopes),
            partial(_delete, organisation, uid, version),
        )  # fmt: skip


def is_ours(present: Mapping[str, Any], our_folders: frozenset[str]) -> bool:
    """Whether we wrote a board: by its label, which a save in the browser drops, or by uid and folder."""
    metadata = present["metadata"]
    if (metadata.get("labels") or {}).items() >= OUR_LABELS.items():
        return True
    return bool(OUR_UID.fullmatch(metadata["name"])) and (
        _annotations(present).get(FOLDER_ANNOTATION) in our_folders
    )


def _differences(present: Mapping[str, Any], board: WantedBoard) -> list[str]:
    differences = []
    if present["spec"] != board.spec:
        differences.append("its content differs")
    folder = _annotations(present).get(FOLDER_ANNOTATION) or ""
    if folder != board.folder:
        differences.append(f"it is in the folder {folder!r}")
    return differences


def _write(organisation: Organisation, board: WantedBoard) -> None:
    """Create or replace it. Whoever else writes at that time is met by reading it again."""
    doing = f"write the board {board.uid}"
    for _ in range(_WRITES):
        present = _read(organisation, board.uid)
        if present is None:
            answer = organisation.request("POST", board_path(organisation.number), _resource(board, {}))
        elif _differences(present, board):
            path = board_path(organisation.number, board.uid)
            answer = organisation.request("PUT", path, _resource(board, present["metadata"]))
        else:
            return
        if answer.status != requests.codes.conflict:
            expected(answer, organisation.login, doing)
            return
    raise GrafanaError(
        f"somebody else changes the board {board.uid} at the same time, {_WRITES} times in a row: "
        "find out who writes it, and run it again"
    )


def _resource(board: WantedBoard, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The object to be written. What others put onto it stays; its version lets Grafana refuse a race."""
    version = {key: metadata[key] for key in ("resourceVersion",) if key in metadata}
    return {
        "apiVersion": BOARDS,
        "kind": "Dashboard",
        "metadata": {
            "name": board.uid,
            "labels": {**(metadata.get("labels") or {}), **OUR_LABELS},
            "annotations": {**(metadata.get("annotations") or {}), FOLDER_ANNOTATION: board.folder},
            **version,
        },
        "spec": board.spec,
    }


def _delete(organisation: Organisation, uid: str, version: str) -> None:
    body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"resourceVersion": version}}
    answer = organisation.request("DELETE", board_path(organisation.number, uid), body)
    expected(answer, organisation.login, f"delete the board {uid}", requests.codes.not_found)


def _read(organisation: Organisation, uid: str) -> dict[str, Any] | None:
    answer = organisation.request("GET", board_path(organisation.number, uid))
    doing = f"read the board {uid}"
    content = expected(answer, organisation.login, doing, requests.codes.not_found)
    if answer.status == requests.codes.not_found:
        return None
    if not isinstance(content, dict) or not {"metadata", "spec"} <= content.keys():
        raise GrafanaError(f"Grafana answers for the board {uid}, but not with a board: check --grafana")
    return content


def _uids_in(organisation: Organisation, folders: frozenset[str]) -> set[str]:
    """The uids of boards in these folders, as far as the search knows them."""
    uids: set[str] = set()
    page = 1
    while folders:
        params = {"type": "dash-db", "folderUIDs": sorted(folders), "limit": _SEARCH_ROWS, "page": page}
        answer = organisation.request("GET", "/api/search", params=params)
        rows = expected(answer, organisation.login, "search for boards", requests.codes.not_found)
        listed = {str(row["uid"]) for row in rows or ()}
        if len(rows or ()) < _SEARCH_ROWS or listed <= uids:
            return uids | listed
        uids |= listed
        page += 1
    return uids


def _annotations(present: Mapping[str, Any]) -> Mapping[str, str]:
    return present["metadata"].get("annotations") or {}


def _folder_scopes(folder: str | None) -> tuple[str, ...]:
    return (f"folders:uid:{folder or 'general'}",)
