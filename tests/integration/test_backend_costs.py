"""Costs from real stores: two processes of a shared GPU, a restart, and an hour that nobody scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.clients import prometheus_client
from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.costs import sample_reader, samples
from modelplane_datasource.costs.ledger.lines import SIGNS
from modelplane_datasource.costs.ledger.usage import ScrapeTiming
from modelplane_datasource.costs.sample_reader import RangeSamples, SampleReader
from modelplane_datasource.settings import Settings
from modelplane_datasource.timeline.time_range import TimeRange
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema import metrics

HOUR = 3600
START = 1_790_000_400 // HOUR * HOUR  # a full hour of the year 2026
SCRAPE = 15
RESTART = START + 1800
GAP = range(START + 2 * HOUR, START + 3 * HOUR)
REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: user-A}, {id: user-B}]
models:
  - {name: resnet50, framework: pytorch, owner: x, tenants: [user-A, user-B], versions: [{version: v1}]}
devices:
  inventory: [{device: GPU-1, device_type: h200, from: 2026-01-01}]
  prices: [{device_type: h200, amount: 3.60, currency: USD, per: hour, effective_from: 2026-01-01}]
"""


def exposition() -> str:
    """Four hours: user-A takes half of the device, user-B a quarter; user-B's process restarts once."""
    name = "model_inference_device_seconds"
    lines = [f"# TYPE {name} counter"]
    for tenant, share, instance in (("user-A", 0.5, "a:8000"), ("user-B", 0.25, "b:8000")):
        labels = (
            f'model_name="resnet50",model_version="v1",tenant_id="{tenant}",framework="pytorch",'
            f'device="GPU-1",device_type="h200",job="resnet50",instance="{instance}"'
        )
        for at in range(START - HOUR, START + 4 * HOUR + 1, SCRAPE):
            begun = RESTART if tenant == "user-B" and at >= RESTART else START - HOUR
            if at not in GAP:
                lines.append(f"{name}_total{{{labels}}} {(at - begun) * share} {at}")
    return "\n".join([*lines, "# EOF\n"])


