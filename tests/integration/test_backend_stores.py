"""Where VictoriaMetrics gives the figures of Prometheus, and by name where it does not.

The names are those of "VictoriaMetrics" in docs/backend.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient

from modelplane_datasource.app import close_app, create_app
from modelplane_datasource.settings import Settings
from modelplane_provisioning.processes import PATIENCE_SECONDS
from modelplane_schema import metrics, recorded
from modelplane_schema.metrics import ALL_TENANTS, IDENTITY, MODEL_NAME, VERSION_IDENTITY

STORES = ("prometheus", "victoria-metrics")
HOUR = 3600
START = 1_790_000_400 // HOUR * HOUR  # a full hour of the year 2026
END = START + HOUR
SCRAPE = 15
PHASE = 7  # scrapes come at no round time, so that windows begin and end between them
SCRAPES = HOUR // SCRAPE
MIDDLE = SCRAPES // 2
TENANTS, VERSIONS = ("user-A", "user-B"), ("v1", "v2")
COUNTED = ("burst", "newcomer", "returned", "restarted")
MODELS = """
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    versions: [{version: v1}, {version: v2}]
    slos:
      - {name: availability, objective: 0.99, window: 7d, indicator: {type: errors}}
      - {name: latency, objective: 0.99, window: 7d, indicator: {type: latency, threshold_seconds: 0.25}}
"""
COUNTED_MODEL = """
  - name: %s
    framework: pytorch
    owner: vision
    tenants: [user-A]
    versions: [{version: v1}]
    slos: [{name: availability, objective: 0.99, window: 7d, indicator: {type: errors}}]
"""
REGISTRY = f"""
apiVersion: modelplane/v1
tenants: [{{id: user-A}}, {{id: user-B}}]
models: {MODELS} {"".join(COUNTED_MODEL % name for name in COUNTED)}
devices:
  inventory: [{{device: GPU-1, device_type: h200, from: 2026-01-01}}]
  prices: [{{device_type: h200, amount: 3.60, currency: USD, per: hour, effective_from: 2026-01-01}}]
