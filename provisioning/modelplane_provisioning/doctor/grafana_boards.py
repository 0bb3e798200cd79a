"""The boards in Grafana: present, and equal to those that the registry makes.

Grafana's own words prove neither. ``provisioned: true`` and the checksum say what was loaded once, and an
editor may have written over it since; a search that finds nothing may lack the right to see it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

import modelplane_dashboards
from modelplane_dashboards import PerEntity
from modelplane_provisioning.clients.plane_errors import NoRouteError, NotGrantedError
from modelplane_provisioning.doctor.finding import Finding, Problem
from modelplane_provisioning.doctor.parts import Grafana, Parts
from modelplane_provisioning.grafana_apply.kubernetes_api import board_path

BOARDS_ARE_EQUAL = "Grafana has the boards of the registry"
_MOST_NAMED = 5
_ADDED_BY_GRAFANA = ("id", "version")


class StoredBoard(NamedTuple):
    """A board as Grafana has it, without its uid; ``editor`` is who changed it last, if Grafana says."""

    spec: dict[str, Any]
    editor: str


def stored_board(grafana: Grafana, uid: str) -> StoredBoard | None:
    """A board by its uid, None where there is none; PlaneError, NotGrantedError for one that is hidden."""
    try:
        board = grafana.get(board_path(str(grafana.organisation), uid))
    except NoRouteError:
        return _by_older_api(grafana, uid)
    annotations = board["metadata"].get("annotations") or {}
    return StoredBoard(board["spec"], annotations.get("grafana.app/updatedBy", ""))


def _by_older_api(grafana: Grafana, uid: str) -> StoredBoard | None:
    """The same by the API of all versions, which adds keys of its own."""
    try:
        answer = grafana.get(f"/api/dashboards/uid/{uid}")
    except NoRouteError:
        return None
    left_out = ("uid", *_ADDED_BY_GRAFANA)
    spec = {key: value for key, value in answer["dashboard"].items() if key not in left_out}
    return StoredBoard(spec, str(answer["meta"].get("updatedBy", "")))


def check_boards(parts: Parts) -> Finding:
    """Each board of the registry is in Grafana, as it was generated."""
    grafana = parts.grafana
    per_entity: PerEntity = "auto" if grafana.is_of_operators else "never"
    files = modelplane_dashboards.files(parts.registry, parts.api, per_entity)
    absent, hidden, different = [], [], []
    for path in files:
        uid = PurePosixPath(path).stem
        try:
            stored = stored_board(grafana, uid)
        except NotGrantedError as error:
            if not error.is_known:
                raise
            hidden.append(uid)
            continue
        if stored is None:
            absent.append(uid)
        elif note := _difference(files, uid, path, stored):
            different.append(f"{uid} ({note})")
    problems = _problems(absent, hidden, different, len(files))
    equal = len(files) - len(absent) - len(hidden) - len(different)
    return Finding(BOARDS_ARE_EQUAL, f"{equal} of {len(files)} boards", tuple(problems))


def _difference(files: Mapping[str, bytes], uid: str, path: str, stored: StoredBoard) -> str:
    """What differs in a board, in a few words; empty when it is equal."""
    generated = {key: value for key, value in json.loads(files[path]).items() if key != "uid"}
    if generated == stored.spec:
        return ""
    exported = {**stored.spec, "uid": uid}
    difference = modelplane_dashboards.adopted_difference(files, exported, f"Grafana's board {uid}")
    if difference is None:  # Grafana's own additions
        return ""
    titles = [panel.title for panel in difference.panels]
    keys = [change.key for change in difference.changes]
    what = f"panel {titles[0]!r}" if titles else keys[0]
    more = len(titles) + len(keys) - 1
    by = f", last changed by {stored.editor}" if stored.editor else ""
    return f"{what}{f' and {more} more' if more else ''}{by}"


def _problems(absent: list[str], hidden: list[str], different: list[str], total: int) -> Iterator[Problem]:
    if len(absent) == total:
        text = f"Grafana has none of the {total} boards"
        advice = (
            "its folder of boards or of provisioning is mounted empty, or not at all: mount the bundle's "
            "grafana/provisioning and grafana/dashboards as folders, look into them from inside the "
            "container, and read `provisioning.dashboard` in Grafana's log; or run `modelplane grafana apply`"
        )
        yield Problem("error", "boards-none:", text, advice)
    elif absent:
        advice = (
            "Grafana's log says which file it could not read, and that one uid in two files stops a whole "
            "folder; a new registry takes `modelplane bundle` or `modelplane grafana apply`"
        )
        yield Problem("error", "boards-absent:", f"Grafana lacks the boards {_named(absent)}", advice)
    if hidden:
        advice = "give the service account the role Viewer, or the right to read our folders"
        text = f"the token may not see the boards {_named(hidden)}"
        yield Problem("warning", "boards-hidden:", text, advice)
    if different:
        advice = (
            "somebody wrote over them, or they were made from another registry or version: "
            "`modelplane grafana apply` writes them again; Grafana reads a file again only when it changes"
        )
        text = f"boards in Grafana are not those of this registry: {_named(different)}"
        yield Problem("warning", "boards-differ:", text, advice)


def _named(uids: list[str]) -> str:
    more = len(uids) - _MOST_NAMED
    return ", ".join(uids[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
