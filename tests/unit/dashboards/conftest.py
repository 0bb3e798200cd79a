from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelplane_dashboards import Board, build, model_board, render, tenant_board
from modelplane_schema.registry import Registry, load_registry

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def registry(root: Path) -> Registry:
    return load_registry(root / "examples" / "modelplane.yaml")


def entity_boards(registry: Registry) -> tuple[Board, Board]:
    """The boards of the first tenant and of the first model alone."""
    return tenant_board(registry, registry.tenants[0]), model_board(registry, registry.models[0])


@pytest.fixture(scope="session")
def boards(registry: Registry) -> tuple[Board, ...]:
    """Those of all tenants and models, and of one each."""
    return (*build(registry), *entity_boards(registry))


@pytest.fixture(scope="session")
def rendered(boards: tuple[Board, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(render(board) for board in boards)
