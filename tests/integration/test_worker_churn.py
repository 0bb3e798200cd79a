"""A day of workers that come and go, in fast motion: every call counts, and the folder stays small.

``MODELPLANE_CHURN_GENERATIONS`` and ``MODELPLANE_CHURN_FILES`` make it longer; ``make churn`` does.
"""

from __future__ import annotations

import atexit
import logging
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.journaled_calls import Cells, requests, without_active
from exporter_support.shared_counters import shared_counters
from exporter_support.worker_processes import ended_workers, exit_status, forked, key, kill, worker_files
from modelplane_exporter import PER_CALL, ModelMetricsExporter, tenant
from modelplane_exporter.workers.directory import CROWD, WorkerDirectory
from modelplane_schema.metrics import OUTCOMES

GENERATIONS = int(os.environ.get("MODELPLANE_CHURN_GENERATIONS", "50"))
FILES = int(os.environ.get("MODELPLANE_CHURN_FILES", "500"))
AT_ONCE = 6
FILES_AT_MOST = 3 * CROWD  # of which a busy machine may not get at once to those above CROWD
BYTES_AT_MOST = FILES_AT_MOST * 2**17
FEW_DESCRIPTORS = 8

Call = Callable[[], object]
logger = logging.getLogger(__name__)


def measured() -> list[Call]:
    """What a worker calls: a function, one that fails, a stream, a block with tokens."""
    exporter = ModelMetricsExporter("m", "v1", PER_CALL, "jax", registry=CollectorRegistry())

    @exporter
    def fails() -> None:
        raise LookupError("as it should")

    def failing() -> None:
        with pytest.raises(LookupError, match="as it should"):
            fails()

    def block() -> None:
        with exporter.track() as call:
            call.tokens(input=3, output=5)

    @exporter
    def stream() -> Iterator[int]:
        yield from range(3)

    return [
        exporter(lambda: None),
        exporter(lambda: {"confidence": 0.5}),
        failing,
        lambda: list(stream()),
        block,
    ]


def work(calls: list[Call], number: int, chance: random.Random, after: Callable[[], object]) -> None:
    """Make so many calls, for ever if negative, and report after each."""
    while number:
        with tenant(chance.choice("abc")):
            chance.choice(calls)()
        after()
        number -= 1


def terminate() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTERM)


def leave() -> None:
    atexit._run_exitfuncs()
    os._exit(0)


ENDS: list[Callable[[], object]] = [
    leave,
    terminate,
    lambda: os._exit(0),
    lambda: os.execv("/bin/true", ["true"]),  # noqa: S606
    lambda: os.kill(os.getpid(), signal.SIGKILL),
]


def live(seed: int, calls: list[Call], reported: memoryview, generation: int) -> None:
    """One worker. A third of them calls until the master kills it at any moment."""
    chance = random.Random(seed)

    def after() -> None:
        reported[generation] += 1

    calls = calls or measured()
    if generation % 3 == 0:
        work(calls, -1, chance, after)
    work(calls, chance.randrange(300), chance, after)
    chance.choice(ENDS)()


def rule(reported: memoryview, preload: bool) -> None:
    """The master: starts one worker after the other, and ends those that do not end by themselves."""
    chance = random.Random("master")
    calls = measured() if preload else []
    running: list[tuple[int, int]] = []
    for generation in range(GENERATIONS):
        running.append((generation, forked(partial(live, generation, calls, reported, generation))))
        if len(running) == AT_ONCE:
            _end(chance.randrange(AT_ONCE), running, chance)
    while running:
        _end(0, running, chance)


def _end(which: int, running: list[tuple[int, int]], chance: random.Random) -> None:
    generation, child = running.pop(which)
    if generation % 3 == 0:
        time.sleep(chance.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def watch(path: Path, extremes: memoryview, pause: float) -> None:
    """Scrape until told to end, with pauses; fail when a counter falls, and note what there was most of."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
    directory = WorkerDirectory(path)
    last: dict[str, Cells] = {}
    while not stopped:
        now = counted(directory)
        for name, cells in last.items():
            assert all(after >= before for after, before in zip(now[name], cells, strict=True)), name
        last = now
        files = worker_files(path)
        sizes = [_blocks(file) for file in files]
        for index, value in enumerate((len(files), sum(sizes), len(os.listdir("/proc/self/fd")))):
            extremes[index] = max(extremes[index], value)
        time.sleep(pause)


def _blocks(file: Path) -> int:
    try:
        return file.stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def counted(directory: WorkerDirectory) -> dict[str, Cells]:
    snapshots = directory.collect().snapshots
    return {s.key.identity.tenant_id: without_active(s.cells) for s in snapshots}


@pytest.mark.parametrize("preload", [False, True])
def test_generations_of_workers_that_end_in_any_way_lose_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, preload: bool
) -> None:
    monkeypatch.setenv("MODELPLANE_EXPORTER_WORKERS_DIR", str(tmp_path))
    descriptors = len(os.listdir("/proc/self/fd"))
    with shared_counters(GENERATIONS) as reported, shared_counters(3) as extremes:
        watchers = [forked(partial(watch, tmp_path, extremes, pause)) for pause in (0.0, 1.5)]
        assert exit_status(forked(partial(rule, reported, preload))) == 0
        for watcher in watchers:
            os.kill(watcher, signal.SIGTERM)
            assert exit_status(watcher) == 0, "a counter fell"
        total = sum(map(requests, counted(WorkerDirectory(tmp_path)).values()))
        # A call may have returned just before the kill that kept it from being reported.
        assert sum(reported) <= total <= sum(reported) + GENERATIONS
        files, size, most_descriptors = extremes
    assert files <= FILES_AT_MOST
    assert size <= BYTES_AT_MOST
    assert most_descriptors <= descriptors + FEW_DESCRIPTORS
    assert worker_files(tmp_path) == []
    logger.info(
        "%d workers, %d calls, at most %d files of %d bytes together", GENERATIONS, total, files, size
    )


def test_workers_that_nobody_scrapes_leave_a_small_folder(tmp_path: Path) -> None:
    directory = WorkerDirectory(tmp_path)
    most = 0
    for _ in range(FILES):
        ended_workers(tmp_path, 1)
        directory.compact_crowd()  # as each worker does that starts
        most = max(most, len(os.listdir(tmp_path)))
    assert most <= FILES_AT_MOST
    snapshots = directory.collect().snapshots
    assert [(s.key, requests(s.cells)) for s in snapshots] == [(key(), len(OUTCOMES) * FILES)]
    logger.info("%d workers without a scrape, at most %d files", FILES, most)


def test_a_worker_that_is_killed_while_it_starts_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELPLANE_EXPORTER_WORKERS_DIR", str(tmp_path))
    chance = random.Random("start")
    for _ in range(20):
        child = forked(lambda: work(measured(), -1, random.Random(1), lambda: None))
        time.sleep(chance.uniform(0, 0.02))
        kill(child)
    WorkerDirectory(tmp_path).collect()
    assert worker_files(tmp_path) == []
