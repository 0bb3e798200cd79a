"""Recorded drift in a real Prometheus equals the backend's formulas on the counts that it recorded."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import requests
import yaml
from prometheus_client import CollectorRegistry, Counter, Gauge, Metric, start_http_server

from generations import Servers
from modelplane_datasource.drift import formulas
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until
from modelplane_schema import metrics, recorded
from modelplane_schema.registry import parse_registry
from rule_groups import signal_settings, write_rules

MODEL, UNREGISTERED = "resnet50", "newcomer"
MIN_OBSERVATIONS = 40
REGISTRY = parse_registry(f"""
apiVersion: modelplane/v1
tenants: [{{id: user-A}}]
models:
  - {{name: {MODEL}, framework: jax, owner: x, tenants: [user-A], versions: [{{version: v1}}],
     drift: {{min_observations: {MIN_OBSERVATIONS}}}}}
""")
WINDOWS = ("8s", "12s", "20s")
QUIET_INSTANTS = 8
# Scrapes wander through the second of the evaluations, so many evaluations have a quiet moment before them.
SCRAPE_INTERVAL = "700ms"
QUIET_SECONDS = 0.25

BINS = ("00", "01", "02", "03", metrics.MISSING_BIN)
CATEGORIES = ('a "quoted" one', "ü", metrics.OTHER_BIN, metrics.MISSING_BIN)


class Signal(NamedTuple):
    """A signal of a model: its bins in training, and how fast each grows live, by tenant."""

    model: str
    kind: str
    name: str
    training: dict[str, int]
    rates: dict[str, tuple[float, ...]]
    deviations: tuple[float, float] | None

    @property
    def baseline(self) -> tuple[str, ...]:
        return (self.model, "v1", "jax", self.kind, self.name, "0a1b2c3d")

    def live(self, tenant: str) -> tuple[str, ...]:
        return (self.model, "v1", tenant, "jax", self.kind, self.name, "0a1b2c3d")


SIGNALS = (
    Signal(
        MODEL, "input", "age", dict(zip(BINS, (250, 250, 250, 240, 10), strict=True)),
        {"__all__": (3, 3, 3, 3, 0), "user-A": (1, 0, 5, 2, 1), "rare": (0, 0.1, 0, 0, 0)}, (4.5, 1.25),
    ),
    Signal(
        MODEL, "business", "country", dict(zip(CATEGORIES, (900, 0, 90, 10), strict=True)),
        {"__all__": (4, 4, 0, 0)}, None,
    ),
    Signal(UNREGISTERED, "output", "score", {"00": 50, metrics.MISSING_BIN: 0}, {"__all__": (3, 0)}, (1, 2)),
)  # fmt: skip


class Replica:
    """Signal series of one process, which grow with every scrape."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._registry = CollectorRegistry()
        self._counters = {
            metric: Counter(metric.name, metric.help, metric.labels, registry=self._registry)
            for metric in (
                metrics.SIGNAL_OBSERVATIONS,
                metrics.SIGNAL_DEVIATION_POSITIVE,
                metrics.SIGNAL_DEVIATION_NEGATIVE,
                metrics.SIGNAL_DEVIATION_SQUARE,
            )
        }
        ratio = Gauge(
            metrics.BASELINE_RATIO.name, "x", metrics.BASELINE_RATIO.labels, registry=self._registry
        )
        size = Gauge(
            metrics.BASELINE_OBSERVATIONS.name, "x", metrics.BASELINE_OBSERVATIONS.labels,
            registry=self._registry,
        )  # fmt: skip
        for signal in SIGNALS:
            m = sum(signal.training.values())
            size.labels(*signal.baseline).set(m)
            for name, count in signal.training.items():
                ratio.labels(*signal.baseline, name).set(count / m)
        self._scrapes = 0

    def collect(self) -> Iterator[Metric]:
        """Called by every scrape; the first finds zeros."""
        for signal in SIGNALS:
            for tenant, rates in signal.rates.items():
                for name, rate in zip(signal.training, rates, strict=True):
                    self._grow(metrics.SIGNAL_OBSERVATIONS, (*signal.live(tenant), name), rate)
                if signal.deviations:
                    positive, negative = signal.deviations
                    self._grow(metrics.SIGNAL_DEVIATION_POSITIVE, signal.live(tenant), positive)
                    self._grow(metrics.SIGNAL_DEVIATION_NEGATIVE, signal.live(tenant), negative)
                    self._grow(metrics.SIGNAL_DEVIATION_SQUARE, signal.live(tenant), 3 * positive)
        self._scrapes += 1
        yield from self._registry.collect()

    def _grow(self, metric: metrics.Metric, labels: tuple[str, ...], amount: float) -> None:
        # Uneven growth, so that no two windows hold the same shares.
        self._counters[metric].labels(*labels).inc(
            amount * self._share * (self._scrapes % 3) * (1 + len(labels[-1]) % 2)
        )


