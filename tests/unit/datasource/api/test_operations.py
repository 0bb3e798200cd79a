from __future__ import annotations

import re
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from datasource_support.fake_prometheus import FakePrometheus
from modelplane_datasource.web.refusals import REFUSED
from modelplane_provisioning.processes import PATIENCE_SECONDS, wait_until

WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
RUNBOOKS = Path(__file__).parents[4] / "docs" / "runbooks.md"
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,"
    "text/plain;version=0.0.4;q=0.2,*/*;q=0.1"
)


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


@pytest.mark.slow
def test_not_ready_while_the_database_is_locked(client: FlaskClient, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "modelplane.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        responses = [client.get("/readyz") for _ in range(2)]  # the second shares the check of the first
        connection.execute("ROLLBACK")
    for response in responses:
        assert response.status_code == 503
        assert response.json is not None
        assert response.json["details"] == {"prometheus": "ok", "store": "no answer within 2 s."}
    assert wait_until(lambda: client.get("/readyz").status_code == 200)


def test_not_ready_when_the_database_has_gone(client: FlaskClient, tmp_path: Path) -> None:
    path = tmp_path / "modelplane.db"
    path.rename(tmp_path / "gone.db")
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.json is not None
    assert "moved, deleted or replaced" in response.json["details"]["store"]
    (tmp_path / "gone.db").rename(path)
    assert client.get("/readyz").status_code == 200


@pytest.mark.slow
def test_not_ready_while_prometheus_is_slow(upstream: FakePrometheus, client: FlaskClient) -> None:
    may_answer = threading.Event()
    upstream.reply = lambda *_: (200, {}, b"") if may_answer.wait(PATIENCE_SECONDS) else (500, {}, b"")
    try:
        response = client.get("/readyz")
        assert response.status_code == 503
        assert response.json is not None
        assert response.json["details"] == {"prometheus": "no answer within 2 s.", "store": "ok"}
    finally:
        may_answer.set()
    assert wait_until(lambda: client.get("/readyz").status_code == 200)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/healthz", "/api/v1/metrics/latency", "/prometheus/api/v1/query", "/none"])
def test_a_request_that_the_server_refuses_is_503(client: FlaskClient, path: str) -> None:
    response = client.get(path, environ_overrides={REFUSED: True})
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json is not None
    if path.startswith("/prometheus"):
        assert response.json["status"] == "error"
    else:
        assert response.json["error"] == "overloaded"


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


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "application/openmetrics-text",
        PROMETHEUS_3,
    ],
)
def test_own_metrics_in_openmetrics_for_those_who_accept_it(client: FlaskClient, accept: str) -> None:
    client.get("/healthz")
    response = client.get("/metrics", headers={"Accept": accept})
    assert response.content_type.startswith("application/openmetrics-text; version=1.0.0")
    text = response.get_data(as_text=True)
    assert text.endswith("# EOF\n")
    names = {family.name for family in openmetrics_families(text)}  # type: ignore[no-untyped-call]
    assert {"modelplane_datasource_requests", "modelplane_datasource_request_duration_seconds"} <= names
    assert "_created" not in text


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain", "text/html"])
def test_own_metrics_are_text_for_others(client: FlaskClient, accept: str) -> None:
    client.get("/healthz")
    response = client.get("/metrics", headers={"Accept": accept})
    assert response.content_type.startswith("text/plain; version=")
    text = response.get_data(as_text=True)
    assert "modelplane_datasource_requests_total{" in text
    assert "_created" not in text
    assert all(not family.name.endswith("_created") for family in text_string_to_metric_families(text))


def test_own_metrics_have_a_format_where_the_requested_version_is_none(client: FlaskClient) -> None:
    """Releases of prometheus_client differ in which: OpenMetrics up to 0.20, text since."""
    response = client.get("/metrics", headers={"Accept": "application/openmetrics-text;version=x"})
    assert response.status_code == 200
    assert response.get_data(as_text=True).startswith("# HELP modelplane_datasource_requests")


def test_runbooks_are_a_page_with_an_anchor_for_each_alert(client: FlaskClient) -> None:
    response = client.get("/runbooks")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]
    page = response.get_data(as_text=True)
    sections = re.findall(r"^## (\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    assert sections
    for name in sections:
        assert f'<h2 id="{name.lower()}">{name}</h2>' in page
