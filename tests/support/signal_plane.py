"""A Prometheus that scrapes services with signals, and what NumPy says of their rows."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import requests
from numpy.typing import NDArray

from modelplane_exporter import Baseline
from modelplane_exporter.baseline import CategoricalSignal, NumericSignal, Signal
from modelplane_exporter.workers.publisher import PUBLISH_SECONDS
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until
from modelplane_schema import metrics
from modelplane_schema.metrics import MISSING_BIN, OTHER_BIN
from modelplane_schema.registry import parse_registry
from rule_groups import signal_settings, write_rules

MIXED, NUMBERS, DRIFTING = "mixed", "numbers", "drifting"
REGISTRY = parse_registry(f"""
apiVersion: modelplane/v1
tenants: [{{id: user-A}}]
models: [{{name: {DRIFTING}, framework: sklearn, owner: x, tenants: [user-A], versions: [{{version: v1}}]}}]
""")
SERVICE = Path(__file__).parents[1] / "integration" / "signals" / "signal_service.py"
WINDOW_SECONDS, STREAM_SECONDS = 30, 36
SCRAPES_IN_WINDOW = 50
CHUNK_ROWS, CHUNK_SECONDS = 80, 0.02
COUNTRIES = [f"country {number}" for number in range(30)]
Columns = dict[str, list[Any]]
Bins = dict[tuple[str, str, str], float]  # by model, signal and bin
OBSERVATIONS = metrics.SIGNAL_OBSERVATIONS.name


def training() -> dict[str, Baseline]:
    """Baselines by model. The mean of ``far`` is a million standard deviations from 0."""
    random = np.random.default_rng(1)
    age, far = random.normal(40, 12, 5000), random.normal(1e6, 1, 5000)
    steps, country = random.poisson(1.0, 5000), random.zipf(1.5, 5000).clip(max=len(COUNTRIES)) - 1
    mixed = {"age": age, "steps": steps, "country": [COUNTRIES[i] for i in country], "far": far}
    return {
        MIXED: Baseline.fit(MIXED, mixed, prediction=random.uniform(0, 1, 5000)),
        NUMBERS: Baseline.fit(NUMBERS, {"age": age, "far": far, "constant": np.full(5000, 7.0)}),
        DRIFTING: Baseline.fit(DRIFTING, {"stable": age, "shifted": age}),
    }


def numbers_like(signal: NumericSignal, random: np.random.Generator, rows: int) -> list[float | None]:
    """Live values: other than in training, many of them on the edges of bins, some missing or infinite."""
    values = random.normal(signal.mean + signal.stddev / 2, signal.stddev * 1.5 + 0.1, rows)
    for share, other in ((0.2, signal.edges), (0.03, (math.nan,)), (0.02, (math.inf, -math.inf))):
        chosen = random.random(rows) < share
        values[chosen] = random.choice(other, int(chosen.sum()))
    return [None if random.random() < 0.02 else value for value in values.tolist()]


def categories_like(random: np.random.Generator, rows: int) -> list[str | None]:
    values = [*COUNTRIES, "", "never seen", None]
    return [values[i] for i in random.integers(0, len(values), rows)]


def live(baseline: Baseline, seed: int, rows: int) -> dict[str, Columns]:
    """Rows of each kind of signals."""
    random = np.random.default_rng(seed)
    columns: dict[str, Columns] = {"input": {}, "output": {}}
    for signal in baseline.signals:
        columns[signal.kind][signal.name] = (
            numbers_like(signal, random, rows)
            if isinstance(signal, NumericSignal)
            else categories_like(random, rows)
        )
    return columns


def finite(values: Sequence[float | None]) -> NDArray[np.float64]:
    array = np.array([math.nan if value is None else value for value in values])
    present: NDArray[np.float64] = array[np.isfinite(array)]
    return present


def counts(signal: Signal, values: Sequence[Any]) -> dict[str, int]:
    """How many values each bin of a signal should hold, without the exporter's own code."""
    if isinstance(signal, CategoricalSignal):
        names = [value if value in signal.categories else OTHER_BIN for value in values if value]
        return {
            **dict.fromkeys(signal.bins, 0),
            **Counter(names),
            MISSING_BIN: len(values) - len(names),
        }
    present = finite(values)
    histogram, _ = np.histogram(present, [-math.inf, *signal.edges, math.inf])
    return dict(zip(signal.bins, [*histogram.tolist(), len(values) - len(present)], strict=True))


