"""What a real Prometheus holds of the signals of several processes is what NumPy says of the raw rows."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import requests
import yaml
from flask.testing import FlaskClient
from numpy.typing import NDArray
from prometheus_client.parser import text_string_to_metric_families

from modelplane_alerts.render import rule_files
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_exporter import Baseline
from modelplane_exporter.baseline import CategoricalSignal, NumericSignal, Signal
from modelplane_exporter.workers.publisher import PUBLISH_SECONDS
from modelplane_provisioning.processes import Process, free_port, wait_until
from modelplane_schema import metrics, recorded
from modelplane_schema.metrics import MISSING_BIN, OTHER_BIN
from modelplane_schema.registry import parse_registry

MIXED, NUMBERS, DRIFTING = "mixed", "numbers", "drifting"
REGISTRY = parse_registry(f"""
apiVersion: modelplane/v1
tenants: [{{id: user-A}}]
models: [{{name: {DRIFTING}, framework: sklearn, owner: x, tenants: [user-A], versions: [{{version: v1}}]}}]
""")
HERE = Path(__file__).parent
WINDOW_SECONDS, STREAM_SECONDS = 15, 18
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
    return array[np.isfinite(array)]


def counts(signal: Signal, values: Sequence[Any]) -> dict[str, int]:
    """How many values each bin of a signal should hold, without the exporter's own code."""
    if isinstance(signal, CategoricalSignal):
        names = [value if value in signal.categories else OTHER_BIN for value in values if value is not None]
        return {
            **dict.fromkeys(signal.bins, 0),
            **Counter(names),
            MISSING_BIN: len(values) - len(names),
        }
    present = finite(values)
    found, _ = np.histogram(present, [-math.inf, *signal.edges, math.inf])
    return dict(zip(signal.bins, [*found.tolist(), len(values) - len(present)], strict=True))


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
            [sys.executable, str(HERE / "signal_service.py"), *files],
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
        found: dict[str, Any] = json.loads(line)
        return found

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
            self._child.wait(10)
        finally:
            self._child.kill()
            self._child.wait()
            self._log.close()


