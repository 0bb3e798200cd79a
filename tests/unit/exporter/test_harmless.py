"""Monitoring never harms: hostile results, broken disks and ports, forks, shutdowns, references."""

from __future__ import annotations

import collections
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from modelplane_exporter import ModelMetricsExporter
from modelplane_exporter.layout.calls import REQUESTS
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.stores import store_for
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_exporter.workers.file_format import WorkersError
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.identity import Identity

LABELS = {"model_name": "m", "model_version": "v1", "tenant_id": "t", "framework": "jax"}


@pytest.fixture
def exporter(registry: CollectorRegistry) -> ModelMetricsExporter:
    return ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)


def successes(registry: CollectorRegistry) -> float | None:
    return registry.get_sample_value("model_inference_requests_total", {**LABELS, "outcome": "success"})


class RaisesOnGet(dict):  # type: ignore[type-arg]
    def __contains__(self, key: object) -> bool:
        raise RuntimeError("hostile")

    __getitem__ = get = __contains__  # type: ignore[assignment]


class LiesAboutItsLength(list):  # type: ignore[type-arg]
    def __len__(self) -> int:
        return 2**62


class RaisesOnAnything:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError("hostile")


class HostileKey:
    def __hash__(self) -> int:
        return hash("confidence")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("hostile")


def pretends_to_be_a_mapping() -> object:
    class Pretender:
        @property  # type: ignore[misc]  # object's can be set
        def __class__(self) -> type:
            raise RuntimeError("hostile")

    return Pretender()


