"""Starts and ends that some clock can have given, and others."""

from __future__ import annotations

import pytest

from datasource_support.alert_bodies import alert, payload
from modelplane_datasource.alerts.episodes import Episode, reduce_all
from modelplane_datasource.alerts.payloads import parse_payload
from modelplane_datasource.alerts.plausible_times import MAX_AGE, MAX_AHEAD, plausible_span
from modelplane_datasource.timeline.times import DAY, parse_rfc3339

NOON = parse_rfc3339("2023-10-27T12:00:00Z")
HOUR, MINUTE = 3_600_000, 60_000
ABSURD = (
    "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "2006-01-02T15:04:05Z",
    "2024-10-27T12:00:00Z", "2106-02-07T06:28:15Z", "2262-04-11T23:47:16Z", "9999-12-31T23:59:59Z",
)  # fmt: skip


def test_what_can_be_is_left_alone() -> None:
    for span in ((NOON - MAX_AGE, NOON), (NOON - HOUR, NOON - MINUTE), (NOON, NOON + MAX_AHEAD)):
        assert plausible_span(*span, NOON) == span


def test_what_cannot_be_says_nothing_of_the_time_before_the_end() -> None:
    assert plausible_span(NOON - MAX_AGE - 1, NOON - HOUR, NOON) == (NOON - HOUR, NOON - HOUR)
    assert plausible_span(NOON - HOUR, NOON + MAX_AHEAD + 1, NOON) == (NOON - HOUR, NOON)
    assert plausible_span(NOON + MAX_AHEAD + 1, NOON - 10 * MAX_AGE, NOON) == (NOON, NOON)


def test_an_end_before_the_start_is_the_start() -> None:
    assert plausible_span(NOON - HOUR, NOON - DAY, NOON) == (NOON - HOUR, NOON - HOUR)


def history(*absurd: dict[str, object]) -> list[Episode]:
    """Two episodes in the morning, what is received at noon besides, and one in the afternoon."""
    received = [
        (NOON - 3 * HOUR, alert("f", "resolved", **span("07:00", "07:30"))),
        (NOON - HOUR, alert("f", "resolved", **span("09:00", "09:30"))),
        *((NOON, late) for late in absurd),
        (NOON + 2 * HOUR, alert("f", "resolved", **span("13:00", "13:30"))),
    ]
    return reduce_all(
        observation
        for received_at, notified in received
        for observation in parse_payload(payload(notified), received_at=received_at)
    )


def span(start: str, end: str) -> dict[str, object]:
    return {"startsAt": f"2023-10-27T{start}:00Z", "endsAt": f"2023-10-27T{end}:00Z"}


@pytest.mark.parametrize("moment", ABSURD)
@pytest.mark.parametrize("status", ["firing", "resolved"])
@pytest.mark.parametrize("field", ["startsAt", "endsAt"])
def test_no_history_is_swallowed_and_no_duration_negative(moment: str, status: str, field: str) -> None:
    before = history()
    episodes = history(alert("f", status, **{**span("11:00", "11:30"), field: moment}))
    assert all(episode.ends_at is None or episode.ends_at >= episode.starts_at for episode in episodes)
    assert before[:2] == episodes[:2]
    starts = [episode.starts_at for episode in episodes]
    assert min(starts) == NOON - 5 * HOUR
    assert max(starts) <= NOON + HOUR
    added = [episode for episode in episodes if episode not in before]
    assert all(NOON - HOUR <= episode.starts_at <= NOON for episode in added)
