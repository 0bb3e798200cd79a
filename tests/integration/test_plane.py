"""The local plane as one: real Prometheus, Alertmanager and backend, fed by the real exporter."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from generations import Servers
from model_process import service_process, write_registry
from modelplane_dashboards import ApiAccess
from modelplane_provisioning.bundle.credentials import OPERATOR
from modelplane_provisioning.bundle.files import registry_targets
from modelplane_provisioning.bundle.site import DEMO_TIMES
from modelplane_provisioning.cli import cli
from modelplane_provisioning.clients.plane import Plane
from modelplane_provisioning.clients.plane_errors import PlaneError
from modelplane_provisioning.doctor.panels import check_panels
from modelplane_provisioning.doctor.parts import Parts
from modelplane_provisioning.local.stack import Stack, refuse_second
from modelplane_provisioning.processes import PATIENCE_SECONDS, Process, answers, free_port, wait_until
from modelplane_schema.registry import load_registry

HERE = Path(__file__).parent
COMMAND = Path(sys.executable).with_name("modelplane")

EVERYBODY = {"user-A", "user B & co", "vision"}


@pytest.fixture(scope="module", autouse=True)
def path_of_servers(servers: Servers) -> Iterator[None]:
    """PATH, on which the plane finds its servers, has those of the generation first."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PATH", servers.search_path)
        yield


