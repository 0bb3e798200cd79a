"""A Prometheus that fails, through every protocol: an error or a notice, never a number and never nothing."""

from __future__ import annotations

import dataclasses
import gzip
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from datasource_support.fake_prometheus import FakePrometheus
from modelplane_datasource.api.grafana import MAX_WARNING, MAX_WARNINGS
from modelplane_datasource.settings import Settings
from modelplane_provisioning.processes import PATIENCE_SECONDS, free_port

pytestmark = pytest.mark.slow

NOW = 1_698_400_800
JSON = "application/json"
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
SIGNAL = {"model-name": "resnet50", "kind": "input", "signal": "age"}
LABELS = {"model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A"}
RANGE = {"from": "2023-10-27T09:00:00Z", "to": "2023-10-27T10:00:00Z"}
REGISTRY = """
apiVersion: modelplane/v1
tenants: [{id: user-A}]
models:
  - name: resnet50
    framework: pytorch
    owner: vision
    tenants: [user-A]
    versions: [{version: v1}]
    slos: [{name: availability, objective: 0.99, window: 30d, indicator: {type: errors}}]
devices:
  inventory: [{device: GPU-1, device_type: h200, from: 2023-01-01}]
  prices: [{device_type: h200, amount: 3.60, currency: USD, per: hour, effective_from: 2023-01-01}]
"""
Reply = tuple[int, dict[str, str], bytes]
Call = Callable[[FlaskClient], TestResponse]


def get(path: str, **query: str) -> Call:
    return lambda client: client.get(path, query_string=query)


def panel(form: str, name: str = "latency", **payload: str) -> Call:
    target = {"refId": "A", "target": name, "payload": {**WHO, "format": form, **payload}}
    return lambda client: client.post("/grafana/query", json={"range": RANGE, "targets": [target]})


def post(path: str, **body: object) -> Call:
    return lambda client: client.post(f"/grafana/{path}", json={"range": RANGE, "timeRange": RANGE, **body})


# Those whose body is an object say warnings in it, those of a panel on its first element, others in a header.
OBJECTS: dict[str, Call] = {
    "series": get("/api/v1/metrics/latency", **WHO),
    "rows": get("/api/v1/rows/latency", **WHO),
    "drift": get("/api/v1/metrics/drift", **{"model-name": "resnet50"}),
    "drift top": get("/api/v1/drift/top", **{"model-name": "resnet50"}),
    "drift distribution": get("/api/v1/drift/distribution", **SIGNAL),
    "slo": get("/api/v1/metrics/slo", **WHO),
    "slo states": get("/api/v1/slo", **WHO),
    "cost": get("/api/v1/metrics/cost"),
    "costs": get("/api/v1/costs"),
    "compare": get("/api/v1/compare", **WHO, baseline="v1", candidate="v2"),
    "annotation rows": get("/api/v1/annotations/version_changes"),
}
PANELS: dict[str, Call] = {
    "timeserie": panel("timeserie"),
    "table": panel("table"),
    "frame": panel("frame"),
    "simple-json": post(
        "query",
        targets=[{"refId": "A", "target": "latency model=resnet50 tenant=user-A", "type": "timeserie"}],
    ),
    "annotations": post("query", targets=[{"refId": "Anno", "target": "version_changes"}]),
}
LISTS: dict[str, Call] = {
    "older annotations": post("annotations", annotation={"query": "version_changes"}),
    "variable": post("variable", payload={"target": "models"}),
    "older variable": post("search", target="models"),
    "tag values": post("tag-values", key="tenant_id"),
    "options": post("metric-payload-options", metric="latency", name="tenant-id"),
}
QUICK = {**OBJECTS, **PANELS, **LISTS}
CALLS = {
    **QUICK, "csv": get("/api/v1/costs", format="csv"), "focus": get("/api/v1/costs", format="focus"),
    "forecast": get("/api/v1/costs/forecast"),
}  # fmt: skip


def answer(path: str, form: dict[str, str], **envelope: object) -> Reply:
    """What a Prometheus without data says."""
    data: object = []
    if "/label/" not in path and not path.endswith("/series"):
        kind = "matrix" if path.endswith("_range") or form["query"].endswith("ms]") else "vector"
        data = {"resultType": kind, "result": []}
    return 200, {"Content-Type": JSON}, json.dumps({"status": "success", "data": data, **envelope}).encode()


def error(kind: str) -> bytes:
    return json.dumps({"status": "error", "errorType": kind, "error": "what happened"}).encode()


@pytest.fixture
def served(settings: Settings, tmp_path: Path) -> Settings:
    registry = tmp_path / "modelplane.yaml"
    registry.write_text(REGISTRY)
    return dataclasses.replace(settings, registry_file=registry, max_upstream_bytes=100_000)


@pytest.fixture
def backend(served: Settings, make_client: Callable[[Settings], FlaskClient]) -> FlaskClient:
    return make_client(served)


def refused(protocol: str, response: TestResponse, status: int) -> None:
    assert response.status_code == status, f"{protocol}: {response.text}"
    assert response.content_type == JSON
    assert response.json is not None
    assert set(response.json) == {"message", "error", "details"}
    assert "Prometheus" in response.json["message"]


