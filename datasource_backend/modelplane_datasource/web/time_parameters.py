"""Parameters of time: instants, ranges, steps and windows."""

from __future__ import annotations

from modelplane_datasource.errors import ApiError
from modelplane_datasource.timeline.times import (
    DURATION_PATTERN,
    INSTANT_PATTERN,
    parse_duration,
    parse_instant,
)
from modelplane_datasource.web.parameters import (
    Parameter,
    Parser,
    Values,
    parser,
    read_default,
    read_one,
)

INSTANT = "epoch milliseconds, an RFC 3339 time, now, or now-6h (s, m, h, d, w), from 1970 to 9999"
MAX_STEP = parse_duration("366d")


@parser({"type": "string", "pattern": f"^{DURATION_PATTERN}$", "examples": ["30s", "60"]})
def step_duration(text: str) -> int:
    """Milliseconds of a step from 1 ms to 366 days; ValueError."""
    step = parse_duration(text)
    if not 1 <= step <= MAX_STEP:
        raise ValueError(text)
    return step


# Instants stay text until the time of the request is known.
instant_text = Parser(
    str,
    {
        "type": "string",
        "pattern": f"^{INSTANT_PATTERN}$",
        "examples": ["now-6h", "1698397200000", "2023-10-27T10:00:00Z"],
    },
)
FROM = Parameter("from", "Start of the range.", INSTANT, instant_text, default="now-1h")
TO = Parameter("to", "End of the range.", INSTANT, instant_text, default="now")


def read_instant(values: Values, parameter: Parameter[str], now: int) -> int | None:
    """Milliseconds of a parameter of time, or None when it is absent and has no default. ApiError 400."""
    return read_one(values, _at(parameter, now))


def read_moment(values: Values, now: int) -> int:
    """The one moment asked for, which is ``to``, in milliseconds. ApiError 400."""
    return read_default(values, _at(TO, now))


def read_range(values: Values, now: int) -> tuple[int, int]:
    """Start and end of the range asked for, in milliseconds. ApiError 400."""
    start, end = read_default(values, _at(FROM, now)), read_default(values, _at(TO, now))
    check_order(start, end)
    return start, end


def read_open_range(
    values: Values, start: Parameter[str], end: Parameter[str], now: int
) -> tuple[int | None, int | None]:
    """Start and end in milliseconds, each None when it is absent. ApiError 400."""
    found = read_instant(values, start, now), read_instant(values, end, now)
    if found[0] is not None and found[1] is not None:
        check_order(found[0], found[1])
    return found


def check_order(start: int, end: int, start_name: str = "from", end_name: str = "to") -> None:
    """ApiError 400 when a range ends before it starts."""
    if start > end:
        raise ApiError(
            400,
            "invalid_parameter",
            f"{start_name} lies after {end_name}; allowed: a start that is not after the end.",
            {"parameter": start_name, "allowed": f"a time not after {end_name}"},
        )


def _at(parameter: Parameter[str], now: int) -> Parameter[int]:
    return Parameter(
        parameter.name,
        parameter.summary,
        parameter.allowed,
        lambda text: parse_instant(text, now),
        default=parameter.default,
    )


LONGEST_WINDOW = parse_duration("366d")


@parser({"type": "string", "pattern": f"^{DURATION_PATTERN}$", "examples": ["1h", "6h"]})
def window_duration(text: str) -> int:
    """Milliseconds of a window from 1 s to 366 days; ValueError."""
    length = parse_duration(text)
    if not 1000 <= length <= LONGEST_WINDOW:
        raise ValueError(text)
    return length