"""


class Ways(NamedTuple):
    """How a store counts."""

    extrapolates: bool
    counts_the_first_sample: bool
    forgives_small_resets: bool
    carries_on_for_minutes: bool
    keeps_nan: bool
    takes_long_queries: bool


WAYS = {
    "prometheus": Ways(
        extrapolates=True,
        counts_the_first_sample=False,
        forgives_small_resets=False,
        carries_on_for_minutes=True,
        keeps_nan=True,
        takes_long_queries=True,
    ),
    "victoria-metrics": Ways(
        extrapolates=False,
        counts_the_first_sample=True,
        forgives_small_resets=True,
        carries_on_for_minutes=False,
        keeps_nan=False,
        takes_long_queries=False,
    ),
}


class Samples(NamedTuple):
    """One series: ``values`` by scrape, None where there is none."""

    name: str
    labels: dict[str, str]
    values: Sequence[float | None]

    def lines(self) -> Iterator[str]:
        labels = ",".join(f'{name}="{value}"' for name, value in self.labels.items())
        for scrape, value in enumerate(self.values):
            if value is not None:
                yield f"{self.name}{{{labels}}} {value!r} {START + PHASE + scrape * SCRAPE}"


def identity(model: str, version: str, tenant: str) -> dict[str, str]:
    return dict(zip(IDENTITY, (model, version, tenant, "pytorch"), strict=True))


def rising(by: float) -> list[float]:
    return [1000 + by * scrape for scrape in range(SCRAPES)]


def constant(value: float) -> list[float]:
    return [value] * SCRAPES


def histogram(metric: metrics.Metric, who: dict[str, str], calls: int, total: float) -> Iterator[Samples]:
    """One call more in each bucket than in the one below, as far as there are calls."""
    for index, bound in enumerate((*metric.buckets, float("inf"))):
        le = "+Inf" if bound == float("inf") else repr(bound)
        below = min(calls, index + 1) if le != "+Inf" else calls
        yield Samples(f"{metric.name}_bucket", {**who, "le": le}, rising(below))
    yield Samples(f"{metric.name}_count", who, rising(calls))
    yield Samples(f"{metric.name}_sum", who, rising(total))


def calls(version: str, tenant: str) -> Iterator[Samples]:
    who = identity("resnet50", version, tenant)
    rates = {"success": 16, "failure": 2 if version == "v1" else 4, "cancelled": 0}
    for outcome, rate in rates.items():
        yield Samples(metrics.REQUESTS.name, {**who, "outcome": outcome}, rising(rate))
    yield from histogram(metrics.LATENCY, who, calls=20, total=2.5)
    yield from histogram(metrics.CONFIDENCE, who, calls=15, total=7.5)
    yield Samples(metrics.ACTIVE.name, who, constant(3.0))
    for rate, kind in enumerate(metrics.TOKEN_KINDS):
        yield Samples(metrics.TOKENS.name, {**who, "kind": kind}, rising(rate))
    device = {"device": "GPU-1", "device_type": "h200", "job": "resnet50", "instance": version}
    yield Samples(
        metrics.DEVICE_SECONDS.name, {**who, **device}, rising(5 / 3 if version == "v1" else 10 / 3)
    )


def signals(version: str) -> Iterator[Samples]:
    who = identity("resnet50", version, ALL_TENANTS)
    owner = {label: who[label] for label in VERSION_IDENTITY}
    signal = {"kind": "input", "signal": "brightness", "baseline": "0123abcd"}
    for index, bin_ in enumerate(("00", "01", "02", metrics.MISSING_BIN)):
        place = {**signal, "bin": bin_}
        rate = (index + 1) if version == "v1" else 4 - index
        yield Samples(metrics.SIGNAL_OBSERVATIONS.name, {**who, **place}, rising(rate))
        yield Samples(metrics.BASELINE_RATIO.name, {**owner, **place}, constant(0.25))
        yield Samples(metrics.BASELINE_UPPER_BOUND.name, {**owner, **place}, constant(float(index)))
    yield Samples(metrics.BASELINE_OBSERVATIONS.name, {**owner, **signal}, constant(10_000.0))
    yield Samples(metrics.SIGNAL_DEVIATION_POSITIVE.name, {**who, **signal}, rising(2.5))
    yield Samples(metrics.SIGNAL_DEVIATION_NEGATIVE.name, {**who, **signal}, rising(1.25))
    yield Samples(metrics.SIGNAL_DEVIATION_SQUARE.name, {**who, **signal}, rising(7.5))
    began = 0 if version == "v1" else MIDDLE
    loaded = [None if scrape < began else 1.0 for scrape in range(SCRAPES)]
    yield Samples(metrics.MODEL_INFO.name, {**owner, "owner": "vision", "stage": "production"}, loaded)


def peculiar() -> Iterator[Samples]:
    """Series that the stores count in their own ways; each model is named after what happens to it."""
    before = [None] * MIDDLE
    after = SCRAPES - MIDDLE
    histories: dict[str, Sequence[float | None]] = {
        "burst": [100.0] * MIDDLE + [107.0] * after,
        "newcomer": [*before, *[5.0] * after],
        "returned": [7.0] * (MIDDLE // 2) + [None] * (MIDDLE - MIDDLE // 2) + [7.0] * after,
        "restarted": [100.0] * MIDDLE + [95.0] * after,
        "idle": constant(100.0),
    }
    for model, values in histories.items():
        for outcome in ("success", "failure"):
            who = identity(model, "v1", "user-A")
            yield Samples(metrics.REQUESTS.name, {**who, "outcome": outcome}, values)
    yield Samples(metrics.ACTIVE.name, identity("left", "v1", "user-A"), [3.0] * MIDDLE + [None] * after)


def exposition() -> str:
    all_samples = [
        *(samples for version in VERSIONS for tenant in TENANTS for samples in calls(version, tenant)),
        *(samples for version in VERSIONS for samples in signals(version)),
        Samples(recorded.MAX_IN_FLIGHT.name, {MODEL_NAME: "resnet50"}, constant(12.0)),
        *peculiar(),
    ]
    by_name = sorted(all_samples, key=lambda samples: samples.name)
    return "\n".join([*(line for samples in by_name for line in samples.lines()), "# EOF", ""])


@pytest.fixture(scope="module")
def clients(
    backfill: Callable[[str, Path, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, FlaskClient]]:
    """The application over each store, as it stands at the end of the hour."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "modelplane.yaml").write_text(REGISTRY, encoding="utf-8")
    text = exposition()
    apps = {
        store: create_app(
            Settings(
                prometheus_timeout_seconds=PATIENCE_SECONDS,
                prometheus_url=backfill(store, folder / store, text),
                scrape_interval_seconds=SCRAPE,
                database_url=f"sqlite:///{folder / store / 'modelplane.db'}",
                registry_file=folder / "modelplane.yaml",
            ),
            clock=lambda: END,
        )
        for store in STORES
    }
    yield {store: app.test_client() for store, app in apps.items()}
    for app in apps.values():
        close_app(app)


