"""A Prometheus and a VictoriaMetrics of somebody else's take in what --target existing writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import requests
import yaml
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, Counter, start_http_server

from generations import NEWEST, Servers
from modelplane_provisioning.cli import cli
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, free_port, wait_until
from modelplane_schema import metrics

REGISTRY = """
apiVersion: modelplane/v1
tenants: [{{id: a}}]
models:
  - name: m
    framework: jax
    owner: o
    tenants: [a]
    targets: ["127.0.0.1:{port}"]
    versions: [{{version: v1}}]
"""
TIMES = {"scrape_interval": "1s", "scrape_timeout": "1s"}


class Server:
    """The HTTP API of a Prometheus, or of what answers as one."""

    def __init__(self, url: str) -> None:
        self._url = url

    def get(self, path: str, **parameters: str) -> Any:
        answer = requests.get(f"{self._url}/api/v1/{path}", parameters, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def up(self) -> dict[str, str]:
        """Whether the last scrape of each job worked."""
        result = self.get("query", query="up")["result"]
        return {each["metric"]["job"]: each["value"][1] for each in result}

    def rules(self) -> set[str]:
        groups = self.get("rules")["groups"]
        return {rule["name"] for group in groups for rule in group["rules"]}

    def firing(self, name: str) -> list[dict[str, str]]:
        alerts = self.get("alerts")["alerts"]
        return [each["labels"] for each in alerts if each["labels"]["alertname"] == name]


class Ports(NamedTuple):
    """Of the servers that are there, and of the backend."""

    prometheus: int
    alertmanager: int
    backend: int

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{getattr(self, name)}"


@pytest.fixture(scope="module")
def ports() -> Ports:
    return Ports(free_port(), free_port(), free_port())


@pytest.fixture(scope="module")
def bundle(servers: Servers, ports: Ports, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The bundle for a model that is there."""
    if servers.generation != NEWEST:
        pytest.skip("files for scrape_config_files and vmalert need the newest servers")
    folder = tmp_path_factory.mktemp("existing")
    port, registry = free_port(), CollectorRegistry(auto_describe=False)
    calls = Counter(metrics.REQUESTS.name, metrics.REQUESTS.help, metrics.REQUESTS.labels, registry=registry)
    calls.labels("m", "v1", "a", "jax", "success").inc()
    server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    (folder / "modelplane.yaml").write_text(REGISTRY.format(port=port))
    arguments = [
        "--registry", str(folder / "modelplane.yaml"), "--out", str(folder / "build"),
        "--prometheus", ports.url("prometheus"), "--alertmanager", ports.url("alertmanager"),
        "--backend", f"127.0.0.1:{ports.backend}",
    ]  # fmt: skip
    outcome = CliRunner().invoke(cli, ["bundle", "--target", "existing", *arguments])
    assert outcome.exit_code == 0, outcome.output
    yield folder / "build"
    server.shutdown()
    server.server_close()
    thread.join()


def names_of_rules(bundle: Path) -> set[str]:
    return {
        rule.get("alert") or rule["record"]
        for path in (bundle / "prometheus/rules").iterdir()
        for group in yaml.load(path.read_text(), yaml.CSafeLoader)["groups"]
        for rule in group["rules"]
    }


def job(name: str, port: int) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}


@pytest.fixture(scope="module")
def backend(ports: Ports, bundle: Path) -> Iterator[str]:
    """The backend with the settings of the bundle."""
    (bundle / "data/backend").mkdir(parents=True)
    environment = dict(line.split("=", 1) for line in (bundle / "backend.env").read_text().splitlines())
    command = [sys.executable, "-m", "modelplane_datasource"]
    url = ports.url("backend")
    with Process("backend", command, bundle.parent / "backend.log", environment, f"{url}/healthz"):
        yield url


@pytest.fixture(scope="module")
def alertmanager(servers: Servers, ports: Ports, bundle: Path) -> Iterator[str]:
    """An Alertmanager of somebody else's, into whose file our routes were merged."""
    file, url = bundle.parent / "alertmanager.yml", ports.url("alertmanager")
    file.write_text("route: {receiver: them}\nreceivers: [{name: them}]\n")
    ours = ["--from", f"{bundle}/alertmanager/modelplane.yml", "--into", str(file)]
    assert CliRunner().invoke(cli, ["alertmanager", "merge", *ours]).exit_code == 0
    command = [
        servers.alertmanager, f"--config.file={file}", f"--storage.path={bundle.parent}/alertmanager",
        f"--web.listen-address=127.0.0.1:{ports.alertmanager}", "--cluster.listen-address=",
    ]  # fmt: skip
    with Process("alertmanager", command, bundle.parent / "alertmanager.log", ready_url=f"{url}/-/ready"):
        yield url


