"""A plugin of pytest for environments of few packages: tests that import an absent one are skipped."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

import pytest


def skip_if_absent(error: BaseException | None, node: pytest.Item | pytest.Collector) -> None:
    """Skip for an absent package of others; a module of ours that is absent is a failure."""
    if isinstance(error, ModuleNotFoundError) and error.name and not error.name.startswith("modelplane"):
        package = error.name.partition(".")[0]
        pytest.skip(f"{node.nodeid}: {package} is not installed", allow_module_level=True)


class SkippableModule(pytest.Module):
    def collect(self) -> Iterable[pytest.Item | pytest.Collector]:
        try:
            return super().collect()
        except self.CollectError as error:
            skip_if_absent(error.__cause__, self)
            raise


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module:
    module: pytest.Module = SkippableModule.from_parent(parent, path=module_path)
    return module


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    try:
        return (yield)
    except ModuleNotFoundError as error:
        skip_if_absent(error, item)
        raise
