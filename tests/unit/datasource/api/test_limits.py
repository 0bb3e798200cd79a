"""What keeps answers whole and bounded: compression, sizes, and notices of what is missing."""

from __future__ import annotations

import dataclasses
import gzip
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from flask.testing import FlaskClient

from datasource_support.callers import called_by_operator
from datasource_support.clients import prometheus_client
from datasource_support.fake_prometheus import FakePrometheus, matrix_reply, vector_reply
from modelplane_datasource.prometheus.errors import UpstreamError
from modelplane_datasource.settings import Settings
from modelplane_datasource.tenancy.notices import forget_notices, noted_for_caller
from modelplane_datasource.timeline.grid import Grid
from modelplane_datasource.web.compression import SMALLEST

NOW = 1_698_400_800
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
PATH = "/api/v1/metrics/active"
MINUTE = {**WHO, "from": "now-59s", "step": "1s"}


def series(version: str) -> tuple[dict[str, str], list[tuple[float, str]]]:
    labels = {"model_name": "resnet50", "model_version": version, "tenant_id": "user-A"}
    return labels, [(NOW - second, str(second)) for second in range(59, -1, -1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        ("gzip", True),
        ("gzip, deflate, br", True),
        ("*", True),
        ("br;q=1, gzip;q=0.2", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("*;q=0", False),
    ],
)
def test_large_answers_are_compressed_for_those_who_accept_it(
    upstream: FakePrometheus, client: FlaskClient, accepted: str, compressed: bool
) -> None:
    upstream.reply = lambda *_: matrix_reply(series("v1"))
    plain = client.get(PATH, query_string=MINUTE)
    assert len(plain.data) >= SMALLEST
    response = client.get(PATH, query_string=MINUTE, headers={"Accept-Encoding": accepted})
    assert response.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"
    assert (response.headers.get("Content-Encoding") == "gzip") is compressed
    assert response.content_length == len(response.data)
    assert (gzip.decompress(response.data) if compressed else response.data) == plain.data


def test_small_answers_are_not_compressed(client: FlaskClient) -> None:
    response = client.get("/healthz", headers={"Accept-Encoding": "gzip"})
    assert "Content-Encoding" not in response.headers
    assert response.json == {"status": "ok"}


@pytest.mark.parametrize(
    ("limits", "error", "details"),
    [
        ({"max_series": 1}, "too_many_series", {"series": 2, "max_series": 1}),
        ({"max_points": 119}, "too_many_points", {"points": 120, "max_points": 119, "series": 2}),
    ],
)
def test_too_large_an_answer_is_422_with_advice(
    upstream: FakePrometheus,
    settings: Settings,
    make_client: Callable[[Settings], FlaskClient],
    limits: dict[str, Any],
    error: str,
    details: dict[str, int],
) -> None:
    upstream.reply = lambda *_: matrix_reply(series("v1"), series("v2"))
    client = make_client(dataclasses.replace(settings, **limits))
    response = client.get(PATH, query_string=MINUTE)
    assert response.status_code == 422
    assert response.json is not None
    assert (response.json["error"], response.json["details"]) == (error, details)
    assert "fewer" in response.json["message"]
    upstream.reply = lambda *_: matrix_reply(series("v1"))
    assert client.get(PATH, query_string={**MINUTE, "model-version": "v1"}).status_code == 200


def test_a_body_that_is_too_large_is_413(
    settings: Settings, make_client: Callable[[Settings], FlaskClient]
) -> None:
    client = make_client(dataclasses.replace(settings, max_body_bytes=100))
    response = client.post("/api/v1/alerts", data=b" " * 101)
    assert response.status_code == 413
    assert response.json is not None
    assert response.json["details"] == {"max_bytes": 100}


def test_many_short_series_over_many_times_are_422_before_they_fill_the_memory(
    upstream: FakePrometheus, settings: Settings
) -> None:
    upstream.reply = lambda *_: matrix_reply(*(({"a": str(n)}, [(1, "0")]) for n in range(50)))
    prometheus = prometheus_client(dataclasses.replace(settings, max_upstream_bytes=10_000))
    assert len(prometheus.query_range("up", Grid(1000, 10_000, 1000))) == 50
    with pytest.raises(UpstreamError) as caught:
        prometheus.query_range("up", Grid(1000, 20_000, 1000))
    prometheus.close()
    assert caught.value.status == 422
    assert "50 series of 20 points" in caught.value.message


@pytest.mark.parametrize("field", [{"isPartial": True}, {"warnings": ["a store is down"]}])
@pytest.mark.parametrize("path", [PATH, "/api/v1/rows/active"])
def test_a_partial_answer_is_a_notice(
    upstream: FakePrometheus, client: FlaskClient, field: dict[str, object], path: str
) -> None:
    upstream.reply = lambda *_: matrix_reply(series("v1"), **field)
    body = client.get(path, query_string=MINUTE).json
    assert body is not None
    (warning,) = body["warnings"]
    assert "partial" in warning or warning == "a store is down"


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", ["/api/v1/metrics/drift", "/api/v1/rows/drift", "/api/v1/drift/top", "/api/v1/compare"]
)
def test_warnings_of_every_query_of_a_request_reach_the_caller_once(
    upstream: FakePrometheus, client: FlaskClient, path: str
) -> None:
    def reply(api: str, _form: dict[str, str]) -> Any:
        status, headers, body = vector_reply() if api.endswith("/query") else matrix_reply()
        return status, headers, orjson.dumps({**orjson.loads(body), "warnings": [f"of {api}", "of all"]})

    upstream.reply = reply
    query = {**WHO, "baseline": "v1", "candidate": "v2"} if "compare" in path else {"model-name": "resnet50"}
    body = client.get(path, query_string=query).json
    assert body is not None
    apis = {api for api, _, _ in upstream.calls}
    assert sorted(body["warnings"]) == sorted([*(f"of {api}" for api in apis), "of all"])
    assert "warnings" not in (client.get("/api/v1/alerts").json or {})


