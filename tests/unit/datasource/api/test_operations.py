from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from datasource_support.fake_prometheus import FakePrometheus

WHO = {"model-name": "resnet50", "tenant-id": "user-A"}


def samples(client: FlaskClient) -> dict[tuple[str, tuple[str, ...]], float]:
    text = client.get("/metrics").get_data(as_text=True)
    return {
        (sample.name, tuple(sorted(sample.labels.values()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_alive_whatever_happens(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: (500, {}, b"")
    assert client.get("/healthz").status_code == 200
    assert upstream.calls == []


def test_ready(client: FlaskClient) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.json == {"status": "ok", "checks": {"prometheus": "ok", "store": "ok"}}


def test_not_ready_says_what_is_missing(
    upstream: FakePrometheus, client: FlaskClient, tmp_path: Path
) -> None:
    upstream.reply = lambda *_: (503, {}, b"")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json is not None
    assert response.json["error"] == "not_ready"
    assert "Prometheus is not ready" in response.json["details"]["prometheus"]
    assert response.json["details"]["store"] == "ok"
    with closing(sqlite3.connect(tmp_path / "modelplane.db")) as connection:
        connection.execute("DROP TABLE payloads")
    response = client.get("/readyz")
    assert response.json is not None
    assert "no such table" in response.json["details"]["store"]


def test_requests_are_counted_by_route_template(upstream: FakePrometheus, client: FlaskClient) -> None:
    client.get("/api/v1/metrics/latency", query_string=WHO)
    client.get("/api/v1/metrics/errors", query_string=WHO)
    client.get("/api/v1/metrics/none", query_string=WHO)
    client.get("/some/path")
    client.open("/healthz", method="BREW")
    result = samples(client)

    def count(route: str, status: str, method: str) -> float:
        return result["modelplane_datasource_requests_total", tuple(sorted((route, status, method)))]

    assert count("/api/v1/metrics/<metric>", "200", "GET") == 2
    assert count("/api/v1/metrics/<metric>", "404", "GET") == 1
    assert count("unmatched", "404", "GET") == 1
    assert count("unmatched", "405", "other") == 1
    duration = "modelplane_datasource_request_duration_seconds_count"
    assert result[duration, ("/api/v1/metrics/<metric>",)] == 3


def test_upstream_errors_are_counted_by_kind(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: (200, {}, b"<html>")
    assert client.get("/api/v1/metrics/latency", query_string=WHO).status_code == 502
    assert samples(client)["modelplane_datasource_upstream_errors_total", ("upstream_invalid",)] == 1
