from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import example, given
from hypothesis import strategies as st

from datasource_support.fake_prometheus import FakePrometheus, matrix_reply
from modelplane_datasource.catalogue import SERIES_METRICS
from modelplane_datasource.grafana.payloads import alternatives, payload_values

NAMES = [metric.name for metric in SERIES_METRICS]
NOW = 1_698_400_800
HOSTILE = 'a"} or up{x="'
WHO = {"model-name": "resnet50", "tenant-id": "user-A"}
LABELS = {"model_name": "resnet50", "model_version": "v1", "tenant_id": "user-A"}
RANGE = {"from": "2023-10-27T09:00:00.000Z", "to": "2023-10-27T10:00:00.000Z", "raw": {"from": "now-1h"}}


def body(*targets: object, **more: object) -> dict[str, Any]:
    return {
        "app": "dashboard", "requestId": "SQR107", "range": RANGE, "intervalMs": 30000, "maxDataPoints": 734,
        "scopedVars": {"__sceneObject": {"text": "x"}}, "targets": list(targets), **more,
    }  # fmt: skip


def target(ref_id: str = "A", name: object = "latency", **more: object) -> dict[str, Any]:
    return {"refId": ref_id, "target": name, "payload": WHO, **more}


def escape(text: str) -> str:
    """What Grafana's regex format does to one value."""
    return re.sub(r"[\\^$*+?.()|\[\]{}/]", lambda match: f"\\{match[0]}", text)


@pytest.mark.slow
@given(st.lists(st.text(), min_size=2, max_size=5))
@example(["(a|b)", "\\", "|", ""])
def test_several_values_come_back_from_the_regex_form(values: list[str]) -> None:
    assert alternatives(f"({'|'.join(escape(value) for value in values)})") == values


@given(st.text())
@example("(a|b)")
@example(HOSTILE)
def test_one_value_comes_back_from_the_regex_form(value: str) -> None:
    assert alternatives(escape(value)) == [value]


@pytest.mark.parametrize("text", ["resnet50.v2", HOSTILE, "(a", "a|b", "()", r"C:\data"])
def test_plain_text_is_itself(text: str) -> None:
    assert alternatives(text) == [text]


def test_payload_forms() -> None:
    payload = {"a": "x", "b": ["x", r"y\.z"], "c": "(x|y)", "d": 0.5, "e": "", "f": None, "g": []}
    assert payload_values(payload) == {"a": ["x"], "b": ["x", "y.z"], "c": ["x", "y"], "d": ["0.5"]}
    assert payload_values({"c": "(x|y)"}, literal=True) == {"c": ["(x|y)"]}
    assert payload_values(None) == {}


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/grafana", "/grafana/"])
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "application/json"}])
def test_health(client: FlaskClient, path: str, headers: dict[str, str]) -> None:
    assert client.get(path, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"garbage", b'{"metric":"gone","payload":{}}', b'{"metric":"latency"}']
)
def test_metrics_is_always_the_list(client: FlaskClient, data: bytes) -> None:
    listed = client.post("/grafana/metrics", data=data, content_type="application/json").json
    assert listed is not None
    assert [entry["value"] for entry in listed] == [
        *NAMES, "alerts", "incidents", "version_changes", "price_changes",
    ]  # fmt: skip
    assert [payload["name"] for payload in listed[0]["payloads"]] == [
        "model-name", "tenant-id", "model-version", "quantile", "group-by", "format",
    ]  # fmt: skip
    assert "quantile" not in [payload["name"] for payload in listed[1]["payloads"]]


def test_search_is_the_names(client: FlaskClient) -> None:
    listed = client.post("/grafana/search", json={"target": ""}).json
    assert listed == NAMES


