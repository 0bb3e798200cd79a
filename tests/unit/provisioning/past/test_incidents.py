"""When alerts of a past fired, and what is told of them."""

from __future__ import annotations

import numpy as np
import pytest

from modelplane_provisioning.past.incidents import (
    Incident,
    fingerprint,
    firing_series,
    incidents_of,
    notifications,
)
from modelplane_provisioning.past.rules import Rule
from modelplane_provisioning.past.series import Series

STEP = 120_000
RULE = Rule("High", "x > 1", {}, 120, 180, {"summary": "It is high.", "description": "It is {{ $value }}."})
LABELS = {"alertname": "High", "model_name": "a"}


def incidents(*steps: int, waits: int = 180, end: int = 20) -> list[tuple[int, int | None]]:
    """Starts and ends in steps of an alert whose expression has a value at ``steps``."""
    times = np.array(steps) * STEP
    series = Series("High", {"model_name": "a"}, times, np.ones(len(times)))
    rule = Rule("High", "", {}, 120, waits, {})
    return [(incident.start, incident.end) for incident in incidents_of(series, rule, end * STEP)]


def test_an_alert_fires_once_its_expression_has_held_and_ends_with_the_first_evaluation_without() -> None:
    assert incidents(3, 4, 5, 6) == [(3 * STEP + 180_000, 7 * STEP)]


def test_an_expression_that_holds_too_shortly_fires_nothing() -> None:
    assert incidents(3, 4, waits=121) == []
    assert incidents(3, 4, waits=120) == [(4 * STEP, 5 * STEP)]


def test_a_pause_makes_two_incidents() -> None:
    assert incidents(1, 2, 4, 5, waits=0) == [(STEP, 3 * STEP), (4 * STEP, 6 * STEP)]


def test_what_fires_at_the_end_has_none() -> None:
    assert incidents(18, 19, 20, waits=0) == [(18 * STEP, None)]
    assert incidents(18, 19, waits=0) == [(18 * STEP, 20 * STEP)]


def test_only_texts_that_say_the_same_for_all_are_taken() -> None:
    series = Series("High", {"model_name": "a"}, np.array([0, STEP, 2 * STEP]), np.ones(3))
    (incident,) = incidents_of(series, RULE, STEP * 9)
    assert incident.annotations == {"summary": "It is high."}
    assert incident.labels == LABELS


def test_the_series_of_an_alert_lies_within_it() -> None:
    entry = firing_series(Incident(LABELS, {}, 30_000, 5 * STEP, 6 * STEP), 120)
    assert entry.name == "ALERTS"
    assert entry.labels == {**LABELS, "alertstate": "firing"}
    assert entry.times.tolist() == [30_000 + step * STEP for step in range(5)]


def test_notifications_are_those_of_alertmanager() -> None:
    over = Incident(LABELS, {"summary": "It is high."}, 1_800_000_000_000, 0, 1_800_000_060_000)
    still = Incident(LABELS, {}, 1_800_000_000_000, 0, None)
    first, second = notifications([over] * 50 + [still])
    assert first["version"] == second["version"] == "4"
    assert len(first["alerts"]) == 50
    assert first["alerts"][0] == {
        "status": "resolved",
        "labels": LABELS,
        "annotations": {"summary": "It is high."},
        "startsAt": "2027-01-15T08:00:00+00:00",
        "endsAt": "2027-01-15T08:01:00+00:00",
        "generatorURL": "",
        "fingerprint": fingerprint(LABELS),
    }
    assert second["alerts"][0]["status"] == "firing"
    assert second["alerts"][0]["endsAt"] == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, 14695981039346656037),
        ({"name": "garland, briggs", "fear": "love is not enough"}, 5799056148416392346),
    ],
)
def test_fingerprints_are_prometheus_own(labels: dict[str, str], expected: int) -> None:
    """The values are those of the tests of prometheus/common."""
    assert int(fingerprint(labels), 16) == expected
