from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from modelplane_dashboards import Board, build, render
from modelplane_schema.registry import Registry, load_registry

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def registry(root: Path) -> Registry:
    return load_registry(root / "examples" / "modelplane.yaml")


@pytest.fixture(scope="session")
def boards(registry: Registry) -> tuple[Board, ...]:
    return build(registry)


@pytest.fixture(scope="session")
def rendered(boards: tuple[Board, ...]) -> tuple[dict[str, Any], ...]:
    return tuple(render(board) for board in boards)
