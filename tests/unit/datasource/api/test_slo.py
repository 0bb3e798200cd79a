"""Burn rates and budgets: what is asked of Prometheus for a registry, and what is made of its answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from modelplane_datasource.app import create_app
from modelplane_datasource.settings import ConfigurationError, Settings

NOW = 1_698_400_800_000
DAY, HOUR = 86_400_000, 3_600_000
REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: user-A}, {id: user-B}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A, user-B]
    versions: [{version: v1.2.0}]
    slos:
      - {name: availability, objective: 0.99, window: 30d, indicator: {type: errors}}
      - {name: strict, objective: 0.999, window: 7d, indicator: {type: errors}}
      - {name: fast, objective: 0.95, window: 30d, indicator: {type: latency, threshold_seconds: 1.0}}
  - name: bert
    framework: jax
    owner: language
    tenants: [user-A]
    versions: [{version: v1.2.0}]
    slos:
      - {name: availability, objective: 0.95, window: 30d, indicator: {type: errors}}
  - {name: bare, framework: jax, owner: language, tenants: [user-A], versions: [{version: v1}]}
"""
WHO = "model-name=resnet50&tenant-id=user-A"
AT_NOW = f"from={NOW}&to={NOW}&maxDataPoints=1"
OWNER = {"model_name": "resnet50", "model_version": "v1.2.0", "tenant_id": "user-A"}
Parts = dict[str, str | None]


class Prometheus:
    """Answers every query with increases by outcome or by ``le``; ``hour`` are those over one hour."""

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix
        self.outcomes: Parts = {"success": "950", "failure": "50"}
        self.buckets: Parts = {"1.0": "800", "+Inf": "1000"}
        self.hour: Parts | None = None
        self.models = ["resnet50"]
        self.envelope: dict[str, object] = {}

    def __call__(self, path: str, form: dict[str, str]) -> Any:
        label, parts = ("le", self.buckets) if "_bucket" in form["query"] else ("outcome", self.outcomes)
        if self.hour is not None and "[1h]" in form["query"]:
            parts = self.hour
        start = float(form["start"])
        series = [
            ({**OWNER, "model_name": model, label: part}, [] if value is None else [(start, value)])
            for model in self.models
            if re.search(rf'model_name=~?"[^"]*\b{model}\b', form["query"])
            for part, value in parts.items()
        ]
        return self._matrix(*series, **self.envelope)


@pytest.fixture
def prometheus(upstream: FakePrometheus) -> Prometheus:
    upstream.reply = Prometheus(matrix_reply)
    return upstream.reply


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    path = tmp_path / "modelplane.yaml"
    path.write_text(REGISTRY, encoding="utf-8")
    return path


@pytest.fixture
def slo_client(
    settings: Settings, registry: Path, make_client: Callable[[Settings], FlaskClient]
) -> FlaskClient:
    return make_client(replace(settings, registry_file=registry))


@pytest.fixture
def lines(slo_client: FlaskClient) -> Callable[[str], dict[str, Any]]:
    """The series of a query string on one point, by name."""

    def ask(parameters: str = "") -> dict[str, Any]:
        response = slo_client.get(f"/api/v1/metrics/slo?{WHO}&{AT_NOW}{parameters}")
        assert response.status_code == 200, response.json
        return {line["name"]: line for line in response.get_json()["data"]}

    return ask


def point(line: dict[str, Any]) -> dict[str, Any]:
    (only,) = line["data"]
    return dict(only)


def test_burn_rate_of_each_objective_of_the_model(prometheus: Prometheus, lines: Any) -> None:
    result = lines()
    assert list(result) == [
        "resnet50 (v1.2.0) availability",
        "resnet50 (v1.2.0) fast",
        "resnet50 (v1.2.0) strict",
    ]
    available, fast, strict = result.values()
    assert available["labels"] == {**OWNER, "slo": "availability", "objective": "0.99", "window": "1h"}
    assert point(available) == {"x": NOW, "y": pytest.approx(0.05 / 0.01), "good": 950, "total": 1000}
    assert point(strict) == {"x": NOW, "y": pytest.approx(0.05 / 0.001), "good": 950, "total": 1000}
    assert point(fast) == {"x": NOW, "y": pytest.approx(0.2 / 0.05), "good": 800, "total": 1000}


