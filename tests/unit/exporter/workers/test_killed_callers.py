"""Processes that are killed in the middle of calls: what their callers got back counts."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from exporter_support.journaled_calls import Cells, differing, if_killed, requests, without_active
from exporter_support.shared_counters import shared_counters
from exporter_support.worker_processes import forked, kill
from modelplane_exporter import PER_CALL, ModelMetricsExporter, tenant
from modelplane_exporter.layout.calls import DEVICE_SECONDS, TOKENS
from modelplane_exporter.workers.directory import WorkerDirectory

THREADS = 3
TOKENS_OF_A_CALL = 8


def a_float(exporter: ModelMetricsExporter) -> Callable[[], object]:
    return exporter(lambda: {"confidence": 0.5})


def nothing(exporter: ModelMetricsExporter) -> Callable[[], object]:
    return exporter(lambda: None)


def an_error(exporter: ModelMetricsExporter) -> Callable[[], object]:
    @exporter
    def predict() -> None:
        raise ValueError("bad")

    def call() -> None:
        with pytest.raises(ValueError, match="bad"):
            predict()

    return call


def tokens(exporter: ModelMetricsExporter) -> Callable[[], object]:
    def call() -> None:
        with exporter.track() as tracked:
            tracked.tokens(input=TOKENS_OF_A_CALL)

    return call


def a_stream(exporter: ModelMetricsExporter) -> Callable[[], object]:
    @exporter
    def stream() -> Iterator[int]:
        yield from range(3)

    return lambda: list(stream())


KINDS = (a_float, nothing, an_error, tokens, a_stream)


def call_until_killed(reported: memoryview, kind: Callable[..., Callable[[], object]]) -> None:
    exporter = ModelMetricsExporter("m", "v1", PER_CALL, "jax", registry=CollectorRegistry())
    call = kind(exporter)

    def work(thread: int) -> None:
        with tenant(f"t{thread}"):
            while True:
                call()
                reported[thread] += 1

    for thread in range(1, THREADS):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    work(0)


def await_calls(child: int, reported: memoryview) -> None:
    """Wait until each thread of a child has called."""
    while not all(reported):
        assert os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None, "the child ended"
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_kill_at_any_moment_loses_no_call_that_returned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Callable[..., Callable[[], object]]
) -> None:
    monkeypatch.setenv("MODELPLANE_EXPORTER_WORKERS_DIR", str(tmp_path))
    moments = random.Random(kind.__name__)
    directory = WorkerDirectory(tmp_path)
    before = [0] * THREADS
    for _ in range(8):
        with shared_counters(THREADS) as reported:
            child = forked(partial(call_until_killed, reported, kind))
            await_calls(child, reported)
            time.sleep(moments.uniform(0, 0.1))
            kill(child)
            left = if_killed(tmp_path)
            for thread in range(THREADS):
                assert 0 <= requests(left[f"t{thread}"]) - reported[thread] <= 1
                if kind is tokens:
                    cells = left[f"t{thread}"]
                    assert cells[TOKENS.start] == TOKENS_OF_A_CALL * requests(cells)
            archived = counted(directory)
            for thread in range(THREADS):
                before[thread] += requests(left[f"t{thread}"])
                assert requests(archived[f"t{thread}"]) == before[thread]
    assert list(tmp_path.glob("worker-*")) == []


def counted(directory: WorkerDirectory) -> dict[str, Cells]:
    snapshots = directory.collect().snapshots
    return {s.key.identity.tenant_id: without_active(s.cells) for s in snapshots}


def watch(path: Path) -> None:
    """Scrape in a tight loop until killed; fails when any counter falls."""
    directory = WorkerDirectory(path)
    last: dict[str, Cells] = {}
    while True:
        now = counted(directory)
        for name, cells in last.items():
            assert all(after >= before for after, before in zip(now[name], cells, strict=True))
        last = now


@pytest.mark.slow
def test_no_counter_falls_when_workers_are_killed_and_compacted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELPLANE_EXPORTER_WORKERS_DIR", str(tmp_path))
    watchers = [forked(partial(watch, tmp_path)) for _ in range(2)]
    began = time.monotonic()
    for number in range(12):
        with shared_counters(THREADS) as reported:
            child = forked(partial(call_until_killed, reported, KINDS[number % len(KINDS)]))
            await_calls(child, reported)
            time.sleep(0.05)
            kill(child)
    for watcher in watchers:
        kill(watcher, signal.SIGTERM)
    total = counted(WorkerDirectory(tmp_path))
    assert sum(cells[DEVICE_SECONDS.start] for cells in total.values()) / 1e9 < time.monotonic() - began
    assert differing(total, counted(WorkerDirectory(tmp_path))) == {}
