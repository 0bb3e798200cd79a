"""Parameters of time: instants, ranges, steps and windows."""

from __future__ import annotations

import re

from modelplane_datasource.errors import ApiError, invalid
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_datasource.timeline.times import (
    DURATION_PATTERN,
    INSTANT_PATTERN,
    Instant,
    parse_duration,
    parse_instant,
)
from modelplane_datasource.web.parameters import MeaningError, Parameter, Values, parser

INSTANT = "epoch milliseconds, an RFC 3339 time, now, or now-6h (s, m, h, d, w), from 1970 to 9999"
MAX_STEP = parse_duration("366d")
MIN_WINDOW = 1000
MAX_WINDOW = parse_duration("366d")


@parser({"type": "string", "pattern": f"^{DURATION_PATTERN}$", "examples": ["30s", "60"]})
def step_duration(text: str) -> int:
    """Milliseconds of a step from 1 ms to 366 days; ValueError."""
    step = parse_duration(text)
    if not 1 <= step <= MAX_STEP:
        raise ValueError(text)
    return step


@parser({"type": "string", "pattern": f"^{DURATION_PATTERN}$", "examples": ["1h", "6h"]})
def window_duration(text: str) -> int:
    """Milliseconds of a window from 1 s to 366 days; ValueError."""
    length = parse_duration(text)
    if not MIN_WINDOW <= length <= MAX_WINDOW:
        raise ValueError(text)
    return length


# As seconds the years 1973 to 5138; as milliseconds the first three years after 1970.
_SECONDS = re.compile(r"([1-9]\d{8,10})(?:\.\d+)?", re.ASCII)


@parser(
    {
        "type": "string",
        "pattern": f"^{INSTANT_PATTERN}$",
        "examples": ["now-6h", "1698397200000", "2023-10-27T10:00:00Z"],
    }
)
def instant(text: str) -> Instant:
    """A time; ValueError, which says so where it is in seconds."""
    seconds = _SECONDS.fullmatch(text)
    if seconds:
        raise MeaningError(f"which is in seconds: in milliseconds it is {seconds[1]}000")
    return parse_instant(text)


FROM = Parameter("from", "Start of the range.", INSTANT, instant, default="now-1h")
TO = Parameter("to", "End of the range.", INSTANT, instant, default="now")


def read_range(values: Values, now: int) -> TimeRange:
    """The range of a request. ApiError 400."""
    start, end = _resolved(FROM, FROM.read(values), now), read_end(values, now)
    check_order(start, end)
    return TimeRange(start, end)


def read_end(values: Values, now: int) -> int:
    """The end of the range, in milliseconds; the one time of a request about a moment. ApiError 400."""
    return _resolved(TO, TO.read(values), now)


def read_open_range(
    values: Values, start: Parameter[Instant], end: Parameter[Instant], now: int
) -> tuple[int | None, int | None]:
    """Start and end in milliseconds, each None when it is absent. ApiError 400."""
    first, last = (
        None if given is None else _resolved(parameter, given, now)
        for parameter, given in ((start, start.read_one(values)), (end, end.read_one(values)))
    )
    if first is not None and last is not None:
        check_order(first, last)
    return first, last


def read_moment(values: Values, start: Parameter[Instant], now: int) -> tuple[int | None, int]:
    """Length of the window from ``start``, None where it is absent, to the end of the range, and that end.

    Both are in milliseconds. ApiError 400, also for a window that is shorter or longer than windows may be.
    """
    first, end = start.read_one(values), read_end(values, now)
    if first is None:
        return None, end
    begin = _resolved(start, first, now)
    check_order(begin, end)
    if not MIN_WINDOW <= end - begin <= MAX_WINDOW:
        raise invalid(start.name, f"lies {end - begin} ms before {TO.name}", "from 1s to 366d before it")
    return end - begin, end


def check_order(start: int, end: int, start_name: str = "from", end_name: str = "to") -> None:
    """ApiError 400 when a range ends before it starts."""
    if start > end:
        raise ApiError(
            400,
            "invalid_parameter",
            f"{start_name} lies after {end_name}; allowed: a start that is not after the end.",
            {"parameter": start_name, "allowed": f"a time not after {end_name}"},
        )


def _resolved(parameter: Parameter[Instant], given: Instant, now: int) -> int:
    try:
        return given.resolve(now)
    except ValueError as error:
        raise invalid(parameter.name, "lies outside the years 1970 to 9999", parameter.allowed) from error