class Prometheus:
    """Prometheus' HTTP API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expr: str) -> list[dict[str, Any]]:
        answer = requests.get(f"{self.url}/api/v1/query", {"query": expr}, timeout=10).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def bins(self, job: str) -> Bins:
        """Counts of a job, summed over its replicas."""
        by = "model_name, signal, bin"
        found = self.query(f'sum by ({by}) ({OBSERVATIONS}{{job="{job}",model_name!="{DRIFTING}"}})')
        return {
            (s["metric"]["model_name"], s["metric"]["signal"], s["metric"]["bin"]): float(s["value"][1])
            for s in found
        }

    def await_scrape(self, job: str, instances: int) -> None:
        """Until every replica of a job was scraped after now, and after its workers told each other."""
        since = time.time() + PUBLISH_SECONDS + 0.5
        fresh = f'count by (job) (up{{job="{job}"}} == 1 and timestamp(up) > {since!r})'
        expected = str(instances)
        assert wait_until(lambda: [s["value"][1] for s in self.query(fresh)] == [expected], 15)

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
    config = {
        "signalWindows": {
            **dict.fromkeys(recorded.SIGNAL_WINDOWS),
            f"{WINDOW_SECONDS}s": "1s",
        },
        "signalBaselineInterval": "1s",
    }
    for name, text in rule_files(REGISTRY, config).items():
        (folder / name).write_text(text, encoding="utf-8")
    interval = f"{1000 * WINDOW_SECONDS // SCRAPES_IN_WINDOW}ms"
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": "1s"},
        "rule_files": [str(folder / "*.yml")],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in of_job]}]}
            for job, of_job in ports.items()
        ],
    }


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    folder = tmp_path_factory.mktemp("exactness")
    baselines = training()
    for model, baseline in baselines.items():
        baseline.save(folder / f"{model}.json")
    ports = {job: (free_port(), free_port()) for job in ("exact", "restart", "drift")}
    rules = folder / "rules"
    rules.mkdir()
    config = folder / "prometheus.yaml"
    config.write_text(yaml.safe_dump(configuration(rules, ports)), encoding="utf-8")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = Process(
        "prometheus",
        ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
         f"--web.listen-address=127.0.0.1:{port}"],
        folder / "prometheus.log", ready_url=f"{url}/-/ready",
    )  # fmt: skip
    process.start()
    try:
        process.wait_ready(30)
        yield Plane(Prometheus(url), ports, folder, baselines)
    finally:
        process.stop()


def exposed(port: int) -> Bins:
    """Counts that one port shows."""
    answer = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=10)
    assert answer.status_code == 200, answer.text
    return {
        (sample.labels["model_name"], sample.labels["signal"], sample.labels["bin"]): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
        if sample.name == OBSERVATIONS and sample.labels["model_name"] != DRIFTING
    }


def added(*parts: Bins) -> Bins:
    assert all(part.keys() == parts[0].keys() for part in parts)
    return {key: sum(part[key] for part in parts) for key in parts[0]}


def test_bins_of_two_replicas_equal_numpy_histogram(plane: Plane, tmp_path: Path) -> None:
    first, second = plane.ports["exact"]
    sizes = [1, 63, 64, 65, 7, 256, 300, 2, 1000, 3] * 2
    with ExitStack() as stack:
        alone = plane.start(stack, first)
        workers = [plane.start(stack, second, tmp_path) for _ in range(2)]
        services = [alone, *workers]
        sent: dict[str, list[dict[str, Columns]]] = {MIXED: [], NUMBERS: []}
        for seed, (chunks, threads) in enumerate([(sizes, 1), (sizes[::-1], 4), ([5] * 400, 8)]):
            for model in sent:
                sent[model] += plane.send(services, model, seed, chunks, threads)
        for service in services:
            for _ in range(6):
                service.answer()
        expected = expected_bins(plane.baselines, sent)
        assert min(expected.values()) >= 0
        plane.prometheus.await_scrape("exact", 2)
        assert added(exposed(first), exposed(second)) == expected
        assert plane.prometheus.bins("exact") == expected
        workers[0].kill()
        assert wait_until(lambda: is_exposed(second), 10), "the other worker did not take the port over"
        assert added(exposed(first), exposed(second)) == expected


def is_exposed(port: int) -> bool:
    try:
        return bool(exposed(port))
    except requests.ConnectionError:
        return False


class Sums(NamedTuple):
    """What replicas exposed of a signal: observations that are not missing, and the sums of deviations."""

    n: float
    positive: float
    negative: float
    square: float


def sums(prometheus: Prometheus, job: str) -> dict[tuple[str, str, str], Sums]:
    """Raw samples by instance, model and signal."""
    present = f'{OBSERVATIONS}{{job="{job}",bin!="{MISSING_BIN}"}}'
    parts = [prometheus.raw(f"sum by (instance, model_name, signal) ({present})")]
    for metric in (
        metrics.SIGNAL_DEVIATION_POSITIVE,
        metrics.SIGNAL_DEVIATION_NEGATIVE,
        metrics.SIGNAL_DEVIATION_SQUARE,
    ):
        parts.append(prometheus.raw(f'{metric.name}{{job="{job}"}}'))
    return {key: Sums(*(part[key] for part in parts)) for key in parts[-1]}


def test_mean_and_standard_deviation_across_replicas_and_a_restart(plane: Plane) -> None:
    first, second = plane.ports["restart"]
    prometheus = plane.prometheus
    parts: list[dict[str, Columns]] = []
    with ExitStack() as stack:
        services = [plane.start(stack, first), plane.start(stack, second)]
        parts += plane.send(services, NUMBERS, 7, [1, 70, 3, 500, 64, 5, 1000, 2, 9, 8] * 3, threads=3)
        for service in services:
            service.answer()
        prometheus.await_scrape("restart", 2)
        before = sums(prometheus, "restart")
        services[0].stop()
        services[0] = plane.start(stack, first)
        parts += plane.send(services, NUMBERS, 8, [3] * 300)
        for service in services:
            service.answer()
        prometheus.await_scrape("restart", 2)
        after = sums(prometheus, "restart")
        means, stddevs = (
            prometheus.raw(f'max by (model_name, signal) ({metric.name}{{job="restart"}})')
            for metric in (metrics.BASELINE_MEAN, metrics.BASELINE_STDDEV)
        )
    restarted = f"127.0.0.1:{first}"
    assert {key[2] for key in after if key[1] == NUMBERS} == {"age", "far"}
    for signal in ("age", "far"):
        values = finite([value for part in parts for value in part["input"][signal]])
        seen = [after[f"127.0.0.1:{port}", NUMBERS, signal] for port in (first, second)]
        assert seen[0].n < before[restarted, NUMBERS, signal].n, "the counters start at 0 again"
        total = Sums(*np.sum([before[restarted, NUMBERS, signal], *seen], axis=0))
        assert total.n == len(values)
        m, s = means["", NUMBERS, signal], stddevs["", NUMBERS, signal]
        shift = (total.positive - total.negative) / total.n
        mean, stddev = m + s * shift, s * math.sqrt(total.square / total.n - shift**2)
        assert abs(m) / s > 9e5 or signal == "age"
        assert abs(mean - np.mean(values, dtype=np.longdouble)) <= 1e-9 * np.std(values)
        assert stddev == pytest.approx(np.std(values), rel=1e-9)


class Stream(NamedTuple):
    """Rows that went to one replica, and when each was handed over (seconds since 1970)."""

    columns: Columns
    times: NDArray[np.float64]


def streamed(plane: Plane) -> list[Stream]:
    """Rows at an even load, to two replicas."""
    chunks = [CHUNK_ROWS] * round(STREAM_SECONDS / CHUNK_SECONDS)
    with ExitStack() as stack:
        services = [plane.start(stack, port) for port in plane.ports["drift"]]
        plane.prometheus.await_scrape("drift", 2)
        sent = []
        for seed, service in enumerate(services):
            random = np.random.default_rng(seed)
            stable, shifted = random.normal(40, 12, sum(chunks)), random.normal(48, 9, sum(chunks))
            sent.append({"stable": stable.tolist(), "shifted": shifted.tolist()})
            service.tell(
                {"model": DRIFTING, "features": sent[-1], "chunks": chunks, "interval": CHUNK_SECONDS}
            )
        return [
            Stream(columns, np.repeat(service.answer()["times"], CHUNK_ROWS))
            for service, columns in zip(services, sent, strict=True)
        ]


@pytest.fixture
def backend(plane: Plane, tmp_path: Path) -> Iterator[FlaskClient]:
    app = create_app(
        Settings(prometheus_url=plane.prometheus.url, database_url=f"sqlite:///{tmp_path / 'alerts.db'}")
    )
    yield app.test_client()
    close_app(app)


def served_psi(backend: FlaskClient, instant: float) -> dict[str, float]:
    """What the backend says of the window that ends at an instant, by signal."""
    end = str(round(instant * 1000))
    query = {"model-name": DRIFTING, "window": f"{WINDOW_SECONDS}s", "from": end, "to": end}
    answer = backend.get("/api/v1/metrics/drift", query_string={**query, "maxDataPoints": "1"}).json
    assert answer is not None
    return {line["labels"]["signal"]: line["data"][0]["y"] for line in answer["data"]}


def test_psi_recorded_and_served_is_that_of_the_raw_rows(plane: Plane, backend: FlaskClient) -> None:
    streams = streamed(plane)
    begin = max(stream.times[0] for stream in streams)
    end = min(stream.times[-1] for stream in streams)
    compared = 0
    for instant, psi, n in recorded_values(plane.prometheus):
        if not begin + WINDOW_SECONDS < instant < end:
            continue
        served = served_psi(backend, instant)
        for signal in plane.baselines[DRIFTING].of_kind("input"):
            assert isinstance(signal, NumericSignal)
            rows = np.concatenate([within(stream, signal.name, instant) for stream in streams])
            assert n[signal.name] == pytest.approx(len(rows), rel=0.02)
            assert psi[signal.name] == pytest.approx(numpy_psi(signal, rows), abs=0.005)
            assert served[signal.name] == pytest.approx(numpy_psi(signal, rows), abs=0.005)
            compared += 1
        assert psi["stable"] < 0.01
        assert psi["shifted"] > 0.25
    assert compared >= 4
    scrapes = plane.prometheus.query(f'count_over_time(up{{job="drift"}}[{WINDOW_SECONDS}s])')
    assert min(float(series["value"][1]) for series in scrapes) >= 40


def recorded_values(prometheus: Prometheus) -> Iterator[tuple[float, dict[str, float], dict[str, float]]]:
    """Instants of evaluation, with psi and the number of observations by signal."""
    histories = []
    for family in (recorded.SIGNAL_PSI, recorded.SIGNAL_INCREASE):
        name = family.over(f"{WINDOW_SECONDS}s").name
        history: dict[float, dict[str, float]] = {}
        for series in prometheus.query(f'{name}{{model_name="{DRIFTING}"}}[1m]'):
            for instant, value in series["values"]:
                history.setdefault(instant, {})[series["metric"]["signal"]] = float(value)
        histories.append(history)
    psi, n = histories
    for instant in sorted(psi):
        yield instant, psi[instant], n[instant]


def within(stream: Stream, signal: str, instant: float) -> NDArray[np.float64]:
    chosen = (stream.times > instant - WINDOW_SECONDS) & (stream.times <= instant)
    return np.array(stream.columns[signal])[chosen]


def numpy_psi(signal: NumericSignal, rows: NDArray[np.float64]) -> float:
    """The design's psi of raw rows, all of whose bins hold training data."""
    c, _ = np.histogram(rows, [-math.inf, *signal.edges, math.inf])
    q, m, bins = np.array(signal.ratios[:-1]), signal.observations, len(c)
    assert q.min() > 0
    p = (c + 0.5) / (c.sum() + bins / 2)
    smoothed = (m * q + 0.5) / (m + bins / 2)
    return float(((p - smoothed) * np.log(p / smoothed)).sum())