@pytest.fixture(scope="module")
def folder(path_of_servers: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plane's files. It depends on PATH, so that each generation has a plane of its own."""
    return tmp_path_factory.mktemp("plane")


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[Process]:
    with service_process(folder, free_port()) as process:
        yield process


@pytest.fixture(scope="module")
def stack(folder: Path, model: Process, customary_ports_taken: None) -> Iterator[Stack]:
    assert model.ready_url is not None
    registry_path = write_registry(folder, int(model.ready_url.split(":")[2].split("/")[0]))
    registry = load_registry(registry_path)
    stack = Stack(registry, folder, folder / "data", DEMO_TIMES, registry_targets(registry))
    try:
        stack.start(lambda text: None)
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def parts(stack: Stack) -> Parts:
    return Parts.of_plane(stack.plane, load_registry(Path(stack.plane.registry)))


def process_named(stack: Stack, name: str) -> Process:
    return next(process for process in stack.processes if process.name == name)


def test_its_servers_are_those_of_the_generation(servers: Servers, stack: Stack) -> None:
    programs = {process.name: process.argv[0] for process in stack.processes}
    assert programs["prometheus"] == servers.prometheus
    assert programs["alertmanager"] == servers.alertmanager


def stored(parts: Parts, **filters: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parts.backend.get("/api/v1/alerts", {"limit": 1000, **filters})["alerts"]
    return rows


def test_an_alert_goes_from_prometheus_to_the_store(parts: Parts) -> None:
    assert wait_until(lambda: bool(stored(parts, alertname="ModelErrorRatioHigh")))
    rows = stored(parts, alertname="ModelErrorRatioHigh")
    assert {row["tenant_id"] for row in rows} == {"user-A"}
    assert {row["model_name"] for row in rows} == {"resnet50"}
    assert all("of the calls of tenant user-A" in str(row["description"]) for row in rows)
    assert all("var-tenant=user-A&var-model=resnet50" in str(row["dashboard_url"]) for row in rows)


def test_the_slow_version_alone_breaks_the_latency_slo(parts: Parts) -> None:
    assert wait_until(lambda: len(stored(parts, alertname="ModelSloBurn")) >= 2)
    rows = stored(parts, alertname="ModelSloBurn")
    assert {row["model_version"] for row in rows} == {"v1.3.0"}
    assert {row["severity"] for row in rows} == {"warning"}, "a canary pages nobody"


@pytest.mark.parametrize("tenant_id", ["user-A", "user B & co"])
def test_the_latency_api_returns_two_versions_that_differ_as_they_were_made(
    parts: Parts, tenant_id: str
) -> None:
    query = {"model-name": "resnet50", "tenant-id": tenant_id, "quantile": "0.5", "from": "now-5m"}
    answer = parts.backend.get("/api/v1/metrics/latency", query)
    latest = {
        series["labels"]["model_version"]: [p["y"] for p in series["data"] if p["y"] is not None][-1]
        for series in answer["data"]
    }
    assert set(latest) == {"v1.2.0", "v1.3.0"}
    assert latest["v1.2.0"] < 0.01 < latest["v1.3.0"] < 0.1


@pytest.mark.parametrize("api", ["plugin", "infinity"])
def test_every_panel_query_of_every_board_returns_data(parts: Parts, api: ApiAccess) -> None:
    parts = replace(parts, api=api)
    wait_until(lambda: not check_panels(parts).problems)  # until rules have read what is scraped
    finding = check_panels(parts)
    assert finding.problems == ()
    assert int(finding.summary.split()[0]) > 50


def test_doctor_finds_nothing_wrong_and_its_probe_arrives(stack: Stack, folder: Path) -> None:
    result = CliRunner().invoke(cli, ["doctor", "--data", str(folder / "data"), "--probe"])
    assert result.exit_code == 0, result.output
    assert result.output.count("ok ") == 12
    assert "a test alert reaches the store" in result.output


def test_status_lists_the_parts(stack: Stack, folder: Path) -> None:
    result = CliRunner().invoke(cli, ["status", "--data", str(folder / "data")])
    assert result.exit_code == 0, result.output
    for name, url in (("prometheus", stack.plane.prometheus_url), ("backend", stack.plane.backend_url)):
        assert name in result.output
        assert url in result.output


def test_a_second_plane_in_the_same_folder_is_refused(stack: Stack, folder: Path) -> None:
    with pytest.raises(PlaneError, match=r"a plane already runs from .*--data"):
        refuse_second(folder / "data")


def test_no_acknowledged_alert_is_lost_when_the_backend_is_killed(
    parts: Parts, stack: Stack, model: Process
) -> None:
    before = {(row["fingerprint"], row["starts_at"]) for row in stored(parts)}
    assert before
    backend = process_named(stack, "backend")
    backend.kill()
    failures = failed_deliveries(stack)
    model.stop()  # fires ModelDown while nobody listens
    assert wait_until(lambda: failed_deliveries(stack) > failures)
    assert wait_until(lambda: "ModelDown" in alertmanager_alerts(parts))
    backend.start()
    backend.wait_ready()
    assert before <= {(row["fingerprint"], row["starts_at"]) for row in stored(parts)}
    # Prometheus forgets the series five minutes after the target is gone, or at once when it is stale.
    assert wait_until(lambda: people_told_of_model_down(parts) == EVERYBODY), backend.log_tail()
    model.start()
    model.wait_ready()
    assert wait_until(lambda: not firing(parts, "ModelDown")), "its end reaches the store, too"


def people_told_of_model_down(parts: Parts) -> set[str]:
    labels = [alert["labels"] for alert in stored(parts, alertname="ModelDown")]
    return {label["owner" if label["audience"] == "owner" else "tenant_id"] for label in labels}


def firing(parts: Parts, alertname: str) -> list[dict[str, Any]]:
    return [alert for alert in stored(parts, alertname=alertname) if alert["status"] == "firing"]


def alertmanager_alerts(parts: Parts) -> set[str]:
    """Names of the alerts that Alertmanager has."""
    return {alert["labels"]["alertname"] for alert in parts.alertmanager.get("/api/v2/alerts")}


def failed_deliveries(stack: Stack) -> float:
    """How often Alertmanager gave up one delivery to the backend."""
    url = f"{stack.plane.alertmanager_url}/metrics"
    families = text_string_to_metric_families(requests.get(url, timeout=PATIENCE_SECONDS).text)
    return sum(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == "alertmanager_notification_requests_failed_total"
        and sample.labels["integration"] == "webhook"
    )


def test_without_prometheus_the_api_says_so_and_doctor_explains(
    parts: Parts, stack: Stack, folder: Path
) -> None:
    prometheus = process_named(stack, "prometheus")
    prometheus.kill()
    response = requests.get(
        stack.plane.backend_url + "/api/v1/metrics/latency",
        params={"model-name": "resnet50", "tenant-id": "user-A"},
        headers={"Authorization": f"Bearer {stack.plane.token(OPERATOR.secret)}"},
        timeout=PATIENCE_SECONDS,
    )
    assert response.status_code in (503, 504)
    assert "Prometheus" in response.json()["message"]
    result = CliRunner().invoke(cli, ["doctor", "--data", str(folder / "data")])
    assert result.exit_code == 4
    explanation = f"Prometheus does not answer at {stack.plane.prometheus_url}: the connection is refused"
    assert result.output.count(f"error: {explanation}") == 1
    assert CliRunner().invoke(cli, ["status", "--data", str(folder / "data")]).exit_code == 1
    prometheus.start()
    prometheus.wait_ready()


@contextmanager
def run_up(registry: Path, data: Path, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """`modelplane up`, started; whatever the test comes to, it ends with all its children."""
    with subprocess.Popen(
        [str(COMMAND), "up", "--registry", str(registry), "--data", str(data)],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as up:
        try:
            yield up
        finally:
            if up.poll() is None:
                end(up)


def end(up: subprocess.Popen[str]) -> None:
    up.terminate()
    try:
        up.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(up.pid, signal.SIGKILL)


def printed_until(up: subprocess.Popen[str], last: str) -> str:
    """What the command prints, up to the line that holds ``last``."""
    assert up.stdout is not None
    lines = []
    for line in up.stdout:
        lines.append(line)
        if last in line:
            break
    return "".join(lines)


def test_up_runs_grafana_too_and_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    grafana = programs / "grafana"
    grafana.write_text(
        f'#!/bin/sh\nexec {sys.executable} {HERE / "fake_grafana.py"} "$@"\n', encoding="utf-8"
    )
    grafana.chmod(grafana.stat().st_mode | stat.S_IEXEC)
    registry, data = write_registry(tmp_path, free_port()), tmp_path / "data"
    with run_up(registry, data, PATH=f"{programs}:{os.environ['PATH']}") as up:
        assert wait_until(lambda: (data / "plane.json").exists() or up.poll() is not None)
        plane = Plane.load(data)
        assert plane.grafana_url is not None
        doctor_result = CliRunner().invoke(cli, ["doctor", "--data", str(data)])
        for line in (
            "ok   Grafana answers and is a supported version: Grafana 12.4.0",
            "ok   Grafana has loaded the plugin of the boards: modelplane-monitoring-app",
            "ok   Grafana's data sources answer queries: 3 of 3 data sources are ours",
            "ok   Grafana has the boards of the registry: 13 of 13 boards",
        ):
            assert line in doctor_result.output
        assert "every panel query returns data through Grafana: " in doctor_result.output
        up.send_signal(signal.SIGINT)
        output, _ = up.communicate(timeout=PATIENCE_SECONDS)
    assert up.returncode == 0, output
    assert "stopped" in output
    for url in (plane.prometheus_url, plane.alertmanager_url, plane.backend_url, plane.grafana_url):
        assert not answers(url)
        assert url in output
    assert not (data / "plane.json").exists()


def test_up_takes_other_ports_when_the_customary_ones_are_taken(stack: Stack, tmp_path: Path) -> None:
    """The plane of this module runs, so at least its ports are taken."""
    registry, data = write_registry(tmp_path, free_port()), tmp_path / "data"
    with run_up(registry, data) as up:
        assert wait_until(lambda: (data / "plane.json").exists() or up.poll() is not None)
        first, second = stack.plane, Plane.load(data)
        assert {first.prometheus_url, first.backend_url}.isdisjoint(
            {second.prometheus_url, second.backend_url}
        )
        assert answers(second.prometheus_url + "/-/ready")
        assert json.loads((data / "plane.json").read_text(encoding="utf-8"))["grafana_url"] is None
        explained = printed_until(up, "Stop with Ctrl-C.")
        up.terminate()
        output, _ = up.communicate(timeout=PATIENCE_SECONDS)
    assert up.returncode == 0, output
    assert "docker compose -f" in explained