@pytest.fixture(scope="module")
def settings(backfilled: Callable[[Path, str], str], tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("costs")
    (folder / "modelplane.yaml").write_text(REGISTRY)
    return Settings(
        prometheus_timeout_seconds=PATIENCE_SECONDS,
        prometheus_url=backfilled(folder, exposition()),
        database_url=f"sqlite:///{folder / 'alerts.db'}",
        registry_file=folder / "modelplane.yaml",
        cache_seconds=0,
    )


@contextmanager
def serving(settings: Settings) -> Iterator[FlaskClient]:
    app = create_app(settings)
    try:
        yield app.test_client()
    finally:
        close_app(app)


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[FlaskClient]:
    with serving(settings) as client:
        yield client


def rows(client: FlaskClient, first: int, last: int, more: str = "") -> dict[tuple[Any, str], Decimal]:
    """Amounts by tenant and kind, from and to so many seconds after the start."""
    answer = client.get(f"/api/v1/costs?from={(START + first) * 1000}&to={(START + last) * 1000}{more}")
    assert answer.json is not None
    assert answer.status_code == 200, answer.json
    return {(row["tenant"], row["kind"]): Decimal(str(row["amount"])) for row in answer.json["rows"]}


def test_an_hour_with_a_restart(client: FlaskClient) -> None:
    amounts = rows(client, 0, HOUR)
    assert amounts[("user-A", "direct")] == Decimal("1.8")
    # What user-B used between its last scrape and its restart is not known, and no more than that is lost.
    lost = Decimal(SCRAPE) / 4 / 1000
    assert Decimal("0.9") - lost <= amounts[("user-B", "direct")] <= Decimal("0.9")


def test_what_was_used_while_nobody_scraped_is_spread_and_estimated(client: FlaskClient) -> None:
    requested = f"from={(START + 2 * HOUR) * 1000}&to={(START + 3 * HOUR) * 1000}"
    answer = client.get(f"/api/v1/costs?{requested}").json
    assert answer is not None
    estimated = {row["tenant"]: row["estimated"] for row in answer["rows"] if row["kind"] == "direct"}
    assert estimated == {"user-A": 1800, "user-B": 900}
    amounts = rows(client, 2 * HOUR, 3 * HOUR)
    assert amounts == {
        ("user-A", "direct"): Decimal("1.8"),
        ("user-B", "direct"): Decimal("0.9"),
        (None, "idle"): Decimal("0.9"),
        (None, "unknown"): 0,
        (None, "over"): 0,
        (None, "capacity"): Decimal("3.6"),
    }


def test_what_nobody_scraped_for_longer_than_the_lookback_is_unknown_and_nothing_is_lost(
    settings: Settings,
) -> None:
    with serving(replace(settings, lookback_seconds=HOUR / 2)) as client:
        amounts = rows(client, 2 * HOUR, 3 * HOUR)
    assert amounts[(None, "unknown")] > Decimal("3.5")
    assert amounts[(None, "capacity")] == Decimal("3.6")


@pytest.mark.parametrize("policy", ["keep", "proportional", "even"])
def test_four_hours_close_and_are_the_sum_of_their_hours(client: FlaskClient, policy: str) -> None:
    whole = rows(client, 0, 4 * HOUR, f"&idle={policy}")
    capacity = whole.pop((None, "capacity"))
    assert capacity == Decimal("14.4")
    assert sum(SIGNS[kind] * amount for (_, kind), amount in whole.items()) == capacity
    hours = [rows(client, hour * HOUR, (hour + 1) * HOUR, f"&idle={policy}") for hour in range(4)]
    for key, amount in whole.items():
        assert sum(hour.get(key, Decimal(0)) for hour in hours) == amount


def test_gap_free_hours_are_read_cell_by_cell_and_cost_the_same(
    client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds: list[bool] = []
    read = SampleReader.read

    def watched(self: SampleReader, time_range: TimeRange) -> list[RangeSamples]:
        parts = read(self, time_range)
        kinds.extend(part.is_gap_free for part in parts)
        return parts

    monkeypatch.setattr(SampleReader, "read", watched)
    monkeypatch.setattr(samples, "FIRST_RANGE", HOUR * 1000)
    monkeypatch.setattr(samples, "LONGEST_RANGE", HOUR * 1000)
    quick = rows(client, 300, 4 * HOUR)
    # The hour of the restart and that of the gap are not gap-free.
    assert Counter(kinds) == {True: 2, False: 2}
    monkeypatch.setattr(sample_reader, "_FEWEST_SCRAPES", 1_000_000)
    assert rows(client, 300, 4 * HOUR) == quick


def test_a_counter_that_fell_by_little_is_not_gap_free(
    backfilled: Callable[[Path, str], str], tmp_path: Path
) -> None:
    """From 1,000 to 950 seconds, and beyond 1,000 again before the cell ends: no edge tells of it."""
    name = "model_inference_device_seconds"
    labels = (
        'model_name="resnet50",model_version="v1",tenant_id="user-A",framework="pytorch",'
        'device="GPU-1",device_type="h200",job="resnet50",instance="a:8000"'
    )
    fallen = START + 1800 + 60
    lines = [f"# TYPE {name} counter"]
    for at in range(START - HOUR, START + HOUR + 1, SCRAPE):
        value = 1000 if at < fallen else 950 + (at - fallen)
        lines.append(f"{name}_total{{{labels}}} {value} {at}")
    url = backfilled(tmp_path, "\n".join([*lines, "# EOF\n"]))
    settings = Settings(prometheus_url=url, prometheus_timeout_seconds=PATIENCE_SECONDS)
    quarters = [
        TimeRange((START + begin) * 1000, (START + begin + 900) * 1000) for begin in range(0, HOUR, 900)
    ]
    with closing(prometheus_client(settings)) as client:
        reader = SampleReader(client, [metrics.DEVICE_SECONDS], ScrapeTiming(SCRAPE * 1000), 300_000)
        parts = [part for time_range in quarters for part in reader.read(time_range)]
        assert [part.is_gap_free for part in parts] == [True, True, False, True]
