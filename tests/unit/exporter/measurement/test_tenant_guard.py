"""The cardinality guard: memory stays bounded, counts add up, sparse tenants keep their series."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence

import pytest

from modelplane_exporter.layout.calls import REQUESTS, Snapshot
from modelplane_exporter.measurement.identity_state import ENDED, VALUE
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_schema.identity import Identity
from modelplane_schema.metrics import OVERFLOW, SERIES_OVERFLOW

VERSION = Identity("m", "v1", "any", "jax")
HOUR = 3600.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return Store(clock)


def call(recorder: VersionRecorder, tenant_id: str) -> None:
    record = [recorder.meter.clock(), recorder.state_of(tenant_id), None, None, None, None]
    recorder.meter.events.append(record)
    record[ENDED], record[VALUE] = recorder.meter.clock(), 0.5
    recorder.meter.events.append(record)
    if len(recorder.meter.events) > recorder.meter.drain_at:
        recorder.meter.drain()


def requests(snapshots: Sequence[Snapshot]) -> dict[str, int]:
    return {snapshot.key.identity.tenant_id: snapshot.cells[REQUESTS.start] for snapshot in snapshots}


@pytest.mark.slow
def test_a_hundred_thousand_tenants_stay_bounded_and_add_up(store: Store) -> None:
    recorder = VersionRecorder(store, VERSION, ("d", "cpu-process"), max_tenants=1000)
    for number in range(2000):
        call(recorder, f"tenant-{number}")
    store.state()
    tracemalloc.start()
    try:
        for number in range(2000, 100_000):
            call(recorder, f"tenant-{number}")
        counts = requests(store.state().snapshots)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(counts) == 1001
    assert sum(counts.values()) == 100_000
    assert counts[OVERFLOW] == 99_000
    (overflow,) = [sample for sample in store.local_samples() if sample.metric is SERIES_OVERFLOW]
    assert overflow.value == 99_000
    assert grown < 2_000_000


def test_nobody_is_evicted_before_the_idle_time(store: Store, clock: Clock) -> None:
    recorder = VersionRecorder(store, VERSION, ("d", "cpu-process"), max_tenants=2, idle_ttl=26 * HOUR)
    call(recorder, "sparse")
    clock.now = 10 * HOUR
    call(recorder, "busy")
    store.state()
    clock.now = 26 * HOUR - 1
    call(recorder, "newcomer")
    assert requests(store.state().snapshots) == {"sparse": 1, "busy": 1, OVERFLOW: 1}


def test_at_the_cap_the_least_recently_used_makes_room_after_the_idle_time(
    store: Store, clock: Clock
) -> None:
    recorder = VersionRecorder(store, VERSION, ("d", "cpu-process"), max_tenants=2, idle_ttl=26 * HOUR)
    call(recorder, "first")
    clock.now = 1 * HOUR
    call(recorder, "second")
    store.state()
    clock.now = 20 * HOUR
    call(recorder, "first")
    store.state()
    clock.now = 28 * HOUR  # 27 hours after "second", 8 after "first"
    call(recorder, "third")
    assert requests(store.state().snapshots) == {"first": 2, "third": 1}
    call(recorder, "second")
    assert requests(store.state().snapshots) == {"first": 2, "third": 1, OVERFLOW: 1}


def test_a_call_in_flight_keeps_its_tenant(store: Store, clock: Clock) -> None:
    recorder = VersionRecorder(store, VERSION, ("d", "cpu-process"), max_tenants=1, idle_ttl=26 * HOUR)
    record = [clock.now, recorder.state_of("stream"), None, None, None, None]
    recorder.meter.events.append(record)
    store.state()
    clock.now = 100 * HOUR
    call(recorder, "newcomer")
    assert requests(store.state().snapshots) == {"stream": 0, OVERFLOW: 1}


def test_a_series_that_was_just_about_to_be_used_comes_back(store: Store, clock: Clock) -> None:
    recorder = VersionRecorder(store, VERSION, ("d", "cpu-process"), max_tenants=1, idle_ttl=26 * HOUR)
    held = recorder.state_of("first")
    clock.now = 27 * HOUR
    call(recorder, "second")  # evicts "first" while another thread holds its series
    record = [clock.now, held, None, None, None, None]
    recorder.meter.events.append(record)
    record[ENDED], record[VALUE] = clock.now, 0.5
    recorder.meter.events.append(record)
    store.state()
    assert requests(store.state().snapshots) == {"first": 1, "second": 1}


def test_a_tenant_that_a_function_holds_is_never_evicted(store: Store, clock: Clock) -> None:
    recorder = VersionRecorder(store, VERSION, ("d", "cpu-process"), max_tenants=1, idle_ttl=26 * HOUR)
    recorder.pinned_state("fixed")
    clock.now = 1000 * HOUR
    call(recorder, "newcomer")
    assert requests(store.state().snapshots) == {"fixed": 0, OVERFLOW: 1}


def test_versions_of_a_model_share_its_tenants(store: Store) -> None:
    recorders = [
        VersionRecorder(store, VERSION._replace(model_version=version), ("d", "cpu-process"), max_tenants=1)
        for version in ("v1", "v2")
    ]
    for recorder in recorders:
        call(recorder, "only")
    call(recorders[0], "surplus")
    assert sorted(
        (snapshot.key.identity.model_version, snapshot.key.identity.tenant_id)
        for snapshot in store.state().snapshots
    ) == [("v1", OVERFLOW), ("v1", "only"), ("v2", "only")]
