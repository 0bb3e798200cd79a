"""The past of a demo in a real Prometheus: what the shipped rules make of it, and which alerts they fire."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from modelplane_alerts.render import DEMO_CONFIG, rule_files
from modelplane_datasource.drift import formulas
from modelplane_provisioning.clients.plane import Connection
from modelplane_provisioning.past.generate import Span
from modelplane_provisioning.past.incidents import Incident
from modelplane_provisioning.past.stories import HOUR
from modelplane_provisioning.past.write import write_past
from modelplane_provisioning.processes import Process, free_port
from modelplane_schema.registry import parse_registry
from provisioning_support.told_model import DRIFTS, END, HOURS, MODEL, NEW, STAYS, STORY, live

REGISTRY = parse_registry("""
apiVersion: modelplane/v1
tenants: [{id: north}, {id: south}]
models:
  - name: pricing
    framework: python
    owner: pricing-team
    tenants: [north, south]
    versions: [{version: v1}, {version: v2, stage: canary}]
    slos: [{name: availability, objective: 0.99, window: 30d, indicator: {type: errors}}]
devices:
  prices:
    - {device_type: cpu-process, amount: 1, currency: EUR, per: hour, effective_from: 2026-01-01}
""")
SPAN = Span(END - round(HOURS * HOUR) * 1000, END, END - 6 * HOUR * 1000)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("past") / "prometheus"


@pytest.fixture(scope="module")
def incidents(database: Path) -> list[Incident]:
    rules = rule_files(REGISTRY, DEMO_CONFIG).values()
    return write_past(database, [live()], {MODEL: STORY}, rules, SPAN)


@pytest.fixture(scope="module")
def prometheus(database: Path, incidents: list[Incident]) -> Iterator[Connection]:
    (configuration := database.parent / "prometheus.yml").write_text("global: {}\n")
    url = f"http://127.0.0.1:{free_port()}"
    arguments = [
        "prometheus",
        f"--config.file={configuration}",
        f"--storage.tsdb.path={database}",
        f"--web.listen-address={url.removeprefix('http://')}",
    ]
    with Process("prometheus", arguments, database.parent / "log", ready_url=f"{url}/-/ready"):
        yield Connection("Prometheus", url)


def query(prometheus: Connection, expression: str, hours_ago: float = 0.0) -> list[dict[str, Any]]:
    time = END / 1000 - hours_ago * HOUR
    result: list[dict[str, Any]] = prometheus.get("/api/v1/query", {"query": expression, "time": time})[
        "data"
    ]["result"]
    return result


def value(prometheus: Connection, expression: str, hours_ago: float = 0.0) -> float:
    (series,) = query(prometheus, expression, hours_ago)
    return float(series["value"][1])


def test_drift_is_recorded_as_the_backend_computes_it_and_since_it_began(prometheus: Connection) -> None:
    of_signal = f'model_version="v1",signal="{DRIFTS}"'
    counts = {
        series["metric"]["bin"]: float(series["value"][1])
        for series in query(prometheus, f"increase(model_signal_observations_total{{{of_signal}}}[1h])")
    }
    ratios = {
        series["metric"]["bin"]: float(series["value"][1])
        for series in query(prometheus, f"model_signal_baseline_ratio{{{of_signal}}}")
    }
    expected = formulas.psi(
        [counts[name] for name in sorted(counts)], [ratios[name] for name in sorted(counts)], 2000
    )
    psi = f"modelplane:signal_psi:1h{{{of_signal}}}"
    assert value(prometheus, psi) == pytest.approx(float(expected), rel=0.1)
    assert value(prometheus, psi) > 0.25 > 0.05 > value(prometheus, psi, hours_ago=1.6)
    assert value(prometheus, f'modelplane:signal_psi:1h{{model_version="v1",signal="{STAYS}"}}') < 0.05


def test_one_tenant_alone_burns_its_budget(prometheus: Connection) -> None:
    burn = 'modelplane:slo_burn_rate:1h{model_version="v1",tenant_id="%s"}'
    assert value(prometheus, burn % "south") > 14.4
    assert value(prometheus, burn % "north") == value(prometheus, burn % "south", hours_ago=0.6) == 0


def test_a_version_was_deployed(prometheus: Connection) -> None:
    info = f'model_info{{model_version="{NEW}"}}'
    assert query(prometheus, info)
    assert not query(prometheus, info, hours_ago=1.1)


def test_alerts_fired_for_whom_the_stories_name(prometheus: Connection, incidents: list[Incident]) -> None:
    burns = {
        incident.labels["tenant_id"]
        for incident in incidents
        if incident.labels["alertname"] == "ModelSloBurn"
    }
    assert burns == {"south"}
    drifts = {
        (incident.labels["owner"], incident.labels["signal"])
        for incident in incidents
        if incident.labels["alertname"] in ("ModelSignalDrift", "ModelSignalFarFromBaseline")
    }
    assert drifts == {("pricing-team", DRIFTS)}
    firing = query(prometheus, 'ALERTS{alertname="ModelSloBurn",alertstate="firing",severity="critical"}')
    assert {series["metric"]["tenant_id"] for series in firing} == {"south"}
    assert not {incident.labels["alertname"] for incident in incidents} & {
        "ModelDown",
        "UnpricedUse",
        "NoTraffic",
    }
