"""Baselines that come and go in several processes: what is shown, and what stays on the disk."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from exporter_support.observed_signals import NUMBERS, baseline, numeric
from exporter_support.worker_processes import worker_files
from modelplane_exporter.baseline import Baseline
from modelplane_exporter.identity import version_of
from modelplane_exporter.layout.signals import SignalKey, layout_of
from modelplane_exporter.layout.state import State
from modelplane_exporter.signals.recorder import SignalRecorder
from modelplane_exporter.signals.sampling import Sampler
from modelplane_exporter.store.loaded_versions import LoadedVersion
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_exporter.workers import publisher
from modelplane_exporter.workers.archive import ArchiveFile
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file_format import LAYOUT
from modelplane_schema.identity import Identity

VERSION = Identity("m", "v1", "__all__", "jax")
OTHERS = baseline(*(numeric(f"g{i}") for i in range(3)))


class Worker:
    """One process: it loads baselines, observes rows and unloads."""

    def __init__(self, path: Path) -> None:
        self.store = Store(workers_directory=path)
        self.recorder = VersionRecorder(self.store, VERSION, ("gpu-0", "h200"), max_tenants=10)
        self.loaded: list[tuple[LoadedVersion, SignalRecorder]] = []

    def load(self, fitted: Baseline) -> None:
        signals = self.recorder.signals(fitted, Sampler())
        loaded = LoadedVersion(version_of(VERSION), ("", "", ""), 3600.0, None, signals.load)
        self.store.load(loaded)
        self.loaded.append((loaded, signals))

    def unload(self) -> None:
        self.store.release(self.loaded.pop(0)[0])
        self.store.apply_released()

    def observe(self, rows: int = 1) -> None:
        self.loaded[-1][1].observe("input", np.full((rows, 3), 0.25), self.recorder.state_of("t"))

    def publish(self) -> None:
        self.store.flush()

    def end(self) -> None:
        """As a process that is killed: nothing more is written, the files stay and nobody holds them."""
        publishing = self.store._publisher
        assert publishing is not None
        publishing._stop.set()
        for file in (publishing._file, *publishing._signal_files.values()):
            file.close()
        publishing._is_writing = True


@pytest.fixture
def workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Worker]]:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 3600.0)
    with contextlib.ExitStack() as stack:
        made = [Worker(tmp_path) for _ in range(2)]
        for worker in made:
            stack.callback(worker.end)
        yield made


def shown(state: State, fitted: Baseline = NUMBERS) -> int | None:
    """How many rows are shown of a baseline; None when it is not there."""
    loaded = [item for item in state.baselines if item.baseline.fingerprint == fitted.fingerprint]
    counts = [s.cells for s in state.signals if s.key.fingerprint == fitted.fingerprint]
    assert len(loaded) == len(counts) <= 1
    return sum(counts[0][: layout_of(fitted).bins]) // len(fitted.signals) if counts else None


def signal_files(path: Path) -> list[Path]:
    return sorted(path.glob("signals-*"))


def archived_signals(path: Path) -> int:
    file = ArchiveFile(path / f"archive-{LAYOUT}")
    archive = file.load()
    file.forget()
    return sum(isinstance(key, SignalKey) for key in archive.states) + len(archive.baselines)


def test_no_sum_falls_while_a_worker_still_has_it(workers: list[Worker], tmp_path: Path) -> None:
    reader = WorkerDirectory(tmp_path)
    for worker, rows in zip(workers, (100, 20), strict=True):
        worker.load(NUMBERS)
        worker.observe(rows)
        worker.publish()
    assert shown(reader.collect()) == 120
    workers[0].observe(3)
    workers[0].unload()
    assert shown(reader.collect()) == 123
    workers[0].load(NUMBERS)
    workers[0].observe(1)
    workers[0].publish()
    assert shown(reader.collect()) == 124
    workers[0].unload()
    assert [shown(reader.collect()) for _ in range(2)] == [124, 124]
    workers[1].unload()
    assert shown(reader.collect()) is None
    assert signal_files(tmp_path) == []
    assert archived_signals(tmp_path) == 0
    assert len(worker_files(tmp_path)) == 2


def test_it_starts_at_zero_when_it_is_loaded_again(workers: list[Worker], tmp_path: Path) -> None:
    reader = WorkerDirectory(tmp_path)
    workers[0].load(NUMBERS)
    workers[0].observe(100)
    workers[0].publish()
    workers[0].unload()
    reader.collect()
    workers[1].load(NUMBERS)
    workers[1].observe(7)
    workers[1].publish()
    assert shown(reader.collect()) == 7


def test_what_a_killed_worker_had_loaded_is_kept_until_another_unloads_it(
    workers: list[Worker], tmp_path: Path
) -> None:
    reader = WorkerDirectory(tmp_path)
    for worker, rows in zip(workers, (100, 20), strict=True):
        worker.load(NUMBERS)
        worker.observe(rows)
        worker.publish()
    workers[0].end()
    assert [shown(reader.collect()) for _ in range(2)] == [120, 120]
    workers[1].unload()
    assert shown(reader.collect()) is None
    assert archived_signals(tmp_path) == 0


def test_a_baseline_that_replaces_another(workers: list[Worker], tmp_path: Path) -> None:
    reader = WorkerDirectory(tmp_path)
    for worker in workers:
        worker.load(NUMBERS)
        worker.observe(10)
        worker.publish()
    workers[0].load(OTHERS)
    workers[0].observe(4)
    workers[0].publish()
    assert (shown(reader.collect()), shown(reader.collect(), OTHERS)) == (20, 4)
    workers[1].load(OTHERS)
    workers[1].publish()
    assert (shown(reader.collect()), shown(reader.collect(), OTHERS)) == (None, 4)


@pytest.mark.slow
def test_a_thousand_baselines_need_no_more_space_than_a_few(workers: list[Worker], tmp_path: Path) -> None:
    sizes = []
    for number in range(1000):
        for worker in workers:
            worker.load(baseline(*(numeric(f"f{i}", mean=float(number)) for i in range(3))))
            worker.observe(2)
            if number:
                worker.unload()
        if number % 100 == 99:
            # What the publisher does once a second, and what a scrape does.
            workers[0].publish()
            state = WorkerDirectory(tmp_path).collect()
            assert [len(state.signals), len(state.baselines)] == [1, 1]
            sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
            assert len(list(tmp_path.iterdir())) <= 2 + 2 + 1
    assert max(sizes) - min(sizes) <= 2**16
    for worker in workers:
        publishing = worker.store._publisher
        assert publishing is not None
        assert len(publishing._signal_files) == 1
        assert len(worker.store.signals._loads) == 1


def values(state: State) -> dict[str, Any]:
    return {
        sample.metric.name.removeprefix("model_business_value_"): sample.value
        for sample in state.samples
        if sample.metric.name.startswith("model_business_value")
    }


def test_business_values_are_there_at_once_and_add_up_exactly(workers: list[Worker], tmp_path: Path) -> None:
    reader = WorkerDirectory(tmp_path)
    last = 0.0
    for number in range(200):
        worker = workers[number % 2]
        worker.recorder.count_values(worker.recorder.state_of("t"), {"revenue": 0.1, "refund": -1e9})
        total = values(reader.collect())["sum_total"]
        assert total >= last
        last = total
    for worker in workers:
        worker.end()
    for _ in range(2):
        state = reader.collect()
        by_name = {
            (sample.metric.name, sample.labels[-1]): sample.value
            for sample in state.samples
            if "business_value" in sample.metric.name
        }
        assert by_name["model_business_value_sum_total", "revenue"] == 20
        assert by_name["model_business_value_negative_sum_total", "refund"] == 2e11
        assert by_name["model_business_value_count_total", "refund"] == 200


def test_scores_of_workers_add_up(workers: list[Worker], tmp_path: Path) -> None:
    for worker in workers:
        worker.recorder.score(worker.recorder.state_of("t"), "groundedness", [0.5, 0.9])
        worker.publish()
    (snapshot,) = WorkerDirectory(tmp_path).collect().signals
    assert [index for index, count in enumerate(snapshot.cells[:11]) if count] == [5, 9]
    assert snapshot.cells[5] == snapshot.cells[9] == 2
