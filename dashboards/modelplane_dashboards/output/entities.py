"""Boards of one tenant or one model each: thousands that differ in a name, rendered once and filled in."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple
from urllib.parse import quote

from modelplane_dashboards.kit.board import Board
from modelplane_schema.uids import dashboard_uid

EntityKind = Literal["tenant", "model"]

# Characters for private use, which no name has: the registry takes printable characters only.
_ID, _NAME = "\ue000", "\ue001"
# A name that JSON, PromQL and Grafana take as it stands, and that is no pattern and no variable.
_ORDINARY = re.compile(r"\w[\w .:/@-]*")
_MOST_TEMPLATES = 16


class Entity(NamedTuple):
    """A tenant or model with a board: ``name`` is for people, None where they call it by its id."""

    kind: EntityKind
    id: str
    name: str | None

    @property
    def uid(self) -> str:
        """The uid of its board."""
        return dashboard_uid(self.kind, self.id)


class EntityTexts:
    """The text of each entity's board: exactly ``encode(build(entity))``, without doing that for each.

    To build and render a board takes tens of milliseconds, and to fill a name into one that is rendered a
    tenth of one. Names that are escaped somewhere get a board that is rendered for them.
    """

    def __init__(self, build: Callable[[Entity], Board], encode: Callable[[Board], str]) -> None:
        self._build, self._encode = build, encode
        self._template = lru_cache(_MOST_TEMPLATES)(self._new_template)

    def __getitem__(self, entity: Entity) -> str:
        names = (entity.id,) if entity.name is None else (entity.id, entity.name)
        if not all(map(_ORDINARY.fullmatch, names)):
            return self._encode(self._build(entity))
        blank = Entity(entity.kind, _ID, entity.name and _NAME)
        values = _values(entity)
        return "".join(values.get(part, part) for part in self._template(blank))

    def _new_template(self, blank: Entity) -> list[str]:
        """The board of ``blank``, cut before and after each place where something of the entity stands."""
        places = "|".join(map(re.escape, _values(blank)))
        return re.split(f"({places})", self._encode(self._build(blank)))


def _values(entity: Entity) -> dict[str, str]:
    """What stands in a template in place of each text of an entity, and the entity's text."""
    blank = Entity(entity.kind, _ID, _NAME)
    texts = {blank.uid: entity.uid, _ID: entity.id, quote(_ID, safe=""): quote(entity.id, safe="")}
    return texts if entity.name is None else texts | {_NAME: entity.name}
