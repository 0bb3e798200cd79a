"""Burn rates, budgets and comparisons over four hours of a real exporter's scrapes in real stores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_exporter.exposition.text import chunks
from modelplane_exporter.measurement.identity_state import ENDED, FAILED, VALUE
from modelplane_exporter.store.store import Store
from modelplane_exporter.store.version_recorder import VersionRecorder
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema.identity import Identity

START = 1_700_000_000
STEP = 30
HOUR = 3600
END = START + 4 * HOUR
PHASE = 7  # scrapes come at no round time: on the left edge of a window generations of Prometheus differ
SILENT = range(START + 9 * HOUR // 4, START + 13 * HOUR // 4)  # scrapes find no new calls
CALLS_PER_SCRAPE = 20
CALLS_OF_LAST_HOUR = CALLS_PER_SCRAPE * HOUR // STEP * 3 // 4  # its first quarter is silent
REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: user-A}, {id: user-B}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    versions: [{version: v1.2.0}, {version: v1.2.1}, {version: v1.3.0, stage: canary}]
    slos:
      - {name: availability, objective: 0.99, window: 7d, indicator: {type: errors}}
      - {name: latency, objective: 0.95, window: 7d, indicator: {type: latency, threshold_seconds: 0.25}}
"""
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}


class Behaviour(NamedTuple):
    """Every how many calls one fails, and one is slow."""

    fails: int
    slow: int


# Of 20 calls a scrape: the same number fails in every hour, and the shares are known exactly.
VERSIONS = {"v1.2.0": Behaviour(120, 50), "v1.2.1": Behaviour(120, 50), "v1.3.0": Behaviour(24, 10)}
FAST_SECONDS, SLOW_SECONDS = 0.02, 0.4
# How far an increase may be from the calls, as a share: Prometheus stretches it to the edges of its window.
STRETCH = {"prometheus": 0.005, "victoria-metrics": 1e-9}
# In an hour the first and the last scrape lie a step less apart; Prometheus stretches what they show.
STRETCH_OF_HOUR = {"prometheus": HOUR / (HOUR - STEP), "victoria-metrics": 1}


class Clock:
    now = float(START)

    def __call__(self) -> float:
        return self.now


def call(recorder: VersionRecorder, tenant: str, number: int, behaviour: Behaviour) -> None:
    record = [recorder.meter.clock(), recorder.state_of(tenant), None, None, None, None]
    recorder.meter.events.append(record)
    slow = number % behaviour.slow == 0
    record[ENDED] = recorder.meter.clock() + (SLOW_SECONDS if slow else FAST_SECONDS)
    record[VALUE] = FAILED if tenant == "user-A" and number % behaviour.fails == 0 else 0.75
    recorder.meter.events.append(record)


def scraped(store: Store, second: int) -> Iterator[str]:
    for family in text_string_to_metric_families(b"".join(chunks(store.state().snapshots, [])).decode()):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
            yield f"{sample.name}{{{labels}}} {sample.value} {second}"


@pytest.fixture(scope="session")
def scrapes() -> str:
    """What a store would have scraped, with times, as OpenMetrics."""
    clock = Clock()
    store = Store(clock)
    recorders = {
        name: VersionRecorder(
            store, Identity("resnet50", name, "any", "pytorch"), ("d", "cpu-process"), max_tenants=9
        )
        for name in VERSIONS
    }
    for recorder in recorders.values():
        recorder.state_of("user-A")
        recorder.state_of("user-B")
    lines, number = list(scraped(store, START + PHASE - STEP)), 0
    for second in range(START + PHASE, END + 1, STEP):
        clock.now = float(second)
        for _ in range(0 if second in SILENT else CALLS_PER_SCRAPE):
            number += 1
            for name, recorder in recorders.items():
                for tenant in ("user-A", "user-B"):
                    call(recorder, tenant, number, VERSIONS[name])
        lines += scraped(store, second)
    return "\n".join([*sorted(lines, key=lambda line: line.split("} ")[0]), "# EOF", ""])


@pytest.fixture(scope="module")
def client(
    backfilled: Callable[[Path, str], str], scrapes: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FlaskClient]:
    """The application as it stands at the end of the four hours."""
    folder = tmp_path_factory.mktemp("slo")
    (folder / "modelplane.yaml").write_text(REGISTRY, encoding="utf-8")
    settings = Settings(
        prometheus_timeout_seconds=PATIENCE_SECONDS,
        prometheus_url=backfilled(folder, scrapes),
        scrape_interval_seconds=STEP,
        database_url=f"sqlite:///{folder}/modelplane.db",
        registry_file=folder / "modelplane.yaml",
    )
    app = create_app(settings, clock=lambda: END)
    yield app.test_client()
    close_app(app)


def get(client: FlaskClient, path: str, **query: object) -> Any:
    response = client.get(path, query_string={**WHO, **query})
    assert response.status_code == 200, response.json
    return response.json


def burn(client: FlaskClient, at: int, **query: object) -> dict[str, dict[str, float | None]]:
    """The one point at a time, by version."""
    moment = at * 1000
    body = get(client, "/api/v1/metrics/slo", **{"from": moment, "to": moment, "maxDataPoints": 1, **query})
    return {line["labels"]["model_version"]: line["data"][0] for line in body["data"]}


def test_burn_rates_are_those_of_the_calls(client: FlaskClient, store: str) -> None:
    stretch = STRETCH_OF_HOUR[store]
    points = burn(client, END, slo="availability")
    assert set(points) == set(VERSIONS)
    for version, point in points.items():
        assert point["y"] == pytest.approx(1 / VERSIONS[version].fails / 0.01, rel=1e-6)
        assert point["total"] == pytest.approx(CALLS_OF_LAST_HOUR * stretch, rel=1e-6)


