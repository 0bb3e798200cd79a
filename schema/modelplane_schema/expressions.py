"""PromQL of what recording rules, boards, backend and demo all ask for, written here and nowhere else.

``select`` makes a selector of a series' name and further matchers, and so says whose calls are meant.
``window`` is a PromQL duration or a variable of Grafana. The result has one series for each combination of
the labels ``by``.
"""

from __future__ import annotations

from typing import Protocol

from modelplane_schema.metrics import COMPLETED_OUTCOMES, REQUESTS, Metric
from modelplane_schema.promql import Matcher, rate, ratio, selector, total

SUCCEEDED = Matcher("outcome", "success")
FAILED = Matcher("outcome", "failure")
COMPLETED = Matcher("outcome", "|".join(COMPLETED_OUTCOMES), "=~")

Labels = tuple[str, ...]


class Select(Protocol):
    """Makes the selector of a series."""

    def __call__(self, name: str, /, *matchers: Matcher) -> str:
        """The series ``name`` with ``matchers``, and with those of whoever selects."""
        ...


def everything(name: str, /, *matchers: Matcher) -> str:
    """A ``Select`` that limits nothing."""
    return selector(name, matchers)


def request_rate(select: Select, window: str, by: Labels = (), outcome: Matcher | None = None) -> str:
    """Finished calls per second, whatever their outcome, or those with an ``outcome``."""
    matchers = () if outcome is None else (outcome,)
    return total(rate(select(REQUESTS.name, *matchers), window), by)


def error_ratio(select: Select, window: str, by: Labels = (), *, keep_nan: bool = False) -> str:
    """Failed calls as a share of completed ones; absent without traffic, or NaN with ``keep_nan``."""
    failed, completed = (request_rate(select, window, by, outcome) for outcome in (FAILED, COMPLETED))
    return ratio(failed, completed, keep_nan=keep_nan)


def quantile(
    q: float, metric: Metric, select: Select, window: str, by: Labels = ("le",), *, keep_nan: bool = False
) -> str:
    """The ``q`` quantile of a histogram; without observations absent, or NaN with ``keep_nan``.

    ValueError unless ``by`` has ``le``, the label of the buckets.
    """
    if "le" not in by:
        raise ValueError(f"by must have the label 'le' (got {', '.join(by)})")
    buckets = total(rate(select(f"{metric.name}_bucket"), window), by)
    estimate = f"histogram_quantile({q!r}, {buckets})"
    return estimate if keep_nan else f"{estimate} >= 0"


def native_quantile(q: float, metric: Metric, select: Select, window: str, by: Labels = ()) -> str:
    """The ``q`` quantile of a native histogram; NaN without observations."""
    return f"histogram_quantile({q!r}, {total(rate(select(metric.name), window), by)})"


def mean(metric: Metric, select: Select, window: str, by: Labels = (), *, keep_nan: bool = False) -> str:
    """The mean of a histogram's observations; without any absent, or NaN with ``keep_nan``."""
    sums, counts = (total(rate(select(metric.name + part), window), by) for part in ("_sum", "_count"))
    return ratio(sums, counts, keep_nan=keep_nan)
