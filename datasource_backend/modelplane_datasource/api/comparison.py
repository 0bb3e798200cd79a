"""``/api/v1/compare``: a candidate version of a model against its baseline version."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, get_args

from flask import Blueprint, Response

from modelplane_datasource.comparison.queries import (
    CompareRequest,
    compare_versions,
    result_bytes,
)
from modelplane_datasource.comparison.verdicts import (
    HIGHEST,
    LOWEST,
    Comparison,
    Observations,
    Unit,
    Verdict,
    VersionCounts,
)
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import invalid
from modelplane_datasource.series.selection import MODEL
from modelplane_datasource.series.selection import TENANT as ANY_TENANT
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, NamedSchema, Operation, described
from modelplane_datasource.web.parameters import (
    Parameter,
    Values,
    check_names,
    label_text,
    parser,
)
from modelplane_datasource.web.requests import query_values
from modelplane_datasource.web.responses import json_response
from modelplane_datasource.web.schemas import (
    INSTANT,
    NUMBER,
    QUERY_TIME,
    TEXT,
    array,
    ok,
    record,
    with_warnings,
)
from modelplane_datasource.web.time_parameters import FROM, MAX_WINDOW, TO, read_range

MODEL_NAME_PARAMETER = replace(
    MODEL, summary="Model.", allowed="the name of one model", repeated=False, required=True
)
TENANT = replace(ANY_TENANT, summary="Tenant.", required=True)
BASELINE = Parameter(
    "baseline", "The version to compare with.", "a version of the model", label_text, required=True
)
CANDIDATE = Parameter(
    "candidate", "The version that is judged.", "a version of the model, not the baseline", label_text,
    required=True,
)  # fmt: skip


@parser({"type": "number", "minimum": LOWEST, "maximum": HIGHEST})
def share(text: str) -> float:
    """A level or a quantile; ValueError."""
    value = float(text)
    if not LOWEST <= value <= HIGHEST:
        raise ValueError(text)
    return value


_SHARE = f"a number from {LOWEST} to {HIGHEST}"
QUANTILE = Parameter(
    "quantile", "Which latency quantiles to compare.", f"{_SHARE}, repeatable", share, repeated=True,
    default="0.95",
)  # fmt: skip
LEVEL = Parameter(
    "level", "How often a difference may be claimed where there is none.", _SHARE, share, default="0.05"
)
PARAMETERS: tuple[Parameter[Any], ...] = (
    MODEL_NAME_PARAMETER, TENANT, BASELINE, CANDIDATE, QUANTILE, LEVEL, FROM, TO,
)  # fmt: skip
_SHORTEST_WINDOW = 1000


_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}
_FLAG = {"type": "boolean"}
_COUNTS = record(dict.fromkeys(("successes", "failures", "latencies", "confidences"), _COUNT))
_VERDICT = {"enum": list(get_args(Verdict))}
_INDICATOR = record(
    {
        "name": TEXT,
        "unit": {"enum": list(get_args(Unit))},
        "method": TEXT,
        "verdict": _VERDICT,
        "observations": {"enum": list(get_args(Observations))},
        **dict.fromkeys(("baseline_count", "candidate_count"), _COUNT),
        **dict.fromkeys(("baseline", "candidate", "difference", "low", "high"), NUMBER),
        **dict.fromkeys(("margin", "confidence_level"), _NUMBER),
        **dict.fromkeys(("relative", "hidden_shift"), _FLAG),
    }
)
COMPARISON = NamedSchema(
    "Comparison",
    with_warnings(
        record(
            {
                "query_time": QUERY_TIME,
                **dict.fromkeys(("model_name", "baseline", "candidate"), TEXT),
                **dict.fromkeys(("tenant_ids", "summary"), array(TEXT)),
                **dict.fromkeys(("from", "to"), INSTANT),
                "verdict": _VERDICT,
                "level": _NUMBER,
                "counts": record({"baseline": _COUNTS, "candidate": _COUNTS}),
                "indicators": array(_INDICATOR),
            }
        )
    ),
)
COMPARED = Operation(
    "Whether a version is better or worse than another, by how much, and on how many calls.",
    ok("The comparison.", COMPARISON),
    PARAMETERS,
    (*BAD_INPUT, *UPSTREAM),
)


def compare_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/compare``."""
    routes = Blueprint("compare", __name__, url_prefix="/api/v1")

    @routes.get("/compare")
    @described(COMPARED)
    def compared() -> Response:
        request = read_compare(query_values(), context.last_scrape())
        versions, comparison = context.cached(
            ("compare", request),
            math.inf,
            lambda: compare_versions(context.prometheus, request),
            result_bytes,
        )
        return json_response(_body(request, comparison, *versions, context.now()))

    return routes


def read_compare(values: Values, now: int) -> CompareRequest:
    """The request behind a query string. ApiError 400."""
    check_names(values, PARAMETERS)
    baseline, candidate = BASELINE.read(values), CANDIDATE.read(values)
    if baseline == candidate:
        raise invalid(CANDIDATE.name, "is the baseline", CANDIDATE.allowed)
    quantiles = QUANTILE.read_all(values)
    if len(set(quantiles)) < len(quantiles):
        raise invalid(QUANTILE.name, "has one value twice", QUANTILE.allowed)
    start, end = read_range(values, now)
    if not _SHORTEST_WINDOW <= end - start <= MAX_WINDOW:
        raise invalid(FROM.name, f"lies {end - start} ms before to", "from 1 s to 366 days before to")
    return CompareRequest(
        MODEL_NAME_PARAMETER.read(values), TENANT.read_all(values), baseline, candidate, quantiles,
        LEVEL.read(values), start, end,
    )  # fmt: skip


def _body(
    request: CompareRequest,
    comparison: Comparison,
    baseline: VersionCounts,
    candidate: VersionCounts,
    now: int,
) -> dict[str, Any]:
    indicators = comparison.indicators
    return {
        "query_time": format_rfc3339(now),
        "model_name": request.model,
        "tenant_ids": request.tenants,
        "baseline": request.baseline,
        "candidate": request.candidate,
        "from": request.start,
        "to": request.end,
        "verdict": comparison.verdict,
        "summary": [indicator.summary for indicator in indicators],
        "level": comparison.level,
        "counts": {"baseline": _counts(baseline), "candidate": _counts(candidate)},
        "indicators": indicators,
    }


def _counts(version: VersionCounts) -> dict[str, int]:
    return {
        "successes": version.successes,
        "failures": version.failures,
        "latencies": version.latency.count,
        "confidences": version.confidence.count,
    }