def configuration(folder: Path, ports: list[int]) -> dict[str, Any]:
    config = {**signal_settings("1s", *WINDOWS), "tokenCostInterval": "1s"}
    write_rules(folder, REGISTRY, config)
    return {
        "global": {
            "scrape_interval": SCRAPE_INTERVAL,
            "scrape_timeout": SCRAPE_INTERVAL,
            "evaluation_interval": "1s",
        },
        "rule_files": [str(folder / "*-*.yml")],
        "scrape_configs": [
            {"job_name": "models", "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}]}
        ],
    }


Table = dict[tuple[str, ...], dict[str, float]]  # by signal: values by bin, or by "" without bins


def key_of(series: dict[str, Any]) -> tuple[str, ...]:
    return tuple(series["metric"][label] for label in metrics.SIGNAL_DEVIATION_POSITIVE.labels)


class Api:
    """Prometheus' HTTP API, and the instants at which its rules were evaluated."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since = self._until = time.time()

    def query(self, expr: str, at: float | None = None) -> list[dict[str, Any]]:
        parameters = {"query": expr} | ({} if at is None else {"time": f"{at:.3f}"})
        answer = requests.get(f"{self._url}/api/v1/query", parameters, timeout=PATIENCE_SECONDS).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def begins_now(self) -> None:
        """Histories begin here: with the first counts there may be no baseline yet."""
        self._since = time.time()

    def ends_now(self) -> None:
        """Histories end here: whatever is evaluated later, no history sees half of an evaluation."""
        self._until = time.time()
        assert wait_until(lambda: self._oldest_evaluation() > self._until)

    def _oldest_evaluation(self) -> float:
        groups = requests.get(f"{self._url}/api/v1/rules", timeout=PATIENCE_SECONDS).json()["data"]["groups"]
        return min(
            datetime.fromisoformat(group["lastEvaluation"]).timestamp()
            for group in groups
            if group["interval"] == 1
        )

    def history(self, name: str) -> dict[float, Table]:
        """All values by instant, from the beginning to the end of histories."""
        tables: dict[float, Table] = defaultdict(lambda: defaultdict(dict))
        for series in self.query(f"{name}[{2 * PATIENCE_SECONDS}s]", self._until):
            for instant, value in series["values"]:
                if instant > self._since:
                    tables[instant][key_of(series)][series["metric"].get("bin", "")] = float(value)
        return tables

    def quiet_instants(self, window: str) -> int:
        """At how many evaluations of a window's counts nothing else was going on."""
        counts = self.history(recorded.SIGNAL_BIN_INCREASE.over(window).name)
        return sum(self.is_quiet(instant) for instant in counts)

    def increase(self, metric: metrics.Metric, window: str, at: float) -> Table:
        """Prometheus' own increase of a counter, summed over replicas."""
        table: Table = defaultdict(dict)
        expr = f"sum by ({', '.join(metric.labels)}) (increase({metric.name}[{window}]))"
        for series in self.query(expr, at):
            table[key_of(series)][series["metric"].get("bin", "")] = float(series["value"][1])
        return table

    def has_baseline(self, key: tuple[str, ...], instant: float) -> bool:
        """Whether the rules surely saw the baseline of a signal."""
        series = self.query(metrics.BASELINE_OBSERVATIONS.name, instant)
        shown = {(each["metric"]["model_name"], each["metric"]["signal"]) for each in series}
        return (key[0], key[5]) in shown and self.is_quiet(instant)

    def is_quiet(self, instant: float) -> bool:
        """Whether no scrape ended just before: it might have been stored after the rules were evaluated."""
        ends = "timestamp(up) + scrape_duration_seconds"
        return not self.query(f"{ends} > {instant - QUIET_SECONDS!r}", instant)

    def unhealthy_rules(self) -> list[dict[str, Any]]:
        """Those that fail, and those that should have been evaluated by now and were not."""
        groups = requests.get(f"{self._url}/api/v1/rules", timeout=PATIENCE_SECONDS).json()["data"]["groups"]
        return [
            rule
            for group in groups
            for rule in group["rules"]
            if rule["health"] != "ok" and (group["interval"] == 1 or rule["health"] != "unknown")
        ]


@pytest.fixture(scope="module")
def api(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A Prometheus with the rendered rules over two replicas, once it has evaluated them often enough."""
    folder = tmp_path_factory.mktemp("drift")
    with ExitStack() as stack:
        ports = []
        for share in (1.0, 0.5):
            registry = CollectorRegistry(auto_describe=False)
            registry.register(Replica(share))
            ports.append(free_port())
            server, thread = start_http_server(ports[-1], addr="127.0.0.1", registry=registry)
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        config = folder / "prometheus.yml"
        config.write_text(yaml.safe_dump(configuration(folder, ports)), encoding="utf-8")
        port = free_port()
        arguments = [
            servers.prometheus,
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ]
        ready = f"http://127.0.0.1:{port}/-/ready"
        stack.enter_context(Process("prometheus", arguments, folder / "log", ready_url=ready))
        prometheus = Api(f"http://127.0.0.1:{port}")
        name = recorded.SIGNAL_PSI.over(WINDOWS[-1]).name
        assert wait_until(lambda: bool(prometheus.query(name)))
        prometheus.begins_now()

        def seen_enough() -> bool:
            prometheus.ends_now()
            return all(prometheus.quiet_instants(window) >= QUIET_INSTANTS for window in WINDOWS)

        assert wait_until(seen_enough, interval=1)
        yield prometheus


def training(key: tuple[str, ...]) -> dict[str, int]:
    return next(signal.training for signal in SIGNALS if (signal.model, signal.name) == (key[0], key[5]))


def test_rules_evaluate_and_return_data(api: Api) -> None:
    assert api.unhealthy_rules() == []
    assert api.query(recorded.MIN_OBSERVATIONS.name)
    assert api.query(recorded.SIGNAL_BIN_BASELINE.name)
    for family in recorded.SIGNAL_SERIES:
        for window in WINDOWS:
            series = api.query(family.over(window).name)
            assert series
            assert all(set(entry["metric"]) == {"__name__", *family.labels} for entry in series)


@pytest.mark.parametrize("window", WINDOWS)
def test_recorded_counts_are_the_increase(api: Api, window: str) -> None:
    compared = 0
    for instant, table in api.history(recorded.SIGNAL_BIN_INCREASE.over(window).name).items():
        if api.is_quiet(instant):
            increases = api.increase(metrics.SIGNAL_OBSERVATIONS, window, instant)
            assert table.keys() == increases.keys()
            for key, counts in table.items():
                assert counts == pytest.approx(increases[key], rel=1e-12)
            compared += 1
    assert compared >= 5


@pytest.mark.parametrize("window", WINDOWS)
def test_recorded_drift_is_that_of_the_formulas(api: Api, window: str) -> None:
    names = [series.over(window).name for series in recorded.SIGNAL_SERIES]
    counts, _, _, sizes, psi, noise, _, _, missing_shift = (api.history(name) for name in names)
    emitted = withheld = 0
    for instant, table in counts.items():
        for key, live in table.items():
            trained = training(key)
            assert set(live) == set(trained)
            c, t = np.array([live[name] for name in trained]), np.array(list(trained.values()))
            m = t.sum()
            assert sizes[instant][key][""] == pytest.approx(c.sum(), rel=1e-12)
            if c.sum() < (MIN_OBSERVATIONS if key[0] == MODEL else 300):
                assert key not in psi[instant]
                assert key not in noise[instant]
                assert key not in missing_shift[instant]
                withheld += 1
                continue
            if key not in psi[instant]:
                # Both scrapes failed, which happens on a busy machine: the baseline was gone for a moment.
                assert not api.has_baseline(key, instant)
                continue
            assert psi[instant][key][""] == pytest.approx(formulas.psi(c, t / m, m), rel=1e-9, abs=1e-9)
            assert noise[instant][key][""] == pytest.approx(formulas.psi_noise(c, t / m, m), rel=1e-9)
            of_missing = (live[metrics.MISSING_BIN], c.sum(), trained[metrics.MISSING_BIN] / m)
            expected = formulas.missing_shift(*of_missing)
            assert missing_shift[instant][key][""] == pytest.approx(expected, abs=1e-9)
            emitted += 1
    assert emitted >= 20
    assert withheld >= 10


@pytest.mark.parametrize("window", WINDOWS)
def test_recorded_shift_of_the_mean_and_ratio_of_variances(api: Api, window: str) -> None:
    counts = api.history(recorded.SIGNAL_BIN_INCREASE.over(window).name)
    ratios = api.history(recorded.SIGNAL_VARIANCE_RATIO.over(window).name)
    compared = 0
    for instant, table in api.history(recorded.SIGNAL_MEAN_SHIFT.over(window).name).items():
        assert {key[5] for key in table} == {"age"}
        if api.is_quiet(instant):
            positive = api.increase(metrics.SIGNAL_DEVIATION_POSITIVE, window, instant)
            negative = api.increase(metrics.SIGNAL_DEVIATION_NEGATIVE, window, instant)
            square = api.increase(metrics.SIGNAL_DEVIATION_SQUARE, window, instant)
            for key, value in table.items():
                present = sum(
                    count for name, count in counts[instant][key].items() if name != metrics.MISSING_BIN
                )
                expected = formulas.mean_shift(positive[key][""], negative[key][""], present)
                assert value[""] == pytest.approx(expected, abs=1e-9)
                variance = formulas.variance_ratio(square[key][""], expected, present)
                assert ratios[instant][key][""] == pytest.approx(variance, abs=1e-9)
                compared += 1
    assert compared >= 5
