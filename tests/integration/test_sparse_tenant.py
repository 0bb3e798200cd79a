"""A tenant with three calls in nine hours shows three in `increase`, on a real Prometheus."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from generations import Servers, newest_available
from modelplane_exporter.exposition.text import chunks
from modelplane_exporter.measurement.identity_state import ENDED, VALUE
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.identity import Identity

START = 1_700_000_000
HOURS = 9
STEP = 60
CALLS_AT = {2 * 3600 + 30, 5 * 3600 + 10, 8 * 3600 + 50}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def call(recorder: VersionRecorder, tenant_id: str) -> None:
    record = [recorder.meter.clock(), recorder.state_of(tenant_id), None, None, None, None]
    recorder.meter.events.append(record)
    record[ENDED], record[VALUE] = recorder.meter.clock() + 0.1, 0.5
    recorder.meter.events.append(record)


def nine_hours_of_scrapes() -> str:
    """What Prometheus would have scraped, with times, while other tenants press against the cap."""
    clock = Clock()
    store = Store(clock)
    recorder = VersionRecorder(store, Identity("m", "v1", "any", "jax"), ("d", "cpu-process"), max_tenants=2)
    recorder.state_of("sparse")
    recorder.state_of("busy")
    lines = ["# TYPE model_inference_requests counter"]
    for second in range(0, HOURS * 3600 + 1, STEP):
        clock.now = float(second)
        call(recorder, "busy")
        call(recorder, f"passing-{second}")
        for moment in CALLS_AT:
            if second - STEP < moment <= second:
                call(recorder, "sparse")
        for family in text_string_to_metric_families(b"".join(chunks(store.state().snapshots, [])).decode()):
            for sample in family.samples:
                if sample.name == "model_inference_requests_total":
                    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
                    lines.append(f"{sample.name}{{{labels}}} {sample.value} {START + second}")
    series = sorted(lines[1:], key=lambda line: line.split("} ")[0])  # one series after the other
    return "\n".join([lines[0], *series, "# EOF", ""])


@pytest.fixture(scope="session")
def servers() -> Servers:
    """One generation: `increase` is the same in both."""
    return newest_available()


@pytest.fixture(scope="module")
def increases(
    backfill: Callable[[str, Path, str], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, float]:
    """Successful calls by tenant over nine hours, as Prometheus sees them."""
    url = backfill("prometheus", tmp_path_factory.mktemp("sparse"), nine_hours_of_scrapes())
    query = f'sum by (tenant_id) (increase(model_inference_requests_total{{outcome="success"}}[{HOURS}h]))'
    parameters: dict[str, str | int] = {"query": query, "time": START + HOURS * 3600}
    answer = requests.get(f"{url}/api/v1/query", parameters, timeout=PATIENCE_SECONDS)
    result = answer.json()["data"]["result"]
    return {entry["metric"]["tenant_id"]: float(entry["value"][1]) for entry in result}


def test_three_calls_are_three(increases: dict[str, float]) -> None:
    assert increases["sparse"] == pytest.approx(3)
    assert increases["busy"] == pytest.approx(HOURS * 60)
    assert increases["__overflow__"] == pytest.approx(HOURS * 60, rel=0.01)
