"""``/api/v1/compare``: a candidate version of a model against its baseline version."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

import orjson
from flask import Blueprint, Response

from modelplane_datasource.comparison.indicators import MIN_SLICES, Observations, Unit, Verdict
from modelplane_datasource.comparison.queries import (
    SCRAPES_PER_SLICE,
    CompareRequest,
    Versions,
    compare_versions,
    result_bytes,
    slice_ends,
    verdicts_over_time,
)
from modelplane_datasource.comparison.slices import VersionCounts, VersionSlices
from modelplane_datasource.comparison.verdicts import HIGHEST, LOWEST, Comparison
from modelplane_datasource.context import AppContext
from modelplane_datasource.errors import invalid
from modelplane_datasource.series.selection import MODEL
from modelplane_datasource.series.selection import TENANT as ANY_TENANT
from modelplane_datasource.tenancy.notices import Notice, note
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.timeline.times import format_rfc3339
from modelplane_datasource.triage.declarations import declared_pair
from modelplane_datasource.web.openapi import BAD_INPUT, UPSTREAM, NamedSchema, Operation, Table, described
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


@parser({"type": "number", "exclusiveMinimum": 0, "maximum": 1e6})
def positive_seconds(text: str) -> float:
    """A number of seconds; ValueError."""
    value = float(text)
    if not 0 < value <= 1e6:
        raise ValueError(text)
    return value


DECLARED_BASELINE = replace(
    BASELINE, summary="The version to compare with; the registry's production version when it is left out.",
    required=False,
)  # fmt: skip
DECLARED_CANDIDATE = replace(
    CANDIDATE, summary="The version that is judged; the registry's canary when it is left out.",
    required=False,
)  # fmt: skip
_SHARE = f"a number from {LOWEST} to {HIGHEST}"
QUANTILE = Parameter(
    "quantile", "Which latency quantiles to compare.", f"{_SHARE}, repeatable", share, repeated=True,
    default="0.95",
)  # fmt: skip
ABOVE = Parameter(
    "above", "Also compare the share of calls that take longer; a bound of a bucket.",
    "a number of seconds above 0, repeatable", positive_seconds, repeated=True,
)  # fmt: skip
LEVEL = Parameter(
    "level", "How often a difference may be claimed where there is none.", _SHARE, share, default="0.05"
)
_OPTIONS: tuple[Parameter[Any], ...] = (QUANTILE, ABOVE, LEVEL, FROM, TO)
PARAMETERS: tuple[Parameter[Any], ...] = (MODEL_NAME_PARAMETER, TENANT, BASELINE, CANDIDATE, *_OPTIONS)
COMPARE_PARAMETERS: tuple[Parameter[Any], ...] = (
    MODEL_NAME_PARAMETER, ANY_TENANT, DECLARED_BASELINE, DECLARED_CANDIDATE, *_OPTIONS,
)  # fmt: skip
NOTHING_TO_COMPARE = Notice.for_everyone(
    "The registry declares no version in production with a canary or shadow beside it that these tenants "
    "call: name baseline and candidate."
)

ALL = "all"  # the indicator of the verdict on the whole
MAX_OF_A_KIND = 10  # quantiles or bounds; the level is shared among them
_COUNT = {"type": "integer", "minimum": 0}
_NUMBER = {"type": "number"}
_FLAG = {"type": "boolean"}
_COUNTS = record(dict.fromkeys(("successes", "failures", "latencies", "confidences"), _COUNT))
_VERDICT = {"enum": list(get_args(Verdict))}
_VERDICT_OR_NULL = {"enum": [*get_args(Verdict), None], "description": "null where nothing is compared."}
_INDICATOR = record(
    {
        "name": TEXT,
        "unit": {"enum": list(get_args(Unit))},
        **dict.fromkeys(("method", "reason"), TEXT),
        "verdict": _VERDICT,
        "observations": {"enum": list(get_args(Observations))},
        **dict.fromkeys(("baseline_count", "candidate_count"), _COUNT),
        **dict.fromkeys(("baseline", "baseline_low", "baseline_high"), NUMBER),
        **dict.fromkeys(("candidate", "candidate_low", "candidate_high"), NUMBER),
        **dict.fromkeys(("difference", "low", "high"), NUMBER),
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
                "verdict": _VERDICT_OR_NULL,
                "level": _NUMBER,
                "counts": record({"baseline": _COUNTS, "candidate": _COUNTS}),
                "indicators": array(_INDICATOR),
            }
        )
    ),
)
VERDICTS = NamedSchema(
    "Verdicts",
    with_warnings(
        record(
            {
                "query_time": QUERY_TIME,
                "rows": array(
                    record(
                        {
                            "time": INSTANT,
                            "indicator": TEXT,
                            "verdict": _VERDICT,
                            **dict.fromkeys(("low", "value", "high"), NUMBER),
                            "reason": TEXT,
                        }
                    )
                ),
            }
        )
    ),
)
COMPARED = Operation(
    "Whether a version is better or worse than another, by how much, and on how many calls.",
    ok("The comparison; without indicators where there is no canary to compare.", COMPARISON),
    COMPARE_PARAMETERS,
    (*BAD_INPUT, *UPSTREAM),
    tables=(Table("comparison", "Comparison of two versions", "indicators"),),
)


VERDICTS_OVER_TIME = Operation(
    "What the comparison said as calls came in, from the start of the range on.",
    ok("A row for each indicator, and one of all, at the end of slice after slice.", VERDICTS),
    PARAMETERS,
    (*BAD_INPUT, *UPSTREAM),
    tables=(Table("verdicts", "Verdicts of a comparison over time"),),
)


def compare_blueprint(context: AppContext) -> Blueprint:
    """``/api/v1/compare`` and ``/api/v1/compare/verdicts``."""
    routes = Blueprint("compare", __name__, url_prefix="/api/v1")

    @routes.get("/compare")
    @described(COMPARED)
    def compared() -> Response:
        request = _declared_compare(context, query_values())
        if not (request.baseline and request.candidate):
            note([NOTHING_TO_COMPARE])
            return json_response(_nothing(request, context.now()))
        versions, comparison = compared_versions(context, request)
        return json_response(_body(request, comparison, *versions, context.now()))

    @routes.get("/compare/verdicts")
    @described(VERDICTS_OVER_TIME)
    def verdicts() -> Response:
        request = read_compare(query_values(), context.last_scrape(), context.scrape_interval)
        rows = context.cached_body(
            ("verdicts", request),
            math.inf,
            lambda: orjson.dumps(_rows(verdicts_over_time(context.prometheus, request))),
        )
        return json_response({"query_time": format_rfc3339(context.now()), "rows": orjson.Fragment(rows)})

    return routes


def compared_versions(context: AppContext, request: CompareRequest) -> tuple[Versions, Comparison]:
    """What baseline and candidate did, and how they compare; cached. UpstreamError."""
    return context.cached(
        ("compare", request),
        math.inf,
        lambda: compare_versions(context.prometheus, request),
        result_bytes,
    )


def _rows(verdicts: Sequence[tuple[int, Comparison]]) -> list[dict[str, Any]]:
    return [row for time, comparison in verdicts for row in _rows_at(time, comparison)]


def _rows_at(time: int, comparison: Comparison) -> Iterator[dict[str, Any]]:
    nothing = dict.fromkeys(("low", "value", "high"))
    yield {
        "time": time, "indicator": ALL, "verdict": comparison.verdict, **nothing, "reason": comparison.reason
    }  # fmt: skip
    for indicator in comparison.indicators:
        yield {
            "time": time, "indicator": indicator.name, "verdict": indicator.verdict, "low": indicator.low,
            "value": indicator.difference, "high": indicator.high, "reason": indicator.reason,
        }  # fmt: skip


def read_compare(values: Values, now: int, scrape_interval: int) -> CompareRequest:
    """The request behind a query string. ApiError 400."""
    check_names(values, PARAMETERS)
    versions = BASELINE.read(values), CANDIDATE.read(values)
    return _request(values, TENANT.read_all(values), versions, now, scrape_interval)


def _declared_compare(context: AppContext, values: Values) -> CompareRequest:
    """The same with versions of the registry for those that are left out, empty where it has none.

    ApiError 400, UpstreamError.
    """
    check_names(values, COMPARE_PARAMETERS)
    model, tenants = MODEL_NAME_PARAMETER.read(values), ANY_TENANT.read_all(values)
    baseline, candidate = DECLARED_BASELINE.read_one(values), DECLARED_CANDIDATE.read_one(values)
    if baseline is None or candidate is None:
        production, canary = declared_pair(context, model, tenants)
        baseline, candidate = baseline or production, candidate or canary
    return _request(values, tenants, (baseline, candidate), context.last_scrape(), context.scrape_interval)


def _request(
    values: Values, tenants: tuple[str, ...], versions: tuple[str, str], now: int, scrape_interval: int
) -> CompareRequest:
    baseline, candidate = versions
    if baseline and baseline == candidate:
        raise invalid(CANDIDATE.name, "is the baseline", CANDIDATE.allowed)
    quantiles, above = QUANTILE.read_all(values), ABOVE.read_all(values)
    for parameter, given in ((QUANTILE, quantiles), (ABOVE, above)):
        if len(set(given)) < len(given):
            raise invalid(parameter.name, "has one value twice", parameter.allowed)
        if len(given) > MAX_OF_A_KIND:
            raise invalid(parameter.name, f"occurs {len(given)} times", f"at most {MAX_OF_A_KIND} values")
    return CompareRequest(
        MODEL_NAME_PARAMETER.read(values), tenants, baseline, candidate, quantiles, above,
        LEVEL.read(values), _read_slices(values, now, scrape_interval), scrape_interval,
    )  # fmt: skip


def _read_slices(values: Values, now: int, scrape_interval: int) -> Grid:
    start, end = read_range(values, now)
    ends = slice_ends(start, end, scrape_interval)
    if ends is None or len(ends) < MIN_SLICES or end - start > MAX_WINDOW:
        least = (MIN_SLICES + 1) * SCRAPES_PER_SLICE * scrape_interval
        raise invalid(
            FROM.name, f"lies {end - start} ms before to", f"from {least / 1000:g} s to 366 days before to"
        )
    return ends


def _body(
    request: CompareRequest,
    comparison: Comparison,
    baseline: VersionSlices,
    candidate: VersionSlices,
    now: int,
) -> dict[str, Any]:
    indicators = comparison.indicators
    return {
        **_head(request, now),
        "verdict": comparison.verdict,
        "summary": [indicator.summary for indicator in indicators],
        "level": comparison.level,
        "counts": {"baseline": _counts(baseline.total), "candidate": _counts(candidate.total)},
        "indicators": indicators,
    }


def _nothing(request: CompareRequest, now: int) -> dict[str, Any]:
    """The answer where a version is missing."""
    no_calls = dict.fromkeys(_COUNTS["properties"], 0)
    return {
        **_head(request, now),
        "verdict": None,
        "summary": [],
        "level": request.level,
        "counts": {"baseline": no_calls, "candidate": no_calls},
        "indicators": [],
    }


def _head(request: CompareRequest, now: int) -> dict[str, Any]:
    return {
        "query_time": format_rfc3339(now),
        "model_name": request.model,
        "tenant_ids": request.tenants,
        "baseline": request.baseline,
        "candidate": request.candidate,
        "from": request.start,
        "to": request.ends.times[-1],
    }


def _counts(version: VersionCounts) -> dict[str, int]:
    return {
        "successes": version.successes,
        "failures": version.failures,
        "latencies": version.latency.count,
        "confidences": version.confidence.count,
    }
