"""What dead workers left is compacted into one archive, whatever fails meanwhile."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from exporter_support.observed_signals import NUMBERS
from exporter_support.worker_processes import cells, counts, exit_status, forked, is_locked, key, worker_files
from modelplane_exporter.identity import Version
from modelplane_exporter.layout.signals import LoadedBaseline, SignalKey, layout_of
from modelplane_exporter.layout.state import State
from modelplane_exporter.workers import archive as archive_module
from modelplane_exporter.workers import directory as directory_module
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file import WorkerFile
from modelplane_exporter.workers.file_format import LAYOUT
from modelplane_exporter.workers.file_lock import FileLock
from modelplane_exporter.workers.file_reader import WorkerFileReader
from modelplane_schema.identity import Identity


def test_the_archive_has_one_record_a_key_and_the_files_are_gone(tmp_path: Path) -> None:
    directory = WorkerDirectory(tmp_path)
    for _ in range(5):
        file = WorkerFile.create(tmp_path)
        for tenant in range(4):
            file.write(key(str(tenant)), cells(1))
        file.close()
        directory.collect()
    assert counts(directory) == {key(str(tenant)): 5 for tenant in range(4)}
    assert counts(WorkerDirectory(tmp_path)) == counts(directory)
    assert [path.name for path in tmp_path.iterdir()] == [f"archive-{LAYOUT}"]
    lines = (tmp_path / f"archive-{LAYOUT}").read_text().splitlines()
    assert len(lines) == 1 + 4


def test_a_key_that_nobody_has_is_forgotten_when_it_was_idle_long_enough(tmp_path: Path) -> None:
    now = 1_000_000.0
    directory = WorkerDirectory(tmp_path, idle_seconds=100, clock=lambda: now)
    gone, still_there = WorkerFile.create(tmp_path), WorkerFile.create(tmp_path)
    gone.write(key("gone"), cells(1))
    gone.write(key("kept"), cells(1))
    gone.close()
    still_there.write(key("kept"), cells(1))
    assert counts(directory) == {key("gone"): 1, key("kept"): 2}
    now += 99
    assert counts(directory) == {key("gone"): 1, key("kept"): 2}
    now += 2
    assert counts(directory) == {key("kept"): 2}
    still_there.close()
    assert counts(directory) == {key("kept"): 2}
    assert "gone" not in (tmp_path / f"archive-{LAYOUT}").read_text()
    now += 101
    assert counts(directory) == {}


def test_a_baseline_is_forgotten_with_the_last_state_that_refers_to_it(tmp_path: Path) -> None:
    now = 1_000_000.0
    version = Version("m", "v1", "jax")
    signals = SignalKey(Identity("m", "v1", "__all__", "jax"), NUMBERS.fingerprint)
    file = WorkerFile.create(tmp_path)
    file.write_baseline(LoadedBaseline(version, NUMBERS))
    file.write(signals, [1] * layout_of(NUMBERS).cells)
    file.close()

    def collect() -> State:
        return WorkerDirectory(tmp_path, idle_seconds=100, clock=lambda: now).collect()

    for _ in range(2):
        assert [loaded.version for loaded in collect().baselines] == [version]
    now += 101
    for _ in range(2):
        assert (collect().signals, collect().baselines) == ([], [])
    assert len((tmp_path / f"archive-{LAYOUT}").read_text().splitlines()) == 1


def test_a_reader_starts_again_when_the_archive_is_replaced_while_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, compacting = WorkerDirectory(tmp_path), WorkerDirectory(tmp_path)
    first, second = WorkerFile.create(tmp_path), WorkerFile.create(tmp_path)
    first.write(key(), cells(1))
    second.write(key(), cells(2))
    lock = FileLock(tmp_path, os.O_RDONLY)  # so that the reader reads without it
    real, raced = WorkerDirectory._names, list[bool]()

    def race(self: WorkerDirectory) -> set[str]:
        names = real(self)
        if self is reading and not raced:
            raced.append(True)
            lock.close()
            first.close()
            compacting.collect()
        return names

    monkeypatch.setattr(WorkerDirectory, "_names", race)
    assert counts(reading) == {key(): 3}
    assert raced
    assert worker_files(tmp_path) == [second.path]
    second.close()


def test_what_a_worker_wrote_until_it_was_known_dead_is_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, file, dead = (
        WorkerDirectory(tmp_path),
        WorkerFile.create(tmp_path),
        WorkerFile.create(tmp_path),
    )
    file.write(key(), cells(1))
    dead.write(key(), cells(1))
    directory.collect()
    dead.close()
    real = WorkerFileReader.hold

    def last_words(self: WorkerFileReader) -> bool:
        if self.path == file.path and is_locked(tmp_path):
            file.write(key("late"), cells(1))
            file.close()
        return real(self)

    with monkeypatch.context() as patched:
        patched.setattr(WorkerFileReader, "hold", last_words)
        assert counts(directory) == {key(): 2, key("late"): 1}
    assert worker_files(tmp_path) == []
    assert counts(directory) == {key(): 2, key("late"): 1}


def _exit_at(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """End the process, as a kill would, at a step of compacting."""
    replace, unlink, write = Path.replace, Path.unlink, json.dumps
    calls = {"unlink": 0, "write": 0}

    def dying_replace(self: Path, target: Path) -> None:
        if step == "before the rename":
            os._exit(9)
        replace(self, target)
        if step == "after the rename":
            os._exit(9)

    def dying_unlink(self: Path, missing_ok: bool = False) -> None:
        unlink(self, missing_ok)
        calls["unlink"] += 1
        if step == "after the first unlink":
            os._exit(9)
        if step == "after the last unlink" and calls["unlink"] == 3:
            os._exit(9)

    def dying_write(value: object) -> str:
        calls["write"] += 1
        if step == "while it writes" and calls["write"] == 2:
            os._exit(9)
        return write(value)

    monkeypatch.setattr(Path, "replace", dying_replace)
    monkeypatch.setattr(Path, "unlink", dying_unlink)
    monkeypatch.setattr(json, "dumps", dying_write)


STEPS = (
    "while it writes",
    "before the rename",
    "after the rename",
    "after the first unlink",
    "after the last unlink",
)


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("with_archive", [False, True])
@pytest.mark.parametrize("at_once", [1, 2, 3])
def test_a_compaction_that_is_killed_neither_loses_nor_doubles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, with_archive: bool, at_once: int
) -> None:
    monkeypatch.setattr(directory_module, "STEP", at_once)
    seen_before = WorkerDirectory(tmp_path)
    expected = 0
    if with_archive:
        file = WorkerFile.create(tmp_path)
        file.write(key(), cells(100))
        file.close()
        seen_before.collect()
        expected = 100
    for count in (1, 2, 4):
        file = WorkerFile.create(tmp_path)
        file.write(key(), cells(count))
        file.close()

    def compact() -> None:
        with monkeypatch.context() as patched:
            _exit_at(patched, step)
            WorkerDirectory(tmp_path).collect()

    for _ in range(2):
        assert exit_status(forked(compact)) in (0, 9)
    with FileLock(tmp_path, os.O_RDONLY):  # a reader that cannot compact
        assert counts(seen_before) == {key(): expected + 7}
        assert counts(WorkerDirectory(tmp_path)) == {key(): expected + 7}
    for directory in (seen_before, WorkerDirectory(tmp_path)):
        assert counts(directory) == {key(): expected + 7}
    assert worker_files(tmp_path) == []


def test_a_disk_too_full_for_the_archive_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    directory, file = WorkerDirectory(tmp_path), WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    file.close()

    def full(path: Path, archive: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(archive_module, "write_archive", full)
        for _ in range(2):
            assert counts(directory) == {key(): 1}
    assert [record.getMessage() for record in caplog.records] == [
        f"files of ended workers were not compacted in {tmp_path}: No space left on device"
    ]
    assert counts(directory) == {key(): 1}
    assert worker_files(tmp_path) == []


def test_a_file_that_cannot_be_removed_is_not_counted_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuse)
        for count in (1, 2, 3):
            file = WorkerFile.create(tmp_path)
            file.write(key(), cells(1))
            file.close()
            assert counts(WorkerDirectory(tmp_path)) == {key(): count}
    assert len(worker_files(tmp_path)) == 3
    assert counts(WorkerDirectory(tmp_path)) == {key(): 3}
    assert worker_files(tmp_path) == []


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"files": []}',
        '{"files": [], "records": 1}',
        '{"files":[],"records":1}\n["state",1,2,3]',
    ],
)
def test_a_damaged_archive_is_logged_and_not_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    (tmp_path / f"archive-{LAYOUT}").write_text(content)
    directory, file = WorkerDirectory(tmp_path), WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    for _ in range(2):
        assert counts(directory) == {key(): 1}
    assert ["is damaged" in record.getMessage() for record in caplog.records] == [True]
    file.close()
    assert counts(directory) == {key(): 1}
