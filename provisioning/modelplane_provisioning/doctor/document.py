"""Findings for programs; the keys are described in docs/doctor.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from modelplane_provisioning.doctor.finding import Finding, Problem, worst


def document(findings: Sequence[Finding]) -> dict[str, Any]:
    """What ``modelplane doctor --json`` prints."""
    problems = [problem for finding in findings for problem in finding.problems]
    return {"severity": worst(problems), "checks": [_check(finding) for finding in findings]}


def _check(finding: Finding) -> dict[str, Any]:
    return {
        "check": finding.check,
        "state": finding.state,
        "summary": ": ".join(text for text in (finding.not_checked, finding.summary) if text),
        "problems": [_problem(problem) for problem in finding.problems],
        "repeated": [
            {"cause": problem.cause, "explains": list(problem.explains)} for problem in finding.repeated
        ],
        "boards": [asdict(board) for board in finding.boards],
    }


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "severity": problem.severity,
        "cause": problem.cause,
        "text": problem.text,
        "advice": problem.advice,
        "explains": list(problem.explains),
    }
