"""Fixtures of tests with worker processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from exporter_support.worker_processes import children, kill


@pytest.fixture(autouse=True)
def _no_child_stays() -> Iterator[None]:
    yield
    while children:
        kill(children[-1])
