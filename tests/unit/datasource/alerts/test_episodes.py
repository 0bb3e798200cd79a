"""Episodes are a function of the set of observations."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelplane_datasource.alerts.episodes import (
    NOTHING,
    Episode,
    Observation,
    canonical,
    join,
    reduce_alert,
    reduce_all,
)

SILENCED = canonical(["silence 1"])


def firing(start: int, text: str = "", fingerprint: str = "f") -> Observation:
    return seen("firing", start, start, text, fingerprint)


def resolved(start: int, end: int, text: str = "", fingerprint: str = "f") -> Observation:
    return seen("resolved", start, end, text, fingerprint)


def active(start: int, at: int, suppressed_by: str = NOTHING) -> Observation:
    return dataclasses.replace(seen("active", start, at), suppressed_by=suppressed_by)


def absent(at: int) -> Observation:
    return seen("absent", at, at)


def expired(at: int) -> Observation:
    return seen("expired", at, at)


def seen(kind: str, start: int, last: int, text: str = "", fingerprint: str = "f") -> Observation:
    labels = canonical({"alertname": "Down", "tenant_id": "a", "model_name": "m"})
    annotations = canonical({"summary": text})
    return Observation("am", "a", fingerprint, kind, start, last, labels, annotations)  # type: ignore[arg-type]


def spans(*observations: Observation) -> list[tuple[int, int | None, str]]:
    return [
        (episode.starts_at, episode.ends_at, episode.reason or episode.status)
        for episode in reduce_alert(observations)
    ]


@pytest.mark.parametrize(
    ("observations", "expected"),
    [
        ([firing(10)], [(10, None, "firing")]),
        ([firing(10), resolved(10, 20)], [(10, 20, "resolved")]),
        # The resolution overtook the first notification.
        ([resolved(10, 20), firing(10)], [(10, 20, "resolved")]),
        # Repeated after the resolution: nothing tells it from a late repetition.
        ([firing(10), resolved(10, 20), firing(10, "again")], [(10, 20, "resolved")]),
        # Two replicas of Prometheus disagree on the start.
        ([firing(11), firing(10), resolved(10, 20)], [(10, 20, "resolved")]),
        ([firing(11), resolved(10, 20), resolved(11, 22)], [(10, 22, "resolved")]),
        ([firing(10), resolved(11, 20)], [(10, 20, "resolved")]),
        # Two episodes; of the first one resolution tells a later end.
        ([resolved(10, 20), resolved(30, 40)], [(10, 20, "resolved"), (30, 40, "resolved")]),
        ([resolved(10, 20), resolved(10, 25), firing(30)], [(10, 25, "resolved"), (30, None, "firing")]),
        # An end that lies after the next start makes one episode of two.
        ([resolved(10, 20), resolved(15, 40)], [(10, 40, "resolved")]),
        ([resolved(10, 20), firing(15)], [(10, 20, "resolved")]),
        # The list of alerts says that it fires again, under the old start or another.
        ([firing(10), resolved(10, 20), active(10, 99)], [(10, None, "firing")]),
        ([resolved(10, 20), active(10, 99), resolved(10, 120)], [(10, 120, "resolved")]),
        ([resolved(10, 20), active(30, 99)], [(10, 20, "resolved"), (30, None, "firing")]),
        # It is missing from the list, or it was left to lapse.
        ([firing(10), absent(50)], [(10, 50, "absent")]),
        ([firing(10), absent(50), resolved(10, 40)], [(10, 40, "resolved")]),
        ([firing(10), absent(50), resolved(10, 60)], [(10, 60, "resolved")]),
        ([firing(10), absent(50), active(10, 70)], [(10, None, "firing")]),
        ([firing(10), absent(50), firing(60)], [(10, 50, "absent"), (60, None, "firing")]),
        ([firing(10), expired(50)], [(10, 50, "expired")]),
        ([firing(10), expired(50), resolved(10, 50)], [(10, 50, "expired")]),
        ([firing(10), expired(50), resolved(10, 45)], [(10, 45, "resolved")]),
        ([absent(5), expired(6)], []),
        # Silenced and inhibited alerts; the newest list counts.
        ([active(10, 20, SILENCED)], [(10, None, "suppressed")]),
        ([active(10, 20, SILENCED), active(10, 30)], [(10, None, "firing")]),
        ([active(10, 30, SILENCED), active(10, 20)], [(10, None, "suppressed")]),
        ([active(10, 20, SILENCED), resolved(10, 40)], [(10, 40, "resolved")]),
    ],
)
def test_scenarios(observations: list[Observation], expected: list[tuple[int, int | None, str]]) -> None:
    for order in (observations, observations[::-1], observations * 2):
        assert spans(*order) == expected


def test_an_episode_has_the_texts_of_its_latest_observation() -> None:
    (episode,) = reduce_alert([firing(10, "z"), resolved(10, 20, "b"), resolved(10, 20, "c"), absent(15)])
    assert episode.annotations == '{"summary":"c"}'
    assert (episode.alertname, episode.model_name, episode.severity) == ("Down", "m", "")


def test_text_columns_have_no_nul() -> None:
    labels = canonical({"alertname": "a\0b"})
    (episode,) = reduce_alert([dataclasses.replace(firing(1), labels=labels)])
    assert (episode.alertname, episode.labels) == ("a\ufffdb", '{"alertname":"a\\u0000b"}')


TIMES = st.integers(0, 12)
OBSERVATIONS = st.one_of(
    st.builds(firing, TIMES, st.sampled_from("ab"), st.sampled_from("fg")),
    st.builds(
        lambda start, length, text, fingerprint: resolved(start, start + length, text, fingerprint),
        TIMES, st.integers(0, 5), st.sampled_from("ab"), st.sampled_from("fg"),
    ),
    st.builds(
        lambda start, length, by: active(start, start + length, by),
        TIMES, st.integers(0, 5), st.sampled_from([NOTHING, SILENCED]),
    ),
    st.builds(absent, TIMES),
    st.builds(expired, TIMES),
)  # fmt: skip


def table(episodes: Sequence[Episode]) -> list[Episode]:
    return sorted(episodes, key=lambda episode: (episode.key, episode.starts_at))


@pytest.mark.slow
@settings(max_examples=200)
@given(observations=st.lists(OBSERVATIONS, min_size=1, max_size=12), seed=st.integers(0, 2**32))
def test_a_hundred_orders_with_duplicates_give_identical_tables(
    observations: list[Observation], seed: int
) -> None:
    expected = table(reduce_all(observations))
    draw = random.Random(seed)
    for _ in range(100):
        order = [*observations, *draw.choices(observations, k=4)]
        draw.shuffle(order)
        assert table(reduce_all(order)) == expected
    assert table(reduce_all(join(observations).values())) == expected


def merged_intervals(observations: Sequence[Observation]) -> list[tuple[int, int | None]]:
    """Episodes of one alert from the definition: every interval that does not end so lasts until the next
    known end; those that overlap are merged."""
    ends = {
        observation.last_at
        for observation in observations
        if observation.kind in ("resolved", "absent", "expired")
    }
    forever = 10**6
    intervals = set()
    for observation in observations:
        start, last = observation.starts_at, observation.last_at
        if observation.kind == "resolved":
            intervals.add((start, last))
        elif observation.kind in ("firing", "active"):
            intervals.add((start, min((end for end in ends if end >= last), default=forever)))
    merged: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return [(start, None if end == forever else end) for start, end in merged]


@pytest.mark.slow
@settings(max_examples=500)
@given(st.lists(OBSERVATIONS, min_size=1, max_size=12))
def test_episodes_are_the_merged_intervals(observations: list[Observation]) -> None:
    alert_observations = [dataclasses.replace(observation, fingerprint="f") for observation in observations]
    assert [
        (episode.starts_at, episode.ends_at) for episode in reduce_alert(alert_observations)
    ] == merged_intervals(alert_observations)
