"""What other processes see, and when."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

import modelplane_exporter
from exporter_support.event_series import EVENTS, FEEDBACK, exporter, samples
from exporter_support.journaled_calls import if_alive, if_killed, requests
from exporter_support.worker_processes import exit_status, forked, worker_files
from modelplane_exporter.workers import publisher


@pytest.fixture(autouse=True)
def _publish_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 3600.0)
    monkeypatch.setenv("MODELPLANE_EXPORTER_WORKERS_DIR", str(tmp_path))


@pytest.mark.parametrize("flush", ["module", "exporter"])
def test_flush_shows_all_that_finished_at_once(tmp_path: Path, flush: str) -> None:
    made = exporter(CollectorRegistry())
    predict = made(lambda: None)
    for _ in range(10):
        predict()
    assert requests(if_alive(tmp_path)["t"]) < 10
    (modelplane_exporter if flush == "module" else made).flush()
    assert requests(if_alive(tmp_path)["t"]) == 10


def test_flush_of_a_process_on_its_own_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MODELPLANE_EXPORTER_WORKERS_DIR")
    registry = CollectorRegistry()
    made = exporter(registry)
    made(lambda: None)()
    made.flush()
    modelplane_exporter.flush()
    assert samples(registry, "model_inference_requests_total")["t", "success"] == 1


def test_flush_never_raises(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    made = exporter(CollectorRegistry())

    def fail(self: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(publisher.Publisher, "publish", fail)
    made.flush()
    modelplane_exporter.flush()
    assert {"counts were not published: RuntimeError"} == {record.getMessage() for record in caplog.records}


def test_events_and_feedback_outlive_a_killed_worker(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    seen_by = exporter(registry, events=["click"], feedback=True)

    def work() -> None:
        made = exporter(CollectorRegistry())
        for _ in range(3):
            made.event("click", count=2)
            made.feedback(True)
        with made.track() as call:
            call.event("click")
        os.kill(os.getpid(), signal.SIGKILL)

    assert exit_status(forked(work)) == -signal.SIGKILL
    assert samples(registry, EVENTS)["t", "click"] == 7
    assert samples(registry, FEEDBACK)["t", "correct"] == 3
    seen_by.event("click")
    assert samples(registry, EVENTS)["t", "click"] == 8


@pytest.mark.slow
def test_a_child_counts_for_itself_also_when_nobody_keeps_the_registry(tmp_path: Path) -> None:
    predict = exporter(CollectorRegistry())(lambda: None)
    gc.collect()
    for _ in range(3):
        predict()

    def work() -> None:
        for _ in range(4):
            predict()

    assert exit_status(forked(work)) == 0
    assert requests(if_killed(tmp_path)["t"]) == 7
    assert len(worker_files(tmp_path)) == 2


@pytest.mark.slow
def test_a_scrape_while_events_are_counted_shows_no_count_twice_or_smaller(tmp_path: Path) -> None:
    registry = CollectorRegistry()
    made = exporter(registry, events=["click"])
    last = 0.0
    for _ in range(50):
        made.event("click")
        now = samples(registry, EVENTS)["t", "click"]
        assert now == last + 1
        last = now
