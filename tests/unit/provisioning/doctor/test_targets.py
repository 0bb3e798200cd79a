"""What doctor says of targets: one line for those that fail alike, and why a model is not reported."""

from __future__ import annotations

import pytest

from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.targets import check_models, check_targets
from modelplane_schema.registry import Registry, parse_registry
from provisioning_support.plane_doubles import MODEL_INFO, PrometheusDouble, target

REFUSED = 'Get "http://{}/metrics": dial tcp {}: connect: connection refused'


@pytest.fixture
def registry() -> Registry:
    return parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: a}]
models:
  - {name: m, framework: jax, owner: o, tenants: [a], targets: ["h1:1", "h2:1"], versions: [{version: v1}]}
""")


def refused(address: str) -> dict[str, object]:
    return target(address, "down", REFUSED.format(address, address))


def test_targets_that_fail_alike_are_one_problem() -> None:
    targets = [target("up:1"), *(refused(f"h{number}:1") for number in range(5))]
    finding = check_targets(Parts(PrometheusDouble(targets=targets)))
    assert finding.summary == "1 of 6 targets"
    (problem,) = finding.problems
    assert problem.text == (
        "http://h0:1/metrics, http://h1:1/metrics, http://h2:1/metrics and 2 more of job 'models' are down: "
        "the connection is refused"
    )
    assert "is the service running" in problem.advice


def test_another_reason_or_job_is_another_problem() -> None:
    wants_login = target("b:1", "down", "server returned HTTP status 401 Unauthorized")
    other_job = target("c:1", "down", REFUSED.format("c:1", "c:1"), job="other")
    finding = check_targets(Parts(PrometheusDouble(targets=[refused("a:1"), wants_login, other_job])))
    assert len({problem.cause for problem in finding.problems}) == len(finding.problems) == 3
    assert any("it wants a login (401)" in problem.text for problem in finding.problems)


def test_targets_of_others_are_a_warning_where_the_registry_says_which_are_ours(registry: Registry) -> None:
    down = [target("x:1", "down", "connection refused", job="node"), refused("h1:1")]
    prometheus = PrometheusDouble(targets=down)
    finding = check_targets(Parts(prometheus, given_registry=registry))
    assert [problem.severity for problem in finding.problems] == ["error", "warning"]
    own_job = target("h2:1", "down", "connection refused", job="node")
    (named,) = check_targets(Parts(PrometheusDouble(targets=[own_job]), given_registry=registry)).problems
    assert named.severity == "error"


def test_a_reason_that_is_not_known_is_told_as_it_is() -> None:
    odd = target("a:1", "down", 'expected equal, got "INVALID"')
    (problem,) = check_targets(Parts(PrometheusDouble(targets=[odd]))).problems
    assert 'expected equal, got "INVALID"' in problem.text


def test_a_new_target_is_a_note_and_nothing_scraped_an_error() -> None:
    waiting = check_targets(Parts(PrometheusDouble(targets=[target("a:1", "unknown")])))
    assert waiting.state == "note"
    assert "not scraped yet" in waiting.problems[0].text
    (nothing,) = check_targets(Parts(PrometheusDouble())).problems
    assert (nothing.severity, nothing.text) == ("error", "Prometheus scrapes nothing")


def test_a_store_without_a_list_of_targets_says_what_up_says() -> None:
    store = PrometheusDouble(absent=["/api/v1/targets"], vectors={"up == 0": [{"job": "models"}]})
    finding = check_targets(Parts(store))
    assert "no list of targets" in finding.summary
    assert finding.problems[0].text == "1 targets of job 'models' are down"


@pytest.mark.parametrize(
    ("targets", "text", "advice"),
    [
        ([refused("h1:1"), refused("h2:1")], "are down: the connection is refused", "is the service running"),
        ([target("other:1")], "no target reports it", "Prometheus does not scrape h1:1, h2:1"),
        ([target("h1:1")], "no target reports it", "answer, but without its series"),
        ([target("h1:1", "unknown")], "is new: not scraped yet", "ask again soon"),
        ([], "Prometheus scrapes nothing", "mount the bundle's prometheus/"),
    ],
)
def test_why_a_model_is_not_reported(
    registry: Registry, targets: list[dict[str, object]], text: str, advice: str
) -> None:
    prometheus = PrometheusDouble(targets=targets, vectors={MODEL_INFO: []})
    finding = check_models(Parts(prometheus, given_registry=registry))
    assert finding.summary == "0 of 1 models"
    (problem,) = finding.problems
    assert text in problem.text
    assert advice in problem.advice


def test_where_targets_are_not_listed_a_model_may_still_be_missing(registry: Registry) -> None:
    store = PrometheusDouble(absent=["/api/v1/targets"], vectors={MODEL_INFO: []})
    (problem,) = check_models(Parts(store, given_registry=registry)).problems
    assert problem.text == "model 'm' is in the registry but no target reports it"


def test_a_prometheus_that_was_just_set_up_looks_for_its_targets(registry: Registry) -> None:
    parts = Parts(PrometheusDouble(age_seconds=5, vectors={MODEL_INFO: []}), given_registry=registry)
    findings = [check_targets(parts), check_models(parts)]
    assert [finding.state for finding in findings] == ["note", "note"]
    assert len({problem.cause for finding in findings for problem in finding.problems}) == 1


def test_dead_targets_and_their_model_have_one_cause(registry: Registry) -> None:
    prometheus = PrometheusDouble(targets=[refused("h1:1"), refused("h2:1")], vectors={MODEL_INFO: []})
    parts = Parts(prometheus, given_registry=registry)
    causes = {problem.cause for check in (check_targets, check_models) for problem in check(parts).problems}
    assert len(causes) == 1


def test_a_model_that_is_not_in_the_registry_is_a_warning(registry: Registry) -> None:
    prometheus = PrometheusDouble(vectors={MODEL_INFO: [{"model_name": "m"}, {"model_name": "stray"}]})
    (problem,) = check_models(Parts(prometheus, given_registry=registry)).problems
    assert (problem.severity, "'stray'" in problem.text) == ("warning", True)
