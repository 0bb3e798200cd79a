"""A call that ended counts once, whatever the process was doing when it was killed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter_support.journaled_calls import (
    Cells,
    Interrupted,
    JournaledStore,
    device_seconds,
    differing,
    if_alive,
    if_killed,
    interrupting,
    requests,
    without_active,
)
from exporter_support.worker_processes import exit_status, forked, worker_files
from modelplane_exporter.calls.call import end
from modelplane_exporter.layout.calls import DEVICE_SECONDS
from modelplane_exporter.measurement.identity_state import FAILED, WAS_CANCELLED, Value, new_call
from modelplane_exporter.measurement.observation import NO_CONFIDENCE, Observation
from modelplane_exporter.workers import publisher
from modelplane_exporter.workers.file_format import ENTRIES


def observation(**content: object) -> Observation:
    observed = Observation()
    for name, value in content.items():
        setattr(observed, name, value)
    return observed


PLAIN: tuple[Value, ...] = (0.0, 0.875, 1.0, float("nan"), 7.5, None, FAILED, WAS_CANCELLED, NO_CONFIDENCE)
REDUCIBLE: tuple[Value, ...] = (observation(), observation(confidences=[0.5]))
RICH: tuple[Value, ...] = (
    observation(confidences=[0.25, 0.5, 0.75]),
    observation(items=7),
    observation(tokens={"input": 5, "output": 9}, first_token=0.25, per_token=0.01),
    observation(outcome=1, confidences=[0.5]),
    observation(invalid={"items_invalid": 2}),
)


@pytest.fixture(autouse=True)
def _publish_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 3600.0)


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[JournaledStore]:
    with contextlib.closing(JournaledStore(tmp_path)) as made:
        yield made


def counted(store: JournaledStore) -> dict[str, Cells]:
    """Cells by tenant of a store on its own."""
    return {
        snapshot.key.identity.tenant_id: without_active(snapshot.cells)
        for snapshot in store.store.local_snapshots()
    }


@pytest.mark.parametrize("value", [*PLAIN, *REDUCIBLE, *RICH])
def test_a_killed_worker_counts_each_kind_of_call_as_a_process_on_its_own_does(
    worker: JournaledStore, value: Value
) -> None:
    alone = JournaledStore(None)
    for store in (alone, worker):
        for tenant in ("a", "b", "a", "__unknown__"):
            for seconds in (0.0001, 0.125, 70.0):
                store.call(tenant, value, seconds)
    expected = counted(alone)
    assert differing(worker.killed(), expected) == {}
    worker.publish()
    assert differing(worker.killed(), expected) == {}
    assert requests(expected["a"]) == 6


def test_a_live_worker_shows_what_is_committed_and_a_dead_one_all(
    worker: JournaledStore, tmp_path: Path
) -> None:
    worker.call("a", 0.5)  # the first one of a state is committed
    for _ in range(10):
        worker.call("a", 0.5)
    assert requests(if_alive(tmp_path)["a"]) == 1
    assert requests(if_killed(tmp_path)["a"]) == 11
    worker.publish()
    assert requests(if_alive(tmp_path)["a"]) == requests(if_killed(tmp_path)["a"]) == 11


@pytest.mark.slow
def test_more_calls_than_the_journal_has_entries_all_count(worker: JournaledStore) -> None:
    worker.meter.drain_at = worker.meter.wait_at = 10**9
    for done in range(1, 3 * ENTRIES):
        worker.call("ab"[done % 2], 0.5, 0.001)
        assert sum(map(requests, worker.killed().values())) == done
    assert len(worker.publisher.journal.free) <= ENTRIES


def test_entries_are_used_again_after_each_commit(worker: JournaledStore) -> None:
    journal = worker.publisher.journal
    for _ in range(5 * ENTRIES):
        worker.call("a", 0.5, 0.001)
        if len(worker.meter.events) > worker.meter.drain_at:
            worker.meter.drain()
    worker.publish()
    assert sorted(journal.free) == sorted(set(journal.free))
    assert len(journal.free) == ENTRIES
    assert requests(worker.killed()["a"]) == 5 * ENTRIES


def test_a_call_that_is_many_tenants_counts_for_each_at_once(worker: JournaledStore) -> None:
    call = new_call(worker.clock.now, worker.recorder.batch_state({"a": 3, "b": 1}))
    worker.meter.events.append(call)
    worker.clock.now += 4
    worker.end(call, 0.5)
    killed = worker.killed()
    assert [requests(killed[tenant]) for tenant in "ab"] == [1, 1]
    assert [device_seconds(killed[tenant]) for tenant in "ab"] == [3.0, 1.0]


def test_calls_that_a_fork_cut_in_two_are_the_parents(tmp_path: Path) -> None:
    with contextlib.closing(JournaledStore(tmp_path)) as worker:
        worker.call("a", 0.5)
        parents = worker.begin("a")
        worker.clock.now += 1

        def work() -> None:
            worker.store.after_fork()
            worker.publish()  # so that the state is in the child's file
            worker.end(parents, 0.5)
            for _ in range(3):
                worker.call("a", 0.5)
            (file,) = (file for file in worker_files(tmp_path) if f"-{os.getpid()}-" in file.name)
            assert requests(if_killed(file)["a"]) == 3
            worker.publish()
            assert requests(if_killed(file)["a"]) == 3
            assert len(worker.publisher.journal.free) == ENTRIES

        assert exit_status(forked(work)) == 0
        worker.end(parents, 0.5)
        assert requests(if_killed(tmp_path)["a"]) == 2 + 3


def test_a_journal_that_is_closed_breaks_no_call(worker: JournaledStore) -> None:
    worker.call("a", 0.5)
    worker.publisher._file.close()
    for _ in range(3):
        worker.call("a", 0.5)
    assert requests(counted(worker)["a"]) == 4


class Worker(RuleBasedStateMachine):
    """Calls of three tenants in any order with drains and commits that are cut off, against plain counting.

    After every step what a kill would leave is all that ended, never less of anything than was shown before,
    and no more device time than has passed.
    """

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name)

    @initialize()
    def open(self) -> None:
        self.worker, self.alone = JournaledStore(self._path), JournaledStore(None)
        self.in_flight: list[tuple[list[Any], list[Any]]] = []
        self.shown: dict[str, Cells] = {}

    @rule(tenant=st.sampled_from("abc"))
    def begin(self, tenant: str) -> None:
        self.in_flight.append((self.worker.begin(tenant), self.alone.begin(tenant)))

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds: float) -> None:
        for store in (self.worker, self.alone):
            store.clock.now += seconds

    @precondition(lambda self: self.in_flight)
    @rule(which=st.integers(0, 9), value=st.sampled_from([*PLAIN, *REDUCIBLE, *RICH]))
    def end(self, which: int, value: Value) -> None:
        call, other = self.in_flight.pop(which % len(self.in_flight))
        self.worker.end(call, value)
        self.alone.end(other, value)

    @rule()
    def drain(self) -> None:
        self.worker.meter.drain(wait=True)

    @rule()
    def publish(self) -> None:
        self.worker.publish()

    @rule(at=st.integers(1, 250), publish=st.booleans())
    def cut_off(self, at: int, publish: bool) -> None:
        with contextlib.suppress(Interrupted), interrupting(at):
            if publish:
                self.worker.publish()
            else:
                self.worker.meter.drain(wait=True)

    @invariant()
    def nothing_is_lost(self) -> None:
        killed = self.worker.killed()
        ended = {tenant: cells for tenant, cells in counted(self.alone).items() if requests(cells)}
        without_charges = {tenant: _without_charges(cells) for tenant, cells in killed.items()}
        assert differing(without_charges, {t: _without_charges(cells) for t, cells in ended.items()}) == {}
        assert sum(map(device_seconds, killed.values())) <= self.worker.clock.now - 100.0 + 1e-6
        for tenant, before in self.shown.items():
            assert all(now >= then for now, then in zip(killed[tenant], before, strict=True))
        self.shown = if_alive(self._path)
        for tenant, cells in self.shown.items():
            assert all(now >= then for now, then in zip(killed[tenant], cells, strict=True))

    def teardown(self) -> None:
        self.worker.publish()
        assert differing(self.worker.killed(), counted(self.alone)) == {}
        journal = self.worker.publisher.journal
        assert len(set(journal.free)) == len(journal.free)
        self.worker.close()
        self._folder.cleanup()


def _without_charges(cells: Cells) -> Cells:
    return (*cells[: DEVICE_SECONDS.start], 0, *cells[DEVICE_SECONDS.stop :])


TestAnyHistory = pytest.mark.slow(Worker.TestCase)
TestAnyHistory.settings = settings(max_examples=60, stateful_step_count=40)


@pytest.mark.slow
@pytest.mark.parametrize("value", [0.5, None, RICH[0]])
@pytest.mark.parametrize("waiting", [0, 1, 5])
def test_a_signal_handler_that_raises_at_any_point_of_an_end_loses_and_doubles_nothing(
    worker: JournaledStore, value: Value, waiting: int
) -> None:
    worker.call("a", 0.5)
    done, at, interrupted = 1, 0, True
    while interrupted:
        at += 1
        for _ in range(waiting):
            worker.call("a", 0.5)
        call = worker.begin("a")
        try:
            with interrupting(at) as reached:
                worker.end(call, value)
        except Interrupted as error:
            end(worker.meter, call, error)
        interrupted = reached()
        done += waiting + 1
        # A drain that was cut off leaves a call that is in no entry to the next one.
        late = 1 if interrupted and value is RICH[0] else 0
        assert done - late <= requests(worker.killed()["a"]) <= done
        worker.publish()
        assert requests(worker.killed()["a"]) == requests(counted(worker)["a"]) == done
    assert at >= 5
    journal = worker.publisher.journal
    assert len(set(journal.free)) == len(journal.free) >= ENTRIES - at
