"""`modelplane doctor` over a store that is not Prometheus: a real VictoriaMetrics that scrapes by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from generations import Servers
from modelplane_provisioning.cli import cli
from modelplane_provisioning.clients.plane import Connection, prometheus_query
from modelplane_provisioning.processes import Process, free_port, wait_until

REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: a}]
models:
  - {name: m, framework: jax, owner: o, tenants: [a], targets: ["127.0.0.1:1"], versions: [{version: v1}]}
"""
SCRAPES = """
scrape_configs:
  - job_name: models
    scrape_interval: 1s
    static_configs: [{targets: ["127.0.0.1:1"]}]
"""


@pytest.fixture
def store(servers: Servers, tmp_path: Path) -> Iterator[str]:
    """URL of a VictoriaMetrics with a target that is down, and without rules."""
    (tmp_path / "scrape.yml").write_text(SCRAPES, encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    arguments = [
        servers.victoria_metrics, f"-storageDataPath={tmp_path / 'data'}", f"-httpListenAddr={address}",
        f"-promscrape.config={tmp_path / 'scrape.yml'}", "-search.latencyOffset=1s",
    ]  # fmt: skip
    url = f"http://{address}"
    with Process("victoria-metrics", arguments, tmp_path / "log", ready_url=f"{url}/-/ready"):
        yield url


def doctor(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(cli, ["doctor", "--json", *arguments])
    assert result.exit_code == 4, result.output
    document: dict[str, Any] = json.loads(result.output)
    return document


def test_what_victoria_metrics_lacks_is_said_and_the_rest_is_checked(store: str, tmp_path: Path) -> None:
    (tmp_path / "modelplane.yaml").write_text(REGISTRY, encoding="utf-8")
    assert wait_until(lambda: bool(prometheus_query(Connection("the store", store), "up == 0")))
    document = doctor("--prometheus", store, "--registry", str(tmp_path / "modelplane.yaml"))
    checks = {check["check"]: check for check in document["checks"]}
    assert checks["Prometheus answers queries"]["state"] == "ok"
    (dead,) = checks["targets are up"]["problems"]
    assert "http://127.0.0.1:1/metrics of job 'models' is down: the connection is refused" in dead["text"]
    (missing,) = checks["rules are healthy"]["problems"]
    assert missing["text"] == "the store has no rules, and nothing that they record"
    alerting = checks["Prometheus sends alerts to an Alertmanager"]
    assert (alerting["state"], "has no /api/v1/alertmanagers" in alerting["summary"]) == ("not checked", True)
    repeated = {
        each["cause"]: each["explains"] for each in checks["every panel query returns data"]["repeated"]
    }
    assert len(repeated[dead["cause"]]) > 20
    (wrong,) = doctor("--prometheus", f"{store}/nothing")["checks"][0]["problems"]
    assert "is that the root of its API?" in wrong["text"]
