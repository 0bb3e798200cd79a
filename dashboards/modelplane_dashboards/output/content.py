"""Which files the boards of a registry are, and their exact bytes, each made when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

from modelplane_dashboards.boards import build, entity_board
from modelplane_dashboards.kit.api import ApiAccess
from modelplane_dashboards.kit.board import Board
from modelplane_dashboards.kit.render import render
from modelplane_dashboards.kit.subject import Entity, EntityKind
from modelplane_dashboards.output.entities import EntityTexts
from modelplane_schema.registry import Registry
from modelplane_schema.uids import dashboard_uid

PerEntity = Literal["auto", "always", "never"]
PER_ENTITY: tuple[PerEntity, ...] = get_args(PerEntity)
BoardFormat = Literal["classic", "resource"]
BOARD_FORMATS: tuple[BoardFormat, ...] = get_args(BoardFormat)

# Grafana reads 1,000 boards in a minute, and looks through them for a third of a core for ever.
MOST_ENTITY_BOARDS = 100
RESOURCE_VERSION = "dashboard.grafana.app/v1beta1"
FOLDER_VERSION = "folder.grafana.app/v1beta1"
FOLDER_ANNOTATION = "grafana.app/folder"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of boards: its name on disk, and the uid and title it has in Grafana."""

    name: str
    uid: str
    title: str


# Grafana finds a folder by its title: a common word would put our boards among somebody else's.
FOLDERS: Mapping[str, Folder] = {
    "all": Folder("boards", "modelplane", "Modelplane"),
    "tenant": Folder("tenants", "modelplane-tenants", "Modelplane tenants"),
    "model": Folder("models", "modelplane-models", "Modelplane models"),
}


def files(
    registry: Registry,
    api: ApiAccess = "plugin",
    per_entity: PerEntity = "auto",
    form: BoardFormat = "classic",
) -> Mapping[str, bytes]:
    """Relative path to content for every board of a registry.

    Content is made anew at each look-up and nothing of it stays in memory, so that 11,000 boards can be
    written one after the other. ``per_entity="auto"`` has a board for each tenant and model when these are
    at most ``MOST_ENTITY_BOARDS``. ``form`` is Grafana's classic JSON, or a resource of its API.
    """
    return _BoardFiles(registry, api, per_entity, form)


class _BoardFiles(Mapping[str, bytes]):
    def __init__(self, registry: Registry, api: ApiAccess, per_entity: PerEntity, form: BoardFormat) -> None:
        self._encode = {kind: partial(encode, api=api, form=form, folder=FOLDERS[kind]) for kind in FOLDERS}
        self._shared = {_path("all", board.uid): board for board in build(registry, api)}
        self._entities = {
            _path(kind, dashboard_uid(kind, entity.id)): (kind, entity)
            for kind, entity in _entities(registry, per_entity)
        }
        build_entity = partial(entity_board, registry, api=api)
        self._texts = {kind: EntityTexts(build_entity, encode) for kind, encode in self._encode.items()}

    def __len__(self) -> int:
        return len(self._shared) + len(self._entities)

    def __iter__(self) -> Iterator[str]:
        yield from self._shared
        yield from self._entities

    def __contains__(self, path: object) -> bool:
        return path in self._shared or path in self._entities

    def __getitem__(self, path: str) -> bytes:
        if path in self._shared:
            return self._encode["all"](self._shared[path]).encode()
        kind, entity = self._entities[path]
        return self._texts[kind].text(kind, entity).encode()


def encode(
    board: Board, api: ApiAccess = "plugin", form: BoardFormat = "classic", folder: Folder | None = None
) -> str:
    """The text of a board's file."""
    return to_text(render(board, api), form, folder)


def to_text(dashboard: Mapping[str, Any], form: BoardFormat = "classic", folder: Folder | None = None) -> str:
    """A dashboard as text, in the form in which every file of ours is written."""
    return _text(resource(dashboard, folder) if form == "resource" else dashboard)


def resource(dashboard: Mapping[str, Any], folder: Folder | None = None) -> dict[str, Any]:
    """A dashboard as an object of Grafana's Kubernetes-style API, whose name is the uid."""
    spec = {key: value for key, value in dashboard.items() if key != "uid"}
    place = {"annotations": {FOLDER_ANNOTATION: folder.uid}} if folder else {}
    return {
        "apiVersion": RESOURCE_VERSION,
        "kind": "Dashboard",
        "metadata": {"name": dashboard["uid"], **place},
        "spec": spec,
    }


def folder_files(paths: Iterable[str]) -> dict[str, bytes]:
    """The folders of boards at ``paths`` as objects of that API: ``<uid>.json`` to content."""
    names = {path.partition("/")[0] for path in paths}
    return {
        f"{folder.uid}.json": _text(folder_resource(folder)).encode()
        for folder in FOLDERS.values()
        if folder.name in names
    }


def folder_resource(folder: Folder) -> dict[str, Any]:
    """A folder as an object of that API, whose name is the uid."""
    return {
        "apiVersion": FOLDER_VERSION,
        "kind": "Folder",
        "metadata": {"name": folder.uid},
        "spec": {"title": folder.title},
    }


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def _path(folder: str, uid: str) -> str:
    return f"{FOLDERS[folder].name}/{uid}.json"


def _entities(registry: Registry, per_entity: PerEntity) -> Iterator[tuple[EntityKind, Entity]]:
    count = len(registry.tenants) + len(registry.models)
    if per_entity == "never" or (per_entity == "auto" and count > MOST_ENTITY_BOARDS):
        return
    for tenant in registry.tenants:
        yield "tenant", Entity(tenant.id, tenant.full_title)
    for model in registry.models:
        yield "model", Entity(model.name, model.name)
