"""How fast counters grow that are read as they are scraped."""

from __future__ import annotations

from dataclasses import replace

from modelplane_dashboards.kit.scope import BoardScope, Labels
from modelplane_dashboards.measures.calls import WINDOW
from modelplane_schema.promql import Matcher, total

# What alerts of the plane look back: a fault of a shorter window is gone from a stat while its alert fires.
_FAULT_WINDOW = "10m:1m"


def growth(scope: BoardScope, name: str, by: Labels = (), *matchers: Matcher) -> str:
    """The growth of a counter per second, for each combination of the labels ``by``.

    ``@ end()`` follows the range of a series, not its selector.
    """
    series = replace(scope, at_end=False).select(name, *matchers)
    end = " @ end()" if scope.at_end else ""
    return total(f"rate({series}[{WINDOW}]{end})", by)


def recent_growth(scope: BoardScope, name: str, by: Labels = (), *matchers: Matcher) -> str:
    """The mean growth of the last ten minutes, for faults that are seen as long as their alert fires."""
    return f"avg_over_time({growth(scope, name, by, *matchers)}[{_FAULT_WINDOW}])"


def share(part: str, whole: str) -> str:
    """A part of a whole, 0 where the whole is there and the part is not; absent where the whole is 0."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"
