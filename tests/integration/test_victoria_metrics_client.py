"""Our client over a VictoriaMetrics that is set up as it comes: what it answers about the last 30 seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import requests

from datasource_support.clients import prometheus_client
from generations import Servers
from modelplane_datasource.prometheus.client import PrometheusClient
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.grid import Grid
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port


@pytest.fixture(scope="module")
def unset(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a VictoriaMetrics without the advised setting, with a counter of seconds until now."""
    folder = tmp_path_factory.mktemp("unset")
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [
        servers.victoria_metrics, f"-storageDataPath={folder / 'data'}", f"-httpListenAddr={url.removeprefix('http://')}",
    ]  # fmt: skip
    with Process("victoria-metrics", arguments, folder / "log", ready_url=f"{url}/-/ready"):
        now = int(time.time())
        samples = "".join(f"seconds_total {second} {second * 1000}\n" for second in range(now - 300, now + 1))
        requests.post(f"{url}/api/v1/import/prometheus", samples, timeout=PATIENCE_SECONDS).raise_for_status()
        requests.get(f"{url}/internal/force_flush", timeout=PATIENCE_SECONDS).raise_for_status()
        yield url


@pytest.fixture
def client(unset: str) -> Iterator[PrometheusClient]:
    """Our client, which reaches that VictoriaMetrics below the prefix that it has for Prometheus' API."""
    made = prometheus_client(
        Settings(prometheus_url=f"{unset}/prometheus", prometheus_timeout_seconds=PATIENCE_SECONDS)
    )
    yield made
    made.close()


def last_second(client: PrometheusClient) -> int:
    (series,) = client.unrestricted_samples("seconds_total", 60_000, int(time.time() * 1000))
    return int(series.times[-1]) // 1000


def test_an_instant_query_is_about_its_time(client: PrometheusClient) -> None:
    """Left to itself VictoriaMetrics answers for 30 seconds before."""
    moment = last_second(client)
    (sample,) = client.query("increase(seconds_total[10s])", moment * 1000)
    assert sample.value == 10
    (latest,) = client.query("seconds_total", moment * 1000)
    assert latest.value == moment


def test_without_the_advised_setting_a_short_step_repeats_values_of_30_seconds(
    client: PrometheusClient,
) -> None:
    moment = last_second(client) * 1000
    (short,) = client.query_range("seconds_total", Grid(moment - 40_000, moment, 10_000))
    assert short.values[-2:] == short.values[-3:-1]
    (long,) = client.query_range("seconds_total", Grid(moment - 60_000, moment, 60_000))
    assert long.values == (moment / 1000 - 60, moment / 1000)


def test_readiness_below_a_prefix(client: PrometheusClient, unset: str) -> None:
    assert requests.get(f"{unset}/prometheus/-/ready", timeout=PATIENCE_SECONDS).status_code == 400
    client.check_ready()
