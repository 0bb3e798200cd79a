"""What doctor says of boards: which panels have data, which say why they have none, which are at fault."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from modelplane_dashboards import build
from modelplane_provisioning.checks import Parts, check_panels
from modelplane_provisioning.plane import PlaneError
from modelplane_schema.registry import Registry, parse_registry

REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: a}]
models: [{name: m, framework: jax, owner: o, tenants: [a], versions: [{version: v1}]}]
"""


class PlaneDouble:
    """Prometheus and backend: queries that hold one of ``silent`` have no data, menus are ``menus``."""

    scrape_interval_seconds = 15

    def __init__(self, silent: Sequence[str] = (), menus: Mapping[str, Sequence[str]] | None = None) -> None:
        self.prometheus = self.backend = self
        self.asked: list[str] = []
        self._silent = silent
        self._menus = menus or {}

    def get(self, path: str, params: Mapping[str, Any] | None = None) -> Any:
        if path.startswith("/api/v1/label/"):
            return {"data": list(self._menus.get(path.split("/")[4], ()))}
        text = path if params is None else params["query"]
        self.asked.append(text)
        if "broken" in self._silent and text.startswith("/api/v1/triage"):
            raise PlaneError("the backend answered with status 503")
        rows = [] if any(part in text for part in self._silent) else [{"value": [0, "1"]}]
        return defaultdict(lambda: rows, {"data": {"result": rows}})


@pytest.fixture(scope="module")
def registry() -> Registry:
    return parse_registry(REGISTRY, "modelplane.yaml")


def check(registry: Registry, plane: PlaneDouble) -> Any:
    return check_panels(cast(Parts, plane), registry)


def test_every_panel_is_counted_once(registry: Registry) -> None:
    finding = check(registry, PlaneDouble())
    assert finding.problems == ()
    expected = {board.title: len(list(board.panels)) for board in build(registry)}
    assert {state.title: state.with_data for state in finding.boards} == expected
    assert all((state.not_reported, state.faulty) == (0, 0) for state in finding.boards)


def test_a_panel_that_may_be_empty_is_not_reported_and_no_fault(registry: Registry) -> None:
    finding = check(registry, PlaneDouble(("model_device_", "version_tokens")))
    assert finding.problems == ()
    states = {state.title: state for state in finding.boards}
    assert states["Devices"].not_reported > 0
    assert states["LLM"].not_reported > 0
    assert states["Fleet"].not_reported == 0


def test_a_panel_that_must_have_data_is_at_fault(registry: Registry) -> None:
    finding = check(registry, PlaneDouble(("fleet_calls",)))
    (fleet,) = (state for state in finding.boards if state.title == "Fleet")
    assert fleet.faulty == 2
    assert any("board 'Fleet', panel 'Requests'" in problem for problem in finding.problems)


def test_a_query_that_fails_is_told_with_its_panel(registry: Registry) -> None:
    finding = check(registry, PlaneDouble(("broken",)))
    assert finding.problems == (
        "board 'Fleet', panel 'Needs attention, worst first', query A: the backend answered with status 503",
    )


def test_a_menu_without_the_example_gives_its_first_value(registry: Registry) -> None:
    """As Grafana selects it; one that has the example keeps it."""
    plane = PlaneDouble(menus={"model_name": ["talker"], "tenant_id": ["b", "a"]})
    check(registry, plane)
    named = [text for text in plane.asked if "version_tokens" in text]
    assert named
    assert all('model_name="talker"' in text for text in named)
    of_tenant = [text for text in plane.asked if ":calls:rate5m" in text and 'tenant_id="' in text]
    assert of_tenant
    assert not any('tenant_id="b"' in text for text in of_tenant)
