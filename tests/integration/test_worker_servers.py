"""Real gunicorn and uvicorn workers give one correct /metrics: through reloads, kills and hand-overs."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from modelplane_exporter.layout.calls import REQUESTS
from modelplane_exporter.workers.directory import WorkerDirectory
from modelplane_exporter.workers.publisher import PUBLISH_SECONDS
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until

HERE = Path(__file__).parent


@dataclass
class Service:
    """A running server with its workers' folder."""

    process: Process
    url: str
    metrics_url: str
    folder: Path

    def workers(self) -> list[int]:
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [int(child) for child in children.split()]

    def scrape(self) -> dict[str, float] | None:
        """Counter samples by name and labels; None while the port changes hands."""
        try:
            answer = requests.get(self.metrics_url, timeout=PATIENCE_SECONDS)
            assert answer.status_code == 200, answer.text
        except requests.RequestException:
            return None
        return {
            f"{sample.name}{sorted(sample.labels.items())}": sample.value
            for family in text_string_to_metric_families(answer.text)
            if family.name.startswith("model_") and family.type in ("counter", "histogram")
            for sample in family.samples
        }

    def first_scrape(self) -> dict[str, float]:
        """The first scrape that is answered."""
        scrapes: list[dict[str, float]] = []

        def try_once() -> bool:
            scrape = self.scrape()
            scrapes.extend([] if scrape is None else [scrape])
            return bool(scrapes)

        assert wait_until(try_once), "nobody took the port over"
        return scrapes[0]

    def counted(self, least: float) -> float:
        """The requests counted once there are at least so many and no more come."""
        assert wait_until(lambda: requests_in(self.first_scrape()) >= least)
        time.sleep(PUBLISH_SECONDS + 0.5)  # what would be counted too often shows, too
        return requests_in(self.first_scrape())


def requests_in(samples: dict[str, float]) -> float:
    return sum(value for name, value in samples.items() if name.startswith("model_inference_requests_total"))


def fallen(before: dict[str, float], after: dict[str, float]) -> dict[str, tuple[float, float | None]]:
    return {name: (v, after.get(name)) for name, v in before.items() if after.get(name, -1) < v}


class Load:
    """Clients that send requests until stopped; ``answered`` counts answers of 200."""

    def __init__(self, url: str, clients: int = 4) -> None:
        self._url = url
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.answered = 0
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(clients)]
        for thread in self._threads:
            thread.start()

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                path = f"{self._url}/{'ab'[number % 2]}"
                status = requests.get(path, timeout=PATIENCE_SECONDS).status_code
            except requests.RequestException:
                continue  # its worker was killed or replaced
            with self._lock:
                self.answered += status == 200

    def wait_for_more(self, answers: int) -> None:
        """Until so many more were answered than by now."""
        enough = self.answered + answers
        assert wait_until(lambda: self.answered >= enough)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def serving(folder: Path, *command: str) -> Iterator[Service]:
    """A server with several workers that count together; ``command`` ends with the option for its port.

    It is ready when a worker answers scrapes: nothing was measured yet.
    """
    port, metrics_port = free_port(), free_port()
    env = {
        "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
        "MODELPLANE_EXPORTER_PORT": str(metrics_port),
        "MODELPLANE_EXPORTER_WORKERS_DIR": str(folder / "workers"),
        "PYTHONPATH": os.pathsep.join((str(HERE), os.environ.get("PYTHONPATH", ""))),
    }
    argv = [sys.executable, "-m", *command[:-1], command[-1].replace("PORT", str(port))]
    metrics_url = f"http://127.0.0.1:{metrics_port}/metrics"
    with Process(command[0], argv, folder / "log", env, metrics_url) as process:
        yield Service(process, f"http://127.0.0.1:{port}", metrics_url, folder / "workers")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    options = ("--workers", "4", "--graceful-timeout", "5", "--bind=127.0.0.1:PORT")
    with serving(tmp_path, "gunicorn", "gunicorn_app:app", *options) as running:
        assert wait_until(lambda: len(running.workers()) == 4)
        yield running


def test_gunicorn_workers_that_are_forked_after_loading_count_each_for_themselves(tmp_path: Path) -> None:
    options = ("--preload", "--workers", "3", "--bind=127.0.0.1:PORT")
    with serving(tmp_path, "gunicorn", "gunicorn_app:app", *options) as running:
        check_that_counts_are_answers(running)


