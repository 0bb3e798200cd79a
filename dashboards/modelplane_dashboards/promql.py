"""The expressions that panels share: rates, ratios and quantiles over a scope."""

from __future__ import annotations

from modelplane_dashboards.scope import Scope
from modelplane_schema.metrics import CONFIDENCE, LATENCY, REQUESTS, Metric
from modelplane_schema.promql import Matcher

FINISHED = Matcher("outcome", "success|failure", "=~")
FAILED = Matcher("outcome", "failure")


def rate(selector: str) -> str:
    return f"rate({selector}[$__rate_interval])"


def total(expression: str, by: tuple[str, ...] = ()) -> str:
    """The sum of ``expression``, for each combination of the labels ``by``."""
    return f"sum by ({', '.join(by)}) ({expression})" if by else f"sum({expression})"


def ratio(numerator: str, denominator: str) -> str:
    """A quotient that is absent, not NaN, where the denominator is 0."""
    return f"{numerator} / ({denominator} > 0)"


def request_rate(scope: Scope, by: tuple[str, ...] = ()) -> str:
    return total(rate(scope.calls(REQUESTS.name)), by)


def error_ratio(scope: Scope, by: tuple[str, ...] = ()) -> str:
    """Failed calls as a share of succeeded and failed ones."""
    failed, finished = (rate(scope.calls(REQUESTS.name, outcome)) for outcome in (FAILED, FINISHED))
    return ratio(total(failed, by), total(finished, by))


def quantile(metric: Metric, q: float, scope: Scope, by: tuple[str, ...] = ()) -> str:
    """A quantile of a histogram; the comparison drops the NaN of groups without observations."""
    buckets = total(rate(scope.calls(f"{metric.name}_bucket")), ("le", *by))
    return f"histogram_quantile({q:g}, {buckets}) >= 0"


def latency_quantile(q: float, scope: Scope, by: tuple[str, ...] = ()) -> str:
    return quantile(LATENCY, q, scope, by)


def mean_confidence(scope: Scope, by: tuple[str, ...] = ()) -> str:
    sums, counts = (rate(scope.calls(CONFIDENCE.name + suffix)) for suffix in ("_sum", "_count"))
    return ratio(total(sums, by), total(counts, by))


def confidence_share(bound: float, scope: Scope, by: tuple[str, ...] = ()) -> str:
    """Share of predictions whose confidence is at most ``bound``, a bound of the histogram."""
    if bound not in CONFIDENCE.buckets:
        raise ValueError(f"{bound:g} is not a bound of {CONFIDENCE.name}")
    below = rate(scope.calls(f"{CONFIDENCE.name}_bucket", Matcher("le", f"{bound:g}")))
    return ratio(total(below, by), total(rate(scope.calls(f"{CONFIDENCE.name}_count")), by))