HOSTILE: dict[str, Callable[[], object]] = {
    "raises on get": RaisesOnGet,
    "raises on any attribute": lambda: {"confidence": RaisesOnAnything()},
    "lies about its length": lambda: {"confidence": LiesAboutItsLength([0.5])},
    "key that raises": lambda: {HostileKey(): 0.5},
    "class that raises": pretends_to_be_a_mapping,
    "NaN": lambda: {"confidence": float("nan")},
    "infinities": lambda: {"confidence": [float("inf"), float("-inf"), float("nan")]},
    "huge": lambda: {"confidence": 10**400},
    "huge and negative": lambda: {"confidence": -(10**400)},
    "ten million": lambda: {"confidence": [0.5] * 10_000_000},
    "text": lambda: {"confidence": "0.5"},
    "object": lambda: {"confidence": object()},
    "defaultdict": lambda: collections.defaultdict(list),
    "nothing": lambda: None,
    "number": lambda: 42,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_result_comes_back_unchanged_with_at_most_one_line(
    registry: CollectorRegistry, exporter: ModelMetricsExporter, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    result = HOSTILE[kind]()
    predict = exporter(lambda: result)
    for _ in range(3):
        assert predict() is result
    assert successes(registry) == 3
    # Infinity is out of range, and NaN is no number.
    assert len(caplog.records) <= (2 if kind == "infinities" else 1)
    if kind == "defaultdict":
        assert result == {}
    assert registry.get_sample_value("model_active_inference_requests", LABELS) == 0


def test_a_tenant_function_that_raises_costs_one_line(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    exporter = ModelMetricsExporter("m", "v1", lambda *_: str(1 / 0), "jax", registry=registry)
    predict = exporter(lambda x: {"confidence": 0.5})
    for _ in range(100):
        assert predict(1) == {"confidence": 0.5}
    assert len([r for r in caplog.records if "the tenant function failed" in r.message]) == 1


class Thing(dict):  # type: ignore[type-arg]
    """Something that can be referred to weakly."""


@pytest.mark.slow
def test_no_reference_to_arguments_or_results_is_kept(exporter: ModelMetricsExporter) -> None:
    @exporter
    def predict(argument: Thing) -> Thing:
        return Thing(confidence=0.5, argument=argument)

    @exporter
    def fail(argument: Thing) -> None:
        raise ValueError(argument)

    argument = Thing()
    result = predict(argument)
    with pytest.raises(ValueError, match=r"\{\}"):
        fail(argument)
    references = [weakref.ref(argument), weakref.ref(result)]
    del argument, result
    gc.collect()
    assert [reference() for reference in references] == [None, None]


MODULE_LEVEL = ModelMetricsExporter("m", "v1", "t", "jax", registry=CollectorRegistry())


@MODULE_LEVEL
def predict_at_module_level(x: int) -> int:
    return x + 1


def test_a_decorated_function_is_pickled_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, predict_at_module_level.__module__, sys.modules[__name__])
    again = pickle.loads(pickle.dumps(predict_at_module_level))  # noqa: S301
    assert again is predict_at_module_level
    assert again(1) == 2


class Timeout(BaseException):
    pass


def test_a_signal_handler_that_raises_in_mid_call_leaves_nothing_in_flight(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    def handler(number: int, frame: object) -> None:
        raise Timeout

    @exporter
    def predict() -> dict[str, float]:
        return {"confidence": 0.5}

    calls = interrupted = 0
    previous = signal.signal(signal.SIGALRM, handler)
    gc.disable()  # other people's collector callbacks are not ready for a handler that raises
    try:
        while interrupted < 200:
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001)
                while True:
                    predict()
                    calls += 1
            except Timeout:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(0.001)
        signal.signal(signal.SIGALRM, previous)
        gc.enable()
    in_flight = registry.get_sample_value("model_active_inference_requests", LABELS)
    cancelled = registry.get_sample_value(
        "model_inference_requests_total", {**LABELS, "outcome": "cancelled"}
    )
    assert in_flight == 0
    assert cancelled is not None
    # A call that was interrupted after it had been counted was a success that its caller did not see.
    assert 0 <= (successes(registry) or 0) - calls <= interrupted
    assert cancelled <= interrupted


def test_a_forked_child_starts_at_zero_and_shares_nothing(
    registry: CollectorRegistry, exporter: ModelMetricsExporter
) -> None:
    predict = exporter(lambda: {"confidence": 0.5})
    predict()
    with exporter.track():  # in flight while forking
        child = os.fork()
        if child == 0:
            ok = successes(registry) == 0
            predict()
            os._exit(0 if ok and successes(registry) == 1 else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert successes(registry) == 2


@pytest.mark.slow
def test_a_fork_while_another_thread_drains_does_not_hang_the_child() -> None:
    check_in_a_process("""
        import os, threading
        from prometheus_client import CollectorRegistry, generate_latest
        from modelplane_exporter import ModelMetricsExporter
        registry = CollectorRegistry()
        exporter = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)
        predict = exporter(lambda: {"confidence": 0.5})
        stop = threading.Event()
        def work():
            while not stop.is_set():
                predict()
                generate_latest(registry)
        threads = [threading.Thread(target=work) for _ in range(4)]
        [thread.start() for thread in threads]
        for _ in range(20):
            child = os.fork()
            if child == 0:
                for _ in range(1000):
                    predict()
                generate_latest(registry)
                os._exit(0)
            assert os.waitpid(child, 0)[1] == 0
        stop.set()
        [thread.join() for thread in threads]
        print("done")
    """)


@pytest.mark.slow
def test_a_fork_while_another_thread_holds_the_registry_does_not_hang_the_child() -> None:
    check_in_a_process("""
        import os, threading
        from prometheus_client import CollectorRegistry, generate_latest
        from modelplane_exporter import ModelMetricsExporter
        registry = CollectorRegistry()
        predict = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry, confidence=None)(lambda: 1)
        is_held, may_end = threading.Event(), threading.Event()
        def hold():
            with registry._lock:
                is_held.set()
                may_end.wait()
        holder = threading.Thread(target=hold)
        holder.start()
        is_held.wait()
        child = os.fork()
        if child == 0:
            predict()
            text = generate_latest(registry)
            os._exit(0 if b"model_inference_requests_total" in text else 1)
        assert os.waitpid(child, 0)[1] == 0
        may_end.set()
        holder.join()
        print("done")
    """)


@pytest.mark.slow
def test_shutdown_with_calls_in_flight_is_quiet() -> None:
    check_in_a_process("""
        import threading, time
        from modelplane_exporter import ModelMetricsExporter
        exporter = ModelMetricsExporter("m", "v1", "t", "jax", port=0, address="127.0.0.1")
        @exporter
        def slow():
            time.sleep(60)
        @exporter
        def stream():
            while True:
                yield 1
        running = stream()
        next(running)
        for _ in range(3):
            threading.Thread(target=slow, daemon=True).start()
        time.sleep(0.2)
        print("done")
    """)


def check_in_a_process(code: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "done\n", "")


def test_a_store_that_fails_does_not_reach_the_model(
    registry: CollectorRegistry,
    exporter: ModelMetricsExporter,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predict = exporter(lambda: {"confidence": 0.5})

    def broken(self: object, now: float) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("modelplane_exporter.measurement.identity_state.IdentityState.settle", broken)
    for _ in range(1000):
        assert predict() == {"confidence": 0.5}
    store_for(registry).state()
    assert len(caplog.records) == 1
    assert "finished calls of one tenant were not counted: OSError" in caplog.text


def test_a_workers_folder_that_cannot_be_used_leaves_the_process_counting_for_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    store = Store(workers_directory=tmp_path / "file")
    recorder = VersionRecorder(store, Identity("m", "v1", "t", "jax"), ("d", "cpu-process"), max_tenants=10)
    recorder.state_of("t")
    assert [snapshot.key.identity.tenant_id for snapshot in store.state().snapshots] == ["t"]
    assert not store.is_shared
    assert len([r for r in caplog.records if "this process counts for itself" in r.message]) == 1


def test_a_full_disk_costs_one_line_and_no_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MODELPLANE_EXPORTER_WORKERS_DIR", str(tmp_path))
    registry = CollectorRegistry()
    predict = ModelMetricsExporter("m", "v1", "t", "jax", registry=registry)(lambda: {"confidence": 0.5})

    def full(self: object, updates: object) -> None:
        raise WorkersError("cannot grow the file: No space left on device")

    monkeypatch.setattr("modelplane_exporter.workers.file.WorkerFile.commit", full)
    for _ in range(1000):
        assert predict() == {"confidence": 0.5}
    lines = [r.message for r in caplog.records if "other processes do not see all counts" in r.message]
    assert len(lines) == 1
    (snapshot,) = store_for(registry).local_snapshots()
    assert snapshot.cells[REQUESTS.start] == 1000