def test_uvicorn_workers_that_are_spawned_count_together(tmp_path: Path) -> None:
    options = ("--workers", "2", "--log-level", "warning", "--port=PORT")
    with serving(tmp_path, "uvicorn", "uvicorn_app:app", *options) as running:
        check_that_counts_are_answers(running)


def test_gunicorn_workers_that_are_replaced_after_some_requests_lose_no_call(tmp_path: Path) -> None:
    options = (
        "--workers",
        "3",
        "--max-requests",
        "50",
        "--max-requests-jitter",
        "20",
        "--bind=127.0.0.1:PORT",
    )
    with serving(tmp_path, "gunicorn", "gunicorn_app:app", *options) as running:
        check_that_counters_never_fall(running, answers=600)


def test_uvicorn_workers_that_are_replaced_after_some_requests_lose_no_call(tmp_path: Path) -> None:
    options = ("--workers", "3", "--limit-max-requests", "100", "--log-level", "warning", "--port=PORT")
    with serving(tmp_path, "uvicorn", "uvicorn_app:app", *options) as running:
        check_that_counters_never_fall(running, answers=600)


def check_that_counters_never_fall(service: Service, answers: int) -> None:
    """Nor is a call lost, while the workers come and go under load."""
    last = service.first_scrape()
    workers = set(service.workers())
    with Load(service.url) as load:
        while load.answered < answers:
            seen = service.first_scrape()
            assert fallen(last, seen) == {}
            last = seen
    assert len(set(service.workers()) - workers) >= 2
    assert load.answered <= service.counted(load.answered) <= load.answered + 4 * answers / 50


@pytest.mark.parametrize(
    "command",
    [
        ("gunicorn", "gunicorn_app:app", "--workers", "3", "--bind=127.0.0.1:PORT"),
        ("uvicorn", "uvicorn_app:app", "--workers", "3", "--log-level", "warning", "--port=PORT"),
    ],
    ids=lambda command: command[0],
)
def test_a_service_that_is_told_to_end_loses_no_call(tmp_path: Path, command: tuple[str, ...]) -> None:
    with serving(tmp_path, *command) as running:
        with Load(running.url) as load:
            load.wait_for_more(200)
        running.process.stop()
    total = sum(
        sum(snapshot.cells[REQUESTS.start : REQUESTS.stop])
        for snapshot in WorkerDirectory(running.folder).collect().snapshots
    )
    assert total == load.answered


def check_that_counts_are_answers(service: Service) -> None:
    with Load(service.url) as load:
        load.wait_for_more(200)
    assert service.counted(load.answered) == load.answered


def reload(service: Service, load: Load, scrapes: list[dict[str, float]]) -> None:
    """Replace all workers under load. Scrapes until then are added; no counter falls between two."""
    replaced, answers, last_scrape = set(service.workers()), load.answered + 500, len(scrapes) + 20
    os.kill(service.process.pid, signal.SIGHUP)

    def is_over() -> bool:
        seen = service.scrape()
        if seen is not None:
            assert fallen(scrapes[-1], seen) == {}
            scrapes.append(seen)
        is_replaced = replaced.isdisjoint(service.workers())
        return is_replaced and load.answered >= answers and len(scrapes) >= last_scrape

    assert wait_until(is_over)


def test_reloads_lose_nothing_and_counters_never_fall(service: Service) -> None:
    scrapes = [service.first_scrape()]
    with Load(service.url) as load:
        for _ in range(2):
            load.wait_for_more(50)
            reload(service, load, scrapes)
    # A request may be measured whose answer was cut off by its worker's end; none may be missing.
    assert load.answered <= service.counted(load.answered) <= load.answered + 8


def test_killed_workers_lose_no_call_and_another_takes_the_port(service: Service) -> None:
    last, kills = service.first_scrape(), 3
    with Load(service.url) as load:
        for _ in range(kills):
            load.wait_for_more(100)
            os.kill(service.workers()[0], signal.SIGKILL)
            seen = service.first_scrape()
            assert fallen(last, seen) == {}
            last = seen
    assert wait_until(lambda: len(service.workers()) == 4)
    assert load.answered <= service.counted(load.answered) <= load.answered + 4 * kills
    assert wait_until(lambda: len(list(service.folder.glob("worker-*"))) <= 5), (
        "files of dead workers are compacted"
    )
