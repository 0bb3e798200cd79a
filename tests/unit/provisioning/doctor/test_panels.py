"""What doctor says of boards: which panels have data, which say why they have none, which are at fault."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from modelplane_dashboards import ApiAccess, build, panel_queries
from modelplane_provisioning.clients.plane_errors import PlaneError
from modelplane_provisioning.doctor.finding import Finding
from modelplane_provisioning.doctor.panels import check_panels
from modelplane_provisioning.doctor.parts import Parts
from modelplane_schema.registry import Registry, parse_registry
from provisioning_support.plane_doubles import (
    CALLS,
    MODEL_INFO,
    BackendDouble,
    PrometheusDouble,
    no_answer,
    target,
)

CALLED = {CALLS: [{"model_name": "m", "tenant_id": "a"}], MODEL_INFO: [{"model_name": "m"}]}
FLEET = "modelplane:fleet_calls:rate5m"


def recorded(registry: Registry) -> set[str]:
    """Every recorded name that boards read."""
    return {
        name
        for query in panel_queries(build(registry))
        for name in re.findall(r"modelplane:[\w:]+", query.text)
    }


@pytest.fixture(scope="module")
def registry() -> Registry:
    return parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: a}]
models: [{name: m, framework: jax, owner: o, tenants: [a], targets: ["h:1"], versions: [{version: v1}]}]
""")


@pytest.fixture
def parts(registry: Registry) -> Parts:
    return Parts(PrometheusDouble(), given_backend=BackendDouble(), given_registry=registry)


def silent(*names: str, **others: object) -> PrometheusDouble:
    """A Prometheus in which queries with one of ``names`` have no data, while models are called."""
    vectors: Mapping[str, Sequence[Mapping[str, str]]] = {**CALLED, **dict.fromkeys(names, ())}
    return PrometheusDouble(vectors=vectors, **others)  # type: ignore[arg-type]


def check(parts: Parts, prometheus: PrometheusDouble) -> Finding:
    return check_panels(replace(parts, given_prometheus=prometheus))


def test_every_panel_is_counted_once(parts: Parts, registry: Registry) -> None:
    finding = check_panels(parts)
    assert finding.problems == ()
    expected = {board.title: len(list(board.panels)) for board in build(registry)}
    assert {state.title: state.with_data for state in finding.boards} == expected
    assert all((state.not_reported, state.explained, state.faulty) == (0, 0, 0) for state in finding.boards)


def test_a_panel_that_may_be_empty_is_not_reported_and_no_fault(parts: Parts) -> None:
    finding = check(parts, silent("model_device_", "version_tokens"))
    assert finding.problems == ()
    states = {state.title: state for state in finding.boards}
    assert states["Devices"].not_reported > 0
    assert states["LLM"].not_reported > 0
    assert states["Fleet"].not_reported == 0


def test_a_panel_that_must_have_data_is_at_fault(parts: Parts, registry: Registry) -> None:
    finding = check(parts, silent("fleet_calls", names=recorded(registry)))
    (fleet,) = (state for state in finding.boards if state.title == "Fleet")
    assert (fleet.faulty, fleet.explained) == (2, 0)
    assert any("board 'Fleet', panel 'Requests'" in problem.text for problem in finding.problems)
    assert finding.state == "error"


def test_without_calls_panels_are_no_failure(parts: Parts, registry: Registry) -> None:
    rules = dict.fromkeys(recorded(registry), "ok")
    prometheus = silent(CALLS, "fleet_calls", rules=rules)
    finding = check(parts, prometheus)
    (problem,) = finding.problems
    assert (finding.state, finding.ok) == ("note", True)
    assert problem.text == "no calls yet: no model was called in the last 15 minutes"
    assert len(problem.explains) > 2
    (fleet,) = (state for state in finding.boards if state.title == "Fleet")
    assert (fleet.explained, fleet.faulty) == (2, 0)


def test_a_model_that_is_not_in_the_registry_is_not_called_idle(parts: Parts, registry: Registry) -> None:
    rules = dict.fromkeys(recorded(registry), "ok")
    prometheus = silent("version_calls", rules=rules, menus={"model_name": ["stray"]})
    finding = check(parts, prometheus)
    assert finding.state == "error"
    assert all(problem.cause.startswith("empty:") for problem in finding.problems)


def test_a_tenant_that_is_not_in_the_registry_is_not_called_idle(parts: Parts, registry: Registry) -> None:
    rules = dict.fromkeys(recorded(registry), "ok")
    prometheus = silent("modelplane:calls:rate5m", rules=rules, menus={"tenant_id": ["stray"]})
    finding = check(parts, prometheus)
    assert finding.state == "error"
    assert all(problem.cause.startswith("empty:") for problem in finding.problems)