def test_latency_burns_by_the_bucket_of_the_threshold(client: FlaskClient) -> None:
    points = burn(client, END, slo="latency")
    for version, point in points.items():
        assert point["y"] == pytest.approx(1 / VERSIONS[version].slow / 0.05, rel=1e-6)


def test_an_hour_without_calls_has_no_burn_rate(client: FlaskClient) -> None:
    for point in burn(client, SILENT.stop, slo="availability", window="30m").values():
        assert (point["y"], point["good"], point["total"]) == (None, 0, 0)


def test_a_long_window_weights_by_traffic(client: FlaskClient, store: str) -> None:
    """Three hours with calls and one without: the share of failures is that of the calls."""
    points = burn(client, END, slo="availability", window="4h")
    for version, point in points.items():
        assert point["y"] == pytest.approx(1 / VERSIONS[version].fails / 0.01, rel=STRETCH[store])


def test_a_tenant_without_failures_burns_nothing(client: FlaskClient) -> None:
    points = burn(client, END, **{"slo": "availability", "tenant-id": "user-B"})
    assert [point["y"] for point in points.values()] == [0, 0, 0]


def test_a_series_over_the_range_has_its_gap_where_there_was_no_traffic(client: FlaskClient) -> None:
    parameters = {"from": (START + HOUR // 2) * 1000, "to": END * 1000, "step": "10m", "window": "20m"}
    body = get(client, "/api/v1/metrics/slo", slo="availability", **parameters, **{"model-version": "v1.3.0"})
    (line,) = body["data"]
    silent = [point["x"] // 1000 for point in line["data"] if point["y"] is None]
    assert silent == [at for at in silent if SILENT.start + 1200 <= at <= SILENT.stop]
    assert len(silent) >= 4
    rates = [point["y"] for point in line["data"] if point["y"] is not None]
    assert rates == [pytest.approx(1 / 24 / 0.01, rel=0.15)] * len(rates)


def test_the_state_of_the_objectives(client: FlaskClient, store: str) -> None:
    stretch = STRETCH[store]
    rows = {
        (row["model_version"], row["slo"]): row for row in get(client, "/api/v1/slo", to=END * 1000)["rows"]
    }
    assert set(rows) == {(version, slo) for version in VERSIONS for slo in ("availability", "latency")}
    healthy, canary = rows["v1.2.0", "availability"], rows["v1.3.0", "availability"]
    assert healthy["burn_rate"] == pytest.approx(1 / 1.2, rel=1e-6)
    assert healthy["budget_remaining"] == pytest.approx(1 - 1 / 1.2, rel=stretch)
    # Each hour fails less often than it may, so the budget lasts.
    assert healthy["exhausted_at"] is None
    assert healthy["n"] == pytest.approx(CALLS_OF_LAST_HOUR * STRETCH_OF_HOUR[store], rel=1e-6)
    assert healthy["total"] == pytest.approx(3 * CALLS_PER_SCRAPE * HOUR / STEP, rel=stretch)
    assert canary["budget_remaining"] == pytest.approx(1 - 1 / 0.24, rel=stretch)
    assert canary["exhausted_at"] == END * 1000
    slow = rows["v1.2.0", "latency"]
    assert (slow["exhausted_at"], slow["budget_remaining"]) == (None, pytest.approx(0.6, abs=stretch))


def compare(client: FlaskClient, baseline: str, candidate: str, **query: object) -> Any:
    parameters = {"from": START * 1000, "to": END * 1000, "baseline": baseline, "candidate": candidate}
    return get(client, "/api/v1/compare", **{**parameters, **query})


def verdicts(body: Any) -> dict[str, str]:
    return {indicator["name"]: indicator["verdict"] for indicator in body["indicators"]}


def test_a_canary_that_fails_more_and_is_slower_is_worse(client: FlaskClient) -> None:
    body = compare(client, "v1.2.0", "v1.3.0")
    assert body["verdict"] == "worse"
    assert verdicts(body) == {"errors": "worse", "latency_p95": "worse", "confidence": "same"}
    calls = 3 * CALLS_PER_SCRAPE * HOUR // STEP
    for side, version in (("baseline", "v1.2.0"), ("candidate", "v1.3.0")):
        counts = body["counts"][side]
        # Counts are whole; failures keep time with the slices.
        assert counts["failures"] == pytest.approx(calls / VERSIONS[version].fails, rel=0.02)
        assert counts["successes"] + counts["failures"] == pytest.approx(calls, rel=0.01)
    errors = body["indicators"][0]
    assert errors["low"] <= 1 / 24 - 1 / 120 <= errors["high"]


def test_the_other_way_round_it_is_better(client: FlaskClient) -> None:
    body = compare(client, "v1.3.0", "v1.2.0")
    assert (body["verdict"], verdicts(body)["errors"]) == ("better", "better"), body


def test_two_builds_of_the_same_are_the_same(client: FlaskClient) -> None:
    body = compare(client, "v1.2.0", "v1.2.1")
    assert body["verdict"] == "no_difference_found"
    assert set(verdicts(body).values()) <= {"same", "no_difference_found"}


def test_ten_minutes_are_not_enough(client: FlaskClient) -> None:
    body = compare(client, "v1.2.0", "v1.2.1", **{"from": (END - 600) * 1000})
    assert (body["verdict"], verdicts(body)["errors"]) == ("not_enough_data", "not_enough_data")
    assert 0 < body["counts"]["baseline"]["latencies"] <= 20 * CALLS_PER_SCRAPE


def test_a_version_that_never_ran_has_no_traffic(client: FlaskClient) -> None:
    body = compare(client, "v1.2.0", "v9")
    assert body["verdict"] == "no_traffic"
    assert body["counts"]["candidate"]["latencies"] == 0
