"""Instants and durations as integer milliseconds, and their text forms."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import NamedTuple

HOUR, DAY = 3_600_000, 86_400_000  # milliseconds
MAX_INSTANT = 253_402_300_799_999  # the last millisecond of the year 9999

# What JSON schemas say of the texts that are read here; what has such a form is not always a time.
DURATION_PATTERN = r"[0-9]{1,12}(\.[0-9]{1,9})?(ms|[smhdw])?"
INSTANT_PATTERN = (
    r"([0-9]{1,15}|now(-[0-9]{1,9}[smhdw])?"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{0,9})?([Zz]|[+\- ][0-9]{2}:[0-9]{2}))"
)

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": HOUR, "d": DAY, "w": 604_800_000}
_DESCENDING = [(unit, length) for unit, length in reversed(_UNITS.items()) if unit != "w"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d{0,9}))?(?:([Zz])|([+\- ])(\d\d):(\d\d))", re.ASCII
)
_RELATIVE = re.compile(r"now(?:-(\d{1,9})([smhdw]))?", re.ASCII)
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ms|[smhdw])?", re.ASCII)


def parse_rfc3339(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time, fractions cut to milliseconds; ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    date, clock, fraction, _, sign, hours, minutes = match.groups()
    local = datetime.fromisoformat(f"{date}T{clock}")
    # The years 1 and 9999 leave no room for an offset in datetime, so it is subtracted as a number.
    elapsed = (local.replace(tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
    return elapsed + int((fraction or "").ljust(3, "0")[:3]) - _offset(sign, hours, minutes)


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> int:
    """Milliseconds east of UTC. A space is a ``+`` that was not percent-encoded in a URL."""
    if sign is None or hours is None or minutes is None:
        return 0
    offset = timedelta(hours=int(hours), minutes=int(minutes))
    timezone(offset)  # ValueError for 24 hours and more
    if int(minutes) > 59:
        raise ValueError(f"not an offset: {hours}:{minutes}")
    return (-1 if sign == "-" else 1) * (offset // timedelta(milliseconds=1))


class Instant(NamedTuple):
    """A time in milliseconds: since 1970, or before now where it ``is_relative``."""

    milliseconds: int
    is_relative: bool = False

    def resolve(self, now: int) -> int:
        """Milliseconds since 1970; ValueError outside the years 1970 to 9999."""
        instant = now - self.milliseconds if self.is_relative else self.milliseconds
        if not 0 <= instant <= MAX_INSTANT:
            raise ValueError(f"outside the years 1970 to 9999: {instant} ms")
        return instant


def parse_instant(text: str) -> Instant:
    """Epoch milliseconds, RFC 3339, ``now`` or ``now-6h``; ValueError."""
    relative = _RELATIVE.fullmatch(text)
    if relative:
        amount, unit = relative.groups()
        return Instant(int(amount) * _UNITS[unit] if amount else 0, is_relative=True)
    instant = Instant(int(text) if re.fullmatch(r"\d{1,15}", text, re.ASCII) else parse_rfc3339(text))
    instant.resolve(0)  # not relative, so it is out of range now or never
    return instant


def parse_duration(text: str) -> int:
    """Milliseconds of ``30s``, ``1.5h`` or a plain number of seconds; ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"not a duration: {text!r}")
    amount, unit = match.groups()
    return round(float(amount) * _UNITS[unit or "s"])


def duration(milliseconds: int) -> str:
    """A PromQL duration in the largest unit without a remainder: ``30d``, ``90m``."""
    unit, length = next((unit, length) for unit, length in _DESCENDING if milliseconds % length == 0)
    return f"{milliseconds // length}{unit}"


def format_rfc3339(milliseconds: int) -> str:
    """``2023-10-27T10:00:00Z``: UTC, cut to whole seconds."""
    return (_EPOCH + timedelta(seconds=milliseconds // 1000)).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_rfc3339_exact(milliseconds: int) -> str:
    """``2023-10-27T10:00:00.123Z``: UTC, with milliseconds."""
    return f"{format_rfc3339(milliseconds)[:-1]}.{milliseconds % 1000:03}Z"