@pytest.fixture(scope="module")
def prometheus(
    servers: Servers, ports: Ports, bundle: Path, alertmanager: str, backend: str
) -> Iterator[Server]:
    """A Prometheus with a job and an alert of its own."""
    folder, port = bundle.parent, ports.prometheus
    watchdog = {"alert": "Watchdog", "expr": "vector(1)", "labels": {"team": "them"}}
    (folder / "theirs.yml").write_text(yaml.safe_dump({"groups": [{"name": "theirs", "rules": [watchdog]}]}))
    content = {
        "global": {**TIMES, "evaluation_interval": "1s"},
        "rule_files": [str(folder / "theirs.yml"), f"{bundle}/prometheus/rules/*.yml"],
        "scrape_config_files": [f"{bundle}/prometheus/scrape.yml"],
        "scrape_configs": [job("theirs", port)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager.partition("//")[2]]}]}]},
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(content))
    process = Process(
        "prometheus",
        [servers.prometheus, f"--config.file={folder}/prometheus.yml",
         f"--storage.tsdb.path={folder}/prometheus", "--rules.alert.resend-delay=1s",
         f"--web.listen-address=127.0.0.1:{port}"],
        folder / "prometheus.log", ready_url=f"http://127.0.0.1:{port}/-/ready",
    )  # fmt: skip
    with process:
        yield Server(f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def victoria_metrics(servers: Servers, bundle: Path) -> Iterator[Server]:
    """VictoriaMetrics and vmalert with the flags of docs/existing.md."""
    folder, port, rules = bundle.parent, free_port(), free_port()
    url = f"http://127.0.0.1:{port}"
    scraped = {"global": TIMES, "scrape_config_files": [f"{bundle}/victoriametrics/scrape.yml"]}
    (folder / "promscrape.yml").write_text(yaml.safe_dump(scraped))
    commands = {
        "victoria-metrics": (
            port, servers.victoria_metrics, f"-promscrape.config={folder}/promscrape.yml",
            f"-storageDataPath={folder}/victoria", f"-httpListenAddr=127.0.0.1:{port}",
            f"-vmalert.proxyURL=http://127.0.0.1:{rules}", "-search.latencyOffset=0s",
        ),
        "vmalert": (
            rules, servers.vmalert, f"-rule={bundle}/prometheus/rules/*.yml", f"-datasource.url={url}",
            f"-remoteWrite.url={url}", f"-remoteRead.url={url}", "-notifier.blackhole",
            "-disableAlertgroupLabel", "-rule.evalDelay=1s", "-evaluationInterval=1s",
            "-group.maxStartDelay=1s", f"-httpListenAddr=127.0.0.1:{rules}",
        ),
    }  # fmt: skip
    with ExitStack() as stack:
        for name, (each, *command) in commands.items():
            ready = f"http://127.0.0.1:{each}/health"
            argv, log = [str(part) for part in command], folder / f"{name}.log"
            stack.enter_context(Process(name, argv, log, ready_url=ready))
        yield Server(url)


def test_prometheus_scrapes_records_and_alerts_beside_its_own(prometheus: Server, bundle: Path) -> None:
    up = {"models": "1", "modelplane-backend": "1", "theirs": "1"}
    assert wait_until(lambda: prometheus.up() == up), prometheus.up()
    assert prometheus.rules() == names_of_rules(bundle)
    assert wait_until(lambda: len(prometheus.firing("Watchdog")) == 2)
    planes = {labels.get("plane"): labels.get("team") for labels in prometheus.firing("Watchdog")}
    assert planes == {"modelplane": None, None: "them"}


def test_our_alerts_arrive_in_the_backend(prometheus: Server, bundle: Path, backend: str) -> None:
    token = (bundle / "secrets/operator/operator-token").read_text()

    def last_seen() -> str | None:
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.get(f"{backend}/api/v1/watchdog", headers=headers, timeout=PATIENCE_SECONDS)
        assert answer.status_code == 200, answer.text
        seen: str | None = answer.json()["last_seen_at"]
        return seen

    assert wait_until(lambda: bool(prometheus.firing("Watchdog")))
    assert wait_until(lambda: last_seen() is not None)


def test_victoria_metrics_scrapes_records_and_alerts(victoria_metrics: Server, bundle: Path) -> None:
    assert wait_until(lambda: victoria_metrics.up().get("models") == "1")
    assert victoria_metrics.rules() == names_of_rules(bundle)
    assert wait_until(lambda: bool(victoria_metrics.firing("Watchdog")))
    (labels,) = victoria_metrics.firing("Watchdog")
    assert labels["plane"] == "modelplane"
    assert "alertgroup" not in labels
    recorded = '{__name__=~"modelplane:.+"}'
    assert wait_until(lambda: bool(victoria_metrics.get("query", query=recorded)["result"]))


def test_victoria_metrics_takes_no_file_of_a_prometheus_unless_it_is_told_to(
    servers: Servers, bundle: Path, tmp_path: Path
) -> None:
    def accepts(file: Path, *flags: str) -> bool:
        command = [
            servers.victoria_metrics,
            f"-promscrape.config={file}",
            "-promscrape.config.dryRun",
            *flags,
        ]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    registry = bundle.parent / "modelplane.yaml"
    arguments = ["bundle", "--registry", str(registry), "--out", str(tmp_path / "compose")]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    of_prometheus = tmp_path / "compose/prometheus/prometheus.yml"
    assert not accepts(of_prometheus)
    assert accepts(of_prometheus, "-promscrape.config.strictParse=false")
