"""Times of alerts, as far as some clock can have given them.

A start in the year 1 or 9999 says nothing about when the alert fired, and would take the place of all
that is known of it. What is certain is that the alert was in that state when its notification arrived.
"""

from __future__ import annotations

from modelplane_datasource.timeline.times import DAY

MAX_AGE = 5 * 365 * DAY
MAX_AHEAD = 3_600_000  # milliseconds by which the clock of a sender may be ahead


def is_plausible(moment: int, received_at: int) -> bool:
    """Whether an alert of which was received at a time can speak of ``moment``; both in milliseconds."""
    return received_at - MAX_AGE <= moment <= received_at + MAX_AHEAD


def plausible_span(starts_at: int, ends_at: int, received_at: int) -> tuple[int, int]:
    """Start and end, in milliseconds, of what an alert says; what no clock gave is replaced.

    An end becomes the time of receipt, a start the end, so that nothing is said of the time before.
    """
    end = ends_at if is_plausible(ends_at, received_at) else received_at
    start = starts_at if is_plausible(starts_at, received_at) else end
    return start, max(start, end)