def test_query_echoes_ref_ids_and_skips_hidden_targets(upstream: FakePrometheus, client: FlaskClient) -> None:
    upstream.reply = lambda *_: matrix_reply(
        (LABELS, [(NOW, "1.5")]), ({**LABELS, "model_version": "v0"}, [(NOW - 60, "2")])
    )
    narrow = {"from": "2023-10-27T09:59:00Z", "to": "2023-10-27T10:00:00Z"}
    targets = [target("A"), target("B", hide=True), target("C", "errors")]
    response = client.post("/grafana/query", json=body(*targets, range=narrow, intervalMs=60000))
    assert response.status_code == 200
    before, after = (NOW - 60) * 1000, NOW * 1000
    assert response.json == [
        {
            "target": f"resnet50 ({version})",
            "title": f"resnet50 ({version})",
            "refId": ref,
            "datapoints": [[first, before], [second, after]],
            "tags": LABELS | {"model_version": version},
            "unit": unit,
        }
        for ref, unit in (("A", "s"), ("C", "percentunit"))
        for version, first, second in (("v0", 2.0, None), ("v1", None, 1.5))
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("more", "step"),
    [
        ({}, 30.0),
        ({"intervalMs": None}, 15.0),
        ({"intervalMs": 120000}, 120.0),
        ({"intervalMs": 0.5}, 15.0),
        ({"maxDataPoints": 10}, 405.0),
        ({"maxDataPoints": None}, 30.0),
        ({"maxDataPoints": 1e9}, 30.0),
        ({"maxDataPoints": 1}, 3600.0),
    ],
)
def test_the_step_respects_interval_and_points(
    upstream: FakePrometheus, client: FlaskClient, more: dict[str, Any], step: float
) -> None:
    assert client.post("/grafana/query", json=body(target(), **more)).status_code == 200
    assert float(upstream.calls[0][1]["step"]) == step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("payload", "mode", "matcher"),
    [
        ({"tenant-id": "(user\\.A|user-B)"}, "builder", r'tenant_id=~"user-B|user\\.A"'),
        ({"tenant-id": "user\\.A"}, None, 'tenant_id="user.A"'),
        ({"tenant-id": ["user-A", "user-B"]}, "code", 'tenant_id=~"user-A|user-B"'),
        ({"tenant-id": "(a|b)"}, "code", 'tenant_id="(a|b)"'),
        ({"tenant-id": HOSTILE}, "code", r'tenant_id="a\"} or up{x=\""'),
        ({"tenant-id": escape(HOSTILE)}, "builder", r'tenant_id="a\"} or up{x=\""'),
        ({"quantile": 0.5}, "code", "histogram_quantile(0.5,"),
        ({"quantile": "", "model-version": ""}, "builder", "histogram_quantile(0.95,"),
    ],
)
def test_payloads_are_literal_values(
    upstream: FakePrometheus, client: FlaskClient, payload: dict[str, Any], mode: str | None, matcher: str
) -> None:
    requested = target(payload={**WHO, **payload}, editorMode=mode)
    assert client.post("/grafana/query", json=body(requested)).status_code == 200
    assert matcher in upstream.calls[0][1]["query"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "fields",
    [
        {"target": "latency model=resnet50 tenant=(user-A|user\\.B) quantile=0.5"},
        {"target": " latency  tenant-id=(user-A|user\\.B) quantile=0.5 model-name=resnet50 "},
        {
            "target": "latency quantile=0.5",
            "payload": {"model-name": "resnet50", "tenant-id": ["user-A", "user.B"]},
        },
        {
            "target": "latency quantile=0.5",
            "data": {"model-name": "resnet50", "tenant-id": "(user-A|user\\.B)"},
        },
        {"target": "latency model=resnet50 tenant=(user-A|user\\.B) quantile=0.5", "data": ""},
    ],
)
def test_parameters_may_stand_in_the_target(
    upstream: FakePrometheus, client: FlaskClient, fields: dict[str, Any]
) -> None:
    response = client.post("/grafana/query", json=body({"refId": "A", "type": "timeserie", **fields}))
    assert response.status_code == 200, response.text
    query = upstream.calls[0][1]["query"]
    assert query.startswith("histogram_quantile(0.5, ")
    assert r'{model_name="resnet50",tenant_id=~"user-A|user\\.B"}' in query


def test_several_metrics_share_the_parameters_in_the_target(
    upstream: FakePrometheus, client: FlaskClient
) -> None:
    requested = {"refId": "A", "target": "(errors|active) model=resnet50 tenant=user-A"}
    assert client.post("/grafana/query", json=body(requested)).status_code == 200
    errors, active = (form["query"] for _, form, _ in upstream.calls)
    assert 'model_inference_requests_total{model_name="resnet50",tenant_id="user-A",outcome=' in errors
    assert 'model_active_inference_requests{model_name="resnet50",tenant_id="user-A"}' in active


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"target": "latency model=resnet50 tenant="}, "name=value"),
        ({"target": "model=resnet50 latency"}, "name=value"),
        ({"target": "latency model=resnet50", "payload": {**WHO}}, "model-name"),
        ({"target": "latency model=resnet50 tenant=user-A team=core"}, "team"),
        ({"target": "latency", "data": ["resnet50"]}, "payload"),
    ],
)
def test_bad_parameters_in_the_target_are_400(client: FlaskClient, fields: dict[str, Any], word: str) -> None:
    response = client.post("/grafana/query", json=body({"refId": "Q7", **fields}))
    assert response.status_code == 400
    assert response.json is not None
    assert "Q7" in response.json["message"]
    assert word in response.json["message"]


