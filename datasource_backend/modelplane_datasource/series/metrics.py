"""The PromQL of each metric that is one query: ``window`` is a PromQL duration such as ``60s``.

A quotient is NaN without traffic, so that an idle version has a series, of nulls.
"""

from __future__ import annotations

from modelplane_datasource.series.selection import GROUP_LABELS, Scope
from modelplane_datasource.web.parameters import Parameter, open_ratio
from modelplane_schema import expressions, metrics, recorded
from modelplane_schema.metrics import MODEL_NAME
from modelplane_schema.promql import one_of, rate, selector, total

QUANTILE = Parameter(
    "quantile", "Which quantile to estimate.", "a number between 0 and 1, both excluded", open_ratio,
    default="0.95",
)  # fmt: skip


def latency(scope: Scope, window: str) -> str:
    """A latency quantile, in seconds."""
    by, q = (*GROUP_LABELS, "le"), scope.options[QUANTILE.name]
    return expressions.quantile(q, metrics.LATENCY, scope.select, window, by, keep_nan=True)


def throughput(scope: Scope, window: str) -> str:
    """Finished calls per second."""
    return expressions.request_rate(scope.select, window, GROUP_LABELS)


def errors(scope: Scope, window: str) -> str:
    """Failed calls as a share of completed ones."""
    return expressions.error_ratio(scope.select, window, GROUP_LABELS, keep_nan=True)


def confidence(scope: Scope, window: str) -> str:
    """Mean confidence."""
    return expressions.mean(metrics.CONFIDENCE, scope.select, window, GROUP_LABELS, keep_nan=True)


def active(scope: Scope, window: str) -> str:
    """Calls in flight."""
    return total(scope.select(metrics.ACTIVE.name), GROUP_LABELS)


def tokens(scope: Scope, window: str) -> str:
    """Tokens per second by kind."""
    return total(rate(scope.select(metrics.TOKENS.name), window), (*GROUP_LABELS, "kind"))


def saturation(scope: Scope, window: str) -> str:
    """Calls in flight as a share of the model's limit."""
    most = selector(recorded.MAX_IN_FLIGHT.name, (one_of(MODEL_NAME, scope.models),))
    return f"{active(scope, window)} / on ({MODEL_NAME}) group_left () max by ({MODEL_NAME}) ({most})"