def test_objectives_on_the_same_events_share_one_query(
    prometheus: Prometheus, upstream: FakePrometheus, lines: Any
) -> None:
    lines()
    select = 'model_name="resnet50",tenant_id="user-A"'
    by = "sum by (model_name, model_version, tenant_id"
    assert sorted(form["query"] for _, form, _ in upstream.calls) == [
        f"{by}, le) (increase(model_inference_latency_seconds_bucket{{{select},"
        r'le=~"\\+Inf|1|1\\.0"}[1h])) or '
        f"{by}) (increase(model_inference_latency_seconds{{{select}}}[1h]))",
        f"{by}, outcome) (increase(model_inference_requests_total{{{select},"
        'outcome=~"failure|success"}[1h]))',
    ]


def test_budget_is_of_the_objectives_own_window(
    prometheus: Prometheus, upstream: FakePrometheus, lines: Any
) -> None:
    result = lines("&value=budget_remaining&slo=availability&slo=strict")
    assert [point(line)["y"] for line in result.values()] == [pytest.approx(1 - 5), pytest.approx(1 - 50)]
    assert [line["labels"]["window"] for line in result.values()] == ["30d", "7d"]
    windows = [re.findall(r"\[(\w+)\]", form["query"]) for _, form, _ in upstream.calls]
    assert sorted(windows) == [["30d"], ["7d"]]


def test_a_window_can_be_asked_for(prometheus: Prometheus, lines: Any) -> None:
    (line,) = lines("&slo=fast&window=90m").values()
    assert line["labels"]["window"] == "90m"


@pytest.mark.parametrize("text", ["1", "1.0"])
def test_both_spellings_of_a_bound_count(prometheus: Prometheus, lines: Any, text: str) -> None:
    prometheus.buckets = {text: "800", "+Inf": "1000"}
    (line,) = lines("&slo=fast").values()
    assert point(line)["good"] == 800


def test_without_traffic_there_is_no_value(prometheus: Prometheus, lines: Any) -> None:
    prometheus.outcomes = {"success": "0", "failure": "0"}
    (line,) = lines("&slo=strict").values()
    assert point(line) == {"x": NOW, "y": None, "good": 0, "total": 0}


def test_without_data_there_is_nothing_beside_a_gap(prometheus: Prometheus, lines: Any) -> None:
    prometheus.outcomes = {"success": None, "failure": None}
    (line,) = lines("&slo=strict").values()
    assert point(line) == {"x": NOW, "y": None, "good": None, "total": None}


def test_only_failures_are_no_missing_data(prometheus: Prometheus, lines: Any) -> None:
    prometheus.outcomes = {"failure": "10"}
    (line,) = lines("&slo=availability").values()
    assert point(line) == {"x": NOW, "y": pytest.approx(100), "good": 0, "total": 10}


def test_models_keep_their_own_objectives(
    prometheus: Prometheus, upstream: FakePrometheus, slo_client: FlaskClient
) -> None:
    prometheus.models = ["resnet50", "bert"]
    requested = f"/api/v1/metrics/slo?{WHO}&model-name=bert&slo=availability&{AT_NOW}"
    data = slo_client.get(requested).get_json()["data"]
    assert [(line["name"], line["labels"]["objective"], point(line)["y"]) for line in data] == [
        ("bert (v1.2.0) availability", "0.95", pytest.approx(1)),
        ("resnet50 (v1.2.0) availability", "0.99", pytest.approx(5)),
    ]
    (call,) = upstream.calls
    assert 'model_name=~"bert|resnet50"' in call[1]["query"]


def test_rows_and_grafana_carry_it_too(prometheus: Prometheus, slo_client: FlaskClient) -> None:
    rows = slo_client.get(f"/api/v1/rows/slo?{WHO}&slo=strict&{AT_NOW}").get_json()["rows"]
    assert rows == [
        {
            "time": NOW, "series": "resnet50 (v1.2.0) strict", "value": pytest.approx(50), "good": 950,
            "total": 1000, "unit": "number", **OWNER, "slo": "strict", "objective": "0.999", "window": "1h",
        }
    ]  # fmt: skip
    names = [metric["name"] for metric in slo_client.get("/api/v1/metrics").get_json()["metrics"]]
    assert "slo" in names


