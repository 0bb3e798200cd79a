"""The directory of worker files: the sum over them, and who may use it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from exporter_support.worker_processes import (
    cells,
    counts,
    exit_status,
    forked,
    key,
    kill,
    open_files,
    worker_files,
    write_and_wait,
)
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file import WorkerFile
from modelplane_exporter.workers.file_format import HEADER, LAYOUT, WorkersError
from modelplane_exporter.workers.file_lock import FileLock
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema import metrics


def test_collect_adds_cells_and_counts_calls_in_flight_of_live_workers_only(tmp_path: Path) -> None:
    directory = WorkerDirectory(tmp_path / "made" / "here")
    path = tmp_path / "made" / "here"
    dead = write_and_wait(path, lambda file: file.write(key(), cells(2**40, in_flight=5)))
    live = [WorkerFile.create(path) for _ in range(2)]
    live[0].write(key(), cells(10, in_flight=1))
    live[1].write(key(), cells(20, in_flight=2))
    live[1].write(key("user-B"), cells(0))
    before = {snapshot.key: snapshot.cells for snapshot in directory.collect()[0]}
    assert before == {key(): tuple(cells(2**40 + 30, in_flight=8)), key("user-B"): tuple(cells(0))}
    kill(dead)
    for _ in range(3):
        after = {snapshot.key: snapshot.cells for snapshot in directory.collect()[0]}
        assert after == {key(): tuple(cells(2**40 + 30, in_flight=3)), key("user-B"): tuple(cells(0))}
    assert worker_files(path) == sorted(file.path for file in live)
    for file in live:
        file.close()


def test_own_samples_are_merged_by_their_kind(tmp_path: Path) -> None:
    version = ("resnet50", "v1", "pytorch")
    info = MetricSample(metrics.MODEL_INFO, (*version, "vision", "production", "2.4"), 1.0)
    old = info._replace(labels=("resnet50", "v0", "pytorch", "vision", "production", "2.4"))

    def written(file: WorkerFile, amount: float, *more: MetricSample) -> None:
        overflow = MetricSample(metrics.SERIES_OVERFLOW, (*version, "tenant_id"), amount)
        scrape = MetricSample(metrics.EXPORTER_SCRAPE_DURATION, (), amount)
        energy = MetricSample(metrics.DEVICE_ENERGY, ("GPU-1", "h200"), amount)
        file.write_samples([info, overflow, scrape, energy, *more])

    directory = WorkerDirectory(tmp_path)
    dead, live = WorkerFile.create(tmp_path), WorkerFile.create(tmp_path)
    written(dead, 10.0, old)
    written(live, 4.0)
    dead.close()
    for _ in range(2):
        values = {(sample.metric, sample.labels): sample.value for sample in directory.collect()[1]}
        assert values == {
            (metrics.MODEL_INFO, info.labels): 1.0,
            (metrics.SERIES_OVERFLOW, (*version, "tenant_id")): 14.0,
            (metrics.EXPORTER_SCRAPE_DURATION, ()): 4.0,
            (metrics.DEVICE_ENERGY, ("GPU-1", "h200")): 10.0,
        }
    live.close()


@pytest.mark.parametrize(
    "content", [b"x" * 100, HEADER.pack(b"mpworker", bytes.fromhex(LAYOUT), 1 << 40, 0, 0.0)]
)
def test_a_file_that_is_no_workers_is_skipped_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    (tmp_path / f"worker-{LAYOUT}-1-{'0' * 16}").write_bytes(content)
    directory, file = WorkerDirectory(tmp_path), WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    for _ in range(2):
        assert counts(directory) == {key(): 1}
    assert len(caplog.records) == 1
    file.close()


@pytest.mark.parametrize("size", [0, 8, 4096])
def test_the_file_of_a_worker_that_died_before_it_wrote_is_removed(tmp_path: Path, size: int) -> None:
    (tmp_path / f"worker-{LAYOUT}-1-{'0' * 16}").write_bytes(bytes(size))
    assert counts(WorkerDirectory(tmp_path)) == {}
    assert worker_files(tmp_path) == []


def test_a_directory_that_cannot_be_used_is_an_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkersError, match="holds 'file', which is not a worker's file"):
        WorkerDirectory(tmp_path)
    with pytest.raises(WorkersError, match=r"MODELPLANE_EXPORTER_WORKERS_DIR.*File exists"):
        WorkerDirectory(tmp_path / "file")
    with pytest.raises(WorkersError, match="MODELPLANE_EXPORTER_WORKERS_DIR"):
        WorkerDirectory("/proc/modelplane")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(WorkersError, match="not writable"):
        WorkerDirectory(tmp_path / "new")


def test_a_directory_that_vanishes_is_an_error(tmp_path: Path) -> None:
    directory = WorkerDirectory(tmp_path / "workers")
    shutil.rmtree(tmp_path / "workers")
    with pytest.raises(WorkersError, match=r"cannot read .*No such file"):
        directory.collect()


def test_what_another_release_left_is_removed_once_its_workers_are_dead(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = "0" * 16
    names = [
        f"worker-{other}-1-{'1' * 16}",
        f"worker-{other}-2-{'2' * 16}",
        f"archive-{other}",
        f"archive-{other}.new",
    ]
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with FileLock(tmp_path / names[0], os.O_RDWR):
        directory = WorkerDirectory(tmp_path)
        assert counts(directory) == {}
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
        assert [record.getMessage() for record in caplog.records] == [
            f"workers of another release in {tmp_path} are not counted"
        ]
    with FileLock(tmp_path, os.O_RDONLY):
        WorkerDirectory(tmp_path)
        assert len(list(tmp_path.iterdir())) == 4
    WorkerDirectory(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_goes_on_with_its_parents_directory(tmp_path: Path) -> None:
    directory, file = WorkerDirectory(tmp_path), WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    dead = WorkerFile.create(tmp_path)
    dead.write(key(), cells(1))
    dead.close()
    directory.collect()

    def work() -> None:
        file_of_child = WorkerFile.create(tmp_path)
        file_of_child.write(key(), cells(5))
        assert counts(directory) == {key(): 7}
        file_of_child.close()

    assert exit_status(forked(work)) == 0
    assert counts(directory) == {key(): 7}
    assert worker_files(tmp_path) == [file.path]
    file.close()


def test_a_child_that_is_forked_during_a_scrape_can_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, file = WorkerDirectory(tmp_path), WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    directory.collect()
    within, go_on = threading.Event(), threading.Event()
    real = WorkerDirectory._compact

    def slow(self: WorkerDirectory) -> None:
        within.set()
        go_on.wait(PATIENCE_SECONDS)
        real(self)

    def scrape() -> None:
        signal.alarm(PATIENCE_SECONDS)
        monkeypatch.setattr(WorkerDirectory, "_compact", real)
        assert counts(directory) == {key(): 1}

    monkeypatch.setattr(WorkerDirectory, "_compact", slow)
    scraping = threading.Thread(target=directory.collect)
    scraping.start()
    assert within.wait(PATIENCE_SECONDS)
    child = forked(scrape)
    go_on.set()
    scraping.join()
    assert exit_status(child) == 0
    file.close()


def test_descriptors_do_not_pile_up(tmp_path: Path) -> None:
    directory = WorkerDirectory(tmp_path)

    def churn() -> int:
        for _ in range(20):
            file = WorkerFile.create(tmp_path)
            file.write(key(), cells(1))
            directory.collect()
            file.close()
            directory.collect()
        directory.collect()
        return len(open_files(tmp_path))

    assert churn() == churn()


def test_one_line_of_log_at_most_for_each_problem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        directory, file = WorkerDirectory(tmp_path), WorkerFile.create(tmp_path)
        file.write(key(), cells(1))
        directory.collect()
        file.close()
        directory.collect()
    assert caplog.records == []
