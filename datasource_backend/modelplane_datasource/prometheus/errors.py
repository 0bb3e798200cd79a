"""What can go wrong between the backend and Prometheus."""

from __future__ import annotations

import re
from collections.abc import Mapping

from modelplane_datasource.errors import ApiError

UNREACHABLE, TIMEOUT = "upstream_unreachable", "upstream_timeout"
INVALID, REJECTED = "upstream_invalid", "query_rejected"
BUSY = "upstream_busy"
_STATUS = {UNREACHABLE: 503, TIMEOUT: 504, INVALID: 502, REJECTED: 422, BUSY: 503}

REASON_FOR_OPERATORS = "the reason is for operators, and in the backend's log"
# How Go's regexp, and so Prometheus and its relatives, begins every complaint about an expression.
REGEX_COMPLAINT = "error parsing regexp"
# Sentences of Go's regexp, and of Prometheus' engine and API (promql/engine.go, web/api/v1/api.go), without
# what they quote: no value of a label.
_CONSTANT_REASONS = tuple(
    re.compile(pattern)
    for pattern in (
        rf"{REGEX_COMPLAINT}(?:: (?:missing (?:closing [\])]|argument to repetition operator)|unexpected \)"
        r"|trailing backslash at end of expression|expression (?:nests too deeply|too large)"
        r"|invalid (?:escape sequence|character class(?: range)?|nested repetition operator|repeat count"
        r"|named capture|or unsupported Perl syntax|UTF-8)))?",
        "query processing would load too many samples into memory in query execution",
        "query timed out in query execution",
        "many-to-many matching not allowed: matching labels must be unique on one side",
        r"multiple matches for labels: many-to-one matching must be explicit \(group_left/group_right\)",
        "multiple matches for labels: grouping labels must ensure unique matches",
        "found duplicate series for the match group",
        "vector cannot contain metrics with the same labelset",
        r"exceeded maximum resolution of [0-9,]+ points per timeseries",
        "zero or negative query resolution step widths are not accepted",
        "end timestamp must not be before start time",
        r'invalid parameter "(?:query|time|start|end|step|limit|timeout|match\[\])"',
    )
)


class UpstreamError(ApiError):
    """Prometheus did not give a usable answer; ``error`` is the kind.

    ``operator_message`` may hold texts of Prometheus, which name whatever it holds.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        operator_message: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(_STATUS[kind], kind, message, headers=headers, operator_message=operator_message)


def public_reason(text: str) -> str:
    """What every caller may read of a reason that Prometheus gives: a known sentence without values.

    Its other texts name series, stores and rules of anybody.
    """
    constants = (pattern.search(text) for pattern in _CONSTANT_REASONS)
    return next((constant[0] for constant in constants if constant), REASON_FOR_OPERATORS)
