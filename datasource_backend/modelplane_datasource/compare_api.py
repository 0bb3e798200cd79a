"""``/api/v1/compare``: a candidate version of a model against its baseline version."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, get_args

from flask import Blueprint, Response

from modelplane_datasource.compare import (
    HIGHEST,
    LOWEST,
    Comparison,
    Observations,
    Unit,
    Verdict,
    VersionCounts,
    compare,
    on_common_bounds,
)
from modelplane_datasource.drift_request import LONGEST_WINDOW
from modelplane_datasource.errors import invalid
from modelplane_datasource.histograms import NO_OBSERVATIONS, Histogram
from modelplane_datasource.openapi import BAD_INPUT, UPSTREAM, Operation, Shape, described
from modelplane_datasource.parameters import (
    Parameter,
    Values,
    check_known,
    label_text,
    parser,
    read_all,
    read_default,
)
from modelplane_datasource.plane import Plane
from modelplane_datasource.responses import json_response
from modelplane_datasource.scope import MODEL, TENANT
from modelplane_datasource.series_api import query_values
from modelplane_datasource.series_request import FROM, TO, read_range
from modelplane_datasource.shapes import (
    INSTANT,
    NUMBER,
    QUERY_TIME,
    TEXT,
    array,
    ok,
    record,
    with_warnings,
)
from modelplane_datasource.times import duration, format_rfc3339
from modelplane_datasource.upstream import PrometheusClient
from modelplane_datasource.upstream_answers import INVALID, UpstreamError
from modelplane_schema import metrics
from modelplane_schema.metrics import MODEL_NAME, MODEL_VERSION, TENANT_ID
from modelplane_schema.promql import Matcher, one_of, selector

ONE_MODEL = replace(MODEL, allowed="the name of one model", repeated=False)
BASELINE = Parameter(
    "baseline", "The version that is known.", "a version of the model", label_text, required=True
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
    ONE_MODEL, TENANT, BASELINE, CANDIDATE, QUANTILE, LEVEL, FROM, TO,
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
COMPARISON = Shape(
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


@dataclass(frozen=True, slots=True)
class CompareRequest:
    """``start`` and ``end`` are in milliseconds; calls of all ``tenants`` count together."""

    model: str
    tenants: tuple[str, ...]
    baseline: str
    candidate: str
    quantiles: tuple[float, ...]
    level: float
    start: int
    end: int

    @property
    def matchers(self) -> tuple[Matcher, ...]:
        """Matchers of both versions."""
        return (
            Matcher(MODEL_NAME, self.model),
            one_of(TENANT_ID, self.tenants),
            one_of(MODEL_VERSION, (self.baseline, self.candidate)),
        )


def compare_blueprint(plane: Plane) -> Blueprint:
    """``/api/v1/compare``."""
    routes = Blueprint("compare", __name__, url_prefix="/api/v1")

    @routes.get("/compare")
    @described(COMPARED)
    def compared() -> Response:
        asked = read_compare(query_values(), plane.last_scrape())
        baseline, candidate = version_counts(plane.prometheus, asked)
        comparison = compare(baseline, candidate, asked.quantiles, asked.level)
        return json_response(_body(asked, comparison, baseline, candidate, plane.now()))

    return routes


def read_compare(values: Values, now: int) -> CompareRequest:
    """The request behind a query string. ApiError 400."""
    check_known(values, PARAMETERS)
    baseline, candidate = read_default(values, BASELINE), read_default(values, CANDIDATE)
    if baseline == candidate:
        raise invalid(CANDIDATE.name, "is the baseline", CANDIDATE.allowed)
    quantiles = read_all(values, QUANTILE)
    if len(set(quantiles)) < len(quantiles):
        raise invalid(QUANTILE.name, "has one value twice", QUANTILE.allowed)
    start, end = read_range(values, now)
    if not _SHORTEST_WINDOW <= end - start <= LONGEST_WINDOW:
        raise invalid(FROM.name, f"lies {end - start} ms before to", "from 1 s to 366 days before to")
    return CompareRequest(
        read_default(values, ONE_MODEL), read_all(values, TENANT), baseline, candidate, quantiles,
        read_default(values, LEVEL), start, end,
    )  # fmt: skip


def version_counts(
    prometheus: PrometheusClient, asked: CompareRequest
) -> tuple[VersionCounts, VersionCounts]:
    """What baseline and candidate did between start and end, on the same bounds. UpstreamError."""
    outcomes = _increases(prometheus, asked, metrics.REQUESTS.name, "outcome")
    latency = _histograms(prometheus, asked, metrics.LATENCY.name)
    confidence = _histograms(prometheus, asked, metrics.CONFIDENCE.name)

    def of(version: str) -> VersionCounts:
        return VersionCounts.from_increases(
            outcomes.get(version, {}),
            latency.get(version, NO_OBSERVATIONS),
            confidence.get(version, NO_OBSERVATIONS),
        )

    try:
        versions = of(asked.baseline), of(asked.candidate)
    except ValueError as error:
        raise _unusable(metrics.REQUESTS.name, error) from error
    try:
        return on_common_bounds(*versions)
    except ValueError as error:
        raise _unusable(f"the histograms of {asked.baseline} and {asked.candidate}", error) from error


def _histograms(prometheus: PrometheusClient, asked: CompareRequest, name: str) -> dict[str, Histogram]:
    buckets = _increases(prometheus, asked, f"{name}_bucket", "le")
    sums = _increases(prometheus, asked, f"{name}_sum", MODEL_VERSION)
    try:
        return {
            version: Histogram.from_increases(counts, sums.get(version, {}).get(version, math.nan))
            for version, counts in buckets.items()
        }
    except ValueError as error:
        raise _unusable(name, error) from error


def _increases(
    prometheus: PrometheusClient, asked: CompareRequest, counter: str, label: str
) -> Mapping[str, Mapping[str, float]]:
    """Increases by version, then by the values of ``label``."""
    by = ", ".join(dict.fromkeys((MODEL_VERSION, label)))
    window = duration(asked.end - asked.start)
    query = f"sum by ({by}) (increase({selector(counter, asked.matchers)}[{window}]))"
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample in prometheus.query(query, asked.end):
        found[sample.labels.get(MODEL_VERSION, "")][sample.labels.get(label, "")] = sample.value
    return found


def _unusable(name: str, error: ValueError) -> UpstreamError:
    return UpstreamError(INVALID, f"Prometheus' answer about {name} is not usable: {error}.")


def _body(
    asked: CompareRequest,
    comparison: Comparison,
    baseline: VersionCounts,
    candidate: VersionCounts,
    now: int,
) -> dict[str, Any]:
    indicators = comparison.indicators
    return {
        "query_time": format_rfc3339(now),
        "model_name": asked.model,
        "tenant_ids": asked.tenants,
        "baseline": asked.baseline,
        "candidate": asked.candidate,
        "from": asked.start,
        "to": asked.end,
        "verdict": comparison.verdict,
        "summary": [indicator.summary for indicator in indicators],
        "level": comparison.level,
        "counts": {"baseline": _counts(baseline), "candidate": _counts(candidate)},
        "indicators": [asdict(indicator) for indicator in indicators],
    }


def _counts(version: VersionCounts) -> dict[str, int]:
    return {
        "successes": version.successes,
        "failures": version.failures,
        "latencies": version.latency.count,
        "confidences": version.confidence.count,
    }
