"""Random histories of workers, and workers that are killed again and again."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exporter_support.shared_counters import shared_counters
from exporter_support.worker_processes import SUCCESS, cells, forked, key, kill, worker_files
from modelplane_exporter.layout.calls import ACTIVE, Key
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file import WorkerFile
from modelplane_exporter.workers.file_lock import FileLock
from modelplane_schema import metrics


class Workers(RuleBasedStateMachine):
    """Workers that come, write and die, and two processes that add them up, against plain arithmetic."""

    def __init__(self) -> None:
        super().__init__()
        self.path = Path(tempfile.mkdtemp())
        self.live: dict[WorkerFile, dict[Key, list[int]]] = {}
        self.dead: list[dict[Key, list[int]]] = []

    @initialize()
    def open(self) -> None:
        self.directories = [WorkerDirectory(self.path), WorkerDirectory(self.path)]

    @rule()
    def start(self) -> None:
        if len(self.live) < 4:
            self.live[WorkerFile.create(self.path)] = {}

    @precondition(lambda self: self.live)
    @rule(
        pick=st.integers(0, 3),
        tenant=st.sampled_from("abc"),
        added=st.integers(0, 2**50),
        flying=st.integers(0, 9),
    )
    def write(self, pick: int, tenant: str, added: int, flying: int) -> None:
        file = list(self.live)[pick % len(self.live)]
        known = self.live[file].setdefault(key(tenant), [0, 0])
        known[:] = [known[0] + added, flying]
        file.write(key(tenant), cells(*known))

    @precondition(lambda self: self.live)
    @rule(pick=st.integers(0, 3))
    def end(self, pick: int) -> None:
        file = list(self.live)[pick % len(self.live)]
        self.dead.append(self.live.pop(file))
        file.close()

    @rule(which=st.integers(0, 1), held=st.booleans())
    def collect(self, which: int, held: bool) -> None:
        expected: dict[Key, list[int]] = {}
        for states, alive in [*((s, True) for s in self.live.values()), *((s, False) for s in self.dead)]:
            for state_key, (count, flying) in states.items():
                total = expected.setdefault(state_key, [0, 0])
                total[0] += count
                total[1] += flying if alive else 0
        lock = FileLock(self.path, os.O_RDONLY) if held else contextlib.nullcontext()
        with lock:
            snapshots = self.directories[which].collect()[0]
        assert {s.key: s.cells for s in snapshots} == {
            state_key: tuple(cells(*e)) for state_key, e in expected.items()
        }

    @rule(which=st.integers(0, 1))
    def restart_reader(self, which: int) -> None:
        self.directories[which] = WorkerDirectory(self.path)

    @invariant()
    def live_files_stay(self) -> None:
        assert {file.path for file in self.live} <= set(worker_files(self.path))

    def teardown(self) -> None:
        for file in self.live:
            file.close()
        shutil.rmtree(self.path)


TestRandomHistories = pytest.mark.slow(Workers.TestCase)
TestRandomHistories.settings = settings(max_examples=40, stateful_step_count=25)


TOTAL = key("total")
OVERFLOW = MetricSample(metrics.SERIES_OVERFLOW, ("m", "v1", "jax", "tenant_id"), 0.0)
GENERATIONS, AT_ONCE = 40, 4


def count_up(path: Path, reported: memoryview, generation: int) -> None:
    """A worker that writes until it is killed and reports what it has written."""
    file, count = WorkerFile.create(path), 0
    while True:
        count += 1
        file.write(TOTAL, cells(count, in_flight=1))
        file.write(key(f"generation-{generation}"), cells(count))
        file.write_samples([OVERFLOW._replace(value=float(count))])
        reported[generation] = count


def watch(path: Path) -> None:
    """Scrape, and compact, until killed; fails when a counter goes backwards."""
    directory = WorkerDirectory(path)
    last: dict[Key, int] = {}
    last_overflow = 0.0
    while True:
        snapshots, samples, *_ = directory.collect()
        now = {snapshot.key: snapshot.cells[SUCCESS] for snapshot in snapshots}
        overflow = sum(sample.value for sample in samples)
        assert all(now[state_key] >= count for state_key, count in last.items())
        assert overflow >= last_overflow
        assert all(snapshot.cells[ACTIVE.start] <= AT_ONCE for snapshot in snapshots)
        last, last_overflow = now, overflow


def live_and_die(path: Path, reported: memoryview) -> None:
    """Generations of workers and of scrapers, all ended by SIGKILL."""
    watchers = [forked(lambda: watch(path)) for _ in range(3)]
    running: list[int] = []
    for generation in range(GENERATIONS):
        running.append(forked(partial(count_up, path, reported, generation)))
        time.sleep(0.02)
        if len(running) == AT_ONCE:
            kill(running.pop(0))
        if generation % 4 == 3:  # it may be compacting just now
            assert os.waitpid(watchers[0], os.WNOHANG) == (0, 0), "a counter went backwards"
            kill(watchers.pop(0))
            watchers.append(forked(lambda: watch(path)))
    for child in running:
        kill(child)
    for child in watchers:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "a counter went backwards"
        kill(child)


@pytest.mark.slow
def test_killed_workers_and_killed_scrapers_never_turn_a_counter_back(tmp_path: Path) -> None:
    with shared_counters(GENERATIONS) as reported:
        live_and_die(tmp_path, reported)
        snapshots, samples, *_ = WorkerDirectory(tmp_path).collect()
        counted = {snapshot.key: snapshot.cells[SUCCESS] for snapshot in snapshots}
        # The last write of a worker may have been made and not yet been reported.
        for generation in range(GENERATIONS):
            assert 0 <= counted.get(key(f"generation-{generation}"), 0) - reported[generation] <= 1
        assert 0 <= counted[TOTAL] - sum(reported) <= GENERATIONS
        assert 0 <= sum(sample.value for sample in samples) - sum(reported) <= GENERATIONS
    assert sum(counted.values()) > 0
    assert worker_files(tmp_path) == []
