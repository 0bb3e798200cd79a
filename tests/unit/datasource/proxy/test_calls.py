"""The tenant-scoped Prometheus API over a Prometheus that answers what a test tells it to."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from flask import Flask
from flask.testing import FlaskClient

from datasource_support.fake_client import API, EMPTY, NOTHING, FakeCaller, FakeClient, failure, ok, vector
from modelplane_datasource.prometheus.decoding import INCOMPLETE
from modelplane_datasource.proxy.calls import CALLS
from modelplane_datasource.web.openapi import openapi_document


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_query_is_sent_restricted_with_known_parameters_only(
    web: FlaskClient, prometheus: FakeClient, method: str
) -> None:
    given = {"query": "up", "start": "1", "end": "2", "step": "1", "timeout": "1d", "stats": "all",
             "extra_label": "tenant_id=user-B", "Query": "up"}  # fmt: skip
    where: dict[str, Any] = {"query_string": given} if method == "GET" else {"data": given}
    assert ok(web.open(f"{API}/query_range", method=method, **where)) == EMPTY
    query = '{__name__="up",tenant_id="user-A"}'
    form = {"query": query, "start": "1", "end": "2", "step": "1"}
    assert prometheus.calls == [("query_range", form, "POST")]


def test_data_are_given_as_they_are_written_and_other_members_are_not(
    web: FlaskClient, prometheus: FakeClient, caller: FakeCaller
) -> None:
    """Unknown keys, wherever they stand, may hold anything."""
    metric = b'{"metric":{"tenant_id":"user-A"},"value":[1.5,"1e3"]'
    head = b'{"resultType":"vector","result":['
    data = head + metric + b',"note":"user-B"}],"stats":{"user-B":1}}'
    alone = b'{"status":"success","data":' + head + metric + b"}]}}"
    warned = alone[:-1] + b',"warnings":' + orjson.dumps([INCOMPLETE]) + b"}"
    for members, expected in (
        (b"", alone),
        (b',"infos":["user-B"]', alone),
        (b',"stats":{"user-B":1}', alone),
        (b',"warnings":["the store of user-B is down"]', warned),
        (b',"isPartial":true', warned),
        (b',"isPartial":false', alone),
    ):
        body = b'{"status":"success", "data":' + data + members + b"}"
        prometheus.reply = lambda path, form, body=body: (200, body)  # type: ignore[misc]
        caller.tenants = ("user-A",)
        assert web.get(f"{API}/query?query=up").data == expected
        caller.tenants = None
        assert web.get(f"{API}/query?query=up").data == body


def test_an_admin_asks_what_they_like_on_the_same_paths(
    web: FlaskClient, prometheus: FakeClient, caller: FakeCaller
) -> None:
    caller.tenants = None
    prometheus.reply = lambda path, form: vector({"tenant_id": "user-B"})
    assert ok(web.get(f"{API}/query?query=info(up)"))["result"][0]["metric"] == {"tenant_id": "user-B"}
    assert prometheus.calls == [("query", {"query": "info(up)"}, "POST")]
    assert failure(web.get("/prometheus/api/v1/targets"))[0] == 404


def test_several_tenants_are_listed(web: FlaskClient, prometheus: FakeClient, caller: FakeCaller) -> None:
    caller.tenants = ("user-B", "user-A")
    prometheus.reply = lambda path, form: vector({"tenant_id": "user-A"}, {"tenant_id": "user-B"})
    ok(web.get(f"{API}/query?query=up"))
    assert prometheus.calls[0][1]["query"] == '{__name__="up",tenant_id=~"user-A|user-B"}'


def test_a_caller_without_tenants_gets_nothing(
    web: FlaskClient, prometheus: FakeClient, caller: FakeCaller
) -> None:
    caller.tenants = ()
    for call in CALLS:
        path = API + call.rule.replace("<name>", "job")
        answer = web.get(path, query_string=dict.fromkeys(call.required, "up"))
        assert failure(answer)[:2] == (403, "forbidden")
    assert prometheus.calls == []


@pytest.mark.parametrize(
    "path",
    [
        "/prometheus", "/prometheus/", "/prometheus/graph", "/prometheus/metrics", "/prometheus/federate",
        "/prometheus/-/healthy", "/prometheus/api/v1", "/prometheus/api/v1/targets", f"{API}/status/config",
        f"{API}/status/flags", f"{API}/status/tsdb", f"{API}/admin/tsdb/snapshot", f"{API}/write",
        f"{API}/read", f"{API}/alertmanagers", f"{API}/targets/metadata", f"{API}/label//values",
        f"{API}/label/a/b/values", f"{API}/label/a%2fb/values",
        "/prometheus//api/v1/query", "/prometheus/api/v1/./query",
        f"{API}/QUERY",
        "/prometheus/api/v1/query/..", "/prometheus/x/../api/v1/query", "/prometheus/api/v2/query",
    ],
)  # fmt: skip
def test_everything_else_is_not_found_in_prometheus_shape(
    web: FlaskClient, prometheus: FakeClient, path: str
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
        assert failure(web.open(f"{path}?query=up", method=method))[:2] == (404, "not_found")
    assert prometheus.calls == []


def test_paths_outside_keep_the_shape_of_the_rest(web: FlaskClient) -> None:
    assert web.get("/prometheus-other").get_json()["error"] == "not_found"
    assert web.get("/api/v1/query").get_json()["details"] == {}


def test_other_methods_are_not_allowed(web: FlaskClient, prometheus: FakeClient) -> None:
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS"):
        answer = web.open(f"{API}/query?query=up", method=method)
        assert answer.status_code == 405
        assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))
    assert prometheus.calls == []


def test_a_trailing_slash_is_filtered_like_the_path_without(web: FlaskClient, prometheus: FakeClient) -> None:
    """Weak point (c) of label proxies: filters that are looked up by the exact path."""
    prometheus.reply = lambda path, form: {"alerts": [{"labels": {"tenant_id": "user-B"}}]}
    answer = web.get(f"{API}/alerts/")
    assert answer.status_code == 404 or ok(answer) == {"alerts": []}


def test_a_selector_in_an_aggregation_parameter_is_restricted(
    web: FlaskClient, prometheus: FakeClient
) -> None:
    """Weak point (a)."""
    ok(web.get(f"{API}/query", query_string={"query": "topk(scalar(secret), up)"}))
    assert prometheus.calls[0][1]["query"].count('tenant_id="user-A"') == 2


def test_info_is_refused(web: FlaskClient, prometheus: FakeClient) -> None:
    """Weak point (b)."""
    assert failure(web.get(f"{API}/query?query=info(up)"))[:2] == (403, "forbidden")
    assert prometheus.calls == []


def test_a_parameter_in_url_and_body_is_refused(web: FlaskClient, prometheus: FakeClient) -> None:
    """Weak point (d)."""
    answer = web.post(f"{API}/query?query=up", data={"query": "down"})
    assert failure(answer) == (400, "bad_data", "query is in the URL and in the body; allowed: in one")
    answer = web.post(f"{API}/series?match[]=up", data={"match[]": "down"})
    assert failure(answer)[:2] == (400, "bad_data")
    assert prometheus.calls == []


def test_grafanas_health_check_is_answered(web: FlaskClient, prometheus: FakeClient) -> None:
    """Weak point (e)."""
    prometheus.reply = lambda path, form: {"resultType": "scalar", "result": [4, "2"]}
    assert ok(web.post(f"{API}/query", data={"query": "1+1", "time": "4"}))["result"] == [4, "2"]


def test_a_store_that_ignores_selectors_of_values_is_found_out(
    web: FlaskClient, prometheus: FakeClient
) -> None:
    """Weak point (f)."""
    prometheus.reply = lambda path, form: ["resnet50", "secret-model"]
    for path in ("labels", "label/model_name/values"):
        assert failure(web.get(f"{API}/{path}"))[:2] == (502, "internal")
    assert prometheus.calls[1][1] == {"match[]": [NOTHING]}


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("query", "query is required"),
        ("query?query=up&query=up", "query occurs 2 times; allowed: at most 1"),
        ("query?query=up&time=1&time=1", "time occurs 2 times; allowed: at most 1"),
        ("query_range?query=up&start=1&end=2", "step is required"),
        ("query_exemplars?start=1", "query is required"),
        ("series", "match[] is required"),
        ("series?match[]=rate(up[5m])", "must be a series selector"),
        ("series?" + "&".join(["match[]=up"] * 65), "match[] occurs 65 times; allowed: at most 64"),
        ("label/a-b/values", "invalid label name: 'a-b'"),
        ("query?query=up{", "parse error"),
        ("query?query=", "parse error"),
    ],
)
def test_bad_input_is_bad_data(web: FlaskClient, prometheus: FakeClient, path: str, problem: str) -> None:
    status, error_type, text = failure(web.get(f"{API}/{path}"))
    assert (status, error_type) == (400, "bad_data")
    assert problem in text
    assert prometheus.calls == []


@pytest.mark.parametrize(
    "content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain"]
)
def test_a_body_is_a_form(web: FlaskClient, prometheus: FakeClient, content_type: str) -> None:
    answer = web.post(f"{API}/query?query=up", data=b"query=down", content_type=content_type)
    assert failure(answer)[:2] == (400, "bad_data")
    assert prometheus.calls == []


def test_a_large_body_is_refused(web: FlaskClient) -> None:
    assert failure(web.post(f"{API}/query", data={"query": "x" * 20_000}))[:2] == (413, "bad_data")


def test_every_call_is_in_the_specification(app: Flask) -> None:
    paths = openapi_document(app, protected=True)["paths"]
    assert set(paths) == {API + call.rule.replace("<name>", "tenant_id") for call in CALLS}
    assert all(set(methods) == {"get", "post"} for methods in paths.values())