def test_a_histogram_without_all_buckets_is_an_upstream_error(
    prometheus: Prometheus, slo_client: FlaskClient
) -> None:
    prometheus.buckets = {"1.0": "800"}
    response = slo_client.get(f"/api/v1/metrics/slo?{WHO}&slo=fast&{AT_NOW}")
    assert (response.status_code, response.get_json()["error"]) == (502, "upstream_invalid")
    assert "resnet50 (v1.2.0)" in response.get_json()["message"]
    assert "+Inf" in response.get_json()["message"]


@pytest.mark.parametrize(("slo", "part"), [("fast", "0.5"), ("strict", "cancelled")])
def test_events_that_were_not_asked_for_are_an_upstream_error(
    prometheus: Prometheus, slo_client: FlaskClient, slo: str, part: str
) -> None:
    prometheus.buckets[part] = prometheus.outcomes[part] = "1"
    response = slo_client.get(f"/api/v1/metrics/slo?{WHO}&slo={slo}&{AT_NOW}")
    assert (response.status_code, response.get_json()["error"]) == (502, "upstream_invalid")
    assert f"='{part}', which was not requested" in response.get_json()["message"]


def test_the_state_of_objectives_with_the_time_of_exhaustion(
    prometheus: Prometheus, upstream: FakePrometheus, slo_client: FlaskClient
) -> None:
    prometheus.outcomes = {"success": "9960", "failure": "40"}
    prometheus.hour = {"success": "98", "failure": "2"}
    body = slo_client.get(f"/api/v1/slo?{WHO}&slo=availability&to={NOW}").get_json()
    (row,) = body["rows"]
    # 40 of 100 allowed failures are spent, and the last hour had one more than its own calls allow.
    assert row == {
        **OWNER, "slo": "availability", "objective": 0.99, "window": "30d",
        "burn_rate": pytest.approx(2), "budget_remaining": pytest.approx(0.6),
        "exhausted_at": NOW + 60 * HOUR, "total": 10_000, "n": 100,
    }  # fmt: skip
    assert body["query_time"] == "2023-10-27T10:00:00Z"
    assert {form["start"] for _, form, _ in upstream.calls} == {f"{NOW // 1000}.000"}


def test_a_budget_that_is_spent_is_exhausted_now(prometheus: Prometheus, slo_client: FlaskClient) -> None:
    prometheus.hour = {"success": "0", "failure": "0"}
    (row,) = slo_client.get(f"/api/v1/slo?{WHO}&slo=strict&to={NOW}").get_json()["rows"]
    assert (row["burn_rate"], row["exhausted_at"]) == (None, NOW)
    assert row["budget_remaining"] < 0


def test_a_budget_that_lasts_has_no_such_time(prometheus: Prometheus, slo_client: FlaskClient) -> None:
    prometheus.outcomes = {"success": "10000", "failure": "0"}
    rows = slo_client.get(f"/api/v1/slo?{WHO}&to={NOW}").get_json()["rows"]
    assert [row["slo"] for row in rows] == ["fast", "availability", "strict"]
    assert rows[0]["budget_remaining"] < 0
    assert (rows[1]["budget_remaining"], rows[1]["exhausted_at"]) == (1, None)


def test_without_events_there_is_no_row(prometheus: Prometheus, slo_client: FlaskClient) -> None:
    prometheus.models = []
    assert slo_client.get(f"/api/v1/slo?{WHO}").get_json()["rows"] == []


