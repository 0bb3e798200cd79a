"""What a board of one tenant or model is about: a fixed entity, or the one that a variable selects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modelplane_dashboards.kit.board import BoardVariable
from modelplane_dashboards.kit.scope import VARIABLE_LABELS, FixedMatcher, single
from modelplane_schema.promql import Matcher
from modelplane_schema.uids import dashboard_uid, template_uid

EntityKind = Literal["tenant", "model"]


@dataclass(frozen=True, slots=True)
class Entity:
    """A tenant or model with a board of its own: ``id`` is the value of its label, ``title`` for people."""

    id: str
    title: str


@dataclass(frozen=True, slots=True)
class BoardSubject:
    """How a board names its subject: in its uid and title, in PromQL, in parameters and in links.

    ``variables`` are those that hold the subject, none where it is fixed.
    """

    uid: str
    title: str
    entity: str
    matcher: Matcher
    parameter: str | BoardVariable
    variables: tuple[str, ...]


def board_subject(kind: EntityKind, entity: Entity | None) -> BoardSubject:
    """The subject of a board of a kind: ``entity``, or without it the value of the variable ``kind``."""
    if entity is None:
        title = kind.capitalize()
        return BoardSubject(template_uid(kind), title, "", single(kind), BoardVariable(kind), (kind,))
    return BoardSubject(
        uid=dashboard_uid(kind, entity.id),
        title=f"{kind.capitalize()} {entity.title}",
        entity=entity.id,
        matcher=FixedMatcher(VARIABLE_LABELS[kind], entity.id),
        parameter=entity.id,
        variables=(),
    )
