"""The metrics that are one query each: ``window`` is a PromQL duration such as ``60s``.

A quotient is NaN without traffic, so that an idle version has a series, of nulls.
"""

from __future__ import annotations

from modelplane_datasource.series.metric import Promql, SeriesMetric
from modelplane_datasource.series.quantile_bounds import latency_bounds
from modelplane_datasource.series.selection import GROUP_LABELS, Selection
from modelplane_datasource.web.parameters import Parameter, open_ratio
from modelplane_schema import expressions, metrics, recorded
from modelplane_schema.metrics import MODEL_NAME, Metric
from modelplane_schema.promql import one_of, rate, selector, total

QUANTILE = Parameter(
    "quantile", "Which quantile to estimate.", "a number between 0 and 1, both excluded", open_ratio,
    default="0.95",
)  # fmt: skip

# A quantile that lies between two buckets is the end of the lower one in classic histograms, and in native
# ones, from the median up, the start of the higher one. A little lower, both say the same.
_LOWER = 1 - 1e-9


def latency(selection: Selection, window: str) -> str:
    """A latency quantile, in seconds."""
    by, q = (*GROUP_LABELS, "le"), selection.options[QUANTILE.name]
    classic = expressions.quantile(q, metrics.LATENCY, selection.select, window, by, keep_nan=True)
    return f"{classic} or histogram_quantile({q * _LOWER!r}, {_native(metrics.LATENCY, selection, window)})"


def throughput(selection: Selection, window: str) -> str:
    """Finished calls per second."""
    return expressions.request_rate(selection.select, window, GROUP_LABELS)


def errors(selection: Selection, window: str) -> str:
    """Failed calls as a share of completed ones."""
    return expressions.error_ratio(selection.select, window, GROUP_LABELS, keep_nan=True)


def confidence(selection: Selection, window: str) -> str:
    """Mean confidence."""
    classic = expressions.mean(metrics.CONFIDENCE, selection.select, window, GROUP_LABELS, keep_nan=True)
    # Not every store knows a function for it: what is read of a native histogram is its mean.
    return f"{classic} or {_native(metrics.CONFIDENCE, selection, window)}"


def active(selection: Selection, window: str) -> str:
    """Calls in flight."""
    return total(selection.select(metrics.ACTIVE.name), GROUP_LABELS)


def tokens(selection: Selection, window: str) -> str:
    """Tokens per second by kind."""
    return total(rate(selection.select(metrics.TOKENS.name), window), (*GROUP_LABELS, "kind"))


def saturation(selection: Selection, window: str) -> str:
    """Calls in flight as a share of the model's limit."""
    most = selector(recorded.MAX_IN_FLIGHT.name, (one_of(MODEL_NAME, selection.models),))
    return f"{active(selection, window)} / on ({MODEL_NAME}) group_left () max by ({MODEL_NAME}) ({most})"


def _native(metric: Metric, selection: Selection, window: str) -> str:
    """Native histograms of each version and tenant, which a Prometheus may have instead of classic ones."""
    return total(rate(selection.select(metric.name), window), GROUP_LABELS)


PROMQL_METRICS = (
    SeriesMetric(
        "latency", "Latency", metrics.LATENCY.unit,
        "Estimated quantile of the wall time of calls, with the bounds low and high of its bucket.",
        Promql(latency, extra=latency_bounds), (QUANTILE,),
    ),
    SeriesMetric(
        "throughput", "Throughput", "requests_per_second",
        "Finished calls per second, of every outcome.", Promql(throughput),
    ),
    SeriesMetric(
        "errors", "Error ratio", "ratio",
        "Failed calls as a share of succeeded and failed ones.", Promql(errors),
    ),
    SeriesMetric(
        "confidence", "Mean confidence", metrics.CONFIDENCE.unit,
        "Mean confidence of predictions.", Promql(confidence),
    ),
    SeriesMetric(
        "active", "Requests in flight", metrics.ACTIVE.unit,
        "Calls in flight.", Promql(active),
    ),
    SeriesMetric(
        "tokens", "Tokens", "tokens_per_second",
        "Tokens per second, one series for each kind; the kinds partition the total.",
        Promql(tokens, ("kind",)),
    ),
    SeriesMetric(
        "saturation", "Saturation", "ratio",
        "Calls in flight as a share of the model's max_in_flight in the registry.",
        Promql(saturation),
    ),
)  # fmt: skip