@pytest.mark.parametrize("path", ["/api/v1/metrics/slo", "/api/v1/slo"])
def test_warnings_of_prometheus_are_passed_on(
    prometheus: Prometheus, slo_client: FlaskClient, path: str
) -> None:
    prometheus.envelope = {"warnings": ["a store did not answer"]}
    assert slo_client.get(f"{path}?{WHO}").get_json()["warnings"] == ["a store did not answer"]


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/api/v1/metrics/slo", "/api/v1/rows/slo", "/api/v1/slo"])
@pytest.mark.parametrize(
    ("query", "status", "error", "text"),
    [
        (WHO + "&slo=none", 404, "unknown_slo", "no SLO named 'none'.*availability, fast, strict"),
        ("model-name=bare&tenant-id=user-A", 404, "unknown_slo", r"no SLO for the model 'bare'.*slos"),
        ("model-name=other&tenant-id=user-A", 404, "unknown_slo", "'other'"),
        ("slo=none", 404, "unknown_slo", "no SLO named 'none' for any model"),
        (WHO + "&value=all", 400, "invalid_parameter", "value.*burn_rate|value is not a parameter"),
        (WHO + "&window=now", 400, "invalid_parameter", "window.*auto|window is not a parameter"),
    ],
)
def test_what_cannot_be_answered(
    prometheus: Prometheus, slo_client: FlaskClient, path: str, query: str, status: int, error: str, text: str
) -> None:
    response = slo_client.get(f"{path}?{query}")
    assert (response.status_code, response.get_json()["error"]) == (status, error)
    assert re.search(text, response.get_json()["message"])


@pytest.mark.parametrize("path", ["/api/v1/metrics/slo", "/api/v1/slo"])
def test_without_a_registry_the_answer_says_what_to_set(client: FlaskClient, path: str) -> None:
    response = client.get(f"{path}?{WHO}")
    assert (response.status_code, response.get_json()["error"]) == (422, "no_registry")
    assert "MODELPLANE_DATASOURCE_REGISTRY_FILE" in response.get_json()["message"]


def test_a_bad_registry_stops_the_start(settings: Settings, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("apiVersion: modelplane/v2", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"^MODELPLANE_DATASOURCE_REGISTRY_FILE: .*bad\.yaml"):
        create_app(replace(settings, registry_file=path))


def test_everything_that_may_be_seen_comes_with_the_worst_first(
    prometheus: Prometheus, upstream: FakePrometheus, slo_client: FlaskClient
) -> None:
    prometheus.models = ["resnet50", "bert"]
    body = slo_client.get(f"/api/v1/slo?to={NOW}").get_json()
    budgets = [row["budget_remaining"] for row in body["rows"]]
    assert budgets == sorted(budgets)
    assert [(row["model_name"], row["slo"]) for row in body["rows"]] == [
        ("resnet50", "strict"), ("resnet50", "availability"), ("resnet50", "fast"), ("bert", "availability"),
    ]  # fmt: skip
    assert body["total"] == 4
    assert all("tenant_id=" not in form["query"] for _, form, _ in upstream.calls)
    first = slo_client.get(f"/api/v1/slo?to={NOW}&limit=1").get_json()
    assert (first["rows"], first["total"]) == (body["rows"][:1], 4)


def test_a_range_gives_its_own_burn_rate(
    prometheus: Prometheus, upstream: FakePrometheus, slo_client: FlaskClient
) -> None:
    prometheus.hour = {"success": "98", "failure": "2"}
    path = f"/api/v1/slo?{WHO}&slo=availability&to={NOW}"
    (last_hour,) = slo_client.get(path).get_json()["rows"]
    (row,) = slo_client.get(f"{path}&from={NOW - 6 * HOUR}").get_json()["rows"]
    assert (row["burn_rate"], row["n"]) == (pytest.approx(5), 1000)
    assert row == {**last_hour, "burn_rate": row["burn_rate"], "n": row["n"]}
    assert any("[6h]" in form["query"] for _, form, _ in upstream.calls)
    (same,) = slo_client.get(f"{path}&from={NOW - HOUR}").get_json()["rows"]
    assert same == last_hour
    assert len(slo_client.get(f"{path}&from={NOW - 30 * DAY}").get_json()["rows"]) == 1


@pytest.mark.parametrize(
    ("group", "by"),
    [
        ("none", "model_name, outcome"), ("model", "model_name, outcome"),
        ("version", "model_name, model_version, outcome"), ("tenant", "model_name, tenant_id, outcome"),
    ],
)  # fmt: skip
def test_events_are_added_up_by_group(
    upstream: FakePrometheus, slo_client: FlaskClient, group: str, by: str
) -> None:
    slo_client.get(f"/api/v1/metrics/slo?model-name=resnet50&slo=strict&group-by={group}&{AT_NOW}")
    assert upstream.calls[0][1]["query"].startswith(f"sum by ({by}) (increase(")