def test_a_dead_target_explains_what_its_model_lacks(parts: Parts) -> None:
    down = target("h:1", "down", "connection refused")
    prometheus = silent(MODEL_INFO, "fleet_calls", targets=[down])
    (problem,) = check(parts, prometheus).problems
    assert problem.cause == "targets-down:models:the connection is refused"
    assert any("panel 'Requests'" in place for place in problem.explains)


@pytest.mark.parametrize(
    ("prometheus", "text", "severity"),
    [
        (silent("fleet_calls", rules={"x": "ok"}, names=["x"]), "no rule records modelplane:fleet", "error"),
        (silent("fleet_calls", absent=["/api/v1/rules"], names=()), "no rule records modelplane:", "error"),
        (silent("fleet_calls", rules={FLEET: "unknown"}), "wait for", "note"),
        (silent("fleet_calls", rules={FLEET: "err"}), "is err: bad", "error"),
    ],
)
def test_rules_explain_what_they_should_record(
    parts: Parts, prometheus: PrometheusDouble, text: str, severity: str
) -> None:
    finding = check(parts, prometheus)
    (problem,) = finding.problems
    assert text in problem.text
    assert problem.severity == severity
    assert len(problem.explains) > 1


DURATION = "modelplane_datasource_request_duration_seconds_bucket"
OF_BACKEND = [DURATION, "modelplane_datasource_requests_total"]


@pytest.mark.parametrize(
    ("names", "age_seconds", "text", "severity"),
    [
        (OF_BACKEND, 3600, "nothing happened in the last 15 minutes that the plane's own parts", "note"),
        ([], 3600, f"no target reports {DURATION}", "warning"),
        ([], 20, "Prometheus was started or set up 20 s ago", "note"),
    ],
)
def test_what_explains_an_empty_panel_about_the_plane(
    parts: Parts, names: list[str], age_seconds: float, text: str, severity: str
) -> None:
    finding = check(parts, silent("request_duration", names=names, age_seconds=age_seconds))
    (problem,) = finding.problems
    assert text in problem.text
    assert problem.severity == severity
    assert problem.explains == ("board 'Plane', panel 'Answers p95 by route', query A",)


def test_a_backend_without_an_answer_is_asked_once(parts: Parts) -> None:
    backend = BackendDouble(failing="/", failure=no_answer("the backend"))
    (problem,) = check_panels(replace(parts, given_backend=backend)).problems
    assert problem.cause == "no-answer:the backend"
    assert len(backend.paths) == 1
    assert len(problem.explains) > 10


def test_panels_that_are_refused_for_one_reason_are_one_problem(parts: Parts) -> None:
    failure = PlaneError("the backend answered /api/v1/silences with status 503: No Alertmanager is there.")
    backend = BackendDouble(failing="/silences", failure=failure)
    (problem,) = check_panels(replace(parts, given_backend=backend)).problems
    assert "No Alertmanager is there" in problem.text
    assert problem.explains == ("board 'Alerts', panel 'Silences in force or to come', query A",)


def test_without_a_backend_its_panels_are_not_checked(parts: Parts) -> None:
    finding = check_panels(replace(parts, given_backend=None))
    assert finding.problems == ()
    assert "of the backend are not checked: name it with --backend" in finding.summary


@pytest.mark.parametrize("api", ["plugin", "infinity"])
def test_queries_of_the_backend_are_those_of_its_data_source(parts: Parts, api: ApiAccess) -> None:
    backend = BackendDouble()
    check_panels(replace(parts, given_backend=backend, api=api))
    tenants = [parse_qs(urlsplit(path).query).get("tenant-id") for path in backend.paths]
    assert (["."] in tenants, [".+"] in tenants) == (False, api == "infinity")
    assert any("/api/v1/rows/" in path for path in backend.paths) is (api == "infinity")
    assert any("/api/v1/metrics/" in path for path in backend.paths) is (api == "plugin")


def test_rows_that_the_backend_lacks_are_at_fault(parts: Parts) -> None:
    backend = BackendDouble(empty=["/api/v1/triage"])
    prometheus = silent(names=["modelplane:x"])
    finding = check_panels(replace(parts, given_backend=backend, given_prometheus=prometheus))
    texts = [problem.text for problem in finding.problems]
    assert not texts or all("triage" in text for text in texts)


def test_a_menu_without_the_example_gives_its_first_value(parts: Parts) -> None:
    """As Grafana selects it; one that has the example keeps it."""
    prometheus = PrometheusDouble(menus={"model_name": ["talker"], "tenant_id": ["b", "a"]})
    check(parts, prometheus)
    named = [text for text in prometheus.queries if "version_tokens" in text]
    assert named
    assert all('model_name="talker"' in text for text in named)
    of_tenant = [text for text in prometheus.queries if ":calls:rate5m" in text and 'tenant_id="' in text]
    assert of_tenant
    assert not any('tenant_id="b"' in text for text in of_tenant)
