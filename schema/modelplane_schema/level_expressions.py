"""PromQL over what is recorded at levels: ``expressions`` for boards over many models or tenants.

``limited`` are the labels that ``select`` puts a matcher on. Each function reads the coarsest level that has
these and ``by``, so that a panel reads as few series as can answer it. Rates are over 5 minutes.
"""

from __future__ import annotations

from modelplane_schema.expressions import COMPLETED, FAILED, Labels, Select
from modelplane_schema.levels import LEVELS, QUANTITIES, Quantity
from modelplane_schema.metrics import Metric
from modelplane_schema.promql import Matcher, rate, ratio, total
from modelplane_schema.recorded_types import RecordedSeries

_QUANTITIES = {quantity.name: quantity for quantity in QUANTITIES}
_BUCKETS = {quantity.scraped: quantity for quantity in QUANTITIES if "le" in quantity.labels}


def level_series(quantity: str, labels: Labels) -> RecordedSeries:
    """The series of a quantity at the coarsest level that has ``labels``; ValueError when none has."""
    series = _coarsest(_QUANTITIES[quantity], labels)
    if series is None:
        raise ValueError(f"{quantity} is recorded at no level that has {', '.join(labels)}")
    return series


def summed(quantity: str, select: Select, limited: Labels, by: Labels = (), *matchers: Matcher) -> str:
    """A quantity, for each combination of the labels ``by``."""
    needed = (*limited, *by, *(matcher.label for matcher in matchers))
    return total(select(level_series(quantity, needed).name, *matchers), by)


def request_rate(select: Select, limited: Labels, by: Labels = (), outcome: Matcher | None = None) -> str:
    """Finished calls per second, whatever their outcome, or those with an ``outcome``."""
    return summed("calls", select, limited, by, *(() if outcome is None else (outcome,)))


def error_ratio(select: Select, limited: Labels, by: Labels = ()) -> str:
    """Failed calls as a share of completed ones; absent without traffic."""
    failed, completed = (request_rate(select, limited, by, outcome) for outcome in (FAILED, COMPLETED))
    return ratio(failed, completed)


def quantile(
    q: float, metric: Metric, select: Select, limited: Labels, by: Labels = (), *, window: str = "5m"
) -> str:
    """The ``q`` quantile of a histogram; absent without observations.

    Where no level has the labels it is computed from scraped buckets over ``window``, a duration or
    a variable.
    """
    scraped = f"{metric.name}_bucket"
    series = _coarsest(_BUCKETS[scraped], (*limited, *by))
    buckets = rate(select(scraped), window) if series is None else select(series.name)
    return f"histogram_quantile({q!r}, {total(buckets, ('le', *by))}) >= 0"


def mean_confidence(select: Select, limited: Labels, by: Labels = ()) -> str:
    """The mean confidence of predictions; absent without any."""
    sums, counts = (summed(f"confidence_{part}", select, limited, by) for part in ("sum", "count"))
    return ratio(sums, counts)


# All others are labels of the cluster, which every level has.
_KNOWN = {label for labels in LEVELS.values() for label in labels} | {
    label for quantity in QUANTITIES for label in quantity.labels
}


def _coarsest(quantity: Quantity, labels: Labels) -> RecordedSeries | None:
    for level in reversed(quantity.levels):
        if _KNOWN & set(labels) <= {*LEVELS[level], *quantity.labels}:
            return quantity.at(level)
    return None
