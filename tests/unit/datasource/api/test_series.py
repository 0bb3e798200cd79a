from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from datasource_support.fake_prometheus import FakePrometheus, Form, Reply, matrix_reply, vector_reply
from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.settings import Settings

REGISTRY = Path(__file__).parents[4] / "examples" / "modelplane.yaml"
NOW = 1_698_400_800
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
HOSTILE = 'a"} or up{x="'


def labels(version: str, tenant: str = "user-A") -> dict[str, str]:
    return {"model_name": "resnet50", "model_version": version, "tenant_id": tenant}


def test_two_versions_in_the_contract(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: matrix_reply(
        (labels("v1.3.0"), [(1698400800, "NaN")]),
        (labels("v1.2.0"), [(1698400740, "0.152"), (1698400800, "0.2")]),
    )
    query = {**WHO, "from": "1698400741000", "to": "2023-10-27T10:00:59Z", "step": "60s", "quantile": "0.99"}
    response = client.get("/api/v1/metrics/latency", query_string=query)
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.json == {
        "query_time": "2023-10-27T10:00:00Z",
        "data": [
            {
                "name": "resnet50 (v1.2.0)", "type": "line", "labels": labels("v1.2.0"),
                "data": [
                    {"x": 1698400740000, "y": 0.152, "low": 0.1, "high": 0.25, "open": 0},
                    {"x": 1698400800000, "y": 0.2, "low": 0.1, "high": 0.25, "open": 0},
                ],
            },
            {
                "name": "resnet50 (v1.3.0)", "type": "line", "labels": labels("v1.3.0"),
                "data": [
                    {"x": 1698400740000, "y": None, "low": None, "high": None, "open": None},
                    {"x": 1698400800000, "y": None, "low": None, "high": None, "open": None},
                ],
            },
        ],
    }  # fmt: skip
    form = upstream.calls[0][1]
    assert form["query"].startswith("histogram_quantile(0.99, ")
    assert "[1m]" in form["query"]
    assert (form["start"], form["end"], form["step"]) == ("1698400740.000", "1698400800.000", "60.000")


def test_names_have_the_tenant_when_several_were_asked_for(
    upstream: FakePrometheus, client: FlaskClient
) -> None:
    point = [(NOW, "1")]
    upstream.reply = lambda *_: matrix_reply(
        (labels("v1", "user-B"), point), (labels("v1"), point), (labels("v0", "user-B"), point)
    )
    query = {"model-name": "resnet50", "tenant-id": ["user-B", "user-A"], "model-version": ["v0", "v1"]}
    body = client.get("/api/v1/metrics/active", query_string=query).json
    assert body is not None
    assert [line["name"] for line in body["data"]] == [
        "resnet50 (v0) user-B", "resnet50 (v1) user-A", "resnet50 (v1) user-B",
    ]  # fmt: skip
    assert 'tenant_id=~"user-A|user-B",model_version=~"v0|v1"' in upstream.calls[0][1]["query"]


def test_the_default_range_is_the_last_hour(upstream: FakePrometheus, client: FlaskClient) -> None:
    assert client.get("/api/v1/metrics/throughput", query_string=WHO).status_code == 200
    form = upstream.calls[0][1]
    assert (float(form["start"]), float(form["end"]), form["step"]) == (NOW - 3600, NOW, "15.000")


@pytest.mark.parametrize(
    ("step", "window"), [("5s", "1m"), ("60", "1m"), ("90s", "90s"), ("60.5s", "60500ms")]
)
def test_the_rate_window_is_the_step_or_four_scrapes(
    upstream: FakePrometheus, client: FlaskClient, step: str, window: str
) -> None:
    client.get("/api/v1/metrics/throughput", query_string={**WHO, "step": step})
    assert f"[{window}]" in upstream.calls[0][1]["query"]


@pytest.mark.parametrize("path", ["/api/v1/metrics/latency", "/api/v1/rows/latency"])
def test_no_data_is_an_empty_list(client: FlaskClient, path: str) -> None:
    body = client.get(path, query_string=WHO).json
    assert body is not None
    assert body["data" if "metrics" in path else "rows"] == []
    assert "warnings" not in body


def test_warnings_are_passed_on(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: matrix_reply(warnings=["one store is down"])
    for path in ("/api/v1/metrics/latency", "/api/v1/rows/latency"):
        body = client.get(path, query_string=WHO).json
        assert body is not None
        assert body["warnings"] == ["one store is down"]


def test_rows_are_sorted_by_time_then_series(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: matrix_reply(
        (labels("v2"), [(NOW - 60, "2"), (NOW, "4")]), (labels("v1"), [(NOW - 60, "1"), (NOW, "Inf")])
    )
    query = {**WHO, "from": "now-1m", "step": "60s"}
    body = client.get("/api/v1/rows/errors", query_string=query).json
    assert body is not None
    assert [(row["time"], row["series"], row["value"]) for row in body["rows"]] == [
        ((NOW - 60) * 1000, "resnet50 (v1)", 1.0),
        ((NOW - 60) * 1000, "resnet50 (v2)", 2.0),
        (NOW * 1000, "resnet50 (v1)", None),
        (NOW * 1000, "resnet50 (v2)", 4.0),
    ]
    labels_of_rows = {"model_name", "model_version", "tenant_id"}
    assert set(body["rows"][0]) == {"time", "series", "value", "unit", *labels_of_rows}
    assert {row["unit"] for row in body["rows"]} == {"ratio"}


def test_a_hostile_tenant_is_one_literal(upstream: FakePrometheus, client: FlaskClient) -> None:
    query = {"model-name": "resnet50", "tenant-id": HOSTILE}
    assert client.get("/api/v1/metrics/active", query_string=query).status_code == 200
    assert r'tenant_id="a\"} or up{x=\""})' in upstream.calls[0][1]["query"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"model-name": ""}, "model-name", "the name of a model"),
        ({"from": "1698400800"}, "from", "in seconds: in milliseconds it is 1698400800000"),
        ({"tenant-id": ""}, "tenant-id", "the id of a tenant"),
        ({"model-version": ""}, "model-version", "a version"),
        ({"quantile": "1"}, "quantile", "between 0 and 1"),
        ({"quantile": "nan"}, "quantile", "between 0 and 1"),
        ({"quantile": ["0.5", "0.9"]}, "quantile", "one value"),
        ({"from": "yesterday"}, "from", "RFC 3339"),
        ({"to": "${__to}"}, "to", "RFC 3339"),
        ({"from": "now", "to": "now-1h"}, "from", "not after"),
        ({"step": "0"}, "step", "above 0"),
        ({"step": "${__interval_ms}"}, "step", "such as 30s"),
        ({"step": "999w"}, "step", "366d"),
        ({"maxDataPoints": "0"}, "maxDataPoints", "1 to 11000"),
        ({"maxDataPoints": "11001"}, "maxDataPoints", "1 to 11000"),
        ({"maxDataPoints": "1e3"}, "maxDataPoints", "1 to 11000"),
        ({"tenant": "x"}, "tenant", "tenant-id"),
    ],
)
def test_bad_input_is_400_and_names_the_field_and_what_is_allowed(
    upstream: FakePrometheus, client: FlaskClient, change: dict[str, Any], field: str, words: str
) -> None:
    query = {name: value for name, value in {**WHO, **change}.items() if value is not None}
    response = client.get("/api/v1/metrics/latency", query_string=query)
    assert response.status_code == 400
    assert response.json is not None
    assert set(response.json) == {"message", "error", "details"}
    assert response.json["details"]["parameter"] == field
    assert words in response.json["message"]
    assert upstream.calls == []


