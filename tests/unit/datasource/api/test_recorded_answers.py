"""The answers with which the plugin is tested are those that the backend gives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from datasource_support.recorded_answers import FILE, PATHS, SLOW_PATHS, recorded


def rounded(value: Any) -> Any:
    """Libraries of numbers differ in the last digits."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {name: rounded(inner) for name, inner in value.items()}
    return [rounded(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.slow
def test_the_recorded_answers_are_current() -> None:
    given = json.loads(json.dumps(recorded()))
    kept = json.loads(FILE.read_text(encoding="utf-8"))
    assert list(kept) == [*PATHS, *SLOW_PATHS]
    routes = {path.partition("?")[0] for path in kept}
    assert {table["path"] for table in given["tables"]["data"]["tables"]} <= routes
    advice = "with tests/support on PYTHONPATH: python -m datasource_support.recorded_answers"
    assert rounded({path: kept[path] for path in PATHS}) == rounded(given), advice
