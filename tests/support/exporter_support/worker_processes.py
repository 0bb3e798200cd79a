"""Worker files and processes that write them."""

from __future__ import annotations

import os
import signal
import struct
import traceback
from collections.abc import Callable
from pathlib import Path

from modelplane_exporter.layout.calls import ACTIVE, CELLS, REQUESTS, Key
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.file import WorkerFile
from modelplane_exporter.workers.file_lock import FileLock
from modelplane_exporter.workers.file_reader import WorkerFileReader
from modelplane_schema.identity import Identity

SUCCESS = REQUESTS.start
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


def open_files(folder: Path) -> list[str]:
    """Paths of the folder's files that this process has open, those of removed files included.

    Only those: what earlier tests left is closed at any time.
    """
    targets = (os.path.realpath(descriptor) for descriptor in Path("/proc/self/fd").iterdir())
    return [target for target in targets if target.startswith(f"{folder}/")]


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


def kill(child: int, number: signal.Signals = signal.SIGKILL) -> None:
    """End a child that does not end by itself."""
    os.kill(child, number)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    children.remove(child)
    assert status == -number, f"the child had ended with status {status}"


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


def ended_workers(path: Path, number: int) -> None:
    """Files of workers that each counted one call and are gone."""
    for _ in range(number):
        file = WorkerFile.create(path)
        file.write(key(), cells(1))
        file.close()


def read(path: Path) -> dict[Key, tuple[int, ...]]:
    reader = WorkerFileReader(path)
    reader.refresh()
    states = {}
    for key, state, _ in reader.states():
        assert isinstance(key, Key)
        states[key] = struct.unpack(f"{CELLS}Q", state)
    reader.close()
    return states


def is_locked(path: Path) -> bool:
    try:
        FileLock(path, os.O_RDONLY).close()
    except BlockingIOError:
        return True
    return False
