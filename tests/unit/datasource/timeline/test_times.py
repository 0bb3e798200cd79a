from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from modelplane_datasource.timeline.times import (
    duration,
    format_rfc3339,
    parse_duration,
    parse_instant,
    parse_rfc3339,
)

NOW = 1_698_400_800_000
OFFSETS = st.integers(-23 * 60, 23 * 60)
TIMES = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29))


def rfc3339(local: datetime, fraction: str, minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    offset = f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    return f"{local.isoformat(timespec='seconds')}{'.' + fraction if fraction else ''}{offset}"


@pytest.mark.slow
@given(TIMES, st.text("0123456789", max_size=9), OFFSETS)
@example(datetime(2024, 2, 29, 23, 59, 59), "999999999", 330)
def test_any_offset_and_fraction_gives_the_same_instant_as_datetime(
    local: datetime, fraction: str, minutes: int
) -> None:
    local = local.replace(microsecond=0)
    zone = timezone(timedelta(minutes=minutes))
    since = local.replace(tzinfo=zone) - datetime(1970, 1, 1, tzinfo=UTC)
    expected = since // timedelta(milliseconds=1) + int((fraction + "000")[:3])
    assert parse_rfc3339(rfc3339(local, fraction, minutes)) == expected


@given(st.integers(0, 253_402_300_799))
def test_format_is_read_back(seconds: int) -> None:
    assert parse_rfc3339(format_rfc3339(seconds * 1000 + 999)) == seconds * 1000


@given(st.text(max_size=30))
def test_any_other_text_is_a_value_error(text: str) -> None:
    for parse in (parse_rfc3339, parse_duration, lambda text: parse_instant(text).resolve(NOW)):
        try:
            assert isinstance(parse(text), int)
        except ValueError:
            continue


def test_the_zero_time_of_go_is_readable() -> None:
    assert parse_rfc3339("0001-01-01T00:00:00Z") == -62_135_596_800_000


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", NOW),
        ("now-90s", NOW - 90_000),
        ("now-6h", NOW - 21_600_000),
        ("now-2w", NOW - 1_209_600_000),
        ("1698397200000", 1_698_397_200_000),
        ("2023-10-27T09:00:00Z", 1_698_397_200_000),
        ("2023-10-27T11:00:00.000000001+02:00", 1_698_397_200_000),
        ("2023-10-27T11:00:00 02:00", 1_698_397_200_000),
    ],
)
def test_instants(text: str, expected: int) -> None:
    assert parse_instant(text).resolve(NOW) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "now-", "now-6", "now+6h", "now-6y", "yesterday", "1.5", "-1", "${__from}", "NaN",
        "2023-10-27", "2023-10-27T10:00:00", "2023-13-01T00:00:00Z", "2023-10-27T10:00:00+24:00",
        "2023-10-27T10:00:00+01:60", "2023-10-27T10:00:00.1234567890Z", "1960-01-01T00:00:00Z",
        "253402300800000", "now-999999999w", "\u0661\u0662",
    ],
)  # fmt: skip
def test_not_instants(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_instant(text).resolve(NOW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30s", 30_000),
        ("30", 30_000),
        ("1.5h", 5_400_000),
        ("250ms", 250),
        ("0.25", 250),
        ("2w", 1_209_600_000),
    ],
)
def test_durations(text: str, expected: int) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (2_592_000_000, "30d"),
        (604_800_000, "7d"),
        (5_400_000, "90m"),
        (60_000, "1m"),
        (61_000, "61s"),
        (1500, "1500ms"),
    ],
)
def test_a_duration_is_written_in_its_largest_whole_unit(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text
    assert parse_duration(text) == milliseconds
