"""``/api/v1/compare``: a candidate version of a model against its baseline version."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, get_args

from flask import Blueprint, Response

from modelplane_datasource.api.series import query_values
from modelplane_datasource.comparison.verdicts import (
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
from modelplane_datasource.context import Plane
from modelplane_datasource.drift.parameters import LONGEST_WINDOW
from modelplane_datasource.errors import invalid
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.prometheus.decoding import INVALID, UpstreamError
from modelplane_datasource.prometheus.histograms import NO_OBSERVATIONS, Histogram
from modelplane_datasource.series.request import FROM, TO, read_range
from modelplane_datasource.series.selection import MODEL, TENANT
from modelplane_datasource.timeline.times import duration, format_rfc3339
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, Operation, Shape, described
from modelplane_datasource.web.parameters import (
    Parameter,
    Values,
    check_known,
    label_text,
    parser,
    read_all,
    read_default,
)
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
_SUM = "sum"  # no bound reads like that

# Measured with tracemalloc on CPython 3.11.
_INDICATOR_BYTES, _BOUND_BYTES = 600, 100

Increases = Mapping[str, float]
Versions = tuple[VersionCounts, VersionCounts]  # baseline and candidate

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
        versions, comparison = plane.kept(
            ("compare", asked), math.inf, lambda: compared_versions(plane.prometheus, asked), _bytes_of
        )
        return json_response(_body(asked, comparison, *versions, plane.now()))

    return routes


def compared_versions(prometheus: PrometheusClient, asked: CompareRequest) -> tuple[Versions, Comparison]:
    """What baseline and candidate did, and how they compare. UpstreamError."""
    versions = version_counts(prometheus, asked)
    return versions, compare(*versions, asked.quantiles, asked.level)


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


def version_counts(prometheus: PrometheusClient, asked: CompareRequest) -> Versions:
    """What baseline and candidate did between start and end, on the same bounds. UpstreamError."""
    calls, latency_seconds, confidences = prometheus.at_once(
        partial(_increases, prometheus, asked, _sum_by(asked, metrics.REQUESTS.name, "outcome"), "outcome"),
        partial(_increases, prometheus, asked, _buckets_and_sum(asked, metrics.LATENCY.name), "le"),
        partial(_increases, prometheus, asked, _buckets_and_sum(asked, metrics.CONFIDENCE.name), "le"),
    )
    latency = _histograms(metrics.LATENCY.name, latency_seconds)
    confidence = _histograms(metrics.CONFIDENCE.name, confidences)

    def of(version: str) -> VersionCounts:
        return VersionCounts.from_increases(
            calls.get(version, {}),
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


def _bytes_of(found: tuple[Versions, Comparison]) -> int:
    """About what it takes in memory."""
    versions, comparison = found
    bounds = sum(len(version.latency.bounds) + len(version.confidence.bounds) for version in versions)
    return _INDICATOR_BYTES * len(comparison.indicators) + _BOUND_BYTES * bounds


def _histograms(name: str, increases: Mapping[str, Increases]) -> dict[str, Histogram]:
    """Histograms by version; a version without buckets has none."""
    found = {}
    for version, parts in increases.items():
        buckets = {text: increase for text, increase in parts.items() if text != _SUM}
        try:
            found[version] = Histogram.from_increases(buckets, parts.get(_SUM, math.nan))
        except ValueError as error:
            raise _unusable(name, error) from error
    return found


def _buckets_and_sum(asked: CompareRequest, name: str) -> str:
    """A query of a histogram: its buckets by ``le``, and beside them its sum, as one that is named."""
    buckets, total = _sum_by(asked, f"{name}_bucket", "le"), _sum_by(asked, f"{name}_sum")
    return f'{buckets} or label_replace({total}, "le", "{_SUM}", "", "")'


def _sum_by(asked: CompareRequest, counter: str, *labels: str) -> str:
    """A query of the increases of a counter by version and ``labels``."""
    window = duration(asked.end - asked.start)
    by = ", ".join((MODEL_VERSION, *labels))
    return f"sum by ({by}) (increase({selector(counter, asked.matchers)}[{window}]))"


def _increases(
    prometheus: PrometheusClient, asked: CompareRequest, query: str, label: str
) -> dict[str, Increases]:
    """Increases by version, then by the values of ``label``."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample in prometheus.query(query, asked.end):
        found[sample.labels.get(MODEL_VERSION, "")][sample.labels.get(label, "")] = sample.value
    return dict(found)


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
        "indicators": indicators,
    }


def _counts(version: VersionCounts) -> dict[str, int]:
    return {
        "successes": version.successes,
        "failures": version.failures,
        "latencies": version.latency.count,
        "confidences": version.confidence.count,
    }
