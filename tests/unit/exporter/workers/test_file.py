"""The file of one worker: what its readers see, also when a write fails or is cut off."""

from __future__ import annotations

import errno
import mmap
import os
import resource
import struct
import time
from pathlib import Path
from typing import cast

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
from modelplane_exporter.layout.calls import CELLS
from modelplane_exporter.layout.state import MetricSample
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file import WorkerFile
from modelplane_exporter.workers.file_format import EPOCH_OFFSET, SampleKey, WorkersError
from modelplane_exporter.workers.file_reader import WorkerFileReader
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema import metrics


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
    assert [(key_read.identity.tenant_id, state[:8]) for key_read, state, _ in reader.states()] == [
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
    whole = record.slots.slot
    half = struct.Struct(f"{CELLS // 2}Q")

    class Cut:
        size = whole.size

        def pack_into(self, buffer: mmap.mmap, offset: int, *values: int) -> None:
            half.pack_into(buffer, offset, *values[: CELLS // 2])

    monkeypatch.setattr(record, "slots", record.slots._replace(slot=cast("struct.Struct", Cut())))
    file.write(key(), cells(3))
    assert read(file.path) == {key(): tuple(cells(2))}
    file.close()


def test_a_reader_that_is_held_up_takes_no_slot_that_is_being_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = WorkerFile.create(tmp_path)
    for count in range(1, 5):
        file.write(key(), cells(count))
    real, went_on = WorkerFileReader._number, list[bool]()

    def held_up(self: WorkerFileReader, offset: int) -> int:
        number = real(self, offset)
        if offset == EPOCH_OFFSET and not went_on:
            went_on.append(True)
            file.write(key(), cells(5))
            file.write(key(), cells(6))
            with pytest.raises(struct.error):  # the slot keeps a part of it
                file.write(key(), [*[9] * (CELLS - 1), -1])
        return number

    monkeypatch.setattr(WorkerFileReader, "_number", held_up)
    assert read(file.path) == {key(): tuple(cells(6))}
    assert went_on
    file.close()


def test_a_reader_finds_the_records_of_a_worker_that_makes_its_file_larger_just_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = WorkerFile.create(tmp_path)
    file.write(key(), cells(1))
    reader, grown = WorkerFileReader(file.path), list[bool]()
    real = WorkerFileReader._remapped

    def grow(self: WorkerFileReader) -> mmap.mmap | None:
        content = real(self)
        if not grown:
            grown.append(True)
            for tenant in range(100):
                file.write(key(str(tenant)), cells(1))
        return content

    monkeypatch.setattr(WorkerFileReader, "_remapped", grow)
    reader.refresh()
    assert len(list(reader.states())) == 101
    reader.close()
    file.close()


@pytest.mark.slow
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
        while not last or time.monotonic() < until:
            assert time.monotonic() < until + PATIENCE_SECONDS
            reader.refresh()
            for _, state, _ in reader.states():
                distinct = set(struct.unpack(f"{CELLS}Q", state))
                assert len(distinct) == 1
                assert last <= min(distinct)
                last = min(distinct)
        reader.close()
    finally:
        kill(child)


def test_own_samples_are_replaced_and_gauges_vanish(tmp_path: Path) -> None:
    overflow = MetricSample(metrics.SERIES_OVERFLOW, ("resnet50", "v1", "pytorch", "tenant_id"), 3.0)
    scrape = MetricSample(metrics.EXPORTER_SCRAPE_DURATION, (), 0.25)
    file = WorkerFile.create(tmp_path)
    reader = WorkerFileReader(file.path)
    file.write_samples([overflow, scrape])
    reader.refresh()
    assert dict(reader.samples()) == {
        (overflow.metric.name, overflow.labels): 3.0,
        (scrape.metric.name, ()): 0.25,
    }
    file.write_samples([])
    assert dict(reader.samples()) == {(overflow.metric.name, overflow.labels): 3.0}
    file.write_samples([scrape])
    assert dict(reader.samples())[SampleKey(scrape.metric.name, ())] == 0.25
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
