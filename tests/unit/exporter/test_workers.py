"""Workers' files and their sum, with real processes that are really killed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import mmap
import os
import resource
import shutil
import signal
import struct
import subprocess
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from modelplane_exporter.identity import Identity
from modelplane_exporter.layout.calls import ACTIVE, CELLS, REQUESTS, Key
from modelplane_exporter.layout.state import OwnSample
from modelplane_exporter.rate_limited_log import complaints
from modelplane_exporter.workers import directory as directory_module
from modelplane_exporter.workers.directory import WORKERS_VARIABLE, WorkerDirectory, configured_directory
from modelplane_exporter.workers.file import LAYOUT, WorkerFile, WorkerFileReader, WorkersError
from modelplane_exporter.workers.file_lock import FileLock
from modelplane_schema import metrics

SUCCESS = REQUESTS.start


@pytest.fixture(autouse=True)
def _no_rate_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(complaints, "_last", {})


@pytest.fixture(autouse=True)
def _no_child_stays() -> Iterator[None]:
    yield
    while children:
        kill(children[-1])


children: list[int] = []


def key(tenant: str = "user-A", device: str = "host/main") -> Key:
    return Key(Identity("resnet50", "v1", tenant, "pytorch"), device, "cpu-process")


def cells(count: int, in_flight: int = 0) -> list[int]:
    values = [count] * CELLS
    values[ACTIVE.start] = in_flight
    return values


def counts(directory: WorkerDirectory) -> dict[Key, int]:
    return {snapshot.key: snapshot.cells[SUCCESS] for snapshot in directory.collect()[0]}


def worker_files(path: Path) -> list[Path]:
    return sorted(path.glob("worker-*"))


def forked(function: Callable[[], object]) -> int:
    """Run ``function`` in a forked child, whose exit status is 0 when it returns."""
    child = os.fork()
    if child:
        children.append(child)
        return child
    status = 1
    try:
        function()
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)


def exit_status(child: int) -> int:
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    children.remove(child)
    return status


def kill(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    children.remove(child)


def write_and_wait(path: Path, write: Callable[[WorkerFile], None]) -> int:
    """A worker that wrote and now does nothing until it is killed."""
    ready, tell = os.pipe()

    def work() -> None:
        write(WorkerFile.create(path))
        os.write(tell, b"x")
        signal.pause()

    child = forked(work)
    os.close(tell)
    assert os.read(ready, 1) == b"x"
    os.close(ready)
    return child


# one file


def read(path: Path) -> dict[Key, tuple[int, ...]]:
    reader = WorkerFileReader(path)
    reader.refresh()
    states = {key: struct.unpack(f"{CELLS}Q", state) for key, state in reader.states()}
    reader.close()
    return states


def test_a_reader_sees_what_was_written_last(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    assert read(file.path) == {}
    for count in range(5):
        file.write(key(), cells(count))
        assert read(file.path) == {key(): tuple(cells(count))}
    file.close()
    assert read(file.path) == {key(): tuple(cells(4))}


@pytest.mark.parametrize("tenant", ['ä\n"\\%', "\ud800", "", "x" * 100_000])
def test_any_text_can_be_a_tenant(tmp_path: Path, tenant: str) -> None:
    file = WorkerFile.create(tmp_path)
    file.write(key(tenant), cells(2**64 - 1))
    assert read(file.path) == {key(tenant): tuple(cells(2**64 - 1))}
    file.close()


def test_a_file_grows_while_it_is_read(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    reader = WorkerFileReader(file.path)
    for tenant in range(300):
        file.write(key(str(tenant)), cells(tenant))
        reader.refresh()
    assert [(found.identity.tenant_id, state[:8]) for found, state in reader.states()] == [
        (str(tenant), tenant.to_bytes(8, "little")) for tenant in range(300)
    ]
    reader.close()
    file.close()


@pytest.mark.parametrize("bad", [[0] * (CELLS - 1), [*[0] * (CELLS - 1), -1], [2**64] * CELLS, ["1"] * CELLS])
def test_cells_that_do_not_fit_leave_the_file_as_it_was(tmp_path: Path, bad: list[int]) -> None:
    file = WorkerFile.create(tmp_path)
    for count in (1, 2):
        file.write(key(), cells(count))
        with pytest.raises(struct.error):
            file.write(key(), bad)
        assert read(file.path) == {key(): tuple(cells(count))}
    file.close()


def test_an_update_that_was_cut_off_leaves_the_state_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    file.write(key(), cells(2))
    with pytest.raises(struct.error):
        file.write(key(), [-1] * CELLS)
    record = file._states[key()]
    whole = record.slot
    half = struct.Struct(f"{CELLS // 2}Q")

    class Cut:
        size = whole.size

        def pack_into(self, buffer: mmap.mmap, offset: int, *values: int) -> None:
            half.pack_into(buffer, offset, *values[: CELLS // 2])

    monkeypatch.setattr(record, "slot", Cut())
    file.write(key(), cells(3))
    assert read(file.path) == {key(): tuple(cells(2))}
    file.close()


def test_reads_of_a_live_file_are_whole_and_never_go_back(tmp_path: Path) -> None:
    def write() -> None:
        file, count = WorkerFile.create(tmp_path), 0
        while True:
            count += 1
            file.write(key(), [count] * CELLS)

    child = forked(write)
    try:
        while not worker_files(tmp_path):
            time.sleep(0.001)
        reader = WorkerFileReader(worker_files(tmp_path)[0])
        last, until = 0, time.monotonic() + 0.5
        while time.monotonic() < until:
            reader.refresh()
            for _, state in reader.states():
                found = set(struct.unpack(f"{CELLS}Q", state))
                assert len(found) == 1
                assert last <= min(found)
                last = min(found)
        assert last
        reader.close()
    finally:
        kill(child)


def test_own_samples_are_replaced_and_gauges_vanish(tmp_path: Path) -> None:
    overflow = OwnSample(metrics.SERIES_OVERFLOW, ("resnet50", "v1", "pytorch", "tenant_id"), 3.0)
    scrape = OwnSample(metrics.EXPORTER_SCRAPE_DURATION, (), 0.25)
    file = WorkerFile.create(tmp_path)
    reader = WorkerFileReader(file.path)
    file.write_own([overflow, scrape])
    reader.refresh()
    assert dict(reader.own()) == {
        (overflow.metric.name, overflow.labels): 3.0,
        (scrape.metric.name, ()): 0.25,
    }
    file.write_own([])
    assert dict(reader.own()) == {(overflow.metric.name, overflow.labels): 3.0}
    file.write_own([scrape])
    assert dict(reader.own())[(scrape.metric.name, ())] == 0.25
    reader.close()
    file.close()


def test_a_full_disk_is_an_error_and_what_is_there_goes_on(tmp_path: Path) -> None:
    def write_many(file: WorkerFile) -> None:
        for tenant in range(1000):
            file.write(key(str(tenant)), cells(1))

    def fill() -> None:
        file = WorkerFile.create(tmp_path)
        file.write(key(), cells(1))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 17, 1 << 17))
        with pytest.raises(WorkersError, match="cannot grow"):
            write_many(file)
        with pytest.raises(WorkersError, match="cannot grow"):
            file.write(key("late"), cells(1))
        file.write(key(), cells(7))
        known = counts(WorkerDirectory(tmp_path))
        assert known[key()] == 7
        assert key("late") not in known
        assert len(known) > 50

    assert exit_status(forked(fill)) == 0


def test_a_disk_that_is_full_from_the_start_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(WorkersError, match="No space left"):
        WorkerFile.create(tmp_path)
    assert worker_files(tmp_path) == []


def test_a_directory_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(WorkersError, match=r"cannot create a worker file in .*No such file"):
        WorkerFile.create(tmp_path / "gone")


# who is alive


def test_a_worker_is_alive_until_it_closes(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    file.write(key("known"), cells(1))
    reader = WorkerFileReader(file.path)
    assert reader.alive()
    file.close()
    file.close()
    assert not reader.alive()
    for write in (
        lambda: file.write(key("known"), cells(1)),
        lambda: file.write(key("new"), cells(1)),
        lambda: file.write_own([OwnSample(metrics.EXPORTER_SCRAPE_DURATION, (), 1.0)]),
    ):
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
        assert reader.alive()
    finally:
        kill(child)
    assert not reader.alive()
    reader.close()
    os.kill(grandchild, signal.SIGKILL)


def test_a_program_that_a_worker_started_keeps_it_not_alive(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    with subprocess.Popen(["sleep", "60"], close_fds=False) as program:
        file.close()
        reader = WorkerFileReader(file.path)
        assert not reader.alive()
        reader.close()
        program.kill()


def test_probes_do_not_disturb_each_other(tmp_path: Path) -> None:
    file = WorkerFile.create(tmp_path)
    file.close()
    one, other = WorkerFileReader(file.path), WorkerFileReader(file.path)
    assert one.hold()
    assert not other.alive()
    assert other.hold()
    one.close()
    other.close()


@pytest.mark.parametrize("folder_holds_it", [True, False])
def test_a_file_that_is_folded_before_its_worker_locked_it_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder_holds_it: bool
) -> None:
    directory = WorkerDirectory(tmp_path)
    held: list[WorkerFileReader] = []
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        if operation & fcntl.LOCK_EX and worker_files(tmp_path) and not held:
            held.append(WorkerFileReader(worker_files(tmp_path)[0]))
            assert held[0].hold()
            if not folder_holds_it:
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


# the sum


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
    info = OwnSample(metrics.MODEL_INFO, (*version, "vision", "production", "2.4"), 1.0)
    old = info._replace(labels=("resnet50", "v0", "pytorch", "vision", "production", "2.4"))

    def written(file: WorkerFile, amount: float, *more: OwnSample) -> None:
        overflow = OwnSample(metrics.SERIES_OVERFLOW, (*version, "tenant_id"), amount)
        scrape = OwnSample(metrics.EXPORTER_SCRAPE_DURATION, (), amount)
        energy = OwnSample(metrics.DEVICE_ENERGY, ("GPU-1", "h200"), amount)
        file.write_own([info, overflow, scrape, energy, *more])

    directory = WorkerDirectory(tmp_path)
    dead, live = WorkerFile.create(tmp_path), WorkerFile.create(tmp_path)
    written(dead, 10.0, old)
    written(live, 4.0)
    dead.close()
    for _ in range(2):
        found = {(sample.metric, sample.labels): sample.value for sample in directory.collect()[1]}
        assert found == {
            (metrics.MODEL_INFO, info.labels): 1.0,
            (metrics.SERIES_OVERFLOW, (*version, "tenant_id")): 14.0,
            (metrics.EXPORTER_SCRAPE_DURATION, ()): 4.0,
            (metrics.DEVICE_ENERGY, ("GPU-1", "h200")): 10.0,
        }
    live.close()


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
    gone, kept = WorkerFile.create(tmp_path), WorkerFile.create(tmp_path)
    gone.write(key("gone"), cells(1))
    gone.write(key("kept"), cells(1))
    gone.close()
    kept.write(key("kept"), cells(1))
    assert counts(directory) == {key("gone"): 1, key("kept"): 2}
    now += 99
    assert counts(directory) == {key("gone"): 1, key("kept"): 2}
    now += 2
    assert counts(directory) == {key("kept"): 2}
    kept.close()
    assert counts(directory) == {key("kept"): 2}
    assert "gone" not in (tmp_path / f"archive-{LAYOUT}").read_text()
    now += 101
    assert counts(directory) == {}


def test_a_reader_starts_again_when_the_archive_is_replaced_while_it_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading, folding = WorkerDirectory(tmp_path), WorkerDirectory(tmp_path)
    first, second = WorkerFile.create(tmp_path), WorkerFile.create(tmp_path)
    first.write(key(), cells(1))
    second.write(key(), cells(2))
    real, raced = WorkerDirectory._idle, []

    def race(self: WorkerDirectory, *arguments: object) -> object:
        if self is reading and not raced:
            raced.append(True)
            first.close()
            folding.collect()
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(WorkerDirectory, "_idle", race)
    assert counts(reading) == {key(): 3}
    assert raced
    assert worker_files(tmp_path) == [second.path]
    second.close()


def test_what_a_worker_wrote_until_it_was_found_dead_is_folded(
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


def is_locked(path: Path) -> bool:
    try:
        FileLock(path, os.O_RDONLY).close()
    except BlockingIOError:
        return True
    return False


def _exit_at(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """End the process, as a kill would, at a step of folding."""
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


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("with_archive", [False, True])
def test_folding_that_is_killed_neither_loses_nor_doubles(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, with_archive: bool
) -> None:
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

    def fold() -> None:
        with monkeypatch.context() as patched:
            _exit_at(patched, step)
            WorkerDirectory(tmp_path).collect()

    for _ in range(2):
        assert exit_status(forked(fold)) in (0, 9)
    with FileLock(tmp_path, os.O_RDONLY):  # a reader that cannot fold
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
        patched.setattr(directory_module, "write_archive", full)
        for _ in range(2):
            assert counts(directory) == {key(): 1}
    assert [record.getMessage() for record in caplog.records] == [
        f"files of ended workers were not folded in {tmp_path}: No space left on device"
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


@pytest.mark.parametrize(
    "content", [b"x" * 100, struct.pack("8s8sQ", b"mpworker", bytes.fromhex(LAYOUT), 1 << 40)]
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


# the directory


def test_a_directory_that_cannot_be_used_is_an_error_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkersError, match="holds 'file', which is not ours"):
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


def test_the_variable_names_the_directory() -> None:
    assert configured_directory({}) is None
    assert configured_directory({WORKERS_VARIABLE: ""}) is None
    assert configured_directory({WORKERS_VARIABLE: "/run/x"}) == Path("/run/x")


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
        own = WorkerFile.create(tmp_path)
        own.write(key(), cells(5))
        assert counts(directory) == {key(): 7}
        own.close()

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
    real = WorkerDirectory._fold

    def slow(self: WorkerDirectory) -> None:
        within.set()
        go_on.wait(10)
        real(self)

    def scrape() -> None:
        signal.alarm(5)
        monkeypatch.setattr(WorkerDirectory, "_fold", real)
        assert counts(directory) == {key(): 1}

    monkeypatch.setattr(WorkerDirectory, "_fold", slow)
    scraping = threading.Thread(target=directory.collect)
    scraping.start()
    within.wait(10)
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
        return len(os.listdir("/proc/self/fd"))

    assert churn() == churn()


# random histories


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
            for found, (count, flying) in states.items():
                total = expected.setdefault(found, [0, 0])
                total[0] += count
                total[1] += flying if alive else 0
        lock = FileLock(self.path, os.O_RDONLY) if held else contextlib.nullcontext()
        with lock:
            snapshots = self.directories[which].collect()[0]
        assert {s.key: s.cells for s in snapshots} == {
            found: tuple(cells(*e)) for found, e in expected.items()
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


TestRandomHistories = Workers.TestCase
TestRandomHistories.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


# kill -9, again and again


@contextlib.contextmanager
def shared_counters(number: int) -> Iterator[memoryview]:
    with mmap.mmap(-1, 8 * number) as memory:
        view = memoryview(memory).cast("q")
        try:
            yield view
        finally:
            view.release()


TOTAL = key("total")
DROPPED = OwnSample(metrics.PUSH_DROPPED, (), 0.0)
GENERATIONS, AT_ONCE = 40, 4


def count_up(path: Path, reported: memoryview, generation: int) -> None:
    """A worker that writes until it is killed and reports what it has written."""
    file, count = WorkerFile.create(path), 0
    while True:
        count += 1
        file.write(TOTAL, cells(count, in_flight=1))
        file.write(key(f"generation-{generation}"), cells(count))
        file.write_own([DROPPED._replace(value=float(count))])
        reported[generation] = count


def watch(path: Path) -> None:
    """Scrape, and fold, until killed; fails when a counter goes backwards."""
    directory = WorkerDirectory(path)
    last: dict[Key, int] = {}
    last_dropped = 0.0
    while True:
        snapshots, samples, *_ = directory.collect()
        now = {snapshot.key: snapshot.cells[SUCCESS] for snapshot in snapshots}
        dropped = sum(sample.value for sample in samples)
        assert all(now[found] >= count for found, count in last.items())
        assert dropped >= last_dropped
        assert all(snapshot.cells[ACTIVE.start] <= AT_ONCE for snapshot in snapshots)
        last, last_dropped = now, dropped


def live_and_die(path: Path, reported: memoryview) -> None:
    """Generations of workers and of scrapers, all ended by SIGKILL."""
    watchers = [forked(lambda: watch(path)) for _ in range(3)]
    running: list[int] = []
    for generation in range(GENERATIONS):
        running.append(forked(partial(count_up, path, reported, generation)))
        time.sleep(0.02)
        if len(running) == AT_ONCE:
            kill(running.pop(0))
        if generation % 4 == 3:  # it may be folding just now
            assert os.waitpid(watchers[0], os.WNOHANG) == (0, 0), "a counter went backwards"
            kill(watchers.pop(0))
            watchers.append(forked(lambda: watch(path)))
    for child in running:
        kill(child)
    for child in watchers:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "a counter went backwards"
        kill(child)


def test_killed_workers_and_killed_folders_never_turn_a_counter_back(tmp_path: Path) -> None:
    with shared_counters(GENERATIONS) as reported:
        live_and_die(tmp_path, reported)
        snapshots, samples, *_ = WorkerDirectory(tmp_path).collect()
        found = {snapshot.key: snapshot.cells[SUCCESS] for snapshot in snapshots}
        # The last write of a worker may have been made and not yet been reported.
        for generation in range(GENERATIONS):
            assert 0 <= found.get(key(f"generation-{generation}"), 0) - reported[generation] <= 1
        assert 0 <= found[TOTAL] - sum(reported) <= GENERATIONS
        assert 0 <= sum(sample.value for sample in samples) - sum(reported) <= GENERATIONS
    assert sum(found.values()) > 0
    assert worker_files(tmp_path) == []


def test_one_line_of_log_at_most_for_each_problem(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        directory, file = WorkerDirectory(tmp_path), WorkerFile.create(tmp_path)
        file.write(key(), cells(1))
        directory.collect()
        file.close()
        directory.collect()
    assert caplog.records == []