def expected_bins(baselines: Mapping[str, Baseline], sent: Mapping[str, list[dict[str, Columns]]]) -> Bins:
    """The counts of all rows that were sent, by model, signal and bin."""
    return {
        (model, signal.name, bin_name): count
        for model, parts in sent.items()
        for signal in baselines[model].signals
        for bin_name, count in counts(
            signal, [value for part in parts for value in part[signal.kind][signal.name]]
        ).items()
    }


class Service:
    """A process of ``signal_service``, told what to observe."""

    def __init__(self, folder: Path, port: int, workers: Path | None = None) -> None:
        environment = {
            **os.environ,
            "MODELPLANE_EXPORTER_ADDRESS": "127.0.0.1",
            "MODELPLANE_EXPORTER_PORT": str(port),
        }
        if workers is not None:
            environment["MODELPLANE_EXPORTER_WORKERS_DIR"] = str(workers)
        files = sorted(map(str, folder.glob("*.json")))
        self._log = (folder / "services.log").open("ab")
        self._child = subprocess.Popen(
            [sys.executable, str(SERVICE), *files],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, env=environment,
        )  # fmt: skip

    def tell(self, command: Mapping[str, Any]) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(command).encode() + b"\n")
        self._child.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """The answer to the oldest command that was not answered; first of all that it is ready."""
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        assert line, f"the service ended; its log: {Path(self._log.name).read_text(encoding='utf-8')}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End with the input, as at the end of a program."""
        for stream in (self._child.stdin, self._child.stdout):
            assert stream is not None
            stream.close()
        self._ended()

    def kill(self) -> None:
        self._child.kill()
        self.stop()

    def _ended(self) -> None:
        try:
            self._child.wait(PATIENCE_SECONDS)
        finally:
            self._child.kill()
            self._child.wait()
            self._log.close()


class Prometheus:
    """Prometheus' HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expr: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/v1/query", {"query": expr}, timeout=PATIENCE_SECONDS).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def bins(self, job: str) -> Bins:
        """Counts of a job, summed over its replicas."""
        by = "model_name, signal, bin"
        series = self.query(f'sum by ({by}) ({OBSERVATIONS}{{job="{job}",model_name!="{DRIFTING}"}})')
        return {
            (s["metric"]["model_name"], s["metric"]["signal"], s["metric"]["bin"]): float(s["value"][1])
            for s in series
        }

    def await_scrape(self, job: str, instances: int) -> None:
        """Until every replica of a job was scraped after now, and after its workers told each other."""
        since = time.time() + PUBLISH_SECONDS + 0.5
        fresh = f'count by (job) (up{{job="{job}"}} == 1 and timestamp(up) > {since!r})'
        expected = str(instances)
        assert wait_until(lambda: [s["value"][1] for s in self.query(fresh)] == [expected])

    def raw(self, expr: str) -> dict[tuple[str, str, str], float]:
        """Values as they were scraped, by instance (empty where it is summed away), model and signal."""
        return {
            (s["metric"].get("instance", ""), s["metric"]["model_name"], s["metric"]["signal"]): float(
                s["value"][1]
            )
            for s in self.query(expr)
        }


@dataclass
class Plane:
    """A Prometheus, the ports that its jobs scrape, and the folder with the baselines."""

    prometheus: Prometheus
    ports: Mapping[str, Sequence[int]]
    folder: Path
    baselines: Mapping[str, Baseline]

    def start(self, stack: ExitStack, port: int, workers: Path | None = None) -> Service:
        """A service that is ready; it ends with the stack."""
        service = Service(self.folder, port, workers)
        stack.callback(service.stop)
        service.answer()
        return service

    def send(
        self, services: Iterable[Service], model: str, seed: int, chunks: Sequence[int], threads: int = 1
    ) -> list[dict[str, Columns]]:
        """Tell each service to observe rows of its own; gives the rows."""
        sent = []
        for number, service in enumerate(services):
            rows = live(self.baselines[model], 100 * seed + number, sum(chunks))
            prediction = rows["output"].get("prediction")
            service.tell(
                {"model": model, "features": rows["input"], "prediction": prediction, "chunks": chunks,
                 "threads": threads}
            )  # fmt: skip
            sent.append(rows)
        return sent


def configuration(folder: Path, ports: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    write_rules(folder, REGISTRY, signal_settings("1s", f"{WINDOW_SECONDS}s"))
    interval = f"{1000 * WINDOW_SECONDS // SCRAPES_IN_WINDOW}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": "1s"},
        "rule_files": [str(folder / "*.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in of_job]}]}
            for job, of_job in ports.items()
        ],
    }