def test_a_parameter_of_another_metric_is_unknown(client: FlaskClient) -> None:
    response = client.get("/api/v1/metrics/errors", query_string={**WHO, "quantile": "0.5"})
    assert response.status_code == 400


def test_too_many_points_are_422_with_advice(upstream: FakePrometheus, client: FlaskClient) -> None:
    query = {**WHO, "from": "now-30d", "step": "1s"}
    response = client.get("/api/v1/metrics/latency", query_string=query)
    assert response.status_code == 422
    assert response.json is not None
    assert response.json["details"] == {"points": 2592001, "max_points": 11000, "min_step": "236s"}
    assert upstream.calls == []


@pytest.mark.parametrize("path", ["/api/v1/metrics/nothing", "/api/v1/rows/nothing"])
def test_an_unknown_metric_is_404_and_lists_those_there_are(client: FlaskClient, path: str) -> None:
    response = client.get(path, query_string=WHO)
    assert response.status_code == 404
    assert response.json is not None
    assert response.json["error"] == "unknown_metric"
    assert response.json["details"]["allowed"] == [metric.name for metric in SERIES_METRICS]


def test_an_upstream_error_keeps_its_status(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: (400, {}, b'{"status":"error","errorType":"bad_data","error":"parse error"}')
    response = client.get("/api/v1/metrics/latency", query_string=WHO)
    assert response.status_code == 422
    assert response.json == {
        "message": "Prometheus refused the query: parse error", "error": "query_rejected", "details": {},
    }  # fmt: skip


def test_the_catalogue_declares_what_the_routes_accept(
    upstream: FakePrometheus, settings: Settings, make_client: Callable[[Settings], FlaskClient]
) -> None:
    matrix = upstream.reply

    def reply(path: str, form: Form) -> Reply:
        if path.endswith("/series"):
            return 200, {}, b'{"status":"success","data":[]}'
        is_instant = path.endswith("/query") and not form["query"].endswith("]")
        return vector_reply() if is_instant else matrix(path, form)

    upstream.reply = reply
    client = make_client(replace(settings, registry_file=REGISTRY))
    # Of the others any text will do.
    values = {
        "kind": "input", "model-name": "digit-reader", "slo": "availability", "idle": "keep",
        "shared": "keep", "group-by": "model", "basis": "usage",
    }  # fmt: skip
    body = client.get("/api/v1/metrics").json
    assert body is not None
    assert [metric["name"] for metric in body["metrics"]] == [
        "latency", "throughput", "errors", "confidence", "active", "tokens", "saturation", "drift", "slo",
        "cost", "token_cost",
    ]  # fmt: skip
    for metric in body["metrics"]:
        assert all(metric[key] for key in ("title", "unit", "summary"))
        query = {
            parameter["name"]: parameter["default"] or values.get(parameter["name"], "5s")
            for parameter in metric["parameters"]
        }
        response = client.get(f"/api/v1/metrics/{metric['name']}", query_string=query)
        assert response.status_code == 200, orjson.dumps(response.json)


def test_framework_errors_are_json(client: FlaskClient) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "//api/v1/metrics", 404),
        ("POST", "/api/v1/metrics", 405),
    ):
        response = client.open(path, method=method, base_url="http://localhost")
        assert response.status_code == status
        assert response.json is not None
        assert set(response.json) == {"message", "error", "details"}
    assert "GET" in response.headers["Allow"]


def test_an_unexpected_failure_is_500_without_a_trace(
    upstream: FakePrometheus,
    client: FlaskClient,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("modelplane_datasource.api.series.as_contract", fail)
    response = client.get("/api/v1/metrics/latency", query_string=WHO)
    assert response.status_code == 500
    assert response.json is not None
    assert response.json["error"] == "internal_error"
    assert b"secret" not in response.data
    assert "secret detail" in caplog.text
