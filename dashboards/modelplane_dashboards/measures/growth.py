"""How fast counters grow that are read as they are scraped."""

from __future__ import annotations

from dataclasses import replace

from modelplane_dashboards.kit.scope import BoardScope, Labels
from modelplane_dashboards.measures.calls import WINDOW
from modelplane_schema.promql import Matcher, total

# What alerts of the plane look back: a fault of a shorter window is gone from a stat while its alert fires.
FAULT_WINDOW = "10m"


def growth(scope: BoardScope, name: str, by: Labels = (), *matchers: Matcher, window: str = WINDOW) -> str:
    """The growth of a counter per second over ``window``, for each combination of the labels ``by``.

    ``@ end()`` follows the range of a series, not its selector.
    """
    series = replace(scope, at_end=False).select(name, *matchers)
    end = " @ end()" if scope.at_end else ""
    return total(f"rate({series}[{window}]{end})", by)


def fault_growth(scope: BoardScope, name: str, by: Labels = (), *matchers: Matcher) -> str:
    """The growth of a counter of faults per second, over what the alert of these faults looks back."""
    return growth(scope, name, by, *matchers, window=FAULT_WINDOW)


def share(part: str, whole: str) -> str:
    """A part of a whole, 0 where the whole is there and the part is not; absent where the whole is 0."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"
