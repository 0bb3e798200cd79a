"""Who is alive: a worker is, while it holds the lock on its file."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter_support.worker_processes import (
    cells,
    counts,
    exit_status,
    forked,
    key,
    kill,
    read,
    worker_files,
)
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file import WorkerFile
from modelplane_exporter.workers.file_format import WorkersError
from modelplane_exporter.workers.file_reader import WorkerFileReader
from modelplane_schema import metrics


def test_a_worker_is_alive_until_it_closes(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    file.write(key("known"), cells(1))
    reader = WorkerFileReader(file.path)
    assert reader.is_alive()
    file.close()
    file.close()
    assert not reader.is_alive()
    writes: tuple[Callable[[], None], ...] = (
        lambda: file.write(key("known"), cells(1)),
        lambda: file.write(key("new"), cells(1)),
        lambda: file.write_samples([MetricSample(metrics.EXPORTER_SCRAPE_DURATION, (), 1.0)]),
    )
    for write in writes:
        with pytest.raises(WorkersError, match="is closed"):
            write()
    reader.close()


def test_reading_and_closing_ones_own_file_does_not_unlock_it(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    for _ in range(2):
        assert counts(WorkerDirectory(tmp_path)) == {key(): 1}
        read(file.path)
    for tenant in range(100):  # a map that is replaced by a larger one does not either
        file.write(key(str(tenant)), cells(1))
    assert exit_status(forked(lambda: WorkerDirectory(tmp_path).collect())) == 0
    assert worker_files(tmp_path) == [file.path]
    file.close()


def test_a_forked_child_keeps_no_dead_worker_alive_and_cannot_write_its_file(tmp_path: Path) -> None:
    grandchild_ready, tell = os.pipe()

    def work() -> None:
        file = WorkerFile.create(tmp_path)
        file.write(key(), cells(1, in_flight=3))

        def live_on() -> None:
            with pytest.raises(WorkersError, match="is closed"):
                file.write(key(), cells(9))
            file.close()
            os.write(tell, os.getpid().to_bytes(4, "little"))
            signal.pause()

        forked(live_on)
        signal.pause()

    child = forked(work)
    grandchild = int.from_bytes(os.read(grandchild_ready, 4), "little")
    os.close(grandchild_ready)
    os.close(tell)
    reader = WorkerFileReader(worker_files(tmp_path)[0])
    try:
        assert reader.is_alive()
    finally:
        kill(child)
    assert not reader.is_alive()
    reader.close()
    os.kill(grandchild, signal.SIGKILL)


def test_a_program_that_a_worker_started_keeps_it_not_alive(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as program:
        file.close()
        reader = WorkerFileReader(file.path)
        assert not reader.is_alive()
        reader.close()
        program.kill()


def test_probes_do_not_disturb_each_other(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    file.close()
    first, second = WorkerFileReader(file.path), WorkerFileReader(file.path)
    assert first.hold()
    assert not second.is_alive()
    assert second.hold()
    first.close()
    second.close()


@pytest.mark.parametrize("compaction_holds_it", [True, False])
def test_a_file_that_is_compacted_before_its_worker_locked_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compaction_holds_it: bool
) -> None:
    directory = WorkerDirectory(tmp_path)
    held: list[WorkerFileReader] = []
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and worker_files(tmp_path) and not held:
            held.append(WorkerFileReader(worker_files(tmp_path)[0]))
            assert held[0].hold()
            if not compaction_holds_it:
                held[0].path.unlink()
                held[0].release()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    file = WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    held[0].close()
    assert file.path != held[0].path
    for _ in range(2):
        assert counts(directory) == {key(): 1}
    assert worker_files(tmp_path) == [file.path]
    file.close()
