"""Incidents: grouping, flapping, suppression windows, acknowledgements, statistics."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from modelplane_datasource.alerts.episodes import Observation, canonical
from modelplane_datasource.alerts.incidents import (
    Acknowledgement,
    Incident,
    IncidentId,
    IncidentRules,
    summarise,
)
from modelplane_datasource.alerts.store import AlertStore, IncidentFilter
from modelplane_datasource.alerts.suppression import SuppressionError, SuppressionWindow, load_windows

MINUTE = 60_000
EVERYTHING = IncidentFilter(limit=100_000)
WINDOW = SuppressionWindow("swap", 100 * MINUTE, 200 * MINUTE, tenants=("planned",), alertnames=("Down",))
RULES = IncidentRules(flap_episodes=3, flap_window=60 * MINUTE, windows=(WINDOW,))
TENANTS = (f"tenant-{number}" for number in itertools.count())


@pytest.fixture
def store(tmp_path: Path) -> Iterator[AlertStore]:
    opened = AlertStore(f"sqlite:///{tmp_path}/m.db", 10)
    yield opened
    opened.close()


def observation(
    tenant: str, name: str, start: int, end: int | None, model: str = "m", severity: str = "warning"
) -> Observation:
    """An alert from minute to minute; None while it fires."""
    labels = {"alertname": name, "tenant_id": tenant, "model_name": model, "severity": severity}
    kind, last = ("firing", start) if end is None else ("resolved", end)
    return Observation(
        "am", tenant, f"{name}-{model}", kind, start * MINUTE, last * MINUTE, canonical(labels)  # type: ignore[arg-type]
    )  # fmt: skip


def add(store: AlertStore, *observations: Observation) -> None:
    store.record(canonical([repr(observation) for observation in observations]).encode(), observations, 0)


def shape(incidents: Sequence[Incident]) -> list[tuple[int, int | None, tuple[str, ...]]]:
    return [
        (
            incident.starts_at // MINUTE,
            None if incident.ends_at is None else incident.ends_at // MINUTE,
            incident.alertnames,
        )
        for incident in incidents
    ]


def test_a_drift_and_a_burn_of_one_model_are_one_incident(store: AlertStore) -> None:
    add(
        store,
        observation("a", "SignalDrift", 0, 5),
        observation("a", "ErrorBudgetBurn", 15, 20, severity="critical"),
        observation("a", "SignalDrift", 31, 32),
        observation("a", "SignalDrift", 0, 100, model="other"),
        observation("b", "SignalDrift", 3, None),
    )
    assert shape(store.incidents(IncidentFilter(tenant_ids=("a",), model_names=("m",)), RULES)) == [
        (31, 32, ("SignalDrift",)),
        (0, 20, ("SignalDrift", "ErrorBudgetBurn")),
    ]
    severities = {
        (incident.model_name, incident.starts_at): incident.severity
        for incident in store.incidents(EVERYTHING, RULES, ("a",))
    }
    assert severities == {("m", 0): "critical", ("m", 31 * MINUTE): "warning", ("other", 0): "warning"}
    assert [incident.status for incident in store.incidents(IncidentFilter(statuses=("firing",)), RULES)] == [
        "firing"
    ]


def test_an_incident_is_whole_when_only_part_of_it_is_asked_for(store: AlertStore) -> None:
    add(store, observation("a", "x", 0, 5), observation("a", "y", 10, 20), observation("a", "z", 60, 61))
    for start, end, expected in ((18, 19, [(0, 20)]), (21, 59, []), (0, 60, [(60, 61), (0, 20)])):
        result = store.incidents(IncidentFilter(start=start * MINUTE, end=end * MINUTE), RULES)
        assert [(first, last) for first, last, _ in shape(result)] == expected
    assert len(store.incidents(IncidentFilter(limit=1), RULES)) == 1


INTERVALS = st.lists(
    st.tuples(st.sampled_from("xyz"), st.integers(0, 90), st.integers(0, 12), st.booleans()),
    min_size=1,
    max_size=12,
)


def grouped(episodes: Sequence[tuple[int, int | None]]) -> list[list[tuple[int, int | None]]]:
    """Groups from the definition: two episodes belong together when at most ten minutes lie between them."""
    groups: list[list[tuple[int, int | None]]] = []
    for start, end in sorted(episodes, key=lambda episode: episode[0]):
        ends = [10**6 if last is None else last for _, last in groups[-1]] if groups else []
        if ends and start - max(ends) <= 10:
            groups[-1].append((start, end))
        else:
            groups.append([(start, end)])
    return groups


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(INTERVALS)
def test_incidents_are_groups_of_episodes(
    store: AlertStore, intervals: list[tuple[str, int, int, bool]]
) -> None:
    tenant = next(TENANTS)
    add(
        store,
        *(
            observation(tenant, name, start, None if fires else start + length)
            for name, start, length, fires in intervals
        ),
    )
    result = store.incidents(EVERYTHING, RULES, (tenant,))
    members = [
        [
            (member.episode.starts_at // MINUTE, member.episode.ends_at and member.episode.ends_at // MINUTE)
            for member in incident.members
        ]
        for incident in reversed(result)
    ]
    expected = grouped([episode for group in members for episode in group])
    assert [sorted(group, key=repr) for group in members] == [sorted(group, key=repr) for group in expected]
    for incident in result:
        assert store.incident(incident.id, RULES) == incident
        assert store.incident(incident.id, RULES, ("somebody else",)) is None


@pytest.mark.slow
@pytest.mark.parametrize("text", ["", "1", "x-y", "0-0123456789abcdef", "0-0123456789abcdef0", "-", "f" * 40])
def test_other_ids_are_not_found(store: AlertStore, text: str) -> None:
    add(store, observation("a", "x", 0, 5))
    assert store.incident(text, RULES) is None


def test_ids_before_1970() -> None:
    assert IncidentId.parse(str(IncidentId(-62_135_596_800_000, "0" * 16))) == (-62_135_596_800_000, "0" * 16)


def test_an_acknowledged_incident_stays_so_when_its_start_moves(store: AlertStore) -> None:
    add(store, observation("a", "x", 30, 40))
    (before,) = store.incidents(EVERYTHING, RULES)
    store.acknowledge(before, Acknowledgement(35 * MINUTE, "Ada", "on it"))
    store.acknowledge(before, Acknowledgement(33 * MINUTE, "Bob", "\0"))
    add(store, observation("a", "y", 20, 31), observation("a", "z", 0, 2), observation("b", "x", 30, 40))
    result = {incident.id: incident for incident in store.incidents(EVERYTHING, RULES)}
    after = store.incident(before.id, RULES)
    assert after is not None
    assert after.id != before.id
    assert result[after.id] == after
    assert [acknowledgement.by for acknowledgement in after.acknowledgements] == ["Bob", "Ada"]
    assert sum(len(incident.acknowledgements) for incident in result.values()) == 2


def test_an_alert_flaps_from_its_third_start_within_an_hour(store: AlertStore) -> None:
    add(store, *(observation("a", "x", minute, minute + 1) for minute in (0, 25, 50, 111)))
    assert [incident.flapping for incident in store.incidents(EVERYTHING, RULES)] == [(), ("x",), (), ()]
    add(store, observation("b", "x", 0, 1), *(observation("b", f"y{index}", index, 2) for index in range(3)))
    (other,) = store.incidents(EVERYTHING, RULES, ("b",))
    assert other.flapping == ()


def test_suppression_windows_mark_and_hide_nothing(store: AlertStore) -> None:
    add(
        store,
        observation("planned", "Down", 100, 105),
        observation("planned", "Drift", 110, 112, model="n"),
        observation("planned", "Down", 200, 201, model="o"),
        observation("planned", "Down", 150, 151, model="p"),
        observation("planned", "Drift", 152, 153, model="p"),
        observation("other", "Down", 120, 121),
    )
    marks = {
        (incident.tenant_id, incident.model_name): (incident.suppression_windows, incident.planned)
        for incident in store.incidents(EVERYTHING, RULES)
    }
    assert marks == {
        ("planned", "m"): (("swap",), True),
        ("planned", "n"): ((), False),
        ("planned", "o"): ((), False),
        ("planned", "p"): (("swap",), False),
        ("other", "m"): ((), False),
    }


def test_statistics(store: AlertStore) -> None:
    add(
        store,
        *(observation("a", "x", minute, minute + 2) for minute in (0, 20, 40)),
        observation("a", "y", 41, 50),
        observation("a", "z", 90, None),
        observation("planned", "Down", 100, 105),
    )
    first, last = (
        next(
            incident
            for incident in store.incidents(EVERYTHING, RULES, ("a",))
            if incident.starts_at == start * MINUTE
        )
        for start in (0, 90)
    )
    store.acknowledge(first, Acknowledgement(1 * MINUTE, "Ada", ""))
    store.acknowledge(first, Acknowledgement(9 * MINUTE, "Bob", ""))
    store.acknowledge(last, Acknowledgement(95 * MINUTE, "Ada", ""))
    result = summarise(store.incidents(EVERYTHING, RULES), RULES, 100 * MINUTE, 2)
    assert (result.incidents, result.planned, result.acknowledged, result.resolved) == (4, 1, 2, 3)
    assert result.time_to_acknowledge == (1 + 5) / 2 * MINUTE
    assert result.time_to_resolve == pytest.approx((2 + 2 + 10) / 3 * MINUTE)
    assert [
        (alert.alertname, alert.episodes, alert.firing // MINUTE, alert.flapping) for alert in result.noisiest
    ] == [
        ("x", 3, 6, True),
        ("z", 1, 10, False),
    ]
    nothing = summarise([], RULES, 0, 5)
    assert (nothing.time_to_acknowledge, nothing.time_to_resolve, nothing.noisiest) == (None, None, ())


def test_windows_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_text(
        "windows:\n"
        "  - {name: swap, from: 2026-01-01T00:00:00Z, to: 2026-01-01T01:00:00+00:30, tenants: [a]}\n"
        "  - {name: day, from: 2026-01-02, to: 2026-01-03}\n"
    )
    start, day = 1_767_225_600_000, 86_400_000
    assert load_windows(path) == (
        SuppressionWindow("swap", start, start + 30 * MINUTE, tenants=("a",)),
        SuppressionWindow("day", start + day, start + 2 * day),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("windows: [{name: a, from: 2026-01-02, to: 2026-01-01}]", r"windows\[0\]: from must lie before to"),
        ("windows: [{name: a, from: 2026-01-02}]", r"windows\[0\].to: is required"),
        ("windows: [{name: a, from: x, to: 2026-01-02}]", r"windows\[0\].from: must be a valid datetime"),
        (
            "windows: [{name: a, from: 2026-01-01, to: 2026-01-02, tenant: b}]",
            r"windows\[0\].tenant: is not a known key; allowed: name, from, to, tenants",
        ),
        ("windows: [", "is not valid YAML: line 2"),
        ("windows: []\nwindows: []", "line 2: the key 'windows' is given twice, first on line 1"),
        ("- 1", "must be a mapping with the keys windows"),
    ],
)
def test_a_bad_file_of_windows_names_the_place(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "windows.yaml"
    path.write_text(text)
    with pytest.raises(SuppressionError, match=f"windows.yaml: {problem}"):
        load_windows(path)
    with pytest.raises(SuppressionError, match="cannot be read"):
        load_windows(tmp_path / "absent.yaml")
