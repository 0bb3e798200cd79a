"""Ended workers cost nothing: few descriptors, little disk, and no scrape is needed to clear them up."""

from __future__ import annotations

import math
import os
import resource
import socket
from pathlib import Path

import pytest

from exporter_support.worker_processes import (
    cells,
    counts,
    ended_workers,
    exit_status,
    forked,
    key,
    open_files,
    worker_files,
)
from modelplane_exporter.workers import directory as directory_module
from modelplane_exporter.workers.directory import CROWD, WorkerDirectory
from modelplane_exporter.workers.file import WorkerFile
from modelplane_exporter.workers.file_format import LAYOUT
from modelplane_exporter.workers.file_lock import FileLock
from modelplane_exporter.workers.file_reader import WorkerFileReader


@pytest.fixture(autouse=True)
def _time_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "COMPACT_SECONDS", math.inf)


def limit_descriptors(more: int) -> None:
    open_now = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + more, open_now + more))


@pytest.mark.slow
def test_many_ended_workers_take_few_descriptors_of_a_scrape(tmp_path: Path) -> None:
    ended_workers(tmp_path, 560)

    def scrape() -> None:
        limit_descriptors(9)
        directory, file = WorkerDirectory(tmp_path), WorkerFile.create(tmp_path)
        file.write(key(), cells(1))
        for _ in range(2):
            assert counts(directory) == {key(): 561}
        socket.socket().close()
        assert worker_files(tmp_path) == [file.path]

    assert exit_status(forked(scrape)) == 0
    assert counts(WorkerDirectory(tmp_path)) == {key(): 561}


def test_files_of_workers_that_wrote_nothing_take_few_descriptors_too(tmp_path: Path) -> None:
    for number in range(100):
        (tmp_path / f"worker-{LAYOUT}-1-{number:016x}").touch()
    ended_workers(tmp_path, 100)

    def scrape() -> None:
        directory = WorkerDirectory(tmp_path)
        limit_descriptors(30)
        for _ in range(10):
            assert counts(directory) == {key(): 100}
        assert worker_files(tmp_path) == []

    assert exit_status(forked(scrape)) == 0


def test_many_live_workers_take_few_descriptors_of_a_scrape(tmp_path: Path) -> None:
    live = [WorkerFile.create(tmp_path) for _ in range(200)]
    for file in live:
        file.write(key(), cells(1))

    def scrape() -> None:
        directory = WorkerDirectory(tmp_path)
        limit_descriptors(6)
        for _ in range(3):
            assert counts(directory) == {key(): 200}

    assert exit_status(forked(scrape)) == 0
    for file in live:
        file.close()


def test_a_scrape_leaves_no_descriptor_open_but_that_of_the_archive(tmp_path: Path) -> None:
    live = [WorkerFile.create(tmp_path) for _ in range(3)]
    ended_workers(tmp_path, 3)
    before = open_files(tmp_path)
    directory = WorkerDirectory(tmp_path)
    for _ in range(3):
        directory.collect()
    assert len(open_files(tmp_path)) == len(before) + 1
    for file in live:
        file.close()


def test_the_first_live_worker_compacts_and_the_others_do_not(tmp_path: Path) -> None:
    live = sorted((WorkerFile.create(tmp_path) for _ in range(3)), key=lambda file: file.path)
    ended_workers(tmp_path, 20)
    directory = WorkerDirectory(tmp_path)
    for file in live[1:]:
        directory.compact_as(file.path.name)
    assert len(worker_files(tmp_path)) == 3 + 20
    directory.compact_as(live[0].path.name)
    assert worker_files(tmp_path) == [file.path for file in live]
    assert counts(directory) == {key(): 20}
    live[0].close()
    directory.compact_as(live[1].path.name)
    assert worker_files(tmp_path) == [file.path for file in live[1:]]
    for file in live:
        file.close()


def test_a_worker_that_starts_compacts_only_in_a_crowd(tmp_path: Path) -> None:
    directory = WorkerDirectory(tmp_path)
    ended_workers(tmp_path, CROWD)
    directory.compact_crowd()
    assert len(worker_files(tmp_path)) == CROWD
    ended_workers(tmp_path, 1)
    directory.compact_crowd()
    assert worker_files(tmp_path) == []
    assert counts(directory) == {key(): CROWD + 1}


def test_compacting_on_the_side_ends_after_its_time_and_goes_on_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory_module, "COMPACT_SECONDS", -1.0)
    monkeypatch.setattr(directory_module, "STEP", 4)
    directory = WorkerDirectory(tmp_path)
    live = WorkerFile.create(tmp_path)
    ended_workers(tmp_path, 12)
    for left in (8, 4, 0, 0):
        directory.compact_as(live.path.name)
        assert len(worker_files(tmp_path)) == left + 1
    assert counts(directory) == {key(): 12}
    live.close()


def test_a_busy_directory_is_left_to_whoever_compacts(tmp_path: Path) -> None:
    directory = WorkerDirectory(tmp_path)
    ended_workers(tmp_path, CROWD + 1)
    with FileLock(tmp_path, os.O_RDONLY):
        directory.compact_crowd()
        assert len(worker_files(tmp_path)) == CROWD + 1
        assert counts(directory) == {key(): CROWD + 1}
    directory.compact_crowd()
    assert worker_files(tmp_path) == []


def test_a_child_forked_while_a_file_is_open_inherits_none_of_it(tmp_path: Path) -> None:
    ended_workers(tmp_path, 1)
    with WorkerFileReader(worker_files(tmp_path)[0]) as reader:
        reader.refresh()
        assert reader.hold()

        def look() -> None:
            assert str(reader.path) not in open_files(tmp_path)
            reader.close()

        assert str(reader.path) in open_files(tmp_path)

        assert exit_status(forked(look)) == 0
        with pytest.raises(BlockingIOError):
            FileLock(reader.path, os.O_RDWR)