@pytest.mark.parametrize("warnings", [["a store is down"], "a store is down"])
def test_warnings_about_samples_and_menus_are_notices_too(
    upstream: FakePrometheus, settings: Settings, warnings: object
) -> None:
    prometheus = prometheus_client(settings)
    calls: tuple[tuple[Callable[[], object], Any], ...] = (
        (lambda: prometheus.unrestricted_samples("up", 1000, 2000), orjson.loads(matrix_reply()[2])),
        (lambda: prometheus.label_values("job", ["up"], 0, 1000), {"status": "success", "data": []}),
        (lambda: prometheus.query_range("up", Grid(0, 1000, 1000)), orjson.loads(matrix_reply()[2])),
    )
    for call, body in calls:
        answer = orjson.dumps({**body, "warnings": warnings})
        upstream.reply = lambda *_, answer=answer: (200, {}, answer)
        forget_notices()
        if isinstance(warnings, list):
            call()
            with called_by_operator():
                assert noted_for_caller() == ("a store is down",)
        else:
            with pytest.raises(UpstreamError, match="warnings"):
                call()
    prometheus.close()
    forget_notices()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (422, "422", 422),
        (400, "400", 422),
        (503, "503", 503),
        (429, "429", 503),
        (429, "too_many_requests", 503),
        (413, "too_large_entry", 422),
        (418, "teapot", 502),
    ],
)
def test_errors_of_other_servers_are_understood(
    upstream: FakePrometheus, client: FlaskClient, status: int, kind: str, expected: int
) -> None:
    upstream.reply = lambda *_: (
        status, {}, orjson.dumps({"status": "error", "errorType": kind, "error": "what happened"}),
    )  # fmt: skip
    response = client.get(PATH, query_string=MINUTE)
    assert response.status_code == expected
    assert response.json is not None
    assert "what happened" in response.json["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "entry",
    [
        {"metric": {}, "values": [[NOW - 0.5, "1"]]},
        {"metric": {}, "values": [[NOW, "1"], [NOW + 60, "1"]]},
        {"metric": {}, "histograms": [[NOW - 0.5, {"count": "1", "sum": "1"}]]},
        {"metric": {}, "histograms": [[NOW, {"count": "one", "sum": "1"}]]},
        {"metric": {}, "histograms": [[NOW, {"count": "2", "sum": "1"}]]},
    ],
)
def test_values_at_other_times_or_of_another_kind_are_no_gaps(
    upstream: FakePrometheus, client: FlaskClient, entry: dict[str, object]
) -> None:
    body = {"status": "success", "data": {"resultType": "matrix", "result": [entry]}}
    upstream.reply = lambda *_: (200, {}, orjson.dumps(body))
    response = client.get(PATH, query_string=MINUTE)
    assert response.status_code == 502
    assert response.json is not None
    assert response.json["error"] == "upstream_invalid"