WHO = {"model-name": "resnet50", "tenant-id": TENANTS}
PERIOD = {"from": (END - 1200) * 1000, "to": (END - 300) * 1000}
RANGE = {**PERIOD, "step": "1m"}
DRIFT = {"model-name": "resnet50", "window": "10m", "min-observations": 1}
ALIKE: list[tuple[str, dict[str, object]]] = [
    *(
        (f"/api/v1/metrics/{name}", {**WHO, **RANGE})
        for name in ("latency", "throughput", "errors", "confidence", "active", "tokens", "saturation")
    ),
    *(
        ("/api/v1/metrics/drift", {**DRIFT, **RANGE, "method": method, "reference": reference})
        for method in ("psi", "js_distance", "ks", "missing_shift")
        for reference in ("baseline", "previous:15m", "version:v1")
    ),
    ("/api/v1/metrics/drift", {**DRIFT, **RANGE, "method": "mean_shift_z"}),
    ("/api/v1/metrics/drift", {**DRIFT, **RANGE, "method": "variance_ratio"}),
    ("/api/v1/metrics/drift", {**DRIFT, **RANGE, "kind": "confidence", "reference": "previous:15m"}),
    ("/api/v1/metrics/slo", {**WHO, **RANGE, "window": "10m"}),
    ("/api/v1/metrics/slo", {**WHO, **RANGE, "window": "10m", "value": "budget_remaining"}),
    ("/api/v1/metrics/cost", {**PERIOD, "step": "5m", "group-by": "tenant"}),
    ("/api/v1/rows/tokens", {**WHO, **RANGE}),
    ("/api/v1/drift/top", {**DRIFT, "to": PERIOD["to"]}),
    ("/api/v1/drift/distribution", {**DRIFT, "to": PERIOD["to"], "kind": "input", "signal": "brightness"}),
    ("/api/v1/compare", {**WHO, **PERIOD, "baseline": "v1", "candidate": "v2"}),
    ("/api/v1/costs", {**PERIOD, "step": "5m", "idle": "proportional"}),
]


def get(client: FlaskClient, path: str, **query: object) -> Any:
    response = client.get(path, query_string=query)
    assert response.status_code == 200, response.json
    return response.json


