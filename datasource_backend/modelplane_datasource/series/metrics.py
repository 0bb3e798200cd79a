"""The metrics that are one query each: ``window`` is a PromQL duration such as ``60s``.

A quotient is NaN without traffic, so that an idle version has a series, of nulls.
"""

from __future__ import annotations

from modelplane_datasource.series.metric import Promql, SeriesMetric
from modelplane_datasource.series.quantile_bounds import LatencyBounds
from modelplane_datasource.series.selection import GROUP_BY, Selection
from modelplane_datasource.web.parameters import Parameter, open_ratio
from modelplane_schema import expressions, metrics, recorded
from modelplane_schema.metrics import MODEL_NAME
from modelplane_schema.promql import one_of, rate, ratio, selector, total

QUANTILE = Parameter(
    "quantile", "Which quantile to estimate.", "a number between 0 and 1, both excluded", open_ratio,
    default="0.95",
)  # fmt: skip

# A quantile that lies between two buckets is the end of the lower one in classic histograms, and in native
# ones, from the median up, the start of the higher one. A little lower, both say the same.
_LOWER = 1 - 1e-9


def latency(selection: Selection, window: str) -> str:
    """A latency quantile, in seconds."""
    by, q, select = selection.group_labels, selection.options[QUANTILE.name], selection.select
    classic = expressions.quantile(q, metrics.LATENCY, select, window, (*by, "le"), keep_nan=True)
    native = expressions.native_quantile(q * _LOWER, metrics.LATENCY, select, window, by)
    return f"{classic} or {native}"


def throughput(selection: Selection, window: str) -> str:
    """Finished calls per second."""
    return expressions.request_rate(selection.select, window, selection.group_labels)


def errors(selection: Selection, window: str) -> str:
    """Failed calls as a share of completed ones."""
    return expressions.error_ratio(selection.select, window, selection.group_labels, keep_nan=True)


def confidence(selection: Selection, window: str) -> str:
    """Mean confidence."""
    by = selection.group_labels
    classic = expressions.mean(metrics.CONFIDENCE, selection.select, window, by, keep_nan=True)
    # Not every store knows a function for it: what is read of a native histogram is its mean.
    return f"{classic} or {total(rate(selection.select(metrics.CONFIDENCE.name), window), by)}"


def active(selection: Selection, window: str) -> str:
    """Calls in flight."""
    return total(selection.select(metrics.ACTIVE.name), selection.group_labels)


def tokens(selection: Selection, window: str) -> str:
    """Tokens per second by kind."""
    return total(rate(selection.select(metrics.TOKENS.name), window), (*selection.group_labels, "kind"))


def saturation(selection: Selection, window: str) -> str:
    """Calls in flight as a share of the model's limit; of several models of the sum of their limits."""
    matchers = (one_of(MODEL_NAME, selection.models),) if selection.models else ()
    most = f"max by ({MODEL_NAME}) ({selector(recorded.MAX_IN_FLIGHT.name, matchers)})"
    by = selection.group_labels
    if MODEL_NAME in by:
        return f"{active(selection, window)} / on ({MODEL_NAME}) group_left () {most}"
    by_model = total(selection.select(metrics.ACTIVE.name), (*by, MODEL_NAME))
    limits = f"{by_model} * 0 + on ({MODEL_NAME}) group_left () {most}"
    return ratio(total(f"{by_model} and on ({MODEL_NAME}) {most}", by), total(limits, by), keep_nan=True)


PROMQL_METRICS = (
    SeriesMetric(
        "latency", "Latency", metrics.LATENCY.unit,
        "Estimated quantile of the wall time of calls, with the bounds low and high of its bucket.",
        Promql(latency, extra=LatencyBounds), (QUANTILE, GROUP_BY),
    ),
    SeriesMetric(
        "throughput", "Throughput", "requests_per_second",
        "Finished calls per second, of every outcome.", Promql(throughput), (GROUP_BY,),
    ),
    SeriesMetric(
        "errors", "Error ratio", "ratio",
        "Failed calls as a share of succeeded and failed ones.", Promql(errors), (GROUP_BY,),
    ),
    SeriesMetric(
        "confidence", "Mean confidence", metrics.CONFIDENCE.unit,
        "Mean confidence of predictions.", Promql(confidence, reads_means=True), (GROUP_BY,),
    ),
    SeriesMetric(
        "active", "Requests in flight", metrics.ACTIVE.unit,
        "Calls in flight.", Promql(active), (GROUP_BY,),
    ),
    SeriesMetric(
        "tokens", "Tokens", "tokens_per_second",
        "Tokens per second, one series for each kind; the kinds partition the total.",
        Promql(tokens, ("kind",)), (GROUP_BY,),
    ),
    SeriesMetric(
        "saturation", "Saturation", "ratio",
        "Calls in flight as a share of the model's max_in_flight in the registry.",
        Promql(saturation), (GROUP_BY,),
    ),
)  # fmt: skip
