"""Findings about models and tenants, and the order in which they need attention."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from modelplane_datasource.alerts.incidents import SEVERITIES

CRITICAL, WARNING, INFO = SEVERITIES
INCIDENT, SLO_BURN, DRIFT, BUDGET, DATA_CONTRACT, NOT_SEEN = REASONS = (
    "incident", "slo_burn", "drift", "budget", "data_contract", "not_seen",
)  # fmt: skip
# What a row says where nothing is found.
NOTHING_FOUND: Mapping[str, Any] = {
    "incident_id": None,
    "alertnames": "",
    "acknowledged_by": "",
    "slo": "",
    "burn_rate": None,
    "moved_signals": 0,
    "kind": "",
    "signal": "",
    "budget_ratio": None,
    "currency": "",
    "invalid_observations": None,
}


class Subject(NamedTuple):
    """What a finding is about: a tenant's use of a model; the model is empty for a tenant as a whole, and the
    tenant ``__all__`` for a model as a whole."""

    model_name: str
    tenant_id: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One of ``REASONS`` why a subject needs attention; ``columns`` are of ``NOTHING_FOUND``."""

    subject: Subject
    reason: str
    severity: str
    columns: Mapping[str, Any] = field(default_factory=dict)


def attention_rows(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """A row for each subject, the worst first: by severity, then by how many reasons there are, then by the
    burn rate. Of findings with one reason the first gives the columns."""
    by_subject: defaultdict[Subject, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_subject[finding.subject].append(finding)
    return sorted((_row(subject, of_subject) for subject, of_subject in by_subject.items()), key=_worst_first)


def _row(subject: Subject, findings: list[Finding]) -> dict[str, Any]:
    columns = {name: value for finding in reversed(findings) for name, value in finding.columns.items()}
    reasons = {finding.reason for finding in findings}
    return {
        **subject._asdict(),
        "severity": min((finding.severity for finding in findings), key=_rank),
        "reasons": [reason for reason in REASONS if reason in reasons],
        **NOTHING_FOUND,
        **columns,
    }


def _worst_first(row: Mapping[str, Any]) -> tuple[Any, ...]:
    burn = row["burn_rate"] or 0.0
    return _rank(row["severity"]), -len(row["reasons"]), -burn, row["model_name"], row["tenant_id"]


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)
