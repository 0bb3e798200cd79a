"""The PromQL of each metric that is one query: ``window`` is a PromQL duration such as ``60s``."""

from __future__ import annotations

from modelplane_datasource.series.selection import GROUP_LABELS, Scope
from modelplane_datasource.web.parameters import Parameter, open_ratio
from modelplane_schema import metrics, recorded
from modelplane_schema.metrics import MODEL_NAME
from modelplane_schema.promql import Matcher, one_of, selector

QUANTILE = Parameter(
    "quantile", "Which quantile to estimate.", "a number between 0 and 1, both excluded", open_ratio,
    default="0.95",
)  # fmt: skip


def _sum(expression: str, *more: str) -> str:
    return f"sum by ({', '.join((*GROUP_LABELS, *more))}) ({expression})"


def _rate(name: str, window: str, scope: Scope, *matchers: Matcher) -> str:
    return f"rate({selector(name, (*scope.matchers, *matchers))}[{window}])"


def latency(scope: Scope, window: str) -> str:
    """A latency quantile, in seconds."""
    buckets = _sum(_rate(f"{metrics.LATENCY.name}_bucket", window, scope), "le")
    return f"histogram_quantile({scope.options[QUANTILE.name]!r}, {buckets})"


def throughput(scope: Scope, window: str) -> str:
    """Finished calls per second."""
    return _sum(_rate(metrics.REQUESTS.name, window, scope))


def errors(scope: Scope, window: str) -> str:
    """Failed calls as a share of judged ones."""
    failed = Matcher("outcome", "failure")
    judged = one_of("outcome", ("success", "failure"))
    return (
        f"{_sum(_rate(metrics.REQUESTS.name, window, scope, failed))}"
        f" / {_sum(_rate(metrics.REQUESTS.name, window, scope, judged))}"
    )


def confidence(scope: Scope, window: str) -> str:
    """Mean confidence."""
    name = metrics.CONFIDENCE.name
    return f"{_sum(_rate(f'{name}_sum', window, scope))} / {_sum(_rate(f'{name}_count', window, scope))}"


def active(scope: Scope, window: str) -> str:
    """Calls in flight."""
    return _sum(selector(metrics.ACTIVE.name, scope.matchers))


def tokens(scope: Scope, window: str) -> str:
    """Tokens per second by kind."""
    return _sum(_rate(metrics.TOKENS.name, window, scope), "kind")


def saturation(scope: Scope, window: str) -> str:
    """Calls in flight as a share of the model's limit."""
    most = selector(recorded.MAX_IN_FLIGHT.name, (one_of(MODEL_NAME, scope.models),))
    return f"{active(scope, window)} / on ({MODEL_NAME}) group_left () max by ({MODEL_NAME}) ({most})"
