"""Each cause is told once, what was not given is said once, and what a program reads keeps its keys."""

from __future__ import annotations

from collections.abc import Callable

from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.clients.plane_errors import NoRouteError, PlaneError
from modelplane_provisioning.doctor.document import document
from modelplane_provisioning.doctor.finding import BoardState, Finding, Problem, Severity
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.doctor.running import NamedCheck, gathered, run_checks
from provisioning_support.plane_doubles import no_answer


def problem(cause: str, severity: Severity = "error", *explains: str) -> Problem:
    return Problem(severity, cause, f"{cause} is wrong", "do this", explains)


def raising(error: Exception) -> Callable[[Parts], Finding]:
    def check(parts: Parts) -> Finding:
        raise error

    return check


def returning(*problems: Problem) -> Callable[[Parts], Finding]:
    return lambda parts: Finding("a check", "2 things", problems)


def run(*checks: Callable[[Parts], Finding], parts: Parts | None = None) -> list[Finding]:
    named = [NamedCheck(f"check {at}", each) for at, each in enumerate(checks)]
    return list(run_checks(named, parts or Parts()))


def test_a_cause_is_told_once_and_what_follows_refers_to_it() -> None:
    first, second = run(
        returning(problem("a")), returning(problem("a", "error", "panel 1", "panel 2"), problem("b"))
    )
    assert [each.cause for each in first.problems] == ["a"]
    assert [each.cause for each in second.problems] == ["b"]
    assert [(each.cause, each.explains) for each in second.repeated] == [("a", ("panel 1", "panel 2"))]
    only_repeats = run(returning(problem("a")), returning(problem("a")))[1]
    assert (only_repeats.state, only_repeats.ok) == ("error", False)


def test_a_part_without_an_answer_is_one_problem_of_all_checks() -> None:
    findings = run(*[raising(no_answer("Prometheus"))] * 3)
    assert [len(finding.problems) for finding in findings] == [1, 0, 0]
    assert [finding.ok for finding in findings] == [False] * 3


def test_a_part_that_gave_two_checks_no_answer_is_not_asked_again() -> None:
    asked: list[str] = []

    def ask(parts: Parts) -> Finding:
        asked.append(parts.prometheus.name)
        raise no_answer("Prometheus")

    given = Parts(Connection("Prometheus", "http://x"), Connection("Alertmanager", "http://y"))
    *silent, other = run(ask, ask, ask, ask, lambda parts: Finding("z", parts.alertmanager.url), parts=given)
    assert asked == ["Prometheus"] * 2
    assert [[each.cause for each in (*finding.problems, *finding.repeated)] for finding in silent] == [
        ["no-answer:Prometheus"]
    ] * 4
    assert other.ok


def test_what_was_not_given_is_said_once_with_all_checks_that_need_it() -> None:
    findings = run(
        lambda parts: Finding("x", parts.backend.url),
        returning(),
        lambda parts: Finding("y", parts.backend.url),
        lambda parts: Finding("z", str(parts.registry.models)),
    )
    assert [finding.state for finding in findings] == ["ok", "not checked", "not checked"]
    expected = ("2 checks that need the backend", "the backend was not given; name it with --backend")
    assert (findings[1].check, findings[1].not_checked) == expected
    assert document(findings)["checks"][1]["summary"] == f"{expected[1]}: check 0, check 2"


def test_a_missing_route_is_not_checked_and_another_error_is_a_problem() -> None:
    missing, wrong = run(raising(NoRouteError("no /x")), raising(PlaneError("status 500")))
    assert (missing.state, missing.not_checked) == ("not checked", "no /x")
    assert wrong.problems[0].text == "status 500"


def test_problems_of_one_cause_are_gathered() -> None:
    both = gathered([problem("a", "error", "p", "q"), problem("b"), problem("a", "error", "q", "r")])
    assert [(each.cause, each.explains) for each in both] == [("a", ("p", "q", "r")), ("b", ())]


def test_what_a_program_reads() -> None:
    board = BoardState("Fleet", with_data=3, explained=1)
    finding = Finding(
        "panels", "4 queries", (problem("a", "warning", "p"),), (board,), (problem("b", "note"),)
    )
    assert document([finding, Finding("other", "", not_checked="no /x")]) == {
        "severity": "warning",
        "checks": [
            {
                "check": "panels",
                "state": "warning",
                "summary": "4 queries",
                "problems": [
                    {
                        "severity": "warning",
                        "cause": "a",
                        "text": "a is wrong",
                        "advice": "do this",
                        "explains": ["p"],
                    }
                ],
                "repeated": [{"cause": "b", "explains": []}],
                "boards": [
                    {"title": "Fleet", "with_data": 3, "not_reported": 0, "explained": 1, "faulty": 0}
                ],
            },
            {
                "check": "other",
                "state": "not checked",
                "summary": "no /x",
                "problems": [],
                "repeated": [],
                "boards": [],
            },
        ],
    }
