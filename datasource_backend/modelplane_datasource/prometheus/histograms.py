"""Classic histograms as Prometheus holds them: cumulative increases by the text of ``le``."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise


def parse_bound(text: str) -> float:
    """The number that a value of ``le`` stands for, infinity for ``+Inf``; ValueError."""
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise ValueError(f"le has the value {text[:100]!r}; allowed: a number or +Inf")
    return bound


def bound_texts(bound: float) -> tuple[str, ...]:
    """Every text that ``le`` may carry for ``bound``: ``("1.0", "1")``, but only ``("0.25",)``."""
    text = repr(float(bound))
    return (text, text.removesuffix(".0")) if text.endswith(".0") else (text,)


def sum_by_bound(buckets: Mapping[str, float]) -> dict[float, float]:
    """Cumulative increases by bound, ascending. Series whose ``le`` reads differently are added up.

    ValueError: a ``le`` is no number, an increase is negative or not finite, or ``+Inf`` is missing.
    """
    totals: dict[float, float] = {}
    for text, increase in buckets.items():
        if not 0 <= increase < math.inf:
            raise ValueError(f"the bucket le={text!r} holds {increase!r}; allowed: a finite number from 0 up")
        bound = parse_bound(text)
        totals[bound] = totals.get(bound, 0.0) + increase
    if math.inf not in totals:
        raise ValueError("the bucket le='+Inf' is missing; allowed: a histogram with all of its buckets")
    return dict(sorted(totals.items()))


def check_bounds(bounds: Sequence[float], *, has_observations: bool) -> None:
    """ValueError unless ``bounds`` can be those of a histogram of values above 0."""
    if any(low >= high for low, high in pairwise((0.0, *bounds, math.inf))):
        raise ValueError(f"bounds are {bounds}; allowed: finite, ascending, above 0")
    if has_observations and not bounds:
        raise ValueError("bounds are missing; allowed: at least one besides +Inf")


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations of a window, none of them below 0.

    ``cumulative`` holds how many are at or below each of ``bounds``, which ascend and are above 0; ``count``
    is the number of all and ``mean`` their arithmetic mean, 0 when there is none.
    """

    bounds: tuple[float, ...]
    cumulative: tuple[int, ...]
    count: int
    mean: float

    def __post_init__(self) -> None:
        check_bounds(self.bounds, has_observations=bool(self.count))
        counts = (0, *self.cumulative, self.count)
        if len(counts) != len(self.bounds) + 2 or any(low > high for low, high in pairwise(counts)):
            raise ValueError(
                f"cumulative is {self.cumulative} and count {self.count}; "
                "allowed: one count for each bound, from 0 up, never falling"
            )


NO_OBSERVATIONS = Histogram((), (), 0, 0.0)
