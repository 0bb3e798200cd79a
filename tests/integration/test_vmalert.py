"""vmalert over VictoriaMetrics records the same as Prometheus, though it writes later than it reads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import requests
import yaml
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry, Metric, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from generations import NEWEST, Servers
from modelplane_alerts.render import rule_files
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until
from modelplane_schema import metrics, recorded, recorded_slo
from modelplane_schema.recorded_types import WindowedSeries
from modelplane_schema.registry import parse_registry
from rule_groups import signal_settings

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: a}]
models:
  - name: m
    framework: jax
    owner: x
    tenants: [a]
    versions: [{version: v1}]
    slos:
      - {name: availability, objective: 0.95, indicator: {type: errors}}
      - {name: latency, objective: 0.95, indicator: {type: latency, threshold_seconds: 0.25}}
""")
# Prometheus extrapolates a young counter by one scrape, which is little after so long.
WINDOW, SETTLED_SECONDS, COMPARED = "1h", 20, 8
# Evaluated each second, a rule now and then sees half of what the evaluation before it has written.
MOST = 0.8
SIGNAL = ("m", "v1", "__all__", "jax", "input", "age", "0a1b2c3d")
VERSION = ("m", "v1", "jax", "input", "age", "0a1b2c3d")
TRAINING = 1_000_000
# By bin: shares in training, and live.
SHARES = {"00": (0.5, 0.55), "01": (0.45, 0.41), metrics.MISSING_BIN: (0.05, 0.04)}
CALLS = ("m", "v1", "a", "jax")
OUTCOMES = {"success": 0.9, "failure": 0.1}
FAST = 0.8
DEVIATIONS = {
    metrics.SIGNAL_DEVIATION_POSITIVE: 0.5,
    metrics.SIGNAL_DEVIATION_NEGATIVE: 0.3,
    metrics.SIGNAL_DEVIATION_SQUARE: 1.2,
}


class Traffic:
    """3,000 observations at once, as soon as it begins, and one a second from then on, in constant shares."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._lock = threading.Lock()

    def begin(self) -> None:
        with self._lock:
            self._began = time.time()

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            n = 0.0 if self._began is None else 3_000 + time.time() - self._began
        counts = _family(CounterMetricFamily, metrics.SIGNAL_OBSERVATIONS)
        ratios = _family(GaugeMetricFamily, metrics.BASELINE_RATIO)
        for name, (trained, live) in SHARES.items():
            counts.add_metric([*SIGNAL, name], live * n)
            ratios.add_metric([*VERSION, name], trained)
        size = _family(GaugeMetricFamily, metrics.BASELINE_OBSERVATIONS)
        size.add_metric(VERSION, TRAINING)
        yield from (counts, ratios, size)
        for metric, each in DEVIATIONS.items():
            sums = _family(CounterMetricFamily, metric)
            sums.add_metric(SIGNAL, each * n)
            yield sums
        requests_ = _family(CounterMetricFamily, metrics.REQUESTS)
        for outcome, share in OUTCOMES.items():
            requests_.add_metric([*CALLS, outcome], share * n)
        latency = _family(HistogramMetricFamily, metrics.LATENCY)
        latency.add_metric(CALLS, [("0.25", FAST * n), ("+Inf", n)], n)
        yield from (requests_, latency)


def _family(kind: type[Any], metric: metrics.Metric) -> Any:
    return kind(metric.name, metric.help, labels=metric.labels)


class Line(NamedTuple):
    """A recorded series: its instants in seconds, and its values."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]


