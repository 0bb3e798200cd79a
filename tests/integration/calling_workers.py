"""Processes that make thirty measured calls each and end in one way or another; the way is the argument.

Prints how many processes called. Each call counts an event too, and observes one feature.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from modelplane_exporter import Baseline, ModelMetricsExporter

CALLS = 30
exporter = ModelMetricsExporter(
    "m", "1", "t", "sklearn", confidence=None, events=["click"],
    baseline=Baseline.fit("m", {"age": [float(age) for age in range(100)]}),
)  # fmt: skip


@exporter
def predict() -> None:
    exporter.event("click")


def thirty(_: object = None) -> None:
    for _ in range(CALLS):
        predict()
    with exporter.track() as call:
        call.features({"age": 40.0})


def thirty_and_wait(ready: Any) -> None:
    thirty()
    ready.set()
    time.sleep(3600)


def forked(end: Callable[[], object]) -> int:
    """A child that calls and then ends."""
    child = os.fork()
    if not child:
        thirty()
        end()
    os.waitpid(child, 0)
    return 1


def killed(number: signal.Signals) -> int:
    """A child that does not end by itself."""
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    child = context.Process(target=thirty_and_wait, args=(ready,))
    child.start()
    ready.wait()
    assert child.pid
    os.kill(child.pid, number)
    child.join()
    return 1


def process(context: Any) -> int:
    child = context.Process(target=thirty)
    child.start()
    child.join()
    return 1


def pool(context: Any, **options: Any) -> int:
    workers = context.Pool(2, **options)
    workers.map(thirty, range(4), chunksize=1)
    workers.close()
    workers.join()
    return 4


def terminated_pool() -> int:
    with multiprocessing.get_context("fork").Pool(2) as workers:
        workers.map(thirty, range(4))
    return 4


def executor(method: str) -> int:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as workers:
        list(workers.map(thirty, range(4)))
    return 4


def program() -> int:
    subprocess.run([sys.executable, __file__, "here"], check=True, stdout=subprocess.DEVNULL)
    return 1


def here() -> int:
    thirty()
    return 1


def daemon_thread() -> int:
    thread = threading.Thread(target=thirty, daemon=True)
    thread.start()
    thread.join()
    return 1


def billiard_context() -> Any:
    import billiard

    return billiard.get_context("fork")


def celery() -> int:
    """Twelve tasks on a real worker with its in-memory broker; each process of its pool does one."""
    from celery import Celery
    from celery.exceptions import SecurityWarning
    from celery.signals import worker_ready

    warnings.simplefilter("ignore", SecurityWarning)  # tests may run as root
    tasks = 12
    app: Any = Celery("app", broker="memory://")
    done = multiprocessing.get_context("fork").Value("i", 0)

    @app.task(name="thirty")  # type: ignore[untyped-decorator]  # Celery has no types
    def task() -> None:
        thirty()
        with done.get_lock():
            done.value += 1

    def send() -> None:
        for _ in range(tasks):
            task.delay()
        while done.value < tasks:
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    worker_ready.connect(lambda **_: threading.Thread(target=send).start(), weak=False)
    options = ["--pool=prefork", "--concurrency=2", "--max-tasks-per-child=1", "--loglevel=warning"]
    with contextlib.suppress(SystemExit):
        app.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])
    return tasks


WAYS: dict[str, Callable[[], int]] = {
    "here": here,
    "daemon_thread": daemon_thread,
    "program": program,
    "os_exit": lambda: forked(lambda: os._exit(0)),
    "exec": lambda: forked(lambda: os.execv("/bin/true", ["true"])),  # noqa: S606
    "sys_exit": lambda: forked(lambda: sys.exit(0)),
    "abort": lambda: forked(os.abort),
    "sigterm": lambda: killed(signal.SIGTERM),
    "sigkill": lambda: killed(signal.SIGKILL),
    "process_fork": lambda: process(multiprocessing.get_context("fork")),
    "process_spawn": lambda: process(multiprocessing.get_context("spawn")),
    "process_forkserver": lambda: process(multiprocessing.get_context("forkserver")),
    "pool": lambda: pool(multiprocessing.get_context("fork")),
    "pool_of_short_lived": lambda: pool(multiprocessing.get_context("fork"), maxtasksperchild=1),
    "terminated_pool": terminated_pool,
    "executor_fork": lambda: executor("fork"),
    "executor_spawn": lambda: executor("spawn"),
    "billiard_process": lambda: process(billiard_context()),
    "billiard_pool": lambda: pool(billiard_context(), maxtasksperchild=1),
    "celery": celery,
}

if __name__ == "__main__":
    sys.stdout.write(f"{WAYS[sys.argv[1]]()}\n")