FAULTS: dict[str, tuple[int, Reply]] = {
    "200 with an error": (502, (200, {}, error("internal"))),
    "too many points": (422, (400, {}, error("bad_data"))),
    "a page to log in": (502, (200, {"Content-Type": "text/html"}, b"<html>log in</html>")),
    "JSON that breaks off": (502, (200, {}, b'{"status":"success","data":{"resultType":"matrix","result":[')),
    "no body": (502, (200, {}, b"")),
    "no content": (502, (204, {}, b"")),
    "a redirect": (502, (302, {"Location": "/elsewhere"}, b"")),
    "a success of another kind": (502, (200, {}, b'{"status":"success","data":{"resultType":"string"}}')),
    "no JSON object": (502, (200, {}, b"[]")),
    "what is not compressed": (502, (200, {"Content-Encoding": "gzip"}, b"{}")),
    "what breaks off compressed": (502, (200, {"Content-Encoding": "gzip"}, gzip.compress(b"{}" * 500)[:20])),
    "little that becomes much": (422, (200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * 50_000_000))),
    "too much": (422, (200, {}, b" " * 100_001)),
}
# These are asked for again, which takes time.
RETRIED: dict[str, tuple[int, Reply]] = {
    "a query too slow": (504, (503, {}, error("timeout"))),
    "overload": (503, (503, {}, error("unavailable"))),
    "a gateway's page": (502, (504, {"Content-Type": "text/html"}, b"<html>gateway</html>")),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_an_error_in_every_protocol(
    upstream: FakePrometheus, backend: FlaskClient, fault: str
) -> None:
    status, reply = FAULTS[fault]
    upstream.reply = lambda *_: reply
    for protocol, call in CALLS.items():
        refused(protocol, call(backend), status)
    upstream.reply = answer
    for protocol, call in QUICK.items():
        assert call(backend).status_code == 200, f"{protocol}: the error is kept"


@pytest.mark.parametrize("fault", RETRIED)
def test_what_stays_out_of_order_is_an_error(
    upstream: FakePrometheus, backend: FlaskClient, fault: str
) -> None:
    status, reply = RETRIED[fault]
    upstream.reply = lambda *_: reply
    for protocol in ("series", "table", "variable"):
        refused(protocol, CALLS[protocol](backend), status)


def test_nobody_listening_is_an_error_in_every_protocol(
    served: Settings, make_client: Callable[[Settings], FlaskClient]
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    client = make_client(dataclasses.replace(served, prometheus_url=url))
    for protocol, call in CALLS.items():
        refused(protocol, call(client), 503)


def test_silence_is_an_error_in_every_protocol(
    upstream: FakePrometheus, served: Settings, make_client: Callable[[Settings], FlaskClient]
) -> None:
    backend = make_client(dataclasses.replace(served, prometheus_timeout_seconds=0.2))
    ended = threading.Event()

    def silent(path: str, form: dict[str, str]) -> Reply:
        ended.wait(PATIENCE_SECONDS)
        return answer(path, form)

    upstream.reply = silent
    try:
        for protocol, call in CALLS.items():
            refused(protocol, call(backend), 504)
    finally:
        ended.set()


def notices(response: TestResponse) -> list[str]:
    """What an answer says beside its figures, in its body if there is a place for it."""
    if isinstance(response.json, dict):
        return list(response.json.get("warnings", []))
    reported = json.loads(response.headers["X-Warnings"])
    if response.json and "refId" in response.json[0]:
        assert response.json[0]["meta"]["notices"] == [
            {"severity": "warning", "text": text} for text in reported
        ]
    return list(reported)


@pytest.mark.parametrize(
    ("envelope", "word"),
    [({"warnings": ["ä store is down\n"]}, "ä store is down\n"), ({"isPartial": True}, "partial")],
)
def test_what_is_partial_says_so_in_every_protocol(
    upstream: FakePrometheus, backend: FlaskClient, envelope: dict[str, object], word: str
) -> None:
    upstream.reply = lambda path, form: answer(path, form, **envelope)
    for protocol, call in QUICK.items():
        response = call(backend)
        assert response.status_code == 200, f"{protocol}: {response.text}"
        (reported,) = notices(response)
        assert word in reported, protocol
    upstream.reply = answer
    quiet = LISTS["variable"](backend)
    assert "X-Warnings" not in quiet.headers


def test_a_header_of_warnings_stays_small(upstream: FakePrometheus, backend: FlaskClient) -> None:
    upstream.reply = lambda path, form: answer(path, form, warnings=[f"{n}{'x' * 999}" for n in range(99)])
    reported = json.loads(LISTS["variable"](backend).headers["X-Warnings"])
    assert [len(text) for text in reported] == [MAX_WARNING] * MAX_WARNINGS


def lines(*entries: tuple[dict[str, str], list[tuple[float, str]]]) -> Callable[[str, dict[str, str]], Reply]:
    """Answers range queries with series, others with nothing."""
    result = [{"metric": labels, "values": points} for labels, points in entries]
    body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}}).encode()
    return lambda path, form: (200, {}, body) if path.endswith("_range") else answer(path, form)


RANGES = {
    name: call for name, call in CALLS.items() if name in ("series", "rows", *PANELS, "older annotations")
}
OTHER = {
    "between two times": lines((LABELS, [(NOW - 7.5, "1")])),
    "after the end": lines((LABELS, [(NOW, "1"), (NOW + 60, "1")])),
    "no number": lines((LABELS, [(NOW, "one")])),
}


@pytest.mark.parametrize("kind", OTHER)
def test_values_that_were_not_asked_for_are_an_error_in_every_protocol(
    upstream: FakePrometheus, backend: FlaskClient, kind: str
) -> None:
    upstream.reply = OTHER[kind]
    for protocol, call in RANGES.items():
        refused(protocol, call(backend), 502)


def test_json_of_another_content_type_is_json(upstream: FakePrometheus, backend: FlaskClient) -> None:
    def reply(path: str, form: dict[str, str]) -> Reply:
        status, _, body = lines((LABELS, [(NOW, "0.5")]))(path, form)
        return status, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(body)

    upstream.reply = reply
    result = OBJECTS["series"](backend).json
    assert result is not None
    last = result["data"][0]["data"][-1]
    assert (last["x"], last["y"]) == (NOW * 1000, 0.5)