def test_nothing_asked_is_an_empty_list(upstream: FakePrometheus, client: FlaskClient) -> None:
    assert client.post("/grafana/query", json=body()).json == []
    assert client.post("/grafana/query", json={"targets": []}).json == []
    assert upstream.calls == []
    assert client.post("/grafana/query", json=body(target())).json == []


@pytest.mark.parametrize("name", [None, "", 7, ["latency"]])
def test_a_bad_target_is_400_and_names_the_ref_id(client: FlaskClient, name: object) -> None:
    response = client.post("/grafana/query", json=body(target(), target("Q7", name)))
    assert response.status_code == 400
    assert response.json is not None
    assert "Q7" in response.json["message"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("payload", "word"),
    [
        ({}, "model-name"),
        (None, "model-name"),
        ([], "payload"),
        ({**WHO, "tenant-id": ""}, "tenant-id"),
        ({**WHO, "tenant-id": {"x": 1}}, "tenant-id"),
        ({**WHO, "team": "core"}, "team"),
        ({**WHO, "quantile": 2}, "quantile"),
        ({**WHO, "from": "now"}, "from"),
    ],
)
def test_a_bad_payload_is_400_and_names_the_ref_id(client: FlaskClient, payload: Any, word: str) -> None:
    response = client.post("/grafana/query", json=body(target("Q7", payload=payload)))
    assert response.status_code == 400
    assert response.json is not None
    assert "Q7" in response.json["message"]
    assert word in response.json["message"]


def test_an_unknown_metric_is_404(client: FlaskClient) -> None:
    response = client.post("/grafana/query", json=body(target("B", "nothing")))
    assert response.status_code == 404
    assert response.json is not None
    assert response.json["details"]["refId"] == "B"


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        {"range": None}, {"range": {}}, {"range": {"from": "now-1h", "to": "now"}},
        {"range": {"from": 1, "to": 2}}, {"range": {"from": RANGE["to"], "to": RANGE["from"]}},
        {"range": {"from": "0001-01-01T00:00:00Z", "to": RANGE["to"]}},
        {"maxDataPoints": 0}, {"maxDataPoints": -1}, {"maxDataPoints": "734"}, {"maxDataPoints": True},
        {"intervalMs": -1}, {"intervalMs": "30s"}, {"intervalMs": 1e18},
        {"targets": None}, {"targets": {}}, {"targets": [None]},
        {"filters": [{"key": "team", "operator": "=", "value": "x"}]},
        {"adhocFilters": [{"key": "team", "operator": "=", "value": "x"}]},
    ],
)  # fmt: skip
def test_a_bad_body_is_400(upstream: FakePrometheus, client: FlaskClient, more: dict[str, Any]) -> None:
    response = client.post("/grafana/query", json={**body(target()), **more})
    assert response.status_code == 400
    assert response.json is not None
    assert isinstance(response.json["message"], str)
    assert upstream.calls == []


@pytest.mark.slow
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff"])
def test_a_body_that_is_no_object_is_400(client: FlaskClient, data: bytes) -> None:
    response = client.post("/grafana/query", data=data, content_type="application/json")
    assert response.status_code == 400
    assert response.json is not None
    assert "body" in response.json["message"]


def test_the_numbers_are_those_of_the_rest_route(upstream: FakePrometheus, client: FlaskClient) -> None:
    points = [(NOW - 3600 + 30 * i, "NaN" if i % 7 == 0 else str(i / 3)) for i in range(0, 121, 2)]
    upstream.reply = lambda *_: matrix_reply((LABELS, points))
    requested = client.post("/grafana/query", json=body(target())).json
    query = {**WHO, "from": RANGE["from"], "to": RANGE["to"], "step": "30s"}
    rest = client.get("/api/v1/metrics/latency", query_string=query).json
    assert requested is not None
    assert rest is not None
    assert [line["target"] for line in requested] == [line["name"] for line in rest["data"]]
    assert requested[0]["datapoints"] == [[point["y"], point["x"]] for point in rest["data"][0]["data"]]
    assert len({tuple(form.items()) for _, form, _ in upstream.calls}) == 1


def test_a_cached_answer_is_never_that_of_other_filters(
    upstream: FakePrometheus, client: FlaskClient
) -> None:
    """The same target with a filter, with another and without any are three questions."""

    def queries_with(*values: str) -> list[str]:
        upstream.calls.clear()
        filters = [{"key": "model_version", "operator": "=", "value": value} for value in values]
        for _ in range(2):
            assert client.post("/grafana/query", json=body(target(), filters=filters)).status_code == 200
        return [form["query"] for _, form, _ in upstream.calls]

    without, (first,), (second,) = queries_with(), queries_with("v1"), queries_with("v2")
    assert len(without) == 1
    assert 'model_version="v1"' in first
    assert 'model_version="v2"' in second