def leaves(body: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every text, number and null in a JSON value, by where it stands."""
    if not isinstance(body, dict | list):
        yield place, body
        return
    for key, part in body.items() if isinstance(body, dict) else enumerate(body):
        yield from leaves(part, f"{place}/{key}")


@pytest.mark.parametrize(("path", "query"), ALIKE)
def test_figures_of_ordinary_series_are_the_same(
    clients: dict[str, FlaskClient], path: str, query: dict[str, object]
) -> None:
    expected, actual = (dict(leaves(get(clients[store], path, **query))) for store in STORES)
    numbers = {place: value for place, value in expected.items() if isinstance(value, int | float)}
    assert len(numbers) >= 4
    assert {place: actual.pop(place, None) for place in numbers} == pytest.approx(
        numbers, rel=1e-9, abs=1e-12
    )
    assert actual == {place: value for place, value in expected.items() if place not in numbers}


def test_costs_are_the_same_to_the_last_digit(clients: dict[str, FlaskClient]) -> None:
    parameters = {**PERIOD, "format": "focus"}
    prometheus, victoria_metrics = (
        clients[store].get("/api/v1/costs", query_string=parameters).get_data(as_text=True)
        for store in STORES
    )
    assert victoria_metrics == prometheus
    assert len(prometheus.splitlines()) > 4


def test_menus_and_annotations_are_the_same(clients: dict[str, FlaskClient]) -> None:
    period = {"from": "2026-09-21T14:00:00Z", "to": "2026-09-21T15:00:00Z"}
    query = {"target": "version_changes", "payload": {"model-name": "resnet50"}, "refId": "Anno"}
    bodies = {
        "/grafana/variable": {"payload": {"target": "versions model=resnet50"}, "range": period},
        "/grafana/tag-values": {"key": "tenant_id"},
        "/grafana/query": {"range": period, "targets": [query]},
    }
    for path, body in bodies.items():
        answers = [clients[store].post(path, json=body).json for store in STORES]
        assert answers[0] == answers[1]
        assert answers[0]


def counted(client: FlaskClient, model: str, seconds_after: int) -> float | None:
    """Calls in the ten minutes that end so long after the middle of the hour."""
    moment = (START + MIDDLE * SCRAPE + seconds_after) * 1000
    parameters = {"model-name": model, "tenant-id": "user-A", "window": "10m", "from": moment, "to": moment}
    (line,) = get(client, "/api/v1/metrics/slo", **parameters, maxDataPoints=1)["data"]
    total: float | None = line["data"][0]["total"]
    return total


@pytest.mark.parametrize("store", STORES)
class TestDifferencesByName:
    """Each is about one entry of ``WAYS``. There are two outcomes, which do the same."""

    def test_extrapolation(self, clients: dict[str, FlaskClient], store: str) -> None:
        """Prometheus stretches what 40 samples show, 39 scrapes, to the 40 of the window."""
        stretch = 600 / 585 if WAYS[store].extrapolates else 1
        assert counted(clients[store], "burst", 300) == pytest.approx(2 * 7 * stretch)

    def test_the_first_sample_of_a_new_series(self, clients: dict[str, FlaskClient], store: str) -> None:
        expected = 2 * 5 if WAYS[store].counts_the_first_sample else 0
        assert counted(clients[store], "newcomer", 300) == expected

    def test_the_first_sample_after_a_long_gap(self, clients: dict[str, FlaskClient], store: str) -> None:
        """No call was made, but VictoriaMetrics takes a small counter for a new one; its rates do not."""
        expected = 2 * 7 if WAYS[store].counts_the_first_sample else 0
        assert counted(clients[store], "returned", 300) == expected
        end = START + MIDDLE * SCRAPE + 300
        period = {"from": (end - 600) * 1000, "to": end * 1000, "maxDataPoints": 1}
        parameters = {"model-name": "returned", "tenant-id": "user-A", **period}
        (line,) = get(clients[store], "/api/v1/metrics/throughput", **parameters)["data"]
        assert [point["y"] for point in line["data"]] == [0]

    def test_a_restart_that_loses_less_than_an_eighth(
        self, clients: dict[str, FlaskClient], store: str
    ) -> None:
        expected = 0 if WAYS[store].forgives_small_resets else 2 * 95 * 600 / 585
        assert counted(clients[store], "restarted", 300) == pytest.approx(expected)

    def test_a_gauge_that_is_scraped_no_more(self, clients: dict[str, FlaskClient], store: str) -> None:
        last = START + PHASE + (MIDDLE - 1) * SCRAPE
        parameters = {"model-name": "left", "tenant-id": "user-A", "step": "5s", "from": (last - 60) * 1000}
        (line,) = get(clients[store], "/api/v1/metrics/active", **parameters, to=(last + 600) * 1000)["data"]
        known = [point["x"] // 1000 for point in line["data"] if point["y"] is not None]
        longest = 300 if WAYS[store].carries_on_for_minutes else 2 * SCRAPE
        assert longest - SCRAPE <= known[-1] - last <= longest

    def test_no_traffic_has_no_ratio(self, clients: dict[str, FlaskClient], store: str) -> None:
        parameters = {"model-name": "idle", "tenant-id": "user-A", **RANGE}
        lines = get(clients[store], "/api/v1/metrics/errors", **parameters)["data"]
        assert len(lines) == (1 if WAYS[store].keeps_nan else 0)
        assert {point["y"] for line in lines for point in line["data"]} <= {None}

    def test_a_query_of_more_than_16_kib(self, clients: dict[str, FlaskClient], store: str) -> None:
        parameters = {**WHO, **RANGE, "tenant-id": [f"{number:0>200}" for number in range(100)]}
        response = clients[store].get("/api/v1/metrics/active", query_string=parameters)
        assert response.json is not None
        if WAYS[store].takes_long_queries:
            assert (response.status_code, response.json["data"]) == (200, [])
        else:
            assert (response.status_code, response.json["error"]) == (422, "query_rejected")
            assert "-search.maxQueryLen=16384" in response.json["message"]
