"""What doctor says of rules, of stores that do not list them, and of histograms without buckets."""

from __future__ import annotations

import pytest

from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.rules import check_histograms, check_rules
from modelplane_provisioning.doctor.running import NamedCheck, run_checks
from modelplane_provisioning.doctor.store import check_store
from provisioning_support.plane_doubles import PrometheusDouble

RULE = "modelplane:x:rate5m"


@pytest.mark.parametrize(
    ("health", "age_seconds", "summary", "problems"),
    [
        ("ok", 5, "1 rules", 0),
        ("unknown", 5, "1 rules, 1 wait for their first evaluation", 0),
        ("unknown", 121, "1 rules", 1),
        ("err", 5, "1 rules", 1),
    ],
)
def test_a_rule_may_wait_for_its_first_evaluation_twice_its_interval(
    health: str, age_seconds: float, summary: str, problems: int
) -> None:
    finding = check_rules(Parts(PrometheusDouble(rules={RULE: health}, age_seconds=age_seconds)))
    assert finding.summary == summary
    assert len(finding.problems) == problems
    assert all(RULE in problem.text and problem.severity == "error" for problem in finding.problems)


def test_rules_of_others_do_not_stand_for_ours() -> None:
    theirs = {"job:errors:rate5m": "ok", "TheirAlert": "err"}
    none = check_rules(Parts(PrometheusDouble(rules=theirs)))
    assert none.problems[0].text == "the store has no rules, and nothing that they record"
    both = check_rules(Parts(PrometheusDouble(rules={RULE: "ok", "ModelDown": "ok", **theirs})))
    assert both.summary == "2 rules and 2 of others"
    (problem,) = both.problems
    assert (problem.severity, "ask whoever wrote it" in problem.advice) == ("warning", True)


@pytest.mark.parametrize("absent", [("/api/v1/rules",), ()])
def test_a_store_that_lists_no_rules_is_judged_by_what_they_record(absent: tuple[str, ...]) -> None:
    recorded = check_rules(Parts(PrometheusDouble(names=[RULE], absent=absent)))
    assert (recorded.ok, recorded.summary.startswith("1 recorded names are stored")) == (True, True)
    (problem,) = check_rules(Parts(PrometheusDouble(absent=absent))).problems
    assert problem.text == "the store has no rules, and nothing that they record"
    assert "ruler of Mimir or Thanos" in problem.advice


def test_a_store_that_does_not_say_when_it_was_set_up_waits_for_nothing() -> None:
    store = PrometheusDouble(rules={RULE: "unknown"}, absent=["/api/v1/status/runtimeinfo"])
    assert len(check_rules(Parts(store)).problems) == 1


def test_an_address_where_no_query_is_answered_is_wrong() -> None:
    store = PrometheusDouble(absent=["/api/v1/query"])
    (finding,) = run_checks([NamedCheck("the store answers", check_store)], Parts(store))
    (problem,) = finding.problems
    assert problem.text.startswith(
        "Prometheus has no /api/v1/query at http://prometheus:9090: is that the root"
    )
    assert check_store(Parts(PrometheusDouble())).summary == "it says that it is 3.5.0"
    silent = PrometheusDouble(absent=["/api/v1/status/buildinfo"])
    assert check_store(Parts(silent)).summary == "a store that does not say its version"


def test_histograms_without_buckets_are_a_problem_that_names_the_job() -> None:
    jobs = {"model_inference_latency_seconds unless": [{"job": "vision"}], "unless": []}
    finding = check_histograms(Parts(PrometheusDouble(vectors=jobs)))
    (problem,) = finding.problems
    assert problem.text.startswith("model_inference_latency_seconds of job 'vision' is stored as native")
    assert "always_scrape_classic_histograms: true" in problem.advice
    healthy = check_histograms(Parts(PrometheusDouble(vectors={"unless": []})))
    assert (healthy.ok, healthy.summary) == (True, "2 histograms")