class Store:
    """The HTTP API of a store."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._since = 0.0

    def forget(self) -> None:
        """What was recorded until a while from now does not count."""
        self._since = time.time() + SETTLED_SECONDS

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = requests.get(
            f"{self._url}/api/v1/query", {"query": expression}, timeout=PATIENCE_SECONDS
        ).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def lines(self, name: str) -> dict[str, Line]:
        """What has been recorded since, by bin, SLO, or neither."""
        recent = (
            (each["metric"], np.array(each["values"], np.float64).T) for each in self.query(f"{name}[5m]")
        )
        return {
            labels.get("bin", labels.get("slo", "")): Line(*values[:, values[0] > self._since])
            for labels, values in recent
        }

    def has_recorded(self, name: str) -> bool:
        return any(len(line.times) > COMPARED for line in self.lines(name).values())


@pytest.fixture(scope="module")
def stores(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    """Prometheus, and VictoriaMetrics that vmalert writes to, once both have recorded drift often enough."""
    if servers.generation != NEWEST:
        pytest.skip("one generation of vmalert is enough")
    folder = tmp_path_factory.mktemp("vmalert")
    _write_rules(folder)
    process = Traffic()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(process)
    exporter, prometheus, victoria, vmalert = (free_port() for _ in range(4))
    server, thread = start_http_server(exporter, addr="127.0.0.1", registry=registry)
    with ExitStack() as stack:
        stack.callback(thread.join)
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        for each in _processes(servers, folder, exporter, prometheus, victoria, vmalert):
            stack.enter_context(each)
        both = Store(f"http://127.0.0.1:{prometheus}"), Store(f"http://127.0.0.1:{victoria}")
        counts = recorded.SIGNAL_BIN_INCREASE.over(WINDOW).name
        assert wait_until(lambda: all(store.query(counts) for store in both))
        process.begin()
        for store in both:
            store.forget()
        last = recorded.SIGNAL_VARIANCE_RATIO.over(WINDOW).name
        assert wait_until(lambda: all(store.has_recorded(last) for store in both))
        yield both


def _write_rules(folder: Path) -> None:
    settings = {**signal_settings("1s", WINDOW), "sloInterval": "1s", "levelInterval": "1s"}
    texts = rule_files(REGISTRY, settings)
    groups = [
        group
        for group in yaml.safe_load(texts["modelplane-rules.yml"])["groups"]
        if "signal" in group["name"] or group["name"] in ("modelplane-slo", "modelplane-requests")
    ]
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    (folder / "modelplane-config.yml").write_text(texts["modelplane-config.yml"])


def _processes(
    servers: Servers, folder: Path, exporter: int, prometheus: int, victoria: int, vmalert: int
) -> Iterator[Process]:
    scraped: dict[str, Any] = {
        "global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"},
        "scrape_configs": [{"job_name": "m", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]}],
    }
    (folder / "scrape.yml").write_text(yaml.safe_dump(scraped))
    rules = [str(folder / "rules.yml"), str(folder / "modelplane-config.yml")]
    evaluated = {"global": {**scraped["global"], "evaluation_interval": "1s"}, "rule_files": rules}
    (folder / "prometheus.yml").write_text(yaml.safe_dump({**scraped, **evaluated}))
    commands = {
        "prometheus": (
            prometheus, servers.prometheus, f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}", f"--web.listen-address=127.0.0.1:{prometheus}",
        ),
        "victoria-metrics": (
            victoria, servers.victoria_metrics, f"-promscrape.config={folder / 'scrape.yml'}",
            f"-storageDataPath={folder / 'victoria'}", f"-httpListenAddr=127.0.0.1:{victoria}",
            "-search.latencyOffset=1s",
        ),
        "vmalert": (
            vmalert, servers.vmalert, *(f"-rule={rule}" for rule in rules), "-notifier.blackhole",
            f"-datasource.url=http://127.0.0.1:{victoria}", f"-remoteWrite.url=http://127.0.0.1:{victoria}",
            f"-httpListenAddr=127.0.0.1:{vmalert}", "-rule.evalDelay=2s", "-evaluationInterval=1s",
            "-group.maxStartDelay=1s",
        ),
    }  # fmt: skip
    for name, (port, *arguments) in commands.items():
        path = "health" if name == "vmalert" else "-/ready"
        ready = f"http://127.0.0.1:{port}/{path}"
        yield Process(name, [str(each) for each in arguments], folder / f"{name}.log", ready_url=ready)


def agree(stores: tuple[Store, Store], name: str, keys: Iterable[str]) -> None:
    """What vmalert recorded is within 1 % of Prometheus' at the same instants."""
    prometheus, vmalert = (store.lines(name) for store in stores)
    assert sorted(prometheus) == sorted(vmalert) == sorted(keys)
    for key, late in vmalert.items():
        both = (late.times >= prometheus[key].times[0]) & (late.times <= prometheus[key].times[-1])
        assert both.sum() >= COMPARED // 2
        expected = np.interp(late.times[both], *prometheus[key])
        close = np.isclose(late.values[both], expected, rtol=0.01)
        assert close.mean() >= MOST, f"{key}: {late.values[both]} for {expected}"


@pytest.mark.parametrize("family", recorded.SIGNAL_SERIES, ids=lambda family: family.name)
def test_vmalert_records_the_drift_that_prometheus_does(
    stores: tuple[Store, Store], family: WindowedSeries
) -> None:
    agree(stores, family.over(WINDOW).name, SHARES if family is recorded.SIGNAL_BIN_INCREASE else [""])


@pytest.mark.parametrize("window", ["5m", "1h"])
def test_vmalert_records_the_slos_that_prometheus_does(stores: tuple[Store, Store], window: str) -> None:
    for family in recorded_slo.SLO_SERIES:
        agree(stores, family.over(window).name, ["availability", "latency"])
    for store in stores:
        burn = store.lines(recorded_slo.SLO_BURN_RATE.over(window).name)
        assert np.median(burn["availability"].values) == pytest.approx(OUTCOMES["failure"] / 0.05, rel=0.01)
        assert np.median(burn["latency"].values) == pytest.approx((1 - FAST) / 0.05, rel=0.01)


def test_vmalert_records_the_calls_that_prometheus_does(stores: tuple[Store, Store]) -> None:
    names = [family.over(window).name for family in recorded_slo.CALL_SERIES for window in ("5m", "1h")]
    # Not rates: MetricsQL divides by the time that a young series has, Prometheus by the window.
    for name in (*names, recorded.ERROR_RATIO.name):
        agree(stores, name, [""])


def test_what_is_compared_is_the_drift_of_the_shares(stores: tuple[Store, Store]) -> None:
    """psi of shares of which one has all but no noise."""
    for store in stores:
        (line,) = store.lines(recorded.SIGNAL_PSI.over(WINDOW).name).values()
        exact = sum((live - trained) * np.log(live / trained) for trained, live in SHARES.values())
        assert np.isclose(line.values, exact, rtol=0.05).mean() >= MOST, line.values
