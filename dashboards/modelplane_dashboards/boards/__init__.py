"""The boards: one file each."""

from __future__ import annotations

from collections.abc import Callable

from modelplane_dashboards.boards.alerts import alerts
from modelplane_dashboards.boards.cost import cost
from modelplane_dashboards.boards.devices import devices
from modelplane_dashboards.boards.drift import drift
from modelplane_dashboards.boards.fleet import fleet
from modelplane_dashboards.boards.llm import llm
from modelplane_dashboards.boards.model import model
from modelplane_dashboards.boards.plane import plane
from modelplane_dashboards.boards.slo import slo
from modelplane_dashboards.boards.tenant import tenant
from modelplane_dashboards.kit.access import reachable
from modelplane_dashboards.kit.api import ApiAccess
from modelplane_dashboards.kit.board import Board
from modelplane_dashboards.kit.context import BoardContext, board_context
from modelplane_dashboards.kit.subject import Entity, EntityKind
from modelplane_schema.registry import Model, Registry, Tenant

# In the order of a reader: from all to one, then by subject.
TEMPLATES: tuple[Callable[[BoardContext], Board], ...] = (
    fleet,
    tenant,
    model,
    drift,
    cost,
    slo,
    alerts,
    devices,
    llm,
    plane,
)


def build(registry: Registry, api: ApiAccess = "plugin") -> tuple[Board, ...]:
    """The boards of all tenants and models, which choose one of them by variables.

    With ``api="none"`` panels that read the backend are left out.
    """
    context = board_context(registry)
    return tuple(reachable(template(context), api) for template in TEMPLATES)


def entity_board(registry: Registry, kind: EntityKind, entity: Entity, api: ApiAccess = "plugin") -> Board:
    """The board of one tenant or model: that of all, with the entity fixed."""
    template = tenant if kind == "tenant" else model
    return reachable(template(board_context(registry), entity), api)


def tenant_board(registry: Registry, entity: Tenant, api: ApiAccess = "plugin") -> Board:
    """The board of one tenant of the registry."""
    return entity_board(registry, "tenant", Entity(entity.id, entity.full_title), api)


def model_board(registry: Registry, entity: Model, api: ApiAccess = "plugin") -> Board:
    """The board of one model of the registry."""
    return entity_board(registry, "model", Entity(entity.name, entity.name), api)
