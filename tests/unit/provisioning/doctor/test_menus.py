"""What doctor says of the menus of boards: empty ones, and those that nobody can read."""

from __future__ import annotations

import pytest

from modelplane_provisioning.doctor.menus import MOST_VALUES, check_menus
from modelplane_provisioning.doctor.parts import Parts
from modelplane_schema.registry import Registry, parse_registry
from provisioning_support.plane_doubles import CALLS, MODEL_INFO, PrometheusDouble

CALLED = {CALLS: [{"model_name": "m", "tenant_id": "a"}], MODEL_INFO: [{"model_name": "m"}]}
MENUS = {"model_name": ["m"], "tenant_id": ["a"], "model_version": ["v1"]}
RANKED = {
    "group by (tenant_id)": [{"tenant_id": "a"}],
    "max by (kind)": [{"kind": "input"}],
    "max by (signal)": [{"signal": "age"}],
}


@pytest.fixture(scope="module")
def registry() -> Registry:
    return parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: a}]
models: [{name: m, framework: jax, owner: o, tenants: [a], versions: [{version: v1}]}]
""")


def test_menus_with_values_are_well_and_a_label_of_clusters_may_be_absent(registry: Registry) -> None:
    prometheus = PrometheusDouble(menus=MENUS, vectors={**CALLED, **RANKED})
    finding = check_menus(Parts(prometheus, given_registry=registry))
    assert finding.problems == ()
    assert int(finding.summary.split()[0]) > 10


def test_an_empty_menu_is_a_note_where_a_board_may_be_about_nothing(registry: Registry) -> None:
    prometheus = PrometheusDouble(
        menus=MENUS, vectors={**CALLED, **RANKED, "max by (kind)": []}, names=["modelplane:x"]
    )
    finding = check_menus(Parts(prometheus, given_registry=registry))
    (problem,) = finding.problems
    assert (problem.severity, problem.cause) == ("note", "menu-empty:mp-drift:kind")
    assert "menu 'Kind' of board 'Drift' is empty, so the board shows nothing" in problem.text


def test_a_model_that_is_called_and_reports_no_signals_is_not_called_idle(registry: Registry) -> None:
    vectors: dict[str, list[dict[str, str]]] = {
        **CALLED, **RANKED, "max by (kind)": [], "max by (signal)": [],
    }  # fmt: skip
    menus = {**MENUS, "tenant_id": ["__all__", "a"]}
    prometheus = PrometheusDouble(menus=menus, vectors=vectors, names=["modelplane:x"])
    finding = check_menus(Parts(prometheus, given_registry=registry))
    assert {problem.cause for problem in finding.problems} == {
        "menu-empty:mp-drift:kind",
        "menu-empty:mp-drift:signal",
    }


def test_an_empty_menu_with_all_is_a_warning_that_names_the_query(registry: Registry) -> None:
    vectors = {**CALLED, **RANKED, "group by (tenant_id)": []}
    finding = check_menus(
        Parts(PrometheusDouble(menus=MENUS, vectors=vectors, names=["modelplane:x"]), given_registry=registry)
    )
    assert finding.state == "warning"
    warnings = [problem.text for problem in finding.problems if problem.severity == "warning"]
    assert len(warnings) == 3
    assert all("group by (tenant_id)" in text for text in warnings)


def test_without_calls_empty_menus_have_that_cause(registry: Registry) -> None:
    vectors = {**RANKED, MODEL_INFO: CALLED[MODEL_INFO], CALLS: [], "group by (tenant_id)": []}
    finding = check_menus(
        Parts(PrometheusDouble(menus=MENUS, vectors=vectors, names=["modelplane:x"]), given_registry=registry)
    )
    (problem,) = finding.problems
    assert (problem.severity, problem.cause) == ("note", "no-calls:")
    assert any("menu 'Tenant' of board" in place for place in problem.explains)


def test_a_menu_that_nobody_can_read_is_a_warning(registry: Registry) -> None:
    many = {**MENUS, "model_name": [f"m{number}" for number in range(MOST_VALUES + 1)]}
    finding = check_menus(
        Parts(PrometheusDouble(menus=many, vectors={**CALLED, **RANKED}), given_registry=registry)
    )
    assert finding.state == "warning"
    assert all(
        f"has {MOST_VALUES + 1} values, more than {MOST_VALUES}" in each.text for each in finding.problems
    )
