"""What the calls that only the journal has are charged."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter_support.journaled_calls import JournaledStore, device_seconds, if_alive, requests
from modelplane_exporter.measurement.identity_state import PAUSED, RESUMED, turn
from modelplane_exporter.measurement.observation import Observation
from modelplane_exporter.workers import publisher


@pytest.fixture
def worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JournaledStore]:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 3600.0)
    with contextlib.closing(JournaledStore(tmp_path)) as made:
        for tenant in "ab":
            made.call(tenant, 0.5, seconds=0)
        yield made


def charged(worker: JournaledStore) -> dict[str, float]:
    return {tenant: device_seconds(cells) for tenant, cells in worker.killed().items()}


def test_calls_that_overlap_share_the_device(worker: JournaledStore) -> None:
    first = worker.begin("a")
    worker.clock.now += 2
    second = worker.begin("b")
    worker.clock.now += 4
    worker.end(second, 0.5)
    worker.clock.now += 4
    worker.end(first, 0.5)
    assert charged(worker) == pytest.approx({"a": 2 + 2 + 4, "b": 2})
    worker.publish()
    assert charged(worker) == pytest.approx({"a": 2 + 2 + 4, "b": 2})


def test_what_was_charged_in_flight_is_not_charged_again(worker: JournaledStore, tmp_path: Path) -> None:
    call = worker.begin("a")
    worker.clock.now += 60
    worker.publish()
    assert device_seconds(if_alive(tmp_path)["a"]) == 60
    worker.clock.now += 5
    worker.end(call, 0.5)
    assert charged(worker) == {"a": 65, "b": 0}
    assert requests(worker.killed()["a"]) == 2


def test_a_call_in_flight_keeps_what_it_was_charged_and_counts_not(worker: JournaledStore) -> None:
    worker.begin("a")
    worker.clock.now += 60
    worker.publish()
    worker.clock.now += 60
    assert charged(worker) == {"a": 60, "b": 0}
    assert requests(worker.killed()["a"]) == 1


def test_calls_before_a_commit_of_another_tenant_are_charged_no_time_twice(worker: JournaledStore) -> None:
    first = worker.begin("a")
    worker.clock.now += 0.5
    second = worker.begin("b")
    worker.clock.now += 0.5
    worker.end(second, 0.5)
    worker.meter.drain(wait=True)  # commits "b" alone, which has 0.25 s
    worker.clock.now += 0.25
    worker.end(first, 0.5)
    killed = charged(worker)
    assert killed["b"] == pytest.approx(0.25)
    assert 0.25 <= killed["a"] <= 1.25 - 0.25


def test_a_stream_is_not_charged_for_the_time_of_its_reader(worker: JournaledStore) -> None:
    call = worker.begin("a")
    worker.clock.now += 2
    worker.meter.events.append(turn(PAUSED, worker.clock.now, call))
    worker.call("b", 0.5, seconds=100)
    worker.meter.events.append(turn(RESUMED, worker.clock.now, call))
    worker.clock.now += 1
    observed = Observation()
    observed.was_paused = True
    worker.end(call, observed)
    assert charged(worker) == pytest.approx({"a": 3, "b": 100})
    worker.publish()
    assert charged(worker) == pytest.approx({"a": 3, "b": 100})
    assert requests(worker.killed()["a"]) == 2


def test_a_paused_stream_that_is_killed_keeps_what_it_was_charged(worker: JournaledStore) -> None:
    call = worker.begin("a")
    worker.clock.now += 2
    worker.meter.events.append(turn(PAUSED, worker.clock.now, call))
    worker.clock.now += 100
    worker.publish()
    worker.call("b", 0.5, seconds=5)
    assert charged(worker) == pytest.approx({"a": 2, "b": 5})


def test_each_device_has_time_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 3600.0)
    with contextlib.closing(JournaledStore(tmp_path)) as worker:
        other = worker.on_device(("gpu-1", "h200"))
        for store in (worker, other):
            store.call("a", 0.5, seconds=0)
        calls = [store.begin("a") for store in (worker, other)]
        worker.clock.now += 3
        for store, call in zip((worker, other), calls, strict=True):
            store.end(call, 0.5)
        assert device_seconds(worker.killed()["a"]) == 6.0
